"""A row of the book that somebody, or a bit that turned, has changed is found: each column of each table counts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kit.watch_box import Box, study
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.audit import broken_at, note
from scanside_appliance.jobs.book.errors import BoxDatabase
from scanside_appliance.jobs.book.rows import State, row_sum
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.upkeep.book_shape import book_problems, check_book

AUDIT = "audit"
VALUES = {"INTEGER": 7, "REAL": 0.5, "TEXT": "a", "BLOB": b"a"}
OTHERS = {"INTEGER": 8, "REAL": 0.25, "TEXT": "b", "BLOB": b"b"}


def columns(sql: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """By table, the type of each column."""
    tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    return {name: {row[1]: row[2] for row in sql.execute(f"PRAGMA table_info({name})")} for name in tables}


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[BoxLayout]:
    """A book with a row in every table."""
    found = BoxLayout(tmp_path)
    with Store(found.database) as store:
        sql = store.connection
        for table, types in columns(sql).items():
            if table != AUDIT:
                values = [VALUES[kind] for kind in types.values()]
                sql.execute("PRAGMA foreign_keys = OFF")
                sql.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
        note(store, "released", "a" * 16)
        assert (store.problems(), broken_at(store)) == ([], None)
    yield found


def tamper(book: Path, table: str, column: str, value: object) -> None:
    """Another value, and the sum as it was: of a table with one row. It is what a bit that turns on the disk does."""
    with closing(sqlite3.connect(book, isolation_level=None)) as sql:
        (before,) = sql.execute(f"SELECT * FROM {table}")
        sql.create_function("row_sum", -1, lambda *_: row_sum(*before), deterministic=True)
        if table == AUDIT:
            sql.execute("DROP TRIGGER audit_stays")
        sql.execute(f"UPDATE {table} SET {column} = ?", [value])


def test_another_value_in_any_column_of_any_table_is_found(layout: BoxLayout) -> None:
    with closing(sqlite3.connect(layout.database)) as sql:
        every = [(table, column, kind) for table, types in columns(sql).items() for column, kind in types.items()]
    kept = layout.database.read_bytes()
    for table, column, kind in every:
        layout.database.write_bytes(kept)
        tamper(layout.database, table, column, OTHERS[kind])
        with Store(layout.database) as store:
            found, link = store.problems(), broken_at(store)
        is_found = link == 1 if table == AUDIT else any(f"of {table} is not what was written" in one for one in found)
        assert is_found, (table, column, found)


def test_a_sum_tells_types_apart_and_is_the_same_for_ever() -> None:
    assert len({row_sum(one) for one in (7, 7.0, "7", b"7", None)}) == 5
    assert row_sum("\u00e9\0", 2**62, 1e22, b"\xff", None) == 353513884083756648


def test_a_row_that_was_changed_is_not_written_over_as_if_it_were_sound(layout: BoxLayout) -> None:
    tamper(layout.database, "jobs", "created_at", "b")
    with Store(layout.database) as store, pytest.raises(sqlite3.DatabaseError, match="malformed"):
        store.change(7, state=State.queued)


@pytest.mark.usefixtures("no_selftest")
def test_whoever_is_asked_names_a_changed_date_and_a_new_book_heals_it(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    stick = str(tmp_path / "stick")
    assert box.scanside("backup", stick).exit_code == 0
    tamper(box.root / "scanside.db", "jobs", "finished_at", "2020-01-01T00:00:00+00:00")
    (difference,) = json.loads(box.scanside("verify", "--json").output)["differences"]
    assert (difference["of"], difference["why"]) == ("database", "row 1 of jobs is not what was written")
    found = {one["subject"]: one for one in json.loads(box.scanside("doctor", "--json").output)["conditions"]}
    assert (found["book"]["health"], "row 1 of jobs" in found["book"]["found"]) == ("bad", True)
    assert isinstance(box.scanside("backup", stick).exception, BoxDatabase)
    assert box.rebuild(monkeypatch)["results"] == 1
    assert box.scanside("verify").exit_code == 0


def test_a_trigger_that_somebody_put_in_is_found(layout: BoxLayout) -> None:
    with Store(layout.database) as store:
        store.connection.execute("CREATE TRIGGER mine AFTER INSERT ON jobs BEGIN DELETE FROM counters; END")
        (problem,) = book_problems(store)
        assert problem.startswith("it should not have: trigger mine")
        with pytest.raises(BoxDatabase, match="trigger mine"):
            check_book(layout, store)
