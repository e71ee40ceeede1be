"""What was copied out of the inbox goes from it, once the book has the copy: this very file, and no other.

Where it can't be removed (a share that is read-only), it stays, and the box remembers that it has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.errands import AT_ONCE, Done, Known, TakeAway, TakenAway, together
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.jobs.store import Store, TakenSource


class TakenSources:
    """Raises OSError where the porter can't be sent, sqlite3.Error."""

    def __init__(self, store: Store, porter: Porter) -> None:
        self._store, self._porter = store, porter
        self._fresh: list[TakenSource] = []
        self._asked: list[TakenSource] = []
        self._all = False
        self._why = ""

    @property
    def any_fresh(self) -> bool:
        """Whether there is what nobody tried to remove yet."""
        return bool(self._fresh or self._asked)

    def add(self, sources: Iterable[TakenSource]) -> None:
        """The book's transaction that has the copies has these, too."""
        added = list(sources)
        self._store.add_taken(added)
        self._fresh += added

    def others(self, listing: Iterable[tuple[str, Signature | None]]) -> Iterator[tuple[str, Signature | None]]:
        """What a scan saw without what is taken."""
        any_left = self._store.number_taken() > 0
        for name, seen in listing:
            if not any_left or seen is None or not self._store.is_taken(_row(name, seen)):
                yield name, seen

    def left(self) -> str | None:
        """What could not be removed, in words."""
        count = self._store.number_taken() - len(self._fresh) - len(self._asked) if self._why else 0
        return f"{count} file(s) were taken and can't be removed from the inbox ({self._why})" if count > 0 else None

    def remove(self) -> None:
        """Have removed what is left, as far as it can be; what was added last goes first."""
        self._all = True
        self.advance()

    def advance(self) -> None:
        """Send the porter for the next of them, where it is free."""
        while (self._fresh or self._all) and (not self._porter.busy or self._porter.attend(0.0)):
            if not self._fresh:
                self._fresh = self._store.taken(AT_ONCE)
                self._all = bool(self._fresh)
            self._asked = next(together(self._fresh, lambda row: len(row.source)), [])
            self._fresh = self._fresh[len(self._asked) :]
            if self._asked:
                self._porter.do(TakeAway(tuple(map(_known, self._asked))), self._hear, 0.0)

    def _hear(self, answer: TakenAway | Done) -> None:
        if isinstance(answer, Done):
            self._asked = []
            self._why = answer.why or self._why
            self._all = self._all and not answer.number
            return
        self._why = answer.why
        self._all = self._all and not answer.why
        if answer.names:
            with self._store.transaction():
                self._store.forget_taken(map(os.fsencode, answer.names))


def _row(name: str, seen: Signature) -> TakenSource:
    return TakenSource(os.fsencode(name), seen.size, seen.mtime_ns, seen.inode)


def _known(row: TakenSource) -> Known:
    return Known(os.fsdecode(row.source), Signature(row.size, row.mtime_ns, row.inode))
