"""What a book is made of, beside its rows: columns, indexes, and the triggers that keep the audit as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files

from scanside_appliance import jobs
from scanside_appliance.jobs.store import Store


def shape_problems(store: Store) -> Iterator[str]:
    """What a new book has and this one lacks: who takes a trigger out can change the audit. Raises sqlite3.Error."""
    with closing(sqlite3.connect(":memory:")) as new:
        new.executescript(files(jobs).joinpath("schema.sql").read_text(encoding="utf-8"))
        lost = _shape(new) - _shape(store.connection)
    for words in sorted(lost):
        yield f"it has not: {' '.join(words)}"


def _shape(sql: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Whatever is remarked beside it, and in whatever order."""
    found = sql.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    shape: set[tuple[str, ...]]
    shape = {(kind, name, " ".join(text.split())) for kind, name, text in found if kind != "table"}
    for table in [name for kind, name, _ in found if kind == "table"]:
        columns = sql.execute("SELECT name, type, \"notnull\", pk FROM pragma_table_info(?)", (table,))
        shape |= {("column", table, *map(str, row)) for row in columns}
    return shape
