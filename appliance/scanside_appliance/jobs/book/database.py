"""The open database of the book: SQLite, WAL, every commit synced; a schema of its version, checks, copies.

What is committed here is what holds: after a crash the folders are brought to what the book says (file_mover.py).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from scanside_appliance.jobs.book.database_errors import damage, database_errors
from scanside_appliance.jobs.book.errors import BoxDatabaseLost, BoxDatabaseNewer
from scanside_appliance.jobs.book.rows import with_row_sums

SCHEMA_VERSION = 9
BUSY_S = 10.0
FORMAT_AT, WITHOUT_LOG = 18, b"\1\1"
"""Where the header says how the file is written and read, and what it says of one that needs neither a log nor shared
memory to be read. Source: sqlite.org/fileformat2.html 1.3.3."""
_ALTERED = re.compile(r"row (\d+) (?:missing from|values differ from) index (\w+)_sum")


class Database:
    """The open database. Not for several threads; other processes may open it too."""

    def __init__(self, path: Path, *, make: bool = True, as_it_lies: bool = False) -> None:
        """make: a book that is not there is begun; else it is lost. Raises BoxDatabaseLost and its like.

        as_it_lies: a copy that nobody writes to, perhaps on a stick that takes neither a lock nor a log: it is read,
        and nothing is made beside it.
        """
        self._path, self._make, self._as_it_lies = path, make, as_it_lies
        with database_errors(path):
            self._sql = self._connect()

    def _connect(self) -> sqlite3.Connection:
        mode = "ro&immutable=1" if self._as_it_lies else "rwc" if self._make else "rw"
        sql = sqlite3.connect(
            f"file:{quote(os.fsencode(self._path))}?mode={mode}", timeout=BUSY_S, isolation_level=None, uri=True
        )
        try:
            self._prepare(sql)
            self._file = _identity(self._path)
        except BaseException:
            sql.close()
            raise
        return sql

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sql.close()

    def _prepare(self, sql: sqlite3.Connection) -> None:
        """Nothing is written before it is known whose book it is."""
        with_row_sums(sql)
        found = int(sql.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise BoxDatabaseNewer(name=self._path.name, version=found)
        if found == 0 and not self._make:
            raise BoxDatabaseLost(name=self._path.name, how="empty")
        if self._as_it_lies:
            return
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            sql.execute(f"PRAGMA {pragma}")
        if found == 0:
            _run(sql, "schema.sql", SCHEMA_VERSION)
        for version in range(found or SCHEMA_VERSION, SCHEMA_VERSION):
            _run(sql, f"upgrade_{version}.sql", version + 1)

    def problems(self) -> list[str]:
        """All that is wrong in the file, rows that do not fit their sums among it. Raises sqlite3.Error."""
        found = [words for (words,) in self._sql.execute("PRAGMA integrity_check(20)") if words != "ok"]
        broken = self._sql.execute("PRAGMA foreign_key_check").fetchall()
        return [
            *(_ALTERED.sub(lambda row: f"row {row[1]} of {row[2]} is not what was written", words) for words in found),
            *(f"a row of {table} belongs to no row of {parent}" for table, _, parent, _ in broken),
        ]

    @property
    def connection(self) -> sqlite3.Connection:
        """For the tables of other wings in the same book; a transaction is `transaction`."""
        return self._sql

    def check(self) -> None:
        """Read the whole file once, but no row's sum: for each start. Raises BoxDatabase, and BoxDatabaseDisk."""
        with database_errors(self._path):
            (answer,) = self._sql.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise damage(self._path, answer)

    def is_in_place(self) -> bool | None:
        """Whether the path leads to the file that is open; None where nothing lies there. Raises OSError."""
        found = _identity(self._path)
        return None if found is None else found == self._file

    def copy_to(self, path: Path, *, elsewhere: bool = False) -> None:
        """All that is in the open book into a new file, synced, with nothing beside it. Raises OSError, sqlite3.Error.

        elsewhere: another box's inbox has not what this one's has: what is to be removed there stays out.
        """
        with _unlogged(path) as copy:
            self._sql.backup(copy)
        with path.open("rb+") as file:  # which SQLite itself would do by a log and a journal beside it
            file.seek(FORMAT_AT)
            file.write(WITHOUT_LOG)
        if elsewhere:
            with _unlogged(path) as copy:
                with_row_sums(copy)
                copy.execute("DELETE FROM taken")
        with path.open("rb+") as file:
            os.fsync(file.fileno())

    def open_again(self) -> None:
        """Go on with the file that lies at the path now. Raises what opening raises."""
        with database_errors(self._path):
            before, self._sql = self._sql, self._connect()
        before.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; inside another one, part of it."""
        if self._sql.in_transaction:
            yield
            return
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise


@contextmanager
def _unlogged(path: Path) -> Iterator[sqlite3.Connection]:
    """A file of our own alone, thrown away where it is not written to its end: nothing is made beside it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as sql:
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = OFF", "synchronous = OFF"):
            sql.execute(f"PRAGMA {pragma}")
        yield sql


def _run(sql: sqlite3.Connection, script: str, version: int) -> None:
    """A script and the version that it makes, both or neither. Another process may have been quicker."""
    text = Path(__file__).with_name(script).read_text(encoding="utf-8")
    try:
        sql.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {version};\nCOMMIT;")
    except sqlite3.OperationalError:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        if int(sql.execute("PRAGMA user_version").fetchone()[0]) < version:
            raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
