"""Whether the book is what was written: the file, each row, and what it is made of beside its rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs import book
from scanside_appliance.jobs.book.database_errors import damage, database_errors
from scanside_appliance.jobs.book.rows import with_row_sums
from scanside_appliance.jobs.book.store import Store


def check_book(layout: BoxLayout, store: Store) -> None:
    """All of it but the audit's chain: twelve seconds of processor time for two million files.

    Raises BoxDatabase with what is wrong, BoxDatabaseDisk where the disk does not give all of it.
    """
    with database_errors(layout.database):
        found = book_problems(store)
    if found:
        raise damage(layout.database, found[0])


def book_problems(store: Store) -> list[str]:
    """All that is wrong, in words. Raises sqlite3.Error."""
    return [*store.problems(), *shape_problems(store)]


def shape_problems(store: Store) -> Iterator[str]:
    """What a new book has and this one lacks, or the other way round: a trigger can change what is written.

    Raises sqlite3.Error.
    """
    with closing(sqlite3.connect(":memory:")) as new:
        with_row_sums(new)
        new.executescript(files(book).joinpath("schema.sql").read_text(encoding="utf-8"))
        made, found = _shape(new), _shape(store.connection)
    for words in sorted(made - found):
        yield f"it has not: {' '.join(words)}"
    for words in sorted(found - made):
        yield f"it should not have: {' '.join(words)}"


def _shape(sql: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Whatever is remarked beside it, and in whatever order."""
    found = sql.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    shape: set[tuple[str, ...]]
    shape = {(kind, name, " ".join(text.split())) for kind, name, text in found if kind != "table"}
    for table in [name for kind, name, _ in found if kind == "table"]:
        columns = sql.execute('SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?)', (table,))
        shape |= {("column", table, *map(str, row)) for row in columns}
        parents = sql.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', (table,))
        shape |= {("parent", table, *map(str, row)) for row in parents}
    return shape
