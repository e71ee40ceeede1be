"""The end of a nursery that forks: a process of one thread that has imported all, and has read nothing foreign."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from scanside_runtime.process.start import end_with

_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE_PARENT = 0x00008000
_LONGEST_ORDER, _MOST_HANDLES = 2**16, 16
_OUT_OF_THE_WAY = 200


def fork_for(orders_fd: int, main: Callable[[], None]) -> None:
    """For each order a fork that runs `main` and ends, a sibling of this process, until who orders is gone."""
    with socket.socket(fileno=orders_fd) as orders:
        while True:
            order, handles, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, _MOST_HANDLES)
            if not order:
                return
            stated = json.loads(order)
            pid = _forked_sibling()
            if pid == 0:
                orders.detach()  # its number is closed, and may be another's
                _be(stated["argv"], stated["places"], handles)
                main()
                return
            for handle in handles:
                os.close(handle)
            orders.send(str(pid).encode("ascii"))


def _forked_sibling() -> int:
    """As `os.fork`, of a child of our parent (CLONE_PARENT of clone(2)): it is waited for and ended there.

    What Python does around a fork is done by its own functions for who forks in C.
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    pid = int(python.syscall(_CLONE[platform.machine()], _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
    python.PyOS_AfterFork_Child() if pid == 0 else python.PyOS_AfterFork_Parent()
    return pid


def _be(argv: list[str], places: Sequence[int], handles: Sequence[int]) -> None:
    """What a fresh process would be: bound to its parent, with its own session, arguments and handles and no others."""
    parked = [os.dup2(handle, max(_OUT_OF_THE_WAY, *places) + 1 + at) for at, handle in enumerate(handles)]
    os.closerange(3, parked[0])
    for place, handle in zip(places, parked, strict=True):
        os.dup2(handle, place)
    os.closerange(parked[0], parked[-1] + 1)
    os.setsid()
    sys.argv = argv
    end_with(json.loads(argv[-1])["Birth"]["parent"])
