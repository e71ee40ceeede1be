"""The cell of a child that parses foreign bytes: what a decoder that was taken over can still do is read one study.

Two locks of the kernel, each enough for most: Landlock leaves the study's files, read-only, and nothing else; seccomp
leaves reading and computing, and neither sockets nor processes nor signals nor files to write. Limits come on top
(`limits.py`), and on a box the unit's sandbox. Pipes and shared memory that the child was handed stay.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter
from pathlib import Path

from scanside_runtime.process.landlock import keep_to, landlock_version
from scanside_runtime.process.seccomp import has_seccomp, keep_to_reading
from scanside_runtime.process.system_calls import prctl

_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38
_OPEN_FILES = 64
_LIMITS = {resource.RLIMIT_NPROC: 0, resource.RLIMIT_NOFILE: _OPEN_FILES, resource.RLIMIT_CORE: 0}


@dataclass(frozen=True, slots=True)
class CellStrength:
    """landlock: the kernel's version of it, 0 for none. seccomp: whether it filters system calls."""

    landlock: int
    seccomp: bool

    @property
    def lacks(self) -> str | None:
        """What the kernel does not offer, in words; None where it has both."""
        missing = [name for name, there in (("Landlock", self.landlock), ("seccomp", self.seccomp)) if not there]
        return f"the kernel offers no {' and no '.join(missing)}" if missing else None


def cell_strength() -> CellStrength:
    """How well foreign bytes are locked in on this machine."""
    return CellStrength(landlock_version(), has_seccomp())


def lock_in(readable: Sequence[Path]) -> None:
    """Lock this process in, for good: what lies at these paths may be read, and nothing else may be done.

    Call it before the first foreign byte, with a single thread, and with all imported that will be needed: no module is
    found any more. Where the kernel lacks a lock, the other one holds. Raises OSError where it has one and refuses it.
    """
    strength = cell_strength()
    for what, most in _LIMITS.items():
        resource.setrlimit(what, (most, most))
    prctl(_PR_SET_DUMPABLE, 0)
    keep_to_files(readable)
    if strength.seccomp:
        keep_to_reading()


def keep_to_files(readable: Sequence[Path] = (), writable: Sequence[Path] = ()) -> None:
    """The part of it for a child that parses nothing, and copies and removes: the files, and no network.

    As for `lock_in`, all must be imported, by a single thread. Raises OSError.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"{threads} threads: Landlock would hold one of them")
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter]
    prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if landlock_version():
        keep_to(readable, writable)
