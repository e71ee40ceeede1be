"""inotify(7) as a hint that a look is worth while. It may miss, overflow or be absent: the periodic look is the truth.

The daemon has the queue of events and hears it; the porter says which folders are watched, by the handles of those that
it looks into. So no link of a sender leads a watch anywhere, and a share that hangs holds nobody but the porter.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress

SETTLING_S = 0.5
"""After a hint nothing is heard for so long: a copy of many files is one event to us."""
MOST_WATCHED = 1000
"""Folders. A sender may make any number, and each costs memory of the kernel."""
_CREATED, _CLOSED, _MOVED_IN = 0x100, 0x8, 0x80
_WHAT = _CREATED | _CLOSED | _MOVED_IN | 0x01000000  # IN_ONLYDIR
_C = ctypes.CDLL(None, use_errno=True)


class Hints:
    """The daemon's end. number: of the queue's handle, for the porter; -1 where the kernel gives none."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._deaf_until = now, 0.0
        self.number = _C.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def deaf(self) -> bool:
        """Whether a hint was heard just now."""
        return self._now() < self._deaf_until

    def fileno(self) -> int | None:
        """For `select`: readable when something happened."""
        return self.number if self.number >= 0 and not self.deaf else None

    def heard(self) -> bool:
        """Whether something happened since this was asked."""
        if self.fileno() is None:
            return False
        happened = False
        with suppress(OSError):  # nothing there any more
            while os.read(self.number, 2**16):
                happened = True
        if happened:
            self._deaf_until = self._now() + SETTLING_S
        return happened

    def close(self) -> None:
        """No more of it."""
        if self.number >= 0:
            os.close(self.number)
        self.number = -1


class Watches:
    """The porter's end: what is watched are the folders that its last look went through."""

    def __init__(self, queue: int) -> None:
        self._queue = queue
        self._before: set[int] = set()
        self._now: set[int] = set()

    def watch(self, folder: int) -> None:
        """A folder that is looked into, by its handle."""
        path = f"/proc/self/fd/{folder}".encode()
        one = _C.inotify_add_watch(self._queue, path, _WHAT) if self._queue >= 0 else -1
        if one >= 0 and len(self._now) >= MOST_WATCHED and one not in self._now:
            _C.inotify_rm_watch(self._queue, one)
        elif one >= 0:
            self._now.add(one)

    def looked(self) -> None:
        """The look is through: what it did not meet is no longer watched."""
        for one in self._before - self._now:
            _C.inotify_rm_watch(self._queue, one)
        self._before, self._now = self._now, set()
