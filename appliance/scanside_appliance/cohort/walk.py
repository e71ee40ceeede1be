"""Every file below some folders, and what of them is not opened: nothing falls away in silence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from scanside_runtime.dicom.errors import InputNotFound

Passed = Callable[[Path, str], None]
LINK = "a symbolic link"
HIDDEN = "hidden"
NO_FILE = "neither a file nor a folder"
CLOSED = "the folder can't be read"


def files_below(folders: Iterable[Path], passed: Passed) -> Iterator[Path]:
    """Regular files at any depth; links and hidden files are passed over, as when one study is read.

    passed: told each path that is not opened, and why. Raises InputNotFound.
    """
    for top in folders:
        if not top.exists():
            raise InputNotFound(name=top)
        if top.is_file():
            yield top.absolute()
            continue

        def closed(error: OSError) -> None:
            passed(Path(os.fsdecode(error.filename)), CLOSED)

        for folder, below, names in os.walk(top.absolute(), followlinks=False, onerror=closed):
            below[:] = _to_look_into(Path(folder), sorted(below), passed)
            for path in (Path(folder, name) for name in sorted(names)):
                if (why := _why_not(path)) is None:
                    yield path
                else:
                    passed(path, why)


def _to_look_into(folder: Path, names: list[str], passed: Passed) -> list[str]:
    """The sub-folders that are walked: none that is hidden or a link."""
    kept = []
    for name in names:
        path = folder / name
        why = HIDDEN if name.startswith(".") else LINK if path.is_symlink() else None
        if why is None:
            kept.append(name)
        else:
            passed(path, why)
    return kept


def _why_not(path: Path) -> str | None:
    """Why a file is not opened; None for one that is."""
    if path.name.startswith("."):
        return HIDDEN
    if path.is_symlink():
        return LINK
    return None if path.is_file() else NO_FILE
