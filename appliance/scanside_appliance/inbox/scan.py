"""What lies in the inbox at this moment, and what each file looks like from outside."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from scanside_appliance.files.beneath import DEEPEST, opened_folder, subfolder
from scanside_appliance.files.signature import Signature


def scan(inbox: Path, looked_into: Callable[[int], None] = lambda _: None) -> Iterator[tuple[str, Signature | None]]:
    """Every regular file below the inbox: path relative to it, and signature. Links are passed over, never followed.

    None instead of a signature: it is there, or was, and can't be looked at just now. Of a folder of which that is true
    there are two: its own name, as it is itself something that can't be read, and one that ends in "/" for all below
    it. What vanished meanwhile is left out. looked_into: called with the handle of each folder.
    Raises OSError where the inbox itself can't be read.
    """
    with opened_folder(inbox) as handle:
        yield from _scan(handle, "", 0, looked_into)


def _scan(
    folder: int, above: str, depth: int, looked_into: Callable[[int], None]
) -> Iterator[tuple[str, Signature | None]]:
    below = []
    looked_into(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                below.append(entry.name)
            else:
                yield from _look_at(entry, above + entry.name)
    for name in sorted(below):  # whoever comes first by name has the first turn, on every file system
        yield from _scan_below(folder, name, above, depth + 1, looked_into)


def _scan_below(
    folder: int, name: str, above: str, depth: int, looked_into: Callable[[int], None]
) -> Iterator[tuple[str, Signature | None]]:
    path = f"{above}{name}/"
    try:
        if depth > DEEPEST:
            raise OSError(f"it lies below more than {DEEPEST} folders")
        handle = subfolder(folder, name)
        try:
            yield from _scan(handle, path, depth, looked_into)
        finally:
            os.close(handle)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield path, None
        yield path[:-1], None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _look_at(entry: os.DirEntry[str], name: str) -> Iterator[tuple[str, Signature | None]]:
    try:
        if entry.is_file(follow_symlinks=False):
            yield name, Signature.of(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return
    except OSError:
        yield name, None
