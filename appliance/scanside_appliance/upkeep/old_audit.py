"""The audit of a book that is made anew goes on where the old one's ends, as far as that can still be read."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.jobs.book.audit import head, note
from scanside_appliance.jobs.book.database_errors import is_of_the_disk
from scanside_appliance.jobs.book.file import check_gives_all
from scanside_appliance.jobs.book.store import Store

Row = tuple[object, ...]
ROWS = "SELECT n, at, event, study, facts, sha256 FROM audit ORDER BY n"


def go_on_with_audit(store: Store, old: Path, results: int, studies: int, *, anyway: bool = False) -> int:
    """Take the old rows over byte for byte, and note that the book was made anew; how many were taken over.

    Whether they follow from each other, `scanside verify` says: nothing is mended here. anyway: a part of them, where
    the disk does not give the rest. Raises sqlite3.Error of the new book, and of the old one where the disk fails,
    BoxDatabaseDisk, OSError.
    """
    rows = _readable_rows(old, anyway)
    store.connection.executemany("INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?)", rows)
    last = head(store)
    note(store, "rebuilt", results=results, studies=studies, entries_before=last.n if last else 0)
    return len(rows)


def _readable_rows(old: Path, anyway: bool) -> list[Row]:
    """Those before the first that can't be read; none of a book that is gone, or older than the audit.

    SQLite calls a page damaged that the disk did not give: it is when all bytes come and it is found once more.
    """
    found, trouble = _rows(old)
    if trouble is None or not lies_at(old):
        return found
    if not anyway and not is_of_the_disk(trouble):
        check_gives_all(old)
    again, trouble = _rows(old)
    if trouble is not None and is_of_the_disk(trouble) and not anyway:
        raise trouble
    return max(found, again, key=len)


def _rows(old: Path) -> tuple[list[Row], sqlite3.DatabaseError | None]:
    """Those before the first that can't be read, and why it can't."""
    found: list[Row] = []
    try:
        with closing(sqlite3.connect(f"file:{quote(os.fsencode(old))}?mode=ro", uri=True)) as sql:
            for row in sql.execute(ROWS):
                found.append(row)
    except sqlite3.DatabaseError as error:
        return found, error
    return found, None
