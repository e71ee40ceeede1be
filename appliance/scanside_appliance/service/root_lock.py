"""One daemon in one root: a lock on the folder's own handle, which nobody can remove, and on a file in it.

The file's lock keeps an older Scanside out, and is all there is where a file system locks no folders (NFS).
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanside_appliance.files.layout import BoxLayout, BoxRoot
from scanside_appliance.service.errors import BoxRootReplaced, BoxRunning

TRIES, TRY_EVERY_S = 5, 0.1
"""Whoever asks whether a daemon runs holds the lock for a blink; a start waits for that."""
log = logging.getLogger("scanside")


class RootLock:
    """Held as long as the process lives: it goes with it, so none outlives a power cut."""

    def __init__(self, layout: BoxLayout) -> None:
        """Raises BoxRunning, BoxRoot."""
        self._layout = layout
        self._handles: dict[Path, int] = {}
        try:
            for path in (layout.root, layout.lock):
                self._handles[path] = _opened(path)
                self._take(self._handles[path])
        except OSError as error:
            self.close()
            raise BoxRoot(root=layout.root, why=error.strerror or error) from error
        except BoxRunning:
            self.close()
            raise

    def _take(self, handle: int) -> None:
        for _ in range(TRIES):
            if _locked(handle, fcntl.LOCK_EX):
                return
            time.sleep(TRY_EVERY_S)
        raise BoxRunning(root=self._layout.root)

    def check(self) -> None:
        """Whether it still holds. A lock file that was removed is made anew.

        Raises BoxRootReplaced where the root is no longer the folder that was locked, BoxRunning where another daemon
        has the lock file, OSError where it can't be made.
        """
        if not _is(self._handles[self._layout.root], self._layout.root):
            raise BoxRootReplaced(root=self._layout.root)
        if _is(self._handles[self._layout.lock], self._layout.lock):
            return
        log.error("%s was removed or replaced; it is made and locked again", self._layout.lock.name)
        handle = _opened(self._layout.lock)
        try:
            self._take(handle)
        except BoxRunning:
            os.close(handle)
            raise
        os.close(self._handles[self._layout.lock])
        self._handles[self._layout.lock] = handle

    def close(self) -> None:
        """Give it back."""
        while self._handles:
            os.close(self._handles.popitem()[1])


@contextmanager
def only_one(layout: BoxLayout) -> Iterator[RootLock]:
    """The lock for as long as the block lasts. Raises BoxRunning, BoxRoot."""
    lock = RootLock(layout)
    try:
        yield lock
    finally:
        lock.close()


def is_running(layout: BoxLayout) -> bool:
    """Whether a daemon works in the folder."""
    return not (_is_free(layout.root) and _is_free(layout.lock))


def _is_free(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        return _locked(handle, fcntl.LOCK_SH)
    except OSError:
        return True
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """A folder that is there, or a file that is made where it is missing; a link is never followed."""
    if path.is_dir():
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)


def _is(handle: int, path: Path) -> bool:
    """Whether a path still leads to what was opened."""
    held = os.fstat(handle)
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)


def _locked(handle: int, how: int) -> bool:
    """False where another has it. A folder that can't be locked at all is no reason: then the file's lock decides."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        if not os.path.isdir(f"/proc/self/fd/{handle}"):
            raise
    return True
