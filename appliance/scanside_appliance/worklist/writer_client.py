"""The daemon's side of the list: a child writes it, and nothing here waits for that or can fail by it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.worklist.messages import NOT_THE_BOOK, ListOrder, ListWritten
from scanside_runtime.errors import BoxOutput
from scanside_runtime.process.child import Child, ChildDied, module
from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import Failed
from scanside_runtime.settings.tables import SiteSettings

WRITER = module("scanside_appliance.worklist.writer_process")
LIMITS = Limits(memory_mb=1024, counted="written")
ANEW_EVERY_S = 3600.0
RETRY_S = 60.0
PAUSE_S = 5.0
"""What drips in changes the numbers all the time; the list is not written more often."""
LONGEST_S = 1800.0
"""The first list of 20 000 results reads them all; a child that takes longer hangs."""
LAST_S = 60.0
"""A daemon that ends with its work done waits so long for its last list."""
_ANSWERS: tuple[type[ListWritten | Failed], ...] = (ListWritten, Failed)
log = logging.getLogger("scanside")


@dataclass(frozen=True, slots=True)
class ListNews:
    """By what it is known that the list has changed. jobs: how many are in each state."""

    jobs: tuple[tuple[str, int], ...]
    arriving: int
    trouble: str | None
    site: SiteSettings


class ListWriter:
    """Has the list written when there is news, and every hour. Raises OSError where a child can't be started.

    command: the child; none: no list is written. unread: how often it was not, and the book may be to blame.
    trouble: why it is not, in words.
    """

    def __init__(self, layout: BoxLayout, clock: Clock, command: Sequence[str] = WRITER) -> None:
        self._layout, self._clock, self._command = layout, clock, command
        self._child: Child | None = None
        self._asked: ListNews | None = None
        self._written: ListNews | None = None
        self._began = self._not_before = 0.0
        self._anew_at = float("-inf")
        self.unread = 0
        self.trouble: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a list is being written."""
        return self._child is not None

    def fileno(self) -> int | None:
        """For `select`: readable when the child has something to say."""
        return None if self._child is None else self._child.fileno()

    def advance(self, news: ListNews) -> None:
        """Listen to the child; where there is none, begin with what is due."""
        self._listen(0.0)
        now = self._clock.monotonic()
        is_due = news != self._written or now >= self._anew_at
        if self._child is None and self._command and is_due and now >= self._not_before:
            self._begin(news)

    def finish(self, news: ListNews) -> None:
        """The list as it is at the end of all work, in a minute at most."""
        self._listen(LAST_S)
        if self._child is None and self._command and news != self._written:
            self._begin(news)
            self._listen(LAST_S)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def _begin(self, news: ListNews) -> None:
        self._asked, self._began = news, self._clock.monotonic()
        self._not_before = self._began + RETRY_S  # where the child can't be started, too
        self._child = Child(self._command, LIMITS)
        try:
            self._child.ask(ListOrder(self._layout.root, news.site, news.arriving, news.trouble))
        except ChildDied as died:
            self._failed(f"its process ended {died.ending.how}")

    def _listen(self, wait_s: float) -> None:
        if self._child is None:
            return
        try:
            answer: Any = self._child.answer(_ANSWERS, wait_s)
        except ChildDied as died:
            self._failed(f"its process ended {died.ending.how}")
            return
        if isinstance(answer, Failed):
            # Its advice is for who chooses the folder of one analysis.
            of_disk = answer.code == BoxOutput.code
            why = f"{answer.values['folder']}: {answer.values['why']}" if of_disk else answer.words
            self._failed(why, by_book=answer.code not in NOT_THE_BOOK)
        elif answer is not None:
            self._note_written()
        elif self._clock.monotonic() - self._began > LONGEST_S:
            self._failed(f"it took longer than {LONGEST_S:.0f} s")

    def _note_written(self) -> None:
        self.close()
        self._written, self.trouble = self._asked, None
        self._not_before = self._clock.monotonic() + PAUSE_S
        self._anew_at = self._began + ANEW_EVERY_S

    def _failed(self, why: str, by_book: bool = True) -> None:
        """Said once; the list that lies there stays, and it is tried again."""
        self.close()
        self._not_before = self._clock.monotonic() + RETRY_S
        if self.trouble is None:
            log.error("the worklist could not be written, and is tried again: %s", why)
        self.trouble = f"the worklist could not be written: {why}"
        self.unread += by_book
