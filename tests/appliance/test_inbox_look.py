"""What the child that goes into the inbox says is heard whole, or the look came to nothing: then no file is gone."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox import porter
from scanside_appliance.inbox.facts import Prober
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Inbox
from scanside_appliance.inbox.scan import scan
from scanside_appliance.inbox.table import InboxTable
from scanside_appliance.jobs.book.rows import TakenSource
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.sources import TakenSources
from scanside_appliance.service import inbox_look
from scanside_appliance.service.header_reading import HeaderReading
from scanside_appliance.service.inbox_look import InboxLook, Listing
from scanside_runtime.settings.box import InboxSettings
from sweeps.box import LONGEST_S

FILES = 501


@dataclass
class Looker:
    """An inbox, the real child that looks into it, and a book. fails: how it answers the next questions."""

    root: Path
    porter: Porter
    fails: list[Exception | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.known = Inbox(InboxSettings(), InboxTable(self.root))
        inbox, probers = self.root / "inbox", (Prober(time.monotonic), Prober(time.monotonic))
        headers = HeaderReading(inbox, self.known, probers, time.monotonic, lambda: None)
        self._look = InboxLook(inbox, self.known, self.porter, headers, time.monotonic, self._others)

    def _others(self, listing: Listing) -> Listing:
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure
        return listing

    def look(self) -> int:
        """A whole look; how many files are known then."""
        until = time.monotonic() + LONGEST_S
        while not self._look.is_through():
            assert time.monotonic() < until, "the look is never through"
        return len(self.known)


def fill_with_long_paths(inbox: Path) -> int:
    """Files whose paths are of letters that JSON writes as six each: more than 1 MiB together."""
    folder = inbox.joinpath(*[os.fsdecode(b"\xff" * 250)] * 14)
    folder.mkdir(parents=True)
    for number in range(60):
        (folder / str(number)).touch()
    return 60


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


def test_no_paths_are_too_long_to_be_told(looker: Looker) -> None:
    more = fill_with_long_paths(looker.root / "inbox")
    assert looker.look() == FILES + more


def test_no_paths_are_too_long_to_be_removed(looker: Looker) -> None:
    inbox = looker.root / "inbox"
    fill_with_long_paths(inbox)
    store = Store(BoxLayout(looker.root).database)
    sources = TakenSources(store, looker.porter)
    with store.transaction():
        sources.add(_taken(name, seen) for name, seen in scan(inbox) if seen is not None)
    while sources.any_fresh:
        sources.advance()
        looker.porter.attend(30.0)
    assert (store.number_taken(), list(scan(inbox))) == (0, [])


def _taken(name: str, seen: Signature) -> TakenSource:
    return TakenSource(os.fsencode(name), seen.size, seen.mtime_ns, seen.inode)
