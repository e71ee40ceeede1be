"""Somebody removes, replaces or locks what is the box's own while it works."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kit.watch_box import Box, study, wait_for
from scanside_appliance.files.layout import BoxLayout, study_key
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.service.errors import BoxRunning
from scanside_appliance.service.root_lock import is_running
from sweeps.box import LONGEST_S, Slice, said, start, write_settings


@contextmanager
def at_work(box: Box) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that has begun, and is ended at the end."""
    box.root.mkdir(exist_ok=True)
    write_settings(box.root)
    daemon = start(box.root)
    try:
        wait_for(lambda: (box.root / "status.json").exists())
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait()


def ended(daemon: subprocess.Popen[bytes]) -> int:
    return daemon.wait(timeout=LONGEST_S)


def test_a_second_daemon_is_refused_though_the_lock_file_was_removed_and_the_first_makes_it_again(box: Box) -> None:
    with at_work(box):
        (box.root / "scanside.lock").unlink()
        with pytest.raises(BoxRunning):
            box.run()
        wait_for(lambda: "scanside.lock was removed" in said(box.root))
        assert is_running(BoxLayout(box.root))
        box.put(*study(1))
        wait_for(lambda: box.of(1))
    assert len(box.of(1)) == 1
    assert not is_running(BoxLayout(box.root))


def test_a_daemon_ends_when_another_has_the_lock_file(box: Box) -> None:
    with at_work(box) as daemon:
        (box.root / "scanside.lock").unlink()
        with (box.root / "mine").open("w") as mine:
            fcntl.flock(mine, fcntl.LOCK_EX)
            (box.root / "mine").rename(box.root / "scanside.lock")
            assert ended(daemon) == 5
    assert "BOX_RUNNING" in said(box.root)


@pytest.mark.parametrize("with_another_in_its_place", [True, False])
def test_a_daemon_whose_root_was_replaced_ends_and_does_no_work_there(
    box: Box, with_another_in_its_place: bool
) -> None:
    with at_work(box) as daemon:
        box.root.rename(box.root.with_name("away"))
        if with_another_in_its_place:
            box.root.mkdir()
        assert ended(daemon) == 5
    assert "BOX_ROOT_REPLACED" in said(box.root)
    written = set(os.listdir(box.root)) if box.root.exists() else set()
    assert written <= {"status.json", "metrics.prom"}  # of the turn that was under way


@pytest.mark.parametrize("ends", [("",), ("", "-wal", "-shm")])
def test_a_book_that_is_removed_while_it_is_in_use_is_written_anew_and_nothing_is_lost(
    box: Box, ends: tuple[str, ...]
) -> None:
    with at_work(box):
        box.put(*study(1))
        wait_for(lambda: box.of(1))
        for end in ends:
            (box.root / f"scanside.db{end}").unlink()
        wait_for(lambda: (box.root / "scanside.db").exists())
        box.put(Slice(1, 4))
        wait_for(lambda: len(box.of(1)) == 2)
    box.put(*study(2))
    box.run()
    assert [len(one["inputs"]) for one in (*box.of(1), *box.of(2))] == [3, 4, 3]
    assert "scanside.db was removed while it was in use" in said(box.root)
    assert box.is_sound()


def test_a_book_that_is_replaced_while_it_is_in_use_is_kept_beside_the_other(box: Box) -> None:
    with at_work(box) as daemon:
        box.put(*study(1))
        wait_for(lambda: box.of(1))
        with closing(sqlite3.connect(box.root / "other")) as sql:
            sql.execute("CREATE TABLE mine (a)")
        (box.root / "other").rename(box.root / "scanside.db")
        assert ended(daemon) == 5
    assert "BOX_DATABASE_REPLACED" in said(box.root)
    with Store(box.root / "scanside.db.aside-1") as kept:
        assert [job.study for job in kept.jobs_of_study(study_key("1.2.1"))] == [study_key("1.2.1")]


def test_a_lock_on_the_book_is_no_full_disk_and_costs_no_reserve(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanside_appliance.jobs.book.database.BUSY_S", 0.0)
    box.put(*study(1))
    box.run(reserve_mb=1)
    with closing(sqlite3.connect(box.root / "scanside.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        box.put(*study(2))
        with pytest.raises(Exception, match="BOX_DATABASE_BUSY"):
            box.run()
        assert (box.root / "reserve.bin").stat().st_size == 2**20
    box.run()
    assert len(box.of(2)) == 1


def test_folders_that_are_removed_while_it_runs_are_made_again_and_what_is_missing_is_said(box: Box) -> None:
    with at_work(box):
        box.put(*study(1))
        wait_for(lambda: box.of(1) and box.places("archive"))
        for folder in ("results", "archive", "quarantine", "work"):
            (box.root / folder).rename(box.root / "away")  # at once: the daemon makes it again meanwhile
            shutil.rmtree(box.root / "away")
        status = box.root / "status.json"
        wait_for(lambda: json.loads(status.read_text())["missing"] == [study_key("1.2.1")])
        shown = box.scanside("status")
        assert (shown.exit_code, "scanside redo" in shown.output) == (5, True)
        box.put(*study(2))
        wait_for(lambda: box.of(2))
    assert f"{box.root / 'results'} was gone: it is made again" in said(box.root)


def test_an_inbox_that_is_gone_is_said_and_when_it_is_back_the_work_goes_on(box: Box) -> None:
    with at_work(box):
        box.inbox.rename(box.root / "away")
        wait_for(lambda: "BOX_INBOX" in said(box.root))
        wait_for(lambda: "BOX_INBOX" in (box.root / "status.json").read_text())
        shown = box.scanside("status")
        assert (shown.exit_code, "BOX_INBOX" in shown.output) == (5, True)
        (box.root / "away").rename(box.inbox)
        box.put(*study(1))
        wait_for(lambda: box.of(1))
    assert box.scanside("status").exit_code == 0


def test_an_inbox_that_is_another_folder_now_is_gone_into_as_the_one_before(box: Box) -> None:
    with at_work(box):
        box.put(*study(1))
        wait_for(lambda: box.of(1))
        box.inbox.rename(box.root / "away")
        box.inbox.mkdir()
        box.put(*study(2))
        wait_for(lambda: box.of(2))


def test_a_lock_file_that_is_a_link_is_not_followed(box: Box, tmp_path: Path) -> None:
    box.root.mkdir()
    (box.root / "scanside.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="can't be used"):
        box.run()
    assert not (tmp_path / "elsewhere").exists()
