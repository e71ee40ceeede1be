"""Below a folder that others write into, names are followed step by step by handles: no link leads anywhere.

Each step opens one name in the folder before it and refuses a link (O_NOFOLLOW), so that whatever is swapped, at
whatever moment, what is reached lies below that folder; nor is there a longest path (PATH_MAX), as no path is ever
handed over.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEEPEST = 64
"""Folders below folders; each costs a handle while it is walked."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def opened_folder(root: Path, below: str = "") -> Iterator[int]:
    """A handle of a folder; links in `root` itself are the box's own and are followed.

    Raises OSError: ELOOP or ENOTDIR for a link, ENAMETOOLONG for what lies too deep.
    """
    steps = below.split("/") if below else []
    if len(steps) > DEEPEST:
        raise OSError(errno.ENAMETOOLONG, f"it lies below more than {DEEPEST} folders")
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in steps:
            handle, before = subfolder(handle, name), handle
            os.close(before)
        yield handle
    finally:
        os.close(handle)


def subfolder(folder: int, name: str) -> int:
    """A handle of a folder in a folder. Raises OSError, for a link too."""
    return os.open(name, _FOLDER, dir_fd=folder)


@contextmanager
def opened_file(folder: int, name: str) -> Iterator[int]:
    """A handle of a regular file, for reading. Raises OSError, for a link, a pipe or a device, without waiting."""
    handle = os.open(name, _FILE, dir_fd=folder)
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, f"a folder that can't be looked into, or lies below {DEEPEST} others")
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        yield handle
    finally:
        os.close(handle)


@contextmanager
def opened_below(root: Path, name: str) -> Iterator[int]:
    """The same for a path below `root`."""
    folder_name, _, last = name.rpartition("/")
    with opened_folder(root, folder_name) as folder, opened_file(folder, last) as handle:
        yield handle


def looks_like(folder: int, name: str) -> os.stat_result | None:
    """What a name in a folder is, a link itself; None where it is not there. Raises OSError."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
