"""What is known of the files in the inbox, in a table that is thrown away: a flood of files takes disk, not memory.

An SQLite database without a name: it lives in a cache of some MB, and beyond that in a file that has no name either
and goes with the process, whatever ends it. A scan is compared with it file by file; what stayed as it was costs no
write.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanside_appliance.files.signature import UNKNOWN, Signature
from scanside_appliance.inbox.facts import Facts

TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".incomplete")
CACHE_KB = 4096
PAGE = 500
"""So many rows are in memory at a time."""
_CHANGED = "unrest = CASE WHEN :now - touched >= :patience THEN :now ELSE unrest END, since = :now, touched = :now"
FACTS = (
    *("kind", "sha256", "whole", "study_uid", "sop_uid", "patient_id", "issuer", "stack", "along_mm", "why"),
    "data_sha256",
)
Values = Mapping[str, Any]


class InboxTable:
    """The table `files` of inbox.sql. Where the disk fails it is made anew, and the failure is an OSError."""

    def __init__(self, spill: Path | None = None) -> None:
        self._spill = spill
        self._open()

    def _open(self) -> None:
        self._sql = sqlite3.connect("", isolation_level=None)
        if self._spill is not None:  # the pragma takes no placeholder
            quoted = str(self._spill).replace("'", "''")
            self._sql.execute(f"PRAGMA temp_store_directory = '{quoted}'")
        self._sql.execute(f"PRAGMA cache_size = -{CACHE_KB}")
        self._sql.execute("PRAGMA journal_mode = OFF")  # nothing is ever rolled back: see `rows`
        self._sql.executescript(Path(__file__).with_name("inbox.sql").read_text(encoding="utf-8"))

    def close(self) -> None:
        """Throw it away."""
        self._sql.close()

    def rows(self, statement: str, values: Values | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """What a statement gives. Raises OSError where the table was lost: then it is empty, and all is seen as new."""
        try:
            return self._sql.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self._sql.close()
            self._open()
            why = "what was known of the inbox is lost, it is looked at anew"
            raise OSError(errno.EIO, f"{why} ({error})") from error

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Many statements written together; what came before an exception stays, every row is true by itself."""
        self.rows("BEGIN")
        try:
            yield
        finally:
            if self._sql.in_transaction:
                self.rows("COMMIT")

    def __len__(self) -> int:
        return int(self.rows("SELECT count(*) FROM files")[0][0])

    def comparison(self, now: float, patience_s: float) -> Comparison:
        """What lies there now is to be held against what is known."""
        return Comparison(self, now, patience_s)

    def look(self, name: str, seen: Signature, now: float, patience_s: float) -> int | None:
        """The row of a file that was known before, brought up to date; None for one that is new."""
        path, seen_now = os.fsencode(name), (seen.size, seen.mtime_ns, seen.inode)
        found = self.rows("SELECT id, size, mtime_ns, inode FROM files WHERE name = ?", (path,))
        if not found:
            last = name.rpartition("/")[2].lower()
            temporary = last.startswith(".") or last.endswith(TEMPORARY)
            new = (path, path.rpartition(b"/")[0], temporary, *seen_now, now, now, now, now, now)
            columns = "name, folder, temporary, size, mtime_ns, inode, first, since, before, touched, unrest"
            self.rows(f"INSERT INTO files ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", new)
            return None
        row, *before = found[0]
        if tuple(before) != seen_now:
            before_it = "before = CASE kind WHEN '' THEN before ELSE since END"
            forgotten = ", sha256 = ''" if seen is UNKNOWN else ""
            self.rows(
                "UPDATE files SET size = :size, mtime_ns = :mtime_ns, inode = :inode, kind = '', "
                f"{before_it}, {_CHANGED}{forgotten} WHERE id = :id",
                {"size": seen.size, "mtime_ns": seen.mtime_ns, "inode": seen.inode, "id": row}
                | {"now": now, "patience": patience_s},
            )
        return int(row)

    def forget(self, met: bytearray, unsure: tuple[bytes, ...], now: float, patience_s: float) -> None:
        """Of the rows there were, those that the scan did not meet: the file is gone, or nobody could look there."""
        for row, name in self._pages("id, name", "id < :new", {"new": len(met)}):
            if met[row]:
                continue
            if name.startswith(unsure):
                values = {"now": now, "patience": patience_s, "id": row}
                self.rows(f"UPDATE files SET {_CHANGED} WHERE id = :id", values)
            else:
                self.rows("DELETE FROM files WHERE id = ?", (row,))

    def write_facts(self, name: str, facts: Facts, study: str, now: float) -> None:
        """What was found in a file. A touch that left its content as it was counts for nothing."""
        columns = ", ".join(f"{one} = :{one}" for one in (*FACTS, "study"))
        since = "since = CASE WHEN sha256 <> '' AND sha256 = :sha256 THEN before ELSE since END"
        values = {one: getattr(facts, one) for one in FACTS} | {"study": study, "name": os.fsencode(name), "now": now}
        self.rows(f"UPDATE files SET {since}, looked = :now, {columns} WHERE name = :name", values)

    def note_vain_look(self, name: str, now: float, why: str) -> None:
        """It was read, and nothing can be learnt of it."""
        self.rows("UPDATE files SET looked = ?, why = ? WHERE name = ?", (now, why, os.fsencode(name)))

    def doubt(self, name: str, now: float, patience_s: float) -> None:
        """Count it as changed just now: what was found in it holds no more."""
        values = {"now": now, "patience": patience_s, "name": os.fsencode(name)}
        self.rows(f"UPDATE files SET {_CHANGED}, kind = '', sha256 = '' WHERE name = :name", values)

    def signature(self, name: str) -> Signature | None:
        """What a file looked like in the last scan, None where it was not there."""
        found = self.rows("SELECT size, mtime_ns, inode FROM files WHERE name = ?", (os.fsencode(name),))
        return Signature(*found[0]) if found else None

    def names(self, condition: str, values: Values) -> Iterator[str]:
        """The files of which a condition is true, in the order in which they came; they may be altered meanwhile."""
        for _, name in self._pages("id, name", condition, values):
            yield os.fsdecode(name)

    def facts(self, condition: str, values: Values) -> Iterator[tuple[str, Facts]]:
        """The same with their facts."""
        columns = ", ".join(("id", "name", "size", "mtime_ns", "inode", *FACTS))
        for _, name, size, mtime_ns, inode, *rest in self._pages(columns, condition, values):
            known = dict(zip(FACTS, rest, strict=True)) | {"size": size, "mtime_ns": mtime_ns, "inode": inode}
            yield os.fsdecode(name), Facts(**{**known, "whole": bool(known["whole"])})

    def _pages(self, columns: str, condition: str, values: Values) -> Iterator[tuple[Any, ...]]:
        """Rows, some hundred at a time; the first column must be the id."""
        page = f"SELECT {columns} FROM files WHERE id > :last AND {condition} ORDER BY id LIMIT {PAGE}"
        found = self.rows(page, {**values, "last": 0})
        while found:
            yield from found
            found = self.rows(page, {**values, "last": found[-1][0]})


class Comparison:
    """One look at the inbox, part by part, held against the table as it was at its beginning.

    Raises OSError where the table is lost; then this one is worth nothing any more.
    """

    def __init__(self, table: InboxTable, now: float, patience_s: float) -> None:
        self._table, self._now, self._patience_s = table, now, patience_s
        self._count, highest = table.rows("SELECT count(*), ifnull(max(id), 0) FROM files")[0]
        self._met = bytearray(highest + 1)
        self._unsure: list[bytes] = []

    def add(self, listing: Iterable[tuple[str, Signature | None]]) -> None:
        """Take in what was seen; what could not be looked at is neither gone nor quiet."""
        with self._table.at_once():
            for name, signature in listing:
                if name.endswith("/"):
                    self._unsure.append(os.fsencode(name))
                    continue
                row = self._table.look(name, signature or UNKNOWN, self._now, self._patience_s)
                if row is not None and row < len(self._met):  # a row of this very look: a folder may tell a name twice
                    self._met[row] = 1

    def finish(self) -> None:
        """That was all: what was not met is gone."""
        if self._met.count(1) < self._count:
            with self._table.at_once():
                self._table.forget(self._met, tuple(self._unsure), self._now, self._patience_s)
