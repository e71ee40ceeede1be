"""All files of the book, a page of rows at a time: a box has hundreds of thousands, and they are gone through for days.

No cursor stays open between pages: it would keep SQLite's log of the book from being cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from scanside_appliance.jobs.book.rows import CLEANED, FileRow
from scanside_appliance.jobs.book.store import Store

PAGE = 1000
_FILE = ", ".join(one.name for one in fields(FileRow))
_AREA = "substr(place, 1, instr(place || '/', '/') - 1)"
_BEFORE_ALL = -(2**63)


def files_in(store: Store, areas: Sequence[str]) -> Iterator[FileRow]:
    """Every file that lies in one of these folders of the root, in the order of their numbers. Raises sqlite3.Error."""
    return _paged(store, _in(areas), areas)


def number_in(store: Store, areas: Sequence[str]) -> int:
    """How many files lie in one of these folders of the root. Raises sqlite3.Error."""
    asked = f"SELECT count(*) FROM files WHERE {_in(areas)}"
    return int(store.connection.execute(asked, [*areas]).fetchone()[0])


def files_nowhere(store: Store, areas: Sequence[str]) -> Iterator[FileRow]:
    """Every file that lies in none of these folders and was not cleaned away. Raises sqlite3.Error."""
    return _paged(store, f"NOT {_in(areas)} AND place <> ?", [*areas, CLEANED])


def files_anywhere(store: Store) -> Iterator[FileRow]:
    """Every file that lies in whatever folder of a folder of the root. Raises sqlite3.Error."""
    return _paged(store, "place LIKE '%/%'", [])


def _in(areas: Sequence[str]) -> str:
    return f"{_AREA} IN ({', '.join('?' * len(areas))})"


def _paged(store: Store, condition: str, values: Sequence[Any]) -> Iterator[FileRow]:
    asked, last = f"SELECT {_FILE} FROM files WHERE id > ? AND {condition} ORDER BY id LIMIT {PAGE}", _BEFORE_ALL
    while page := store.connection.execute(asked, [last, *values]).fetchall():
        yield from (FileRow(*row) for row in page)
        last = page[-1][0]
