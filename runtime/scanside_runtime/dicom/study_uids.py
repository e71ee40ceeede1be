"""The studies that a file or a zip belongs to, by its headers: all that a list of many needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.dicom.errors import InputTooLarge, InputUnreadable
from scanside_runtime.dicom.files import SourceFile, SourceReader, list_files
from scanside_runtime.dicom.headers import BAD_DICOM, is_dicom, lenient, read_dataset, text
from scanside_runtime.errors import Refused
from scanside_runtime.settings.tables import ReadingSettings

At = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StudyUids:
    """What a file says of its studies.

    study_uids: each once; "" stands for DICOM that names no study or can't be read. Empty where there is no DICOM.
    archive: they are those of a zip's members, or the zip can't be listed.
    """

    study_uids: tuple[str, ...]
    archive: bool = False


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
        files = list_files(path, limits).files
    except Refused:  # a damaged zip: its analysis says what is wrong with it
        return StudyUids(("",), archive=True)
    uids = [uid for file in files if (uid := _study_uid(file, reader, limits, at)) is not None]
    return StudyUids(tuple(dict.fromkeys(uids)), archive=any(file.member for file in files))


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
