"""A filter of system calls (seccomp(2)): a process keeps those that reading and computing need, for good.

Written here: the one binding on PyPI (pyseccomp, unchanged since 2021) needs libseccomp on the box, and the filter is
a list. What is not in it fails with EPERM, so that a library that only asks goes on. What is in it opens no file for
writing, starts no process and no thread, maps no code, speaks to no socket, and signals nobody: only itself, to abort.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scanside_runtime.process.system_calls import call, prctl

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ASK_ACTION, _ALL_THREADS = 1, 2, 1
_KILL, _ALLOW, _REFUSE = 0x80000000, 0x7FFF0000, 0x00050000 | errno.EPERM
_ACTION = 0xFFFF0000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF, linux/bpf_common.h
_NUMBER_AT, _MACHINE_AT, _ARGUMENTS_AT = 0, 4, 16  # struct seccomp_data
_X32 = 0x40000000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | (os.O_TMPFILE & ~os.O_DIRECTORY)
_EXECUTABLE = 4  # PROT_EXEC
_FCNTL_HARMLESS = (0, 1, 2, 3, 1030)  # duplicate, close-on-exec, flags; none that sends a signal
_IOCTL_HARMLESS = (0x5401, 0x5451)  # "is it a terminal?", close-on-exec

Instruction = tuple[int, int, int, int]
"""Operation, jump if it holds, jump if not, operand: struct sock_filter."""


_ALLOWED = """
    read 0 63, write 1 64, close 3 57, fstat 5 80, lseek 8 62, munmap 11 215, brk 12 214, rt_sigaction 13 134,
    rt_sigprocmask 14 135, rt_sigreturn 15 139, pread64 17 67, readv 19 65, writev 20 66, sched_yield 24 124,
    mremap 25 216, madvise 28 233, dup 32 23, nanosleep 35 101, getpid 39 172, exit 60 93, uname 63 160,
    ftruncate 77 46, getcwd 79 17, gettimeofday 96 169, getrlimit 97 163, getrusage 98 165, sysinfo 99 179,
    getuid 102 174, getgid 104 176, geteuid 107 175, getegid 108 177, getppid 110 173,
    sigaltstack 131 132, gettid 186 178, futex 202 98, sched_getaffinity 204 123, getdents64 217 61,
    restart_syscall 219 128, fadvise64 221 223, clock_gettime 228 113,
    clock_getres 229 114, clock_nanosleep 230 115, exit_group 231 94, newfstatat 262 79, readlinkat 267 78,
    faccessat 269 48, ppoll 271 73, set_robust_list 273 99, getrandom 318 278, statx 332 291, rseq 334 293,
    faccessat2 439 439
"""
_ALLOWED_ON_X86_64 = "stat 4, lstat 6, poll 7, access 21, readlink 89"  # later machines never had them


@dataclass(frozen=True, slots=True)
class Machine:
    """How a kind of processor numbers its system calls; those that are allowed with some arguments only have names."""

    audit: int
    allowed: tuple[int, ...]
    openat: int
    mmap: int
    mprotect: int
    fcntl: int
    ioctl: int
    tgkill: int
    prlimit: int
    seccomp: int


def _numbers(table: str, column: int) -> tuple[int, ...]:
    return tuple(int(one.split()[column]) for one in table.split(","))


MACHINES = {
    "x86_64": Machine(
        audit=0xC000003E,
        allowed=_numbers(_ALLOWED, 1) + _numbers(_ALLOWED_ON_X86_64, 1),
        openat=257,
        mmap=9,
        mprotect=10,
        fcntl=72,
        ioctl=16,
        tgkill=234,
        prlimit=302,
        seccomp=317,
    ),
    "aarch64": Machine(
        audit=0xC00000B7,
        allowed=_numbers(_ALLOWED, 2),
        openat=56,
        mmap=222,
        mprotect=226,
        fcntl=25,
        ioctl=29,
        tgkill=131,
        prlimit=261,
        seccomp=277,
    ),
}
"""By `platform.machine()`: the name of each call that is always allowed, its number on x86-64 and on AArch64."""


def has_seccomp() -> bool:
    """Whether this kernel filters system calls, and this processor's are known here."""
    machine = MACHINES.get(platform.machine())
    if machine is None:
        return False
    try:
        return call(machine.seccomp, _ASK_ACTION, 0, struct.pack("=I", _REFUSE & _ACTION)) == 0
    except OSError:
        return False


def keep_to_reading() -> None:
    """From now on every thread of this process has the calls of this list alone.

    Raises OSError where the kernel refuses: ask `has_seccomp`.
    """
    machine = MACHINES[platform.machine()]
    program = b"".join(struct.pack("=HBBI", *one) for one in instructions(machine, os.getpid()))
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_program = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    call(machine.seccomp, _SET_MODE_FILTER, _ALL_THREADS, filter_program)


def instructions(machine: Machine, pid: int) -> list[Instruction]:
    """The filter of one machine, for the process with this number."""
    return [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        *(step for number in machine.allowed for step in _when(number, [(_RETURN, 0, 0, _ALLOW)])),
        *_when(machine.openat, list(_without_bits(2, _WRITES))),
        *_when(machine.mmap, list(_without_bits(2, _EXECUTABLE))),
        *_when(machine.mprotect, list(_without_bits(2, _EXECUTABLE))),
        *_when(machine.fcntl, list(_one_of(1, _FCNTL_HARMLESS))),
        *_when(machine.ioctl, list(_one_of(1, _IOCTL_HARMLESS))),
        *_when(machine.tgkill, list(_equal((0, pid), (2, signal.SIGABRT)))),
        *_when(machine.prlimit, list(_null(2))),  # limits may be asked for, not set
        (_RETURN, 0, 0, _REFUSE),
    ]


def _when(number: int, steps: Sequence[Instruction]) -> list[Instruction]:
    """These steps, which end the filter, for one call."""
    return [(_EQUAL, 0, len(steps), number), *steps]


def _low_word(argument: int) -> Instruction:
    """Both processors are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)


def _without_bits(argument: int, bits: int) -> Iterator[Instruction]:
    yield _low_word(argument)
    yield (_ANY_BIT, 0, 1, bits)
    yield (_RETURN, 0, 0, _REFUSE)
    yield (_RETURN, 0, 0, _ALLOW)


def _one_of(argument: int, values: Sequence[int]) -> Iterator[Instruction]:
    yield _low_word(argument)
    for value in values:
        yield (_EQUAL, 0, 1, value)
        yield (_RETURN, 0, 0, _ALLOW)
    yield (_RETURN, 0, 0, _REFUSE)


def _equal(*wanted: tuple[int, int]) -> Iterator[Instruction]:
    for argument, value in wanted:
        yield _low_word(argument)
        yield (_EQUAL, 1, 0, value)
        yield (_RETURN, 0, 0, _REFUSE)
    yield (_RETURN, 0, 0, _ALLOW)


def _null(argument: int) -> Iterator[Instruction]:
    """Both words of a pointer to nothing."""
    for at in (0, 4):
        yield (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument + at)
        yield (_EQUAL, 1, 0, 0)
        yield (_RETURN, 0, 0, _REFUSE)
    yield (_RETURN, 0, 0, _ALLOW)
