"""Which studies lie in some folders, however their files are spread. Headers only: the study UID of every file.

A study may lie in one folder, in several, in a zip, or among the files of other studies. It is found once: where it
lies loose and in a zip as well, the loose files count.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from scanside_runtime.errors import InputEmpty, InputNotFound, InputTooLarge, InputUnreadable, Refused
from scanside_runtime.headers import BAD_DICOM, is_dicom, lenient, read_dataset, text
from scanside_runtime.sources import Reader, SourceFile, list_files

Noticed = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Study:
    """One study to be analysed.

    uid: StudyInstanceUID; None where no header says it, then the folder or zip stands for itself.
    path: the folder or zip that holds it. files: where the folder holds other studies too, or the study lies in several
    folders, the files that belong to it; else empty.
    digest: SHA-256 (hex) of names and sizes of its files, by which a changed study is known.
    """

    uid: str | None
    path: Path
    files: tuple[Path, ...]
    digest: str

    @property
    def name(self) -> str:
        """What stands for the study in a table: its UID, or its place."""
        return self.uid or str(self.path)


@dataclass(slots=True)
class _Seen:
    """What the walk has met so far."""

    loose: dict[str, list[Path]] = field(default_factory=dict)
    by_folder: dict[Path, set[str]] = field(default_factory=dict)
    nameless: dict[Path, list[Path]] = field(default_factory=dict)
    zipped: dict[str | None, list[Path]] = field(default_factory=dict)


def find_studies(folders: Iterable[Path], noticed: Noticed | None = None) -> list[Study]:
    """Every study below the folders (or in the zips, or of the single files), sorted by name.

    `noticed` is called with the number of files looked at so far. Raises InputNotFound for a path that is not there and
    InputEmpty where no path holds any DICOM file.
    """
    seen, looked_at = _Seen(), 0
    with Reader() as reader, lenient():
        for path in dict.fromkeys(_files(folders)):
            _look(path, reader, seen)
            looked_at += 1
            if noticed is not None:
                noticed(looked_at)
    studies = sorted((*_loose(seen), *_nameless(seen), *_zipped(seen)), key=lambda study: study.name)
    if not studies:
        raise InputEmpty(files=looked_at)
    return studies


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    """Regular files at any depth; links and hidden files are passed over, as when one study is read."""
    for top in folders:
        if not top.exists():
            raise InputNotFound(name=top)
        if top.is_file():
            yield top.absolute()
            continue
        for folder, below, names in os.walk(top.absolute(), followlinks=False):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if not name.startswith(".") and path.is_file() and not path.is_symlink():
                    yield path


def _look(path: Path, reader: Reader, seen: _Seen) -> None:
    """Note whose file this is. A file that is no DICOM and does not claim to be is passed over."""
    try:
        listed = list_files(path).files
    except Refused:  # a damaged zip: its analysis will say what is wrong with it
        seen.zipped.setdefault(None, []).append(path)
        return
    if any(file.member for file in listed):
        for uid in dict.fromkeys(_uid(reader, file) for file in listed):
            if uid is not None:
                seen.zipped.setdefault(uid or None, []).append(path)
        return
    for uid in map(lambda file: _uid(reader, file), listed):
        if uid:
            seen.loose.setdefault(uid, []).append(path)
            seen.by_folder.setdefault(path.parent, set()).add(uid)
        elif uid is not None:
            seen.nameless.setdefault(path.parent, []).append(path)


def _uid(reader: Reader, file: SourceFile) -> str | None:
    """The study's UID; "" for DICOM that does not say it or can't be read, None for what is no DICOM."""
    try:
        if file.name.upper().endswith("DICOMDIR"):
            return None
        with reader.open(file) as stream:
            if not is_dicom(stream):
                return "" if file.name.lower().endswith(".dcm") else None
            return text(read_dataset(stream, pixels=False), "StudyInstanceUID") or ""
    except (*BAD_DICOM, OSError, InputUnreadable, InputTooLarge):
        return ""


def _loose(seen: _Seen) -> Iterator[Study]:
    for uid, files in seen.loose.items():
        folders = {file.parent for file in files}
        alone = len(folders) == 1 and len(seen.by_folder[files[0].parent]) == 1 and not _has_studies_below(files, seen)
        path = files[0].parent if len(folders) == 1 else Path(os.path.commonpath(folders))
        yield Study(uid, path, () if alone else tuple(files), _digest(uid, files))


def _has_studies_below(files: list[Path], seen: _Seen) -> bool:
    """A folder is read at any depth: sub-folders with studies would be read with it."""
    folder = files[0].parent
    return any(folder in other.parents for other in seen.by_folder)


def _nameless(seen: _Seen) -> Iterator[Study]:
    """Files that can't be told whose they are: with a study's own files they are its analysis' affair."""
    for folder, files in seen.nameless.items():
        if folder not in seen.by_folder:
            yield Study(None, folder, tuple(files), _digest(str(folder), files))


def _zipped(seen: _Seen) -> Iterator[Study]:
    for uid, archives in seen.zipped.items():
        if uid is None:
            yield from (Study(None, path, (), _digest(str(path), [path])) for path in dict.fromkeys(archives))
        elif uid not in seen.loose:
            yield Study(uid, archives[0], (), _digest(uid, archives[:1]))


def _digest(name: str, files: list[Path]) -> str:
    parts = sorted(f"{file.name} {_size(file)}" for file in files)
    return hashlib.sha256("\n".join([name, *parts]).encode("utf-8", "surrogateescape")).hexdigest()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
