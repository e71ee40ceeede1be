"""What a backup is: the files of a box under their own paths, the book, and a manifest that is written last.

What the manifest does not name is no part of the backup: so one that is interrupted leaves the one before whole. A
file that was changed since lies there twice until the manifest is written, the older copy under its sum.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scanside_appliance.backup.errors import BackupUnusable
from scanside_appliance.files.durable_files import opened_file
from scanside_appliance.files.layout import PRIVATE, BoxLayout
from scanside_runtime.process.typed import typed

SCHEMA = "scanside.backup/1"
MANIFEST = "scanside-backup.json"
FILES = "files"
FOLDERS = ("results", "archive", "quarantine", "work", "bundles", "severity", PRIVATE)
"""Of the root. Not the inbox: whoever sent what lies there still has it, and it is not measured yet."""
SETTINGS = "scanside.toml"
MOST_MANIFEST_BYTES = 2**30
"""Some 200 bytes for each file: 5 million of them."""
LATEST_NS = 2**63
"""What the system takes for the time of a file."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One file: size and SHA-256, and when its source was last changed (nanoseconds), by which it is known again."""

    bytes: int
    sha256: str
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Stock:
    """The manifest.

    book: the name of the database's copy; files: by path below the root; settings: whether they came along; audit_head:
    the newest hash of the audit.
    """

    at: str
    host: str
    software: str
    book: str
    book_sha256: str
    settings: bool
    audit_head: str | None
    schema: str = SCHEMA
    files: dict[str, Copied] = field(default_factory=dict)


def older_copy(copy: Path, sha256: str) -> Path:
    """Where a copy lies that a newer one took the name of, while the manifest speaks of this one."""
    return copy.with_name(f".{copy.name}.{sha256[:16]}.older")


def read_stock(folder: Path) -> Stock:
    """The manifest of a backup. Raises BackupUnusable."""
    try:
        with opened_file(folder / MANIFEST) as file:
            if os.fstat(file.fileno()).st_size > MOST_MANIFEST_BYTES:
                raise ValueError(f"it has more than {MOST_MANIFEST_BYTES} bytes")
            stock = typed(Stock, json.loads(file.read()))
        if any(not 0 <= one.changed_ns < LATEST_NS for one in stock.files.values()):
            raise ValueError("a time in it is none")
    except OSError as error:
        raise BackupUnusable(folder=folder, why=f"{MANIFEST}: {error.strerror}") from error
    except (ValueError, RecursionError) as problem:
        raise BackupUnusable(folder=folder, why=f"{MANIFEST}: {problem}") from problem
    if stock.schema != SCHEMA:
        raise BackupUnusable(folder=folder, why=f"its schema is not {SCHEMA}")
    if not (_stays_inside(stock.book) and all(map(_may_be_of_a_box, stock.files))):
        raise BackupUnusable(folder=folder, why="a path leads out of it")
    return stock


def _stays_inside(name: str) -> bool:
    is_name = "\0" not in name and not any("\ud800" <= letter <= "\udc7f" for letter in name)
    return is_name and not os.path.isabs(name) and ".." not in Path(name).parts


def _may_be_of_a_box(name: str) -> bool:
    return _stays_inside(name) and Path(name).parts[:1] in [(folder,) for folder in FOLDERS]


def files_of(layout: BoxLayout, unread: set[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of the box that belongs into a backup: its path below the root, and what the system says of it.

    Links are none of ours, hidden names are unfinished, the worklist is made anew from the rest. What vanishes
    meanwhile was moved: the next look finds it. unread: gets the paths of folders that can't be looked into.
    """

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            unread.add(os.path.relpath(error.filename, layout.root))

    made_anew = (layout.worklist, layout.worklist_pages)
    for folder in FOLDERS:
        for place, folders, names in os.walk(layout.root / folder, onerror=note):
            here = Path(place)
            folders[:] = sorted(one for one in folders if not one.startswith(".") and here / one not in made_anew)
            for name in sorted(names):
                path = here / name
                if name.startswith(".") or path in made_anew or path.is_symlink():
                    continue
                try:
                    yield str(path.relative_to(layout.root)), path.stat()
                except FileNotFoundError:
                    continue
