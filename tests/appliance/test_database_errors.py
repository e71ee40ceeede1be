"""What ails the book is said as what it is: only a damaged one is ever to be made anew."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from kit.watch_box import Box, study
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book import database_errors
from scanside_appliance.jobs.book.database_errors import database_error
from scanside_appliance.jobs.book.errors import BoxDatabaseDisk, BoxDiskFull
from scanside_appliance.jobs.book.file import open_book
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.service import service
from scanside_appliance.service.housekeeping import Housekeeping
from scanside_runtime.errors import BoxFailed, ScansideError

Usage = namedtuple("Usage", "total used free")


def write_to(path: Path, *before: str, uri: str = "") -> None:
    with closing(sqlite3.connect(f"file:{path}{uri}", uri=True, timeout=0.0)) as sql:
        for statement in before:
            sql.execute(statement)
        sql.execute("CREATE TABLE t AS SELECT randomblob(100000)")


def without_rights(path: Path) -> None:
    write_to(path, uri="?mode=ro")


def without_its_folder(path: Path) -> None:
    write_to(path / "nowhere")


def while_another_writes(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        write_to(path)


def without_room(path: Path) -> None:
    write_to(path, "PRAGMA max_page_count = 1")


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    write_to(path)


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (without_rights, "BOX_DATABASE_RIGHTS"),
        (without_its_folder, "BOX_DATABASE_RIGHTS"),
        (while_another_writes, "BOX_DATABASE_BUSY"),
        (without_room, "BOX_DISK_FULL"),
        (damaged, "BOX_DATABASE"),
    ],
)
def test_only_who_has_a_damaged_database_is_told_to_rebuild_it(
    tmp_path: Path, happens: Callable[[Path], None], code: str
) -> None:
    path = tmp_path / "scanside.db"
    sqlite3.connect(path).close()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE one (a)")
    with pytest.raises(sqlite3.DatabaseError) as raised:
        happens(path)
    error = database_error(path, raised.value)
    assert error.code == code
    assert ("rebuild" in error.advice) == (code == "BOX_DATABASE")
    assert "ove it away" not in error.advice


def test_what_the_disk_does_not_give_of_a_book_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite may call it so, at each look; nobody is to make a book anew that is whole on a failing disk."""

    def fails(_: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "scanside.db"
    with pytest.raises(sqlite3.DatabaseError) as raised:
        damaged(path)
    assert database_error(path, raised.value).code == "BOX_DATABASE"
    monkeypatch.setattr(database_errors, "file_sha256", fails)
    error = database_error(path, raised.value)
    assert (error.code, error.values["why"]) == ("BOX_DATABASE_DISK", "Input/output error")


def test_a_book_whose_bytes_were_read_under_a_daemon_is_not_written_to_any_more(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That dropped its locks: whoever reads the book next, and closes it, takes the log away under it."""

    def fails(_: Path) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def no_text(_: Housekeeping) -> None:
        asked.append(1)
        raise sqlite3.OperationalError("Could not decode to UTF-8 column 'study'")

    asked = list[int]()
    box.root.mkdir()
    monkeypatch.setattr(database_errors, "file_sha256", fails)
    monkeypatch.setattr(Housekeeping, "count_hours", no_text)
    with pytest.raises(BoxDatabaseDisk):
        box.run()
    assert len(asked) == 1


@pytest.mark.parametrize(("free", "code"), [(4096, "BOX_DISK_FULL"), (2**30, "BOX_DATABASE_DISK")])
def test_a_disk_error_is_a_full_disk_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, code: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(2**40, 2**40 - free, free))
    broken = sqlite3.OperationalError("disk I/O error")
    broken.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert database_error(tmp_path / "scanside.db", broken).code == code


def test_a_newer_or_a_missing_database_is_not_to_be_moved_away(box: Box) -> None:
    assert getattr(box.scanside("retry", "x").exception, "code", None) == "BOX_DATABASE_MISSING"
    box.run()
    with closing(sqlite3.connect(box.root / "scanside.db")) as sql:
        sql.execute("PRAGMA user_version = 99")
    found = box.scanside("queue").exception
    assert isinstance(found, ScansideError)
    assert (found.code, "away" in found.advice) == ("BOX_DATABASE_NEWER", False)


def full_until(monkeypatch: pytest.MonkeyPatch, there_is_room: Callable[[], bool]) -> None:
    def opened(layout: BoxLayout) -> Store:
        if not there_is_room():
            raise BoxDiskFull(name=layout.database.name, why="disk I/O error")
        return open_book(layout)

    monkeypatch.setattr(service, "open_book", opened)


def test_a_start_on_a_full_disk_frees_its_reserve_and_goes_on(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.run()
    reserve = box.root / "reserve.bin"
    reserve.write_bytes(b"0" * 100)
    full_until(monkeypatch, lambda: not reserve.exists())
    box.put(*study(1))
    box.run()
    assert len(box.of(1)) == 1


def test_a_start_on_a_full_disk_without_a_reserve_waits_for_room_and_says_so(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    box.run()
    waited: list[float] = []
    monkeypatch.setattr(service.time, "sleep", waited.append)
    full_until(monkeypatch, lambda: len(waited) == 2)
    plan = box.plan(lambda: (_ for _ in ()).throw(BoxFailed()))  # what comes after the wait is not asked for here
    with pytest.raises(BoxFailed):
        service.watch(replace(plan, once=False))
    assert len(waited) == 2
    assert "BOX_DISK_FULL: The disk is full" in caplog.text


def test_once_on_a_full_disk_ends_and_the_status_says_why(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.run()
    full_until(monkeypatch, lambda: False)
    with pytest.raises(BoxDiskFull):
        box.run()
    shown = box.scanside("status")
    assert shown.exit_code == 5
    assert "BOX_DISK_FULL" in shown.output
    assert "away" not in shown.output
