"""What an error of SQLite means for the box: a full disk, rights and a lock are no damage, and are never called so."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scanside_appliance.files.durable_files import file_sha256, lies_at
from scanside_appliance.jobs.book.errors import (
    BoxDatabase,
    BoxDatabaseBusy,
    BoxDatabaseDisk,
    BoxDatabaseRights,
    BoxDiskFull,
)
from scanside_runtime.errors import BoxFailed

LOG = "-wal"
PRIMARY = 0xFF
"""An extended result code carries its primary one in the lowest byte (sqlite.org/rescode.html)."""
LITTLE_BYTES = 2**20
"""With less room than that, a disk that fails is a disk that is full."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
NO_TEXT = ("Could not decode to UTF-8", "user-defined function raised exception")
"""Bytes that are no text in a column, the second where a row is summed: `row_sum` is not even called."""
RIGHTS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN)
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Errors of SQLite leave as errors of the box. Raises what `database_error` says."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise database_error(path, error) from error
    except UnicodeDecodeError as error:  # SQLite names a damaged piece of its schema in its own words
        raise damage(path, "it holds bytes that are no text") from error


def database_error(path: Path, error: sqlite3.DatabaseError) -> BoxFailed:
    """The error of the box that an error of SQLite is. What is not known to be damage is the disk's."""
    code = _primary(error)
    if looks_damaged(error):
        return damage(path, error)
    values = {"name": path.name, "why": error}
    if code in BUSY:
        return BoxDatabaseBusy(**values)
    if code == sqlite3.SQLITE_FULL or (code not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM) and _is_full(path)):
        return BoxDiskFull(**values)
    return BoxDatabaseRights(**values) if code in RIGHTS else BoxDatabaseDisk(**values)


def looks_damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether SQLite calls it damage: the book's bytes are read then, and who has it open goes on no more."""
    return _primary(error) in DAMAGED or str(error).startswith(NO_TEXT)


def damage(path: Path, why: object) -> BoxFailed:
    """Damage, where the disk gives every byte: SQLite may call so what it does not give, and no rebuild helps there.

    The book is to be closed after it (`not_given`).
    """
    error = not_given(path)
    if error is not None:
        return BoxDatabaseDisk(name=path.name, why=error.strerror or error)
    return BoxDatabase(name=path.name, why=why)


def not_given(path: Path) -> OSError | None:
    """What the disk says where it does not give each byte of a book and of its log.

    Nothing is to be written to a book that is open meanwhile: to close a file drops each lock that this process holds
    on it (sqlite.org/howtocorrupt.html 2.2), and another one takes the log away under it.
    """
    for one in (path, path.with_name(path.name + LOG)):
        try:
            if lies_at(one):
                file_sha256(one)
        except OSError as error:
            return error
    return None


def is_full_disk(path: Path, error: sqlite3.DatabaseError | OSError) -> bool:
    """Whether nothing but room was missing."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC
    return isinstance(database_error(path, error), BoxDiskFull)


def is_of_the_disk(error: sqlite3.DatabaseError) -> bool:
    """Whether a disk, rights or another program keep SQLite from what may be whole."""
    return _primary(error) in (*RIGHTS, *BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM)


def _primary(error: sqlite3.DatabaseError) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & PRIMARY


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < LITTLE_BYTES
    except OSError:
        return False
