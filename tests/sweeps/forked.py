"""Processes of a box as forks of this one, which has imported everything: a start costs milliseconds.

What `subprocess` does on the side of the parent stays as it is, call for call; the child does not exec, it is forked
and becomes the program that it would have been. Memory is not limited: a fork begins with all that this process has.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from scanside_runtime.process.messages import Birth, decode, encode
from scanside_runtime.process.start import end_with

from .injected import FAULTS, Fault, Ran, Supervisor, intercept

PROGRAMS = {
    "fake_probe.py": ("prober", f"{__package__}.fake_probe"),
    "fake_worker.py": ("worker", f"{__package__}.fake_worker"),
    "fake_sender.py": ("sender", f"{__package__}.fake_sender"),
    "scanside_appliance.inbox.probe_process": ("prober", "scanside_appliance.inbox.probe_process"),
    "scanside_appliance.inbox.porter_process": ("porter", "scanside_appliance.inbox.porter_process"),
    "scanside_appliance.jobs.worker": ("worker", "scanside_appliance.jobs.worker"),
    "scanside_appliance.network.sender_process": ("sender", "scanside_appliance.network.sender_process"),
    "scanside_appliance.worklist.writer_process": ("writer", "scanside_appliance.worklist.writer_process"),
    "scanside_runtime.dicom.reader_process": ("reader", "scanside_runtime.dicom.reader_process"),
}
"""By a word of the command: what it is for the box, and the module that has its `main`."""
EVERYTHING_MB = 2**20
_STANDARD = (0, 1, 2)


class _Watched:
    """Which process's calls are asked about, and over what; nobody's where there is no socket."""

    role = ""
    calls: tuple[str, ...] = ()
    control: socket.socket | None = None


def run(role: str, fault: Fault | None, program: Callable[[], None], *, is_a: str, said: str, limit_s: float) -> Ran:
    """A program as a process of its own, and a fault at a call of the process with that role.

    is_a: the program's own role. said: a file of its words. Without a fault every call is
    counted; without a role nothing is asked.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        calls = tuple(FAULTS["KILL"][1]) if fault is None else (fault.call,)
        _Watched.role, _Watched.calls, _Watched.control = role, calls, theirs
        _ends_as(lambda: _begin(program, is_a, said))
    theirs.close()
    with ours:
        return Supervisor(pid, ours, fault, limit_s).watch()


def _begin(program: Callable[[], None], is_a: str, said: str) -> None:
    os.setsid()
    _open_as(0, os.devnull, os.O_RDONLY)
    _open_as(1, os.devnull, os.O_WRONLY)
    _open_as(2, said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _speak_anew()
    subprocess._fork_exec = _forked  # type: ignore[attr-defined]
    _watch_as(is_a)
    program()


def _open_as(number: int, path: str, flags: int) -> None:
    handle = os.open(path, flags, 0o644)
    os.dup2(handle, number)
    os.close(handle)


def _speak_anew() -> None:
    sys.stdin, sys.stdout, sys.stderr = (open(number, mode, closefd=False) for number, mode in enumerate("rww"))  # noqa: SIM115


def _ends_as(program: Callable[[], None]) -> None:
    """Be this program to the end of this process."""
    code = 70
    try:
        program()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001  # as the interpreter's outermost
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _watch_as(role: str) -> None:
    """Where this process has the role, its calls are asked about from now on; who has another passes it on."""
    if role == _Watched.role and _Watched.control is not None:
        intercept(_Watched.calls, _Watched.control)
        _Watched.control.close()
        _Watched.control = None


def _forked(args: Sequence[Any], *more: Any) -> int:
    """As `_posixsubprocess.fork_exec` of Python 3.11 to 3.13: those of its arguments that the box uses."""
    pid = os.fork()
    if pid == 0:
        _ends_as(lambda: _become([os.fsdecode(one) for one in args], more))
    return pid


def _become(args: list[str], more: Sequence[Any]) -> None:
    _, _, keep, _, variables, stdin, _, _, stdout, _, stderr = more[:11]
    os.setsid()
    for number, handle in zip(_STANDARD, (stdin, stdout, stderr), strict=True):
        if handle != -1:
            os.dup2(handle, number)
    control = () if _Watched.control is None else (_Watched.control.fileno(),)
    kept = {*_STANDARD, *control, *(one for one in keep if one != more[12])}
    for handle in map(int, os.listdir("/proc/self/fd")):
        if handle not in kept:
            _close(handle)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if variables is not None:
        os.environ.clear()
        os.environ.update(os.fsdecode(one).split("=", 1) for one in variables)
    _speak_anew()
    at = next(at for at, word in enumerate(args) if word.rsplit("/", 1)[-1] in PROGRAMS)
    role, module = PROGRAMS[args[at].rsplit("/", 1)[-1]]
    sys.argv = [args[at], *args[at + 1 : -1], _unlimited(args[-1])]
    end_with(json.loads(sys.argv[-1])["Birth"]["parent"])
    main = importlib.import_module(module).main
    _watch_as(role)
    main()


def _close(handle: int) -> None:
    try:
        os.close(handle)
    except OSError:  # the handle by which the list was read
        return


def _unlimited(birth: str) -> str:
    born = decode(birth, (Birth,))
    limits = replace(born.limits, memory_mb=EVERYTHING_MB)
    return encode(replace(born, limits=limits)).decode("ascii").strip()
