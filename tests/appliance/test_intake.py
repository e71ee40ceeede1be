"""What is taken from the inbox keeps its name from the first copy to its rest, whatever comes and goes meanwhile."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.errands import Done, Errands, SettleCopies
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Arrival
from scanside_appliance.jobs.book.rows import Job
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.jobs.intake import Intake


class SlowDisk(Porter):
    """Its first copies are synced for so long that their names are heard of when the next errand is asked for."""

    _late: Callable[[], None] | None = None
    _is_slow = True

    def do(self, errand: Any, heard: Any, wait_s: float) -> bool:
        if isinstance(errand, SettleCopies) and self._is_slow:
            self._is_slow, said = False, list[Any]()
            super().do(errand, said.append, wait_s)
            self._late = lambda: heard(said[-1])
            return False
        if self._late is not None:
            self._late()
            self._late = None
        return super().do(errand, heard, wait_s)


class Desk:
    """Takes strays in; `move` brings what was taken to its rest."""

    def __init__(self, root: Path) -> None:
        self.layout, clock = BoxLayout(root), Clock()
        self.layout.make()
        self.store = Store(self.layout.database)
        porter = SlowDisk(self.layout, clock.monotonic, ())
        self._intake = Intake(self.layout, self.store, clock, porter)
        self._mover = FileMover(self.layout, self.store, clock, porter)

    def take(self, *names: str) -> list[Job]:
        self._intake.begin_turn()
        jobs = self._intake.take(Arrival("", {name: self.facts(name) for name in names}))
        self._intake.end_turn({""})
        return jobs

    def doubts(self, facts: Facts) -> tuple[list[str], set[str]]:
        """What is doubted, and belied, where that was said of the file `a`."""
        self._intake.begin_turn()
        assert self._intake.take(Arrival("", {"a": facts})) == []
        return self._intake.doubted, self._intake.belied

    def facts(self, name: str) -> Facts:
        path = self.layout.inbox / name
        seen = Signature.of(path.lstat())
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return Facts("other", sha256=sha256, size=seen.size, mtime_ns=seen.mtime_ns, inode=seen.inode)

    def put_aside(self, jobs: list[Job]) -> dict[str, bytes]:
        """What lies in quarantine as the book has it, by name in the inbox."""
        for job in jobs:
            self._mover.advance(job)
        rows = [row for job in jobs for row in self.store.files(job.id)]
        return {os.fsdecode(row.source): row.path(self.layout.root).read_bytes() for row in rows}

    def work(self) -> list[Path]:
        return list((self.layout.root / "work").iterdir())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_stray_that_comes_while_another_gets_its_name_takes_no_file_from_the_book(desk: Desk) -> None:
    (desk.layout.inbox / "b").write_bytes(b"of B")
    assert desk.take("b") == []
    (desk.layout.inbox / "a").write_bytes(b"of A")
    assert desk.put_aside(desk.take("a", "b")) == {"a": b"of A", "b": b"of B"}
    assert (desk.work(), list(desk.layout.inbox.iterdir())) == ([], [])


def test_a_stray_that_goes_while_it_gets_its_name_leaves_no_copy_behind(desk: Desk) -> None:
    for name in "ab":
        (desk.layout.inbox / name).write_bytes(name.encode())
    assert desk.take("a", "b") == []
    assert desk.put_aside(desk.take("b")) == {"b": b"b"}
    assert desk.work() == []


def test_the_same_bytes_under_two_names_are_put_aside_twice(desk: Desk) -> None:
    for name in "ab":
        (desk.layout.inbox / name).write_bytes(b"the same")
    desk.take("a", "b")
    assert desk.put_aside(desk.take("a", "b")) == {"a": b"the same", "b": b"the same"}


def test_a_copy_that_lies_nowhere_gets_no_name(tmp_path: Path) -> None:
    (tmp_path / "arriving-1").mkdir()
    (tmp_path / "arriving-1" / "named").touch()
    said: list[Any] = []
    errands = Errands(tmp_path, tmp_path, said.append)
    errands.do(SettleCopies(Path("arriving-1"), (("part", "named"),)))
    errands.do(SettleCopies(Path("arriving-1"), (("part", "lost"),)))
    assert said == [Done(), Done(errno.ENOENT, "a copy is no longer where it was")]


def test_a_file_that_changed_since_it_was_read_is_doubted_and_one_that_did_not_is_belied(desk: Desk) -> None:
    path = desk.layout.inbox / "a"
    path.write_bytes(b"read")
    seen = desk.facts("a")
    assert desk.doubts(replace(seen, sha256="0" * 64)) == (["a"], {"a"})
    path.write_bytes(b"changed")
    assert desk.doubts(seen) == (["a"], set())
