"""What is known of result documents by their SHA-256, so that 20 000 of them are not read for each list.

A small SQLite file beside the book. The sum is the key: what was changed, rebuilt or measured again is simply not known
yet, and is read. Where the file is lost or damaged, all is read once more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from scanside_appliance.worklist.entry import Facts

VERSION = 2
BUSY_S = 5.0


class KnownFacts:
    """The open file; one that can't be opened knows nothing and learns nothing.

    keep: it is made where it is missing, and written to; else it is only read, as by commands under another name.
    """

    def __init__(self, path: Path, *, keep: bool) -> None:
        self._path, self._keep = path, keep
        self._sql = self._opened() or (self._made_anew() if keep else None)

    def _opened(self) -> sqlite3.Connection | None:
        mode = "rwc" if self._keep else "ro"
        sql = None
        try:
            sql = sqlite3.connect(f"file:{quote(str(self._path))}?mode={mode}", uri=True, timeout=BUSY_S)
            found = sql.execute("PRAGMA user_version").fetchone()[0]
            if found == 0 and self._keep:
                sql.executescript(
                    "CREATE TABLE facts (sha256 TEXT PRIMARY KEY, patient_name TEXT, patient_id TEXT, scanned_at TEXT,"
                    " poi_percent REAL, grade TEXT, cautions TEXT NOT NULL) WITHOUT ROWID, STRICT;"
                    "CREATE TABLE pages (name TEXT PRIMARY KEY, made_of TEXT NOT NULL) WITHOUT ROWID, STRICT;"
                    f"PRAGMA user_version = {VERSION};"
                )
            elif found != VERSION:
                raise sqlite3.DatabaseError("of another version")
            sql.execute("SELECT count(*) FROM pages").fetchone()
            return sql
        except sqlite3.Error:
            if sql is not None:
                sql.close()
            return None

    def _made_anew(self) -> sqlite3.Connection | None:
        for ending in ("", "-journal"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        return self._opened()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sql is not None:
            self._sql.close()

    def facts(self) -> dict[str, Facts]:
        """All of them, by the SHA-256 of their documents."""
        if self._sql is None:
            return {}
        try:
            return {key: Facts(*values) for key, *values in self._sql.execute("SELECT * FROM facts")}
        except sqlite3.Error:
            return {}

    def learn(self, new: Mapping[str, Facts]) -> None:
        """Keep these, too. Raises sqlite3.Error."""
        if self._sql is not None and self._keep and new:
            rows = [(key, *astuple(facts)) for key, facts in new.items()]
            with self._sql:
                self._sql.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def pages(self) -> dict[str, str]:
        """Of each page that was written, what it was made of."""
        return {} if self._sql is None else dict(self._sql.execute("SELECT * FROM pages"))

    def note_page(self, name: str, made_of: str) -> None:
        """A page is on the disk now. Raises sqlite3.Error."""
        if self._sql is not None:
            with self._sql:
                self._sql.execute("INSERT OR REPLACE INTO pages VALUES (?, ?)", (name, made_of))

    def forget_page(self, name: str) -> None:
        """A page is about to be written, or gone. Raises sqlite3.Error."""
        if self._sql is not None:
            with self._sql:
                self._sql.execute("DELETE FROM pages WHERE name = ?", (name,))
