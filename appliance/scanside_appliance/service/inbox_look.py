"""One look at the inbox after the other: the porter lists what lies there, and it is heard part by part."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.errands import Done, Entries, LookAround
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Inbox
from scanside_appliance.inbox.table import Comparison
from scanside_appliance.service.errors import BoxInbox, BoxInboxSilent
from scanside_appliance.service.header_reading import HeaderReading
from scanside_runtime.errors import BoxFailed

Listing = Iterable[tuple[str, Signature | None]]
_GONE = (errno.ENOENT, errno.ENOTDIR)
LOOK_S = 0.5
"""A look is waited for so long at a time."""


class InboxLook:
    """others: of a listing, what the box has not taken already. began, took_s, bytes: of the last look, what it saw.

    Whoever reads there is locked in where the inbox was: after a look that came to nothing, others look.
    """

    def __init__(
        self,
        folder: Path,
        inbox: Inbox,
        porter: Porter,
        headers: HeaderReading,
        now: Callable[[], float],
        others: Callable[[Listing], Listing],
    ) -> None:
        self._folder, self._inbox, self._porter, self._headers = folder, inbox, porter, headers
        self._now, self._others = now, others
        self._heard: HeardLook | None = None
        self._failed: OSError | None = None
        self._was_away = False
        self.began = self.took_s = 0.0
        self.bytes = 0

    @property
    def under_way(self) -> bool:
        """Whether one has begun."""
        return self._heard is not None

    def trouble(self) -> BoxFailed | None:
        """Whether the inbox is not there, or does not answer, as far as is known now."""
        if self._porter.busy:
            self._porter.attend(0.0)
        seconds = max(self._porter.silent_s, self._headers.silent_s)
        if seconds:
            self._was_away = True
            return BoxInboxSilent(folder=self._folder, seconds=seconds)
        is_gone = self._failed is not None and self._failed.errno in _GONE
        return BoxInbox(folder=self._folder) if is_gone else None

    def is_through(self) -> bool:
        """Begin one, or go on with it: whether it is through. Raises OSError where it came to nothing."""
        try:
            looked = self._ended()
        except OSError as error:
            self._failed, self._was_away = error, True
            self._porter.close()
            if error.errno in _GONE or self._porter.silent_s:
                return False  # see `trouble`
            raise OSError(error.errno, error.strerror, str(self._folder)) from error
        if looked is None:
            return False
        self.began, self.took_s, self.bytes = looked.began, self._now() - looked.began, looked.bytes
        self._failed = None
        if self._was_away:
            self._is_back()
        return True

    def _ended(self) -> HeardLook | None:
        """The look that is through now."""
        wait_s = 0.0 if self._porter.silent_s else LOOK_S
        if self._heard is not None:
            self._porter.attend(wait_s)
        elif not self._porter.busy or self._porter.attend(wait_s):
            self._heard = HeardLook(self._inbox.begin_look(self._now()), self._others, self._now())
            self._begin(self._heard, wait_s)
        looked = self._heard
        if looked is None or looked.ended is None:
            return None
        self._heard = None
        looked.ended.check()
        return looked

    def _begin(self, heard: HeardLook, wait_s: float) -> None:
        try:
            self._porter.do(LookAround(), heard.hear, wait_s)
        except BaseException:
            self._heard = None
            raise

    def _is_back(self) -> None:
        self._was_away = False
        self._inbox.answers_again()
        self._headers.rest(0.0)


class HeardLook:
    """What was heard of one look, and how it ended: `Done`, once it has."""

    def __init__(self, comparison: Comparison, others: Callable[[Listing], Listing], began: float) -> None:
        self._comparison, self._others, self.began = comparison, others, began
        self.bytes = 0
        self.ended: Done | None = None

    def hear(self, answer: Entries | Done) -> None:
        """Take in some of what lies there, or the end. What can't be taken in is the end, too: it is not gone.

        A table that was lost is told by the look; of the book (sqlite3.Error) whoever listens hears at once.
        """
        if self.ended is not None:
            return
        try:
            if isinstance(answer, Entries):
                self._comparison.add(self._weighed(answer))
                return
            if not answer.number:
                self._comparison.finish()
            self.ended = answer
        except OSError as error:
            self.ended = Done(error.errno or errno.EIO, error.strerror or "")
        except BaseException as error:
            self.ended = Done(errno.EIO, f"a look at the inbox came to nothing ({error})")
            raise

    def _weighed(self, entries: Entries) -> Iterator[tuple[str, Signature | None]]:
        seen = (numbers and Signature(*numbers) for numbers in entries.numbers)
        for name, signature in self._others(zip(entries.names, seen, strict=True)):
            self.bytes += max(signature.size, 0) if signature else 0
            yield name, signature
