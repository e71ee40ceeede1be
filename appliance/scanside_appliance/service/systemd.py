"""Word to systemd over its socket (sd_notify(3)); nothing where no socket is named."""

from __future__ import annotations

import os
import socket
import time

LONGEST_WAIT_S = 1.0
"""A listener that does not read must not stop the work: its queue holds some ten messages, then a sender waits."""


def notify(**values: object) -> None:
    """For example `notify(READY=1, STATUS="idle")`. A socket that can't be reached is no trouble of ours."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    message = "\n".join(f"{name}={value}" for name, value in values.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(LONGEST_WAIT_S)
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(message.encode())
    except OSError:
        return


def is_service() -> bool:
    """Whether systemd started this, and waits to hear how it is."""
    return "NOTIFY_SOCKET" in os.environ


def alive() -> None:
    """A piece of work came to its end: for the watchdog, which ends a daemon that hangs."""
    notify(WATCHDOG=1)


def reloading() -> None:
    """Before settings are read again; READY=1 comes after."""
    notify(RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)
