"""The list on a box that works: written beside the analysis, which nothing about it can stop."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import Box, study, wait_for
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.errors import BoxDatabase
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.upkeep.verify import verify
from scanside_appliance.worklist.writer_client import WRITER, ListNews, ListWriter
from scanside_runtime.errors import BoxFailed, BoxOutput
from scanside_runtime.process.messages import Failed
from scanside_runtime.settings.tables import SiteSettings


@pytest.fixture
def listing_box(box: Box) -> Box:
    box.worklist = WRITER
    return box


def rows(box: Box) -> int:
    return BoxLayout(box.root).worklist.read_text("utf-8").count('<tr class="one')


def test_the_list_is_there_at_the_start_and_has_each_result_when_the_work_is_done(listing_box: Box) -> None:
    listing_box.run()
    assert rows(listing_box) == 0
    listing_box.put(*study(1), *study(2, text="SEVERE"))
    listing_box.run()
    assert rows(listing_box) == 2
    assert "1 studies" not in BoxLayout(listing_box.root).worklist.read_text("utf-8")
    assert listing_box.is_sound()


def test_what_a_person_decides_changes_the_list(listing_box: Box) -> None:
    listing_box.put(*study(1, text="HEAD"))
    listing_box.run()
    layout = BoxLayout(listing_box.root)
    assert "SERIES_NOT_CHEST" in layout.worklist.read_text("utf-8")
    (key,) = {study_key for study_key, _ in listing_box.results()}
    assert listing_box.scanside("release", key, "--series", "2").exit_code == 0
    listing_box.run()
    assert "SERIES_NOT_CHEST" not in layout.worklist.read_text("utf-8")
    assert rows(listing_box) == 1


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "print('nonsense')", "import os; os.kill(os.getpid(), 9)"])
def test_a_list_that_cant_be_written_stops_no_analysis(
    listing_box: Box, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    listing_box.worklist = (sys.executable, "-c", program)
    listing_box.put(*study(1), *study(2))
    with caplog.at_level("ERROR", "scanside"):
        listing_box.run()
    assert len(listing_box.results()) == 2
    assert any(line.startswith("the worklist could not be written") for line in caplog.messages)


def test_a_list_whose_place_is_taken_stops_no_analysis_and_is_said(
    listing_box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    listing_box.run()
    BoxLayout(listing_box.root).worklist.unlink()
    (BoxLayout(listing_box.root).worklist / "in the way").mkdir(parents=True)
    listing_box.put(*study(1))
    with caplog.at_level("ERROR", "scanside"):
        listing_box.run()
    assert len(listing_box.results()) == 1
    (said,) = (line for line in caplog.messages if line.startswith("the worklist could not be written"))
    assert said.endswith(f"tried again: {BoxLayout(listing_box.root).worklist}: Is a directory")


def test_the_list_is_no_stray_no_part_of_a_backup_and_survives_a_rebuild(
    listing_box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing_box.put(*study(1), *study(2))
    listing_box.run()
    layout = BoxLayout(listing_box.root)
    found = verify(layout, lambda *_: None, tmp_path)
    assert [one for one in found.differences if one.of != "bundle"] == []
    assert listing_box.scanside("backup", str(tmp_path / "stick")).exit_code == 0
    assert not [path for path in (tmp_path / "stick").rglob("*.html") if path.name != "report.html"]
    layout.database.unlink()
    listing_box.rebuild(monkeypatch)
    listing_box.run()
    assert rows(listing_box) == 2


def test_a_list_written_in_the_middle_of_a_change_of_the_book_is_whole(listing_box: Box) -> None:
    listing_box.put(*study(1))
    listing_box.run()
    layout = BoxLayout(listing_box.root)
    with Store(layout.database) as store, store.transaction():
        store.change(store.jobs_of_study(next(iter(listing_box.results()))[0])[0].id, verdict="refused")
        shown = listing_box.scanside("worklist", "--json")
    assert shown.exit_code == 0
    assert '"flag": "none"' in shown.output


@pytest.mark.parametrize(("trouble", "said"), [("BOX_SETTINGS: a typo", "BOX_SETTINGS: a"), (None, "BOX_DATABASE")])
def test_a_list_that_the_book_can_t_be_read_for_says_so_and_keeps_its_rows(
    listing_box: Box, monkeypatch: pytest.MonkeyPatch, trouble: str | None, said: str
) -> None:
    listing_box.put(*study(1), *study(2))
    listing_box.run()
    layout = BoxLayout(listing_box.root)
    with layout.database.open("rb+") as book:
        book.seek(4096)
        book.write(b"\xff" * (layout.database.stat().st_size - 4096))
    for _ in range(2):
        writer = ListWriter(layout, Clock())
        writer.finish(ListNews((), 0, trouble, SiteSettings()))
        assert "BOX_DATABASE" in str(writer.trouble) or "damaged" in str(writer.trouble)
    page = layout.worklist.read_text("utf-8")
    assert page.count('<p class="trouble"><b>The box needs help:</b>') == 1
    assert said in page
    assert "Until then this list stays as it was written" in page
    assert "Being measured or queued" not in page
    assert rows(listing_box) == 2
    listing_box.rebuild(monkeypatch)
    listing_box.run()
    assert "The box needs help" not in layout.worklist.read_text("utf-8")
    assert rows(listing_box) == 2


KILLED = """
import os, signal, time
from scanside_appliance.worklist.messages import ListWritten
from scanside_appliance.worklist.writer_client import LIMITS, WRITER
from scanside_runtime.process.child import Child
child = Child(WRITER, LIMITS)
assert child.answer((ListWritten,), 0.5) is None
beside = os.fork()
if beside:
    print(child._process.pid, beside, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""
"""A daemon that is killed while somebody holds the pipe to its writer open, as a list that is written for long does."""


def test_the_writer_ends_with_a_daemon_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        writer, beside = map(int, daemon.stdout.readline().split())
        daemon.wait()
        try:
            wait_for(lambda: not is_alive(writer), 10.0)
        finally:
            os.kill(beside, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Timed:
    """A writer with a clock that is turned by hand, and a child that says what it was told to say."""

    def __init__(self, folder: Path, child: str) -> None:
        self.now = 1000.0
        self.asked = folder / "asked"
        command = (sys.executable, "-c", CHILD.format(asked=str(self.asked), then=child))
        self.writer = ListWriter(BoxLayout(folder), Clock(monotonic=lambda: self.now), command)
        self.news = ListNews((("done", 1),), 0, None, SiteSettings())

    def turn(self, **changes: Any) -> int:
        """One turn of the daemon, and how often a list was asked for until now."""
        self.news = replace(self.news, **changes)
        self.writer.advance(self.news)
        while self.writer.busy:
            wait_for(lambda: select.select([self.writer.fileno()], [], [], 0.1)[0])
            self.writer.advance(self.news)
        return len(self.asked.read_text()) if self.asked.exists() else 0


CHILD = """
from scanside_appliance.worklist.messages import ListOrder, ListWritten
from scanside_runtime.process.child_side import Channel
channel = Channel.open()
for order in channel.questions((ListOrder,)):
    open({asked!r}, "a").write("x")
    {then}
"""
WRITES = "channel.send(ListWritten(()))"


def test_a_list_is_written_when_there_is_news_not_too_often_and_every_hour(box: Box, tmp_path: Path) -> None:
    timed = Timed(tmp_path, WRITES)
    assert [timed.turn(), timed.turn(), timed.turn(arriving=1)] == [1, 1, 1]
    timed.now += 6.0
    assert [timed.turn(), timed.turn()] == [2, 2]
    timed.now += 3601.0
    assert timed.turn() == 3
    timed.writer.close()


def test_a_list_that_failed_is_tried_again_after_a_minute_and_said_once(
    box: Box, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    timed = Timed(tmp_path, "raise SystemExit(1)")
    with caplog.at_level("ERROR", "scanside"):
        assert [timed.turn(), timed.turn(arriving=1)] == [1, 1]
        timed.now += 61.0
        assert timed.turn() == 2
    assert len(caplog.messages) == 1
    assert timed.writer.unread == 2
    assert (timed.writer.trouble or "").startswith("the worklist could not be written: its process ended")
    timed.writer.close()


@pytest.mark.parametrize(
    ("error", "unread"),
    [(BoxDatabase(name="scanside.db", why="torn"), 1), (BoxOutput(folder="results", why="read-only"), 0)],
    ids=["the book is damaged", "the folder can't be written"],
)
def test_the_book_is_to_blame_only_for_a_list_that_may_have_failed_by_it(
    box: Box, tmp_path: Path, error: BoxFailed, unread: int
) -> None:
    failed = f"from scanside_runtime.process.messages import Failed; channel.send({Failed.of(error)!r})"
    timed = Timed(tmp_path, failed)
    assert timed.turn() == 1
    assert timed.writer.unread == unread
    timed.writer.close()


def test_a_child_that_hangs_is_ended(box: Box, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    timed = Timed(tmp_path, "import time; time.sleep(3600)")
    timed.writer.advance(timed.news)
    wait_for(timed.asked.exists)
    timed.now += 1801.0
    with caplog.at_level("ERROR", "scanside"):
        timed.writer.advance(timed.news)
    assert not timed.writer.busy
    assert "longer" in caplog.text
