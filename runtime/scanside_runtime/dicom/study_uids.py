"""The studies that a file or an archive belongs to, by its headers: all that a list of many needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.dicom.archives.tars import BLOCK, GZIP, is_tar
from scanside_runtime.dicom.errors import InputTooLarge, InputUnreadable
from scanside_runtime.dicom.files import ZIP, SourceFile, SourceReader, list_files
from scanside_runtime.dicom.headers import is_dicom, lenient, read_dataset
from scanside_runtime.dicom.values.elements import BAD_DICOM, text
from scanside_runtime.errors import Refused
from scanside_runtime.settings.reading import ReadingSettings

ARCHIVES = (ZIP, GZIP, b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")
"""How archives begin, those that are not read among them."""
At = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StudyUids:
    """What a file says of its studies.

    study_uids: each once; "" stands for DICOM that names no study or can't be read. Empty where there is no DICOM.
    archive: they are those of an archive's members, or it can't be listed. passed_over: members that nobody looks into:
    links, hidden ones, archives in the archive.
    """

    study_uids: tuple[str, ...]
    archive: bool = False
    passed_over: tuple[str, ...] = ()


def studies_of(paths: Sequence[Path], limits: ReadingSettings, at: At | None = None) -> Iterator[StudyUids]:
    """For each path, a file, whose it is; no file is read beyond its header.

    In this process; for files that nobody vouches for: `reader.StudyReader`. `at` is called with the name of each
    file and member before it is read.
    """
    with SourceReader() as reader, lenient():
        for path in paths:
            yield _studies_of(path, reader, limits, at or _nobody)


def _nobody(name: str) -> None:
    """Nobody wants to know."""


def _studies_of(path: Path, reader: SourceReader, limits: ReadingSettings, at: At) -> StudyUids:
    at(path.name)
    try:
        listing = list_files(path, limits)
    except Refused:  # a damaged archive: its analysis says what is wrong with it
        return StudyUids(("",), archive=True)
    said = [(file, _study_uid(file, reader, limits, at)) for file in listing.files]
    uids = dict.fromkeys(uid for _, uid in said if uid is not None)
    nested = [file.member for file, uid in said if uid is None and file.member and _is_archive(file, reader)]
    return StudyUids(tuple(uids), listing.archive, (*listing.passed_over, *nested))


def _is_archive(file: SourceFile, reader: SourceReader) -> bool:
    """An archive of whatever kind, in an archive; or what can't be read at all."""
    try:
        start = reader.start(file, BLOCK)
    except (OSError, InputUnreadable):
        return True
    return is_tar(start) or start.startswith(ARCHIVES)


def _study_uid(file: SourceFile, reader: SourceReader, limits: ReadingSettings, at: At) -> str | None:
    """The study's UID, "" where DICOM does not say it, None for what is no DICOM and does not claim to be."""
    if file.name.upper().endswith("DICOMDIR"):
        return None
    at(file.name)
    try:
        with reader.open(file, limits) as stream:
            if not is_dicom(stream):
                return "" if file.name.lower().endswith(".dcm") else None
            ds = read_dataset(stream, pixels=False, max_inflated_mb=limits.max_inflated_mb)
            return text(ds, "StudyInstanceUID") or ""
    except (*BAD_DICOM, OSError, InputUnreadable, InputTooLarge):
        return ""
