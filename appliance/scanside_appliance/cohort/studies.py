"""Which studies lie in some folders, however their files are spread. Headers only: the study UID of every file.

A study may lie in one folder, in several, in an archive (zip, tar), or among the files of other studies. It is found
once: where it lies loose and in an archive as well, the loose files count. What is passed over is named: links, hidden
files, folders that can't be read, what is no DICOM, archives in archives, a study's second archive. Here only names and
sizes are looked at; headers are parsed by the reader's own process. A file that ends it does not say whose it is, and a
fresh reader goes on behind it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from scanside_appliance.cohort.walk import Passed, files_below
from scanside_runtime.dicom.errors import BoxReader, InputEmpty
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.study_uids import StudyUids
from scanside_runtime.errors import Refused
from scanside_runtime.settings.reading import ReadingSettings

Noticed = Callable[[int], None]
NO_DICOM = "no DICOM"
IN_ARCHIVE = "in an archive: a link, hidden, or an archive itself"
SECOND = "its study was read from the loose files or the archive that came first"
FILES_A_READER = 5000
"""After so many files the reader is replaced by a fresh one: it may use only so much processor time in its life."""


@dataclass(frozen=True, slots=True)
class CohortStudy:
    """One study to be analysed.

    uid: StudyInstanceUID; None where no header says it, then the folder or archive stands for itself.
    path: the folder or archive that holds it. files: where the folder holds other studies too, or the study lies in
    several folders, the files that belong to it; else empty.
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
    archived: dict[str | None, list[Path]] = field(default_factory=dict)


def find_studies(
    folders: Iterable[Path],
    *,
    limits: ReadingSettings,
    noticed: Noticed | None = None,
    passed_over: Passed | None = None,
) -> list[CohortStudy]:
    """Every study below the folders (or in the archives, or of the single files), sorted by name.

    `noticed` is called with the number of files looked at so far, `passed_over` with each path that nothing is measured
    of, and why. Raises InputNotFound for a path that is not there,
    InputEmpty where no path holds any DICOM file, and BoxReader where no reader can be started.
    """
    passed = passed_over or _nobody
    seen, looked_at = _Seen(), 0
    for path, found in _answers(dict.fromkeys(files_below(folders, passed)), limits):
        _note(path, found, seen, passed)
        looked_at += 1
        if noticed is not None:
            noticed(looked_at)
    below = _below(seen)
    studies = [*_loose(seen, below), *_nameless(seen, below), *_archived(seen, passed)]
    if not studies:
        raise InputEmpty(files=looked_at)
    return sorted(studies, key=lambda study: study.name)


def _nobody(path: Path, why: str) -> None:
    """Nobody wants to know."""


def _answers(paths: Iterable[Path], limits: ReadingSettings) -> Iterator[tuple[Path, StudyUids]]:
    """Every file with what it says, a reader after the other."""
    waiting = iter(paths)
    while batch := list(islice(waiting, FILES_A_READER)):
        while batch:
            answered = 0
            for path, found in zip(batch, _of_one_reader(batch, limits), strict=False):
                yield path, found or _unknown(path)
                answered += 1
            batch = batch[answered:]


def _of_one_reader(batch: list[Path], limits: ReadingSettings) -> Iterator[StudyUids | None]:
    """As many answers as the reader lives for; None for the file that it dies of.

    The analysis of that file meets the same and says it in the table. A reader that can do nothing at all is another
    matter: it fails at the question without files.
    """
    with StudyReader(limits) as reader:
        list(reader.studies_of([]))
        try:
            yield from reader.studies_of(batch)
        except (Refused, BoxReader):
            yield None


def _unknown(path: Path) -> StudyUids:
    """A file that nobody could look into: whether it is an archive, only its name says."""
    return StudyUids(("",), archive=path.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")))


def _note(path: Path, found: StudyUids, seen: _Seen, passed: Passed) -> None:
    """Note whose file this is. A file that is no DICOM and does not claim to be is passed over."""
    if not found.study_uids:
        passed(path, NO_DICOM)
    for member in found.passed_over:
        passed(path / member, IN_ARCHIVE)
    for uid in found.study_uids:
        if found.archive:
            seen.archived.setdefault(uid or None, []).append(path)
        elif uid:
            seen.loose.setdefault(uid, []).append(path)
            seen.by_folder.setdefault(path.parent, set()).add(uid)
        else:
            seen.nameless.setdefault(path.parent, []).append(path)


@dataclass(frozen=True, slots=True)
class _Below:
    """What is read with a folder, at any depth: whether studies lie below it, and its files of no known study."""

    studies: frozenset[Path]
    nameless: dict[Path, list[Path]]


def _below(seen: _Seen) -> _Below:
    nameless: dict[Path, list[Path]] = {}
    for folder, files in seen.nameless.items():
        for place in (folder, *folder.parents):
            nameless.setdefault(place, []).extend(files)
    return _Below(frozenset(parent for folder in seen.by_folder for parent in folder.parents), nameless)


def _loose(seen: _Seen, below: _Below) -> Iterator[CohortStudy]:
    for uid, files in seen.loose.items():
        path = Path(os.path.commonpath({file.parent for file in files}))
        if _is_alone(files, seen, below):
            yield CohortStudy(uid, path, (), _digest(uid, [*files, *below.nameless.get(path, ())]))
        else:
            yield CohortStudy(uid, path, tuple(files), _digest(uid, files))


def _is_alone(files: list[Path], seen: _Seen, below: _Below) -> bool:
    """The study has one folder for itself, which is read as a whole: sub-folders with studies would be read with it."""
    folder = files[0].parent
    in_one = all(file.parent == folder for file in files)
    return in_one and len(seen.by_folder[folder]) == 1 and folder not in below.studies


def _nameless(seen: _Seen, below: _Below) -> Iterator[CohortStudy]:
    """Files that can't be told whose they are.

    A folder of nothing else stands for itself. Where a study has the folder alone, its analysis reads them too. Among
    the files of several studies each stands for itself, since none of those will read it.
    """
    for folder, files in seen.nameless.items():
        if folder not in seen.by_folder:
            yield CohortStudy(None, folder, tuple(files), _digest(str(folder), files))
        elif not any(_is_alone(seen.loose[uid], seen, below) for uid in seen.by_folder[folder]):
            yield from (CohortStudy(None, file, (), _digest(str(file), [file])) for file in files)


def _archived(seen: _Seen, passed: Passed) -> Iterator[CohortStudy]:
    for uid, archives in seen.archived.items():
        if uid is None:
            yield from (CohortStudy(None, path, (), _digest(str(path), [path])) for path in dict.fromkeys(archives))
            continue
        if uid not in seen.loose:
            yield CohortStudy(uid, archives[0], (), _digest(uid, archives[:1]))
        for path in archives if uid in seen.loose else archives[1:]:
            passed(path, SECOND)


def _digest(name: str, files: list[Path]) -> str:
    parts = sorted(f"{file.name} {_size(file)}" for file in files)
    return hashlib.sha256("\n".join([name, *parts]).encode("utf-8", "surrogateescape")).hexdigest()


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
