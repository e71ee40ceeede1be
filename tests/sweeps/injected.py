"""File-system calls of a process that fail, or are its last: the kernel asks us at each one (seccomp(2)).

What `intercept` hands over is answered by a `Supervisor`, in another process, which counts and lets pass all but one.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import re
import select
import signal
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from scanside_runtime.process.system_calls import call, prctl

# Of x86-64, from asm/unistd_64.h.
READS = {
    "read": 0, "stat": 4, "lstat": 6, "pread64": 17, "access": 21, "sendfile": 40, "readlink": 89, "statfs": 137,
    "fstatfs": 138, "getdents64": 217, "newfstatat": 262, "readlinkat": 267, "faccessat": 269, "statx": 332,
    "faccessat2": 439,
}  # fmt: skip
FILLING = {
    "open": 2, "write": 1, "pwrite64": 18, "writev": 20, "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77,
    "rename": 82, "mkdir": 83, "link": 86, "symlink": 88, "openat": 257, "mkdirat": 258, "renameat": 264, "linkat": 265,
    "symlinkat": 266, "fallocate": 285, "renameat2": 316, "copy_file_range": 326, "openat2": 437,
}  # fmt: skip
"""Those that may find the disk full: an `openat` where it may make a file, a `write` where it goes to one."""
OTHERS = {
    "ioctl": 16, "flock": 73, "rmdir": 84, "unlink": 87, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93,
    "unlinkat": 263, "fchmodat": 268, "utimensat": 280, "syncfs": 306,
}  # fmt: skip
CALLS = {**FILLING, **OTHERS, **READS}
CHANGING = ({*FILLING} | {*OTHERS}) - {"fsync", "fdatasync", "syncfs", "flock", "ioctl"}
"""Those before and after which a disk is not the same, an `openat` where it makes a file."""
NAMES = {number: name for name, number in CALLS.items()}
FAULTS = {
    "KILL": (0, tuple(CALLS)),
    "ENOSPC": (errno.ENOSPC, tuple(FILLING)),
    "EIO": (errno.EIO, tuple(CALLS)),
}
"""By kind, which error, and at which calls."""

_SET_MODE_FILTER, _ASK_ACTION, _SECCOMP = 1, 2, 317
_NEW_LISTENER, _WAIT_KILLABLE = 8, 32
_NOTIFY, _ALLOW = 0x7FC00000, 0x7FFF0000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF, linux/bpf_common.h
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctl(2) on the listener, linux/seccomp.h
_CONTINUE = 1
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_SUBREAPER = 36
_PATH_AT = {"openat": 1, "newfstatat": 1, "mkdirat": 1, "unlinkat": 1, "renameat": 1, "readlinkat": 1, "statx": 1}
_NO_FILES = ("/proc/", "/sys/", "/dev/null", "/dev/urandom")
_BY_HANDLE = ("read", "write", "writev", "ioctl")
_PATH_FIRST = "open stat lstat access rename mkdir rmdir unlink link symlink chmod truncate readlink".split()  # noqa: SIM905
ORPHANS_S = 10.0


@dataclass(frozen=True, slots=True)
class Fault:
    """The k-th call of a kind: "KILL" ends the process there, else the call fails with that error.

    An error is a disk's: calls about pipes, sockets, /proc and /sys are not among those that are counted.
    """

    name: str
    call: str
    k: int


@dataclass(slots=True)
class Ran:
    """How a run came to its end. code: of the exit, below 0 the signal. at: what the fault hit, "" for nothing.

    calls: the sites of a call, one for each time it came, by the kind of fault that it can have then and its name; in
    all processes of the role together. A site is what kind of thing it was about, and the call before it with that.
    """

    code: int = 0
    at: str = ""
    hangs: bool = False
    left: bool = False
    calls: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))


def is_changing(site: str) -> bool:
    """Whether a call from this site changes what lies on a disk."""
    name, _, about = site.partition(" ")
    return name in CHANGING and (name != "openat" or about.startswith("new "))


def can_intercept() -> bool:
    """Whether the kernel asks, and numbers its calls as we do."""
    if platform.machine() != "x86_64":
        return False
    try:
        call(_SECCOMP, _ASK_ACTION, 0, ctypes.byref(ctypes.c_uint32(_NOTIFY)))
    except OSError:
        return False
    return os.geteuid() == 0


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def intercept(calls: Iterable[str], control: socket.socket) -> None:
    """From now on these calls, of this process and of what it forks, wait for who has the other end of `control`."""
    numbers = [CALLS[name] for name in calls]
    steps = [(_LOAD, 0, 0, 0)]
    steps += [(_EQUAL, len(numbers) - at, 0, number) for at, number in enumerate(numbers)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    program = _Program(len(steps), b"".join(struct.pack("=HBBI", *step) for step in steps))
    listener = call(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER | _WAIT_KILLABLE, ctypes.byref(program))
    socket.send_fds(control, [str(os.getpid()).encode()], [listener])
    os.close(listener)


class Supervisor:
    """Watches one run to its end: answers its calls, reaps whatever is left of it."""

    def __init__(self, pid: int, control: socket.socket, fault: Fault | None, limit_s: float) -> None:
        prctl(_SUBREAPER, 1)
        self._pid, self._control, self._fault, self._until = pid, control, fault, time.monotonic() + limit_s
        self._left = fault.k if fault else 0
        self._listeners: dict[int, int] = {}  # by handle, of which process
        self._heads: dict[int, int] = {}
        self._before = ""
        self._others = set(_children(os.getpid())) - {pid}
        self._poll = select.poll()
        self.ran = Ran()

    def watch(self) -> Ran:
        """Until nothing of the run lives any more."""
        self._ended_at: float | None = None
        self._poll.register(self._control, select.POLLIN)
        handle = os.pidfd_open(self._pid)
        self._poll.register(handle, select.POLLIN)
        try:
            while self._goes_on():
                for ready, event in self._poll.poll(5 if self._ended_at else 1000):
                    if ready == handle:
                        self._poll.unregister(handle)
                    elif ready == self._control.fileno():
                        self._greet()
                    else:
                        self._hear(ready, event)
        finally:
            for listener in (handle, *self._listeners):
                os.close(listener)
        return self.ran

    def _goes_on(self) -> bool:
        """Reap; whether anything lives."""
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._pid:
                    self._ended_at = time.monotonic()
                    self.ran.code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            return False
        now = time.monotonic()
        if self._ended_at is None and now > self._until:
            self.ran.hangs = True
            os.kill(self._pid, signal.SIGKILL)
            self._until = now + ORPHANS_S
        if self._ended_at is not None and now - self._ended_at > ORPHANS_S:
            self.ran.left = True
            for pid in set(_children(os.getpid())) - self._others:
                os.kill(pid, signal.SIGKILL)
        return self._ended_at is None or not self._others or set(_children(os.getpid())) != self._others

    def _greet(self) -> None:
        said, handles, _, _ = socket.recv_fds(self._control, 64, 1)
        if not said:
            self._poll.unregister(self._control)
            return
        self._listeners[handles[0]] = int(said)
        self._poll.register(handles[0], select.POLLIN)

    def _hear(self, listener: int, event: int) -> None:
        if not event & select.POLLIN:
            self._poll.unregister(listener)
            return
        question = bytearray(_NOTIFICATION.size)
        with suppress(OSError):  # whoever asked is gone
            fcntl.ioctl(listener, _RECEIVE, question, True)
            number, thread, _, asked, _, _, *arguments = _NOTIFICATION.unpack(question)
            answer = _RESPONSE.pack(number, 0, 0, _CONTINUE)
            if self._head(thread) == self._listeners[listener]:
                answer = self._answer(number, thread, NAMES[asked], arguments) or answer
            fcntl.ioctl(listener, _SEND, bytearray(answer), True)

    def _answer(self, number: int, thread: int, name: str, arguments: list[int]) -> bytes | None:
        if self._fault is None:
            self._count(thread, name, arguments)
            return None
        if not _can_have(self._fault.name, thread, name, arguments):
            return None
        self._left -= 1
        if self._left != 0:
            return None
        self.ran.at = _subject(thread, name, arguments) or "?"
        error, _ = FAULTS[self._fault.name]
        if not error:
            os.kill(self._head(thread), signal.SIGKILL)
        return _RESPONSE.pack(number, 0, -error, 0)

    def _count(self, thread: int, name: str, arguments: list[int]) -> None:
        made = "new " if name == "openat" and arguments[2] & os.O_CREAT else ""
        about = f"{name} {made}{_kind(_subject(thread, name, arguments))}"
        for fault in FAULTS:
            if _can_have(fault, thread, name, arguments):
                self.ran.calls[fault, name].append(f"{about} after {self._before}")
        self._before = about

    def _head(self, thread: int) -> int:
        """The process of a thread."""
        if thread not in self._heads:
            status = Path(f"/proc/{thread}/status").read_text(encoding="ascii", errors="replace")
            self._heads[thread] = int(status.partition("Tgid:")[2].split()[0])
        return self._heads[thread]


def _can_have(fault: str, thread: int, name: str, arguments: list[int]) -> bool:
    """Whether such a call can end in that way."""
    if fault == "KILL":
        return True
    if name not in FAULTS[fault][1]:
        return False
    if fault == "ENOSPC" and name == "openat":
        return bool(arguments[2] & os.O_CREAT)
    subject = _subject(thread, name, arguments)
    return not subject.startswith(_NO_FILES) and (name not in _BY_HANDLE or subject.startswith("/"))


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def _kind(subject: str) -> str:
    """What many files have in common: numbers, sums and random names are left out, and which library it is."""
    if subject.startswith(_NO_FILES):
        return subject.split("/")[1]
    if "/lib/python" in subject:
        return "a library"
    return re.sub(r"[0-9a-f]{8,}|\d+|(?<=\.)\w{8}(?=\.part)", "#", subject.partition("/box")[2] or subject)


def _subject(thread: int, name: str, arguments: list[int]) -> str:
    """The path or the open file that a call is about, for people."""
    try:
        if name in _PATH_AT or name in _PATH_FIRST:
            with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
                memory.seek(arguments[_PATH_AT.get(name, 0)])
                return memory.read(512).partition(b"\0")[0].decode(errors="replace")
        return os.readlink(f"/proc/{thread}/fd/{arguments[0]}")
    except OSError:
        return ""
