"""What lies in the inbox at this moment, and what each file looks like from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file looks like from outside; any difference means that it changed."""

    size: int
    mtime_ns: int
    inode: int


UNKNOWN = Signature(-1, -1, -1)
"""Of a file that is there and can't be looked at: it differs from any other."""


def scan(inbox: Path) -> Iterator[tuple[str, Signature | None]]:
    """Every regular file below the inbox: path relative to it, and signature. Links are passed over, never followed.

    None instead of a signature: it is there, or was, and can't be looked at just now; a path that ends in "/" is a
    folder of which the same is true. What vanished meanwhile is left out. Raises OSError where the inbox itself can't
    be read.
    """
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(inbox / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if _is_folder(entry):
                        pending.append(name)
                    else:
                        yield from _look_at(entry, name)
        except FileNotFoundError:
            continue
        except OSError:
            if not folder:
                raise
            yield f"{folder}/", None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _look_at(entry: os.DirEntry[str], name: str) -> Iterator[tuple[str, Signature | None]]:
    try:
        if entry.is_file(follow_symlinks=False):
            seen = entry.stat(follow_symlinks=False)
            yield name, Signature(seen.st_size, seen.st_mtime_ns, seen.st_ino)
    except FileNotFoundError:
        return
    except OSError:
        yield name, None
