"""Landlock (landlock(7)): a process gives up every file but a few, and never gets them back.

Three system calls through ctypes. The bindings on PyPI are first versions of one hand each, and more code than this.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from scanside_runtime.process.system_calls import call, prctl

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same number on every machine
_ASK_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_CHANGE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14
"""Write and cut files, make and remove files and folders, rename between folders; no links, pipes, sockets, devices."""
_FILES_BY_ABI = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
"""What each version came to know: the first 13 kinds of access; link and rename between folders; truncate; ioctl."""
_NETWORK_ABI, _NETWORK = 4, 0b11  # bind and connect of TCP
_SCOPE_ABI, _SCOPE = 6, 0b11  # abstract Unix sockets, and signals, of processes outside


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """The version (ABI) that this kernel offers, 0 where it has none, or it is not switched on."""
    try:
        return call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def keep_to(readable: Sequence[Path], writable: Sequence[Path] = ()) -> None:
    """From now on this thread may read, and change, what lies at these paths, and touch no other file and no network.

    Files that are open stay so. A path that is not there is passed over: then there is nothing to be read.
    What is writable may be read, too.
    Raises OSError where the kernel refuses, also where it knows no Landlock: ask `landlock_version`.
    """
    version = landlock_version()
    files = sum(rights for since, rights in _FILES_BY_ABI.items() if since <= version)
    rules = _Ruleset(files, _NETWORK * (version >= _NETWORK_ABI), _SCOPE * (version >= _SCOPE_ABI))
    ruleset = call(_CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in writable:
            _allow(ruleset, path, (_READ_FILE | _READ_DIR | _CHANGE) & files)
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(place).st_mode)
        beneath = _Beneath(rights if is_folder else _READ_FILE, place)
        call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0)
    finally:
        os.close(place)
