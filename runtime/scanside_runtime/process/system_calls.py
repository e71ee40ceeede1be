"""Calls of the system that Python has no name for."""

from __future__ import annotations

import ctypes
import os
from typing import Any

_C = ctypes.CDLL(None, use_errno=True)
_C.syscall.restype = ctypes.c_long
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def call(number: int, *arguments: Any) -> int:
    """A system call by its number; whole numbers are passed as words. Raises OSError."""
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(int(_C.syscall(ctypes.c_long(number), *words)))


def prctl(option: int, value: int = 0) -> int:
    """A word to the kernel about this process (prctl(2)). Raises OSError."""
    zeros = [ctypes.c_ulong(0)] * 3
    return _checked(int(_C.prctl(ctypes.c_int(option), ctypes.c_ulong(value), *zeros)))


def give_back_freed() -> None:
    """What was freed goes back to the system now and not when it happens to (malloc_trim(3)), in glibc alone."""
    trim = getattr(_C, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))


def keep_freed(most_bytes: int) -> None:
    """Freed memory, so much and pieces of that size, stays for the next who asks, whatever the environment says.

    Given back and asked for anew it costs a page fault for each 4 KiB (mallopt(3)); in glibc alone.
    """
    _mallopt(_M_MMAP_THRESHOLD, most_bytes)
    _mallopt(_M_TRIM_THRESHOLD, most_bytes)


def one_arena() -> None:
    """Threads that begin from now on share one heap, in glibc alone: what each leaves free of its own stays taken."""
    _mallopt(_M_ARENA_MAX, 1)


def _mallopt(what: int, value: int) -> None:
    mallopt = getattr(_C, "mallopt", None)
    if mallopt is not None:
        mallopt(ctypes.c_int(what), ctypes.c_int(value))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
