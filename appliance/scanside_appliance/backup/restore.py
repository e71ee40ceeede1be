"""A backup is looked through where it lies, and put into an empty box: the book last, as what vouches for the rest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from scanside_appliance.backup.errors import BackupUnusable, BoxNotEmpty
from scanside_appliance.backup.stock import FILES, SETTINGS, Copied, Stock, older_copy, read_stock
from scanside_appliance.files.atomic import sync_directory
from scanside_appliance.files.durable_files import lies_at, opened_file
from scanside_appliance.files.layout import FOLDER_MODE, PRIVATE_MODE, BoxLayout, BoxRoot
from scanside_appliance.files.owner import as_owner, as_root
from scanside_appliance.jobs.book.file import BESIDE, beside, mark
from scanside_appliance.service.root_lock import only_one
from scanside_runtime.progress import Progress

BLOCK = 2**20
MOST_BOOK_BYTES = 2**36
"""A million studies of 300 slices; a file without content may have any size."""


def check_backup(folder: Path, progress: Progress) -> tuple[Stock, dict[str, str]]:
    """Every file read and compared with the manifest: what is wrong, by path. Raises BackupUnusable without one."""
    stock = read_stock(folder)
    wrong: dict[str, str] = {}
    for number, (path, one) in enumerate(_all_files(folder, stock), 1):
        if trouble := _trouble(_copy_of(path, one), one):
            wrong[str(path.relative_to(folder))] = trouble
        progress("files", number, len(stock.files) + 1)
    return stock, wrong


def _all_files(folder: Path, stock: Stock) -> Iterator[tuple[Path, Copied]]:
    for name, one in stock.files.items():
        yield folder / FILES / name, one
    yield folder / stock.book, _book(folder, stock)


def _book(folder: Path, stock: Stock) -> Copied:
    """As it lies there: the manifest has its sum alone."""
    book = folder / stock.book
    size = book.stat().st_size if book.is_file() else 0
    return Copied(min(size, MOST_BOOK_BYTES), stock.book_sha256, 0)


def _copy_of(path: Path, one: Copied) -> Path:
    """Where it lies: under its name, or, where a later backup was cut short, beside a newer one. Raises OSError."""
    older = older_copy(path, one.sha256)
    return older if lies_at(older) and _trouble(older, one) is None else path


def _trouble(path: Path, one: Copied) -> str | None:
    try:
        with opened_file(path) as file:
            is_as_long = os.fstat(file.fileno()).st_size == one.bytes  # first: a file without content may have any size
            same = is_as_long and hashlib.file_digest(file, "sha256").hexdigest() == one.sha256
    except OSError as error:
        return error.strerror or "it can't be read"
    return None if same else "it is not what was copied"


def restore(folder: Path, layout: BoxLayout, progress: Progress) -> Stock:
    """Put a backup into an empty box. What is there already with the right bytes stays, so that it may be run again.

    Raises BackupUnusable, BoxNotEmpty, BoxRunning, BoxRoot.
    """
    if lies_at(layout.database):
        raise BoxNotEmpty(root=layout.root)
    stock = read_stock(folder)
    with as_owner(layout.root):
        layout.make()
        with only_one(layout):
            return _fill(folder, stock, layout, progress)


def _fill(folder: Path, stock: Stock, layout: BoxLayout, progress: Progress) -> Stock:
    if lies_at(layout.database):  # a service was started meanwhile
        raise BoxNotEmpty(root=layout.root)
    with as_root():
        book = _book(folder, stock)
        if trouble := _trouble(folder / stock.book, book):
            raise BackupUnusable(folder=folder, why=f"{stock.book}: {trouble}")
    try:
        for number, (name, one) in enumerate(stock.files.items(), 1):
            target = layout.root / name
            is_private = layout.private in target.parents
            if is_private:
                layout.private.mkdir(mode=PRIVATE_MODE, exist_ok=True)
            _put(folder / FILES / name, target, one, folder)
            if is_private:
                target.chmod(0o600)
            progress("files", number, len(stock.files))
        for end in BESIDE:  # of a book that was lost: replayed onto this one they would damage it
            beside(layout.database, end).unlink(missing_ok=True)
        mark(layout)  # first: cut off in between, the box misses its book and begins no empty one
        _put(folder / stock.book, layout.database, book, folder)
    except OSError as error:
        raise BoxRoot(root=layout.root, why=error.strerror or error) from error
    return stock


def settings_in(folder: Path, stock: Stock) -> Path | None:
    """The settings that were in force; they are left to a person: paths and limits may be another box's."""
    return folder / SETTINGS if stock.settings else None


def _put(source: Path, target: Path, one: Copied, folder: Path) -> None:
    """One file; it has its name only with the right bytes. Raises BackupUnusable, OSError."""
    if target.is_file() and _trouble(target, one) is None:
        return
    target.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with as_root():
            read = opened_file(_copy_of(source, one))
    except OSError as error:
        raise BackupUnusable(folder=folder, why=f"{source.name}: {error.strerror}") from error
    try:
        with read:
            is_right = _copied(read, part, one.bytes) == one.sha256
    except OSError:
        part.unlink(missing_ok=True)
        raise
    if not is_right:
        part.unlink()
        raise BackupUnusable(folder=folder, why=f"{source.relative_to(folder)} is not what was copied")
    os.utime(part, ns=(one.changed_ns, one.changed_ns)) if one.changed_ns else None
    part.replace(target)
    sync_directory(target.parent)


def _copied(read: BufferedReader, part: Path, size: int) -> str:
    """The sum of so many bytes, and of one more where there are more: a file without content may have any size."""
    digest, left = hashlib.sha256(), size + 1
    with part.open("wb") as copy:
        while left and (block := read.read(min(BLOCK, left))):
            left -= len(block)
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()
