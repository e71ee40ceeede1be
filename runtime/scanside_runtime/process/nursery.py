"""Children of one kind without the tenths of a second that each needs to import: the parent's end.

A process of ours imports what such a child imports and waits; each child is a fork of it (`fork_side`), made before
anything foreign is read, and no child of it but of the process that asks: limited, asked, ended and reaped like any.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

from scanside_runtime.process.child import Child, module
from scanside_runtime.process.limits import Limits

LONGEST_WAIT_S = 60.0
_NAME_AT = len(module("")) - 1
_UNLIMITED = Limits(2**20, "mapped")
"""The process that waits reads nothing; its forks limit themselves before they do."""


class Forked:
    """What `Child` uses of a `subprocess.Popen`, of a child of ours that another process forked."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._reaped(os.WNOHANG)

    def wait(self) -> int | None:
        """The same, when it has ended."""
        return self._reaped(0)

    def _reaped(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Nursery:
    """The process that waits, for the thread that makes this one; it ends with that thread, or by `end`.

    command: `child.module` of one that calls `fork_side.fork_for`. Raises OSError where it can't be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._orders.settimeout(LONGEST_WAIT_S)
        with theirs, ExitStack() as unless_started:
            unless_started.callback(self._orders.close)
            self._waiting = Child(
                [*command, str(theirs.fileno())], _UNLIMITED, environment=environment, pass_fds=[theirs.fileno()]
            )
            unless_started.pop_all()

    def popen(self, command: Sequence[str], **how: Any) -> Forked:
        """As `subprocess.Popen` for `Child`: of the command the module's arguments are taken, of `how` the handles.

        Raises OSError where the process that waits is gone, or silent.
        """
        handed, stderr = how["pass_fds"], how["stderr"]
        with ExitStack() as theirs, open(os.devnull, "wb") as nowhere, ExitStack() as unless_started:
            (asked, ask), (hear, answered) = os.pipe(), os.pipe()
            for handle in (asked, answered):
                theirs.callback(os.close, handle)
            stdin, stdout = os.fdopen(ask, "wb", 0), os.fdopen(hear, "rb", 0)
            unless_started.callback(stdin.close)
            unless_started.callback(stdout.close)
            error = nowhere.fileno() if stderr == subprocess.DEVNULL else stderr.fileno()
            order = json.dumps({"argv": command[_NAME_AT:], "places": [0, 1, 2, *handed]}).encode()
            socket.send_fds(self._orders, [order], [asked, answered, error, *handed])
            pid = int(self._orders.recv(32) or 0)
            if pid <= 0:
                raise ChildProcessError("the process that forks children is gone")
            unless_started.pop_all()
        return Forked(pid, stdin, stdout)

    def end(self) -> None:
        """End it; its forks go on. Safe to call twice."""
        self._orders.close()
        self._waiting.end()
