"""A look at the inbox that comes to nothing: what lies there is not gone, and the next look is a whole one."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox import porter
from scanside_appliance.inbox.facts import Prober
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Inbox
from scanside_appliance.inbox.table import InboxTable
from scanside_appliance.service import inbox_look
from scanside_appliance.service.inbox_look import InboxLook, Listing
from scanside_runtime.settings.box import InboxSettings

FILES = 501


@dataclass
class Looker:
    """An inbox, the real child that looks into it, and a book. fails: how it answers the next questions."""

    root: Path
    porter: Porter
    fails: list[Exception | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = Inbox(InboxSettings(), InboxTable(self.root))
        prober = Prober(time.monotonic)
        self._look = InboxLook(self.root / "inbox", self.known, self.porter, prober, time.monotonic, self._others)

    def _others(self, listing: Listing) -> Listing:
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure
        return listing

    def look(self) -> int:
        """A whole look; how many files are known then."""
        until = time.monotonic() + 30.0
        while not self._look.is_through():
            assert time.monotonic() < until, "the look is never through"
        return len(self.known)


@pytest.fixture
def looker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Looker]:
    """Each turn of it hears one answer of the child."""
    monkeypatch.setattr(inbox_look, "LOOK_S", 0.0)
    monkeypatch.setattr(porter, "HEARD_S", 0.0)
    layout = BoxLayout(tmp_path)
    layout.make()
    for number in range(FILES):
        (layout.inbox / str(number)).touch()
    sent = Porter(layout, time.monotonic)
    yield Looker(tmp_path, sent)
    sent.close()


def test_a_book_that_fails_during_a_look_ends_it_and_no_file_counts_as_gone(looker: Looker) -> None:
    assert looker.look() == FILES
    looker.fails = [None, sqlite3.OperationalError("disk I/O error")]
    with pytest.raises(sqlite3.OperationalError):
        looker.look()
    with pytest.raises(OSError, match="came to nothing"):
        looker.look()
    assert len(looker.known) == FILES
    assert looker.look() == FILES


def test_after_a_look_that_ended_while_the_child_still_talks_another_child_looks(looker: Looker) -> None:
    looker.fails = [OSError(errno.EIO, "the table is lost")]
    with pytest.raises(OSError, match="the table is lost"):
        looker.look()
    assert not looker.porter.busy
    assert looker.look() == FILES
