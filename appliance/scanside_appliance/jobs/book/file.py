"""The file that the book is: begun once, missed when it is gone, put back while the daemon still has it open."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scanside_appliance.files.atomic import replace_file, sync_directory
from scanside_appliance.files.copies import FILE_MODE
from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import BoxLayout, BoxRoot
from scanside_appliance.jobs.book.database_errors import LOG, not_given
from scanside_appliance.jobs.book.errors import (
    BoxDatabaseDisk,
    BoxDatabaseLost,
    BoxDatabaseMissing,
    BoxDatabaseReplaced,
)
from scanside_appliance.jobs.book.store import Store

BESIDE = (LOG, "-shm")
"""What SQLite keeps beside a database that is open."""
MARK = b"This box has a book, scanside.db. Should that be missing: scanside rebuild makes it anew.\n"
log = logging.getLogger("scanside")


def open_book(layout: BoxLayout) -> Store:
    """The book of the daemon: begun at the first start, and at no other.

    Raises BoxRoot, BoxDatabaseLost and what opening raises.
    """
    with _root_errors(layout):
        new = not _has_worked(layout)
        if not new:
            _check_is_there(layout)
    store = Store(layout.database, make=new)
    with suppress(OSError):  # a full disk: the next start tries again, and what lies in the folders says the same
        mark(layout)
    return store


def mark(layout: BoxLayout) -> None:
    """Say that there is a book. Raises OSError."""
    if not lies_at(layout.marker):
        replace_file(layout.marker, MARK)


def existing_book(layout: BoxLayout) -> Store:
    """The book of a box that was started before.

    Raises BoxDatabaseMissing before the first start, and while that begins it, BoxRoot, BoxDatabaseLost and what
    opening raises.
    """
    with _root_errors(layout):
        new = not _has_worked(layout)
    try:
        with _root_errors(layout):
            _check_is_there(layout)
        return Store(layout.database, make=False)
    except BoxDatabaseLost as lost:
        if new:
            raise BoxDatabaseMissing(name=layout.database.name) from lost
        raise


@contextmanager
def _root_errors(layout: BoxLayout) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BoxRoot(root=layout.root, why=error.strerror or error) from error


def _check_is_there(layout: BoxLayout) -> None:
    """SQLite takes an empty file for a new database, and a missing one for a folder without rights."""
    if not lies_at(layout.database):
        raise BoxDatabaseLost(name=layout.database.name, how="gone")
    if not layout.database.stat().st_size:
        raise BoxDatabaseLost(name=layout.database.name, how="empty")


def _has_worked(layout: BoxLayout) -> bool:
    """The marker says so, or what lies in the box's folders."""
    return lies_at(layout.marker) or any(_entries(layout))


def _entries(layout: BoxLayout) -> Iterator[os.DirEntry[str]]:
    for folder in layout.own_folders:
        if lies_at(folder):
            with os.scandir(folder) as entries:
                yield from (one for one in entries if one.path != str(layout.unfinished))


def keep_in_place(layout: BoxLayout, store: Store) -> None:
    """What a daemon makes sure of at each turn: that what it writes down lies where the next start looks for it.

    A book that was removed is written anew from what is open. Raises BoxDatabaseReplaced where another file lies
    there, OSError, sqlite3.Error.
    """
    place = store.is_in_place()
    if place:
        return
    part = layout.root / f".{layout.database.name}.part"
    part.unlink(missing_ok=True)
    store.copy_to(part)
    part.chmod(FILE_MODE)
    if place is None:
        _put_back(layout, store, part)
    else:
        kept = free_name(layout.database)
        os.link(part, kept)
        part.unlink()
        raise BoxDatabaseReplaced(name=layout.database.name, kept=kept.name)


def _put_back(layout: BoxLayout, store: Store, part: Path) -> None:
    for end in BESIDE:  # of the removed one: replayed onto another file they would damage it
        beside(layout.database, end).unlink(missing_ok=True)
    os.link(part, layout.database)  # which never takes the place of another file
    part.unlink()
    sync_directory(layout.root)
    store.open_again()
    log.error("%s was removed while it was in use: it is written anew, nothing is lost", layout.database.name)


def check_gives_all(path: Path) -> None:
    """Read every byte of a book and of its log. Raises BoxDatabaseDisk where the disk does not give one."""
    if (error := not_given(path)) is not None:
        raise BoxDatabaseDisk(name=path.name, why=error.strerror or error) from error


def into_one_file(store: Store) -> None:
    """What lies in SQLite's log goes into the book itself, which to close it would only try. Raises sqlite3.Error."""
    (busy, _, _) = store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("another program reads it")


def free_name(path: Path) -> Path:
    """Where a file may lie that is kept beside `path`: `.aside-1`, or the first number that is free."""
    number = 1
    while any(lies_at(beside(path, f".aside-{number}{end}")) for end in ("", *BESIDE)):
        number += 1
    return beside(path, f".aside-{number}")


def last_kept(path: Path) -> Path | None:
    """The book that was put beside `path` last; None where none lies there."""
    number = 1
    while lies_at(beside(path, f".aside-{number + 1}")):
        number += 1
    kept = beside(path, f".aside-{number}")
    return kept if lies_at(kept) else None


def beside(path: Path, end: str) -> Path:
    """The file whose name is longer by so much."""
    return path.with_name(path.name + end)
