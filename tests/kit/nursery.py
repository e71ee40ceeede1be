"""Children without the tenths of a second that each needs to begin, for tests that are not about that.

A process imports what a fresh child of a kind imports, once, and waits. Each child is a fork of it: its own process and
group, its own limits, locked in as ever, a child of the test (PR_SET_CHILD_SUBREAPER of prctl(2)) and bound to it.

with Nursery() as nursery, nursery.used(): ...
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Self

import pytest

from scanside_runtime.process import child
from scanside_runtime.process.system_calls import prctl

MODULES = ("scanside_runtime.dicom.reader_process", "scanside_appliance.inbox.probe_process")
CHEAP = {
    str(Path(__file__).parents[1] / "sweeps" / f"{name}.py"): f"sweeps.{name}" for name in ("fake_probe", "fake_worker")
}
"""Of a box in tests, by the file that is run without `site`."""
WRITER = "scanside_appliance.worklist.writer_process"
_PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """What `Child` uses of a `subprocess.Popen`."""

    def __init__(self, pid: int, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.stdin, self.stdout = pid, stdin, stdout
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._reaped(os.WNOHANG)

    def wait(self) -> int | None:
        return self._reaped(0)

    def _reaped(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


class Nursery:
    """A waiting process for each kind, begun when it is first needed; a context manager that ends them."""

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._waiting: dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        self._python, self._path = sys.executable, os.environ.get("PYTHONPATH")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Children of `MODULES` and `CHEAP`, and those that write lists, come from here."""
        shim = SimpleNamespace(PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL, Popen=self._popen)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(child, "subprocess", shim)
            yield

    def _popen(self, command: Sequence[str], **how: Any) -> Any:
        name, arguments = self._known(command)
        if not name:
            return subprocess.Popen(command, **how)
        with self._lock:
            return self._forked(name, arguments, how["env"] or dict(os.environ), how["pass_fds"], how["stderr"])

    def _known(self, command: Sequence[str]) -> tuple[str, Sequence[str]]:
        """Which module a child would be, and its arguments; an empty name where it must be started."""
        if tuple(command[:2]) == (self._python, "-S"):
            return CHEAP.get(command[2], ""), command[3:]
        if tuple(command[:5]) == child.module(WRITER):
            return WRITER, command[5:]
        if (sys.executable, os.environ.get("PYTHONPATH")) != (self._python, self._path):
            return "", ()
        return next((one for one in MODULES if tuple(command[:5]) == child.module(one)), ""), command[5:]

    def _forked(
        self, name: str, arguments: Sequence[str], environment: dict[str, str], handed: Sequence[int], stderr: Any
    ) -> Forked:
        with ExitStack() as ours, open(os.devnull, "wb") as nowhere:
            (asked, ask), (hear, answered) = os.pipe(), os.pipe()
            for end in (asked, answered):
                ours.callback(os.close, end)
            error = nowhere.fileno() if stderr == subprocess.DEVNULL else stderr.fileno()
            os.umask(mask := os.umask(0))
            order = {
                "argv": [name, *arguments],
                "environment": environment,
                "umask": mask,
                "places": [0, 1, 2, *handed],
            }
            handles = [asked, answered, error, *handed]
            prctl(_PR_SET_CHILD_SUBREAPER, 1)
            try:
                pid = self._ordered(name, order, handles) or self._ordered(name, order, handles)
            finally:
                prctl(_PR_SET_CHILD_SUBREAPER, 0)
            assert pid, f"{name}: the process that waits ended twice"
            return Forked(pid, os.fdopen(ask, "wb", 0), os.fdopen(hear, "rb", 0))

    def _ordered(self, name: str, order: dict[str, Any], handles: list[int]) -> int:
        """The number of a fork; 0 where the process that waits has ended, so that the next order begins another one."""
        waiting = self._of(name)
        try:
            socket.send_fds(waiting, [json.dumps(order).encode()], handles)
            number = waiting.recv(64)
        except (BrokenPipeError, ConnectionResetError):
            number = b""
        if not number:
            del self._waiting[name]
        return int(number or 0)

    def _of(self, name: str) -> socket.socket:
        if name not in self._waiting:
            self._waiting[name], theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._resources.callback(self._waiting[name].close)
            paths = [*(path for path in sys.path if path.endswith(("runtime", "appliance", "tests"))), self._path or ""]
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "kit.nursery_process", name, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    env={**child.one_thread(), "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._resources.callback(process.wait)
            self._resources.callback(process.kill)
        return self._waiting[name]
