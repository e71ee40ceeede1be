"""What lies at a path: every file is read once, hashed, and its header typed; no pixel is decoded yet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from scanside_runtime.dicom.codings.deflated import Plain, plain
from scanside_runtime.dicom.codings.words import stored_words
from scanside_runtime.dicom.completeness import pixel_damage
from scanside_runtime.dicom.errors import InputEmpty, InputTooLarge, InputUnreadable
from scanside_runtime.dicom.files import MIB, SourceFile, SourceReader, list_files
from scanside_runtime.dicom.geometry import SAME_POSITION_MM
from scanside_runtime.dicom.headers import (
    CT_IMAGE,
    MEDIA_DIRECTORY,
    FileState,
    SliceHeader,
    is_dicom,
    lenient,
    parsed,
    slice_header,
)
from scanside_runtime.dicom.mending import mended_notes, pixel_elements, unended_value
from scanside_runtime.dicom.splitting import alike
from scanside_runtime.dicom.values.byte_order import byte_order_fault
from scanside_runtime.dicom.values.elements import BAD_DICOM, text
from scanside_runtime.settings.reading import ReadingSettings

PIXEL_DATA = 0x7FE00010
_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is not used, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that lies at a path.

    headers: every DICOM object, in the order of the files' names.
    unreadable: files that are or claim to be DICOM and can't be read; a choice refuses because of them.
    not_dicom: how many files are something else; passed over.
    """

    headers: tuple[SliceHeader, ...]
    unreadable: tuple[PassedOver, ...]
    not_dicom: int


def _nobody(*_: object) -> None:
    """Nobody wants to know."""


def find_series(
    path: Path,
    limits: ReadingSettings,
    at: Callable[[str], None] = _nobody,
    keep: Callable[[str, bytes], None] = _nobody,
) -> Found:
    """The headers of all DICOM objects at a path: a folder at any depth, one file, or an archive.

    In this process; for files that nobody vouches for: `reader.StudyReader`. `at` is called with the name of each
    file before it is read, `keep` with the sum and the bytes of each whose pixels are plain words.
    Raises InputNotFound, InputUnreadable, InputTooLarge, and InputEmpty where there is no DICOM at all.
    """
    listing = list_files(path, limits)
    headers: list[SliceHeader] = []
    unreadable: list[PassedOver] = []
    not_dicom = listing.not_opened
    inflated = _Inflated(limits)
    with SourceReader() as reader, lenient():
        for file in listing.files:
            at(file.name)
            try:
                header = _read_header(reader, file, inflated, keep)
            except InputUnreadable as error:
                unreadable.append(PassedOver(file.name, str(error.values["why"])))
                continue
            if header is None:
                not_dicom += 1
            else:
                headers.append(header)
        headers = list(_with_pictures(reader, headers, limits, at))
    if not headers and not unreadable:
        raise InputEmpty(files=len(listing.files))
    return Found(tuple(headers), tuple(unreadable), not_dicom)


class _Inflated:
    """What the deflated files of one study unpack to, together: a few kilobytes each may stand for gigabytes."""

    def __init__(self, limits: ReadingSettings) -> None:
        self.limits, self._bytes = limits, 0

    def plain(self, data: bytes) -> Plain:
        """A file, unpacked where it is deflated. Raises InputTooLarge."""
        file = plain(BytesIO(data), self.limits.max_inflated_mb)
        self._bytes += file.inflated_bytes
        if self._bytes > self.limits.max_archive_mb * MIB:
            raise InputTooLarge(what=f"its deflated files unpack to more than {self.limits.max_archive_mb} MB")
        return file


def _with_pictures(
    reader: SourceReader, headers: list[SliceHeader], limits: ReadingSettings, at: Callable[[str], None]
) -> Iterator[SliceHeader]:
    """The same with `pixels_sha256` where it decides: slices of a series that lie at one place may be copies."""
    places = _places(headers)
    slices_at = Counter(places)
    for header, place in zip(headers, places, strict=True):
        if slices_at[place] > 1:
            at(header.file.name)
            yield replace(header, pixels_sha256=_pixels_sha256(reader, header, limits))
        else:
            yield header


def _places(headers: Sequence[SliceHeader]) -> list[tuple[object, ...]]:
    """Where each slice lies, however it is written; a file that is no CT slice, or has no position, lies by itself."""
    found: list[tuple[object, ...]] = [(header.file,) for header in headers]
    by_series: dict[str, list[int]] = {}
    for index, header in enumerate(headers):
        if header.sop_class_uid == CT_IMAGE and header.image_position_patient is not None:
            by_series.setdefault(header.series_uid, []).append(index)
    for uid, indices in by_series.items():
        labels = alike([headers[index].image_position_patient for index in indices], SAME_POSITION_MM)
        for index, label in zip(indices, labels, strict=True):
            found[index] = (uid, label)
    return found


def _pixels_sha256(reader: SourceReader, header: SliceHeader, limits: ReadingSettings) -> str | None:
    """SHA-256 of Pixel Data as stored; None where it is not complete, or the file can't be read any more."""
    try:
        file = plain(BytesIO(reader.read(header.file, limits)), limits.max_inflated_mb)
        value = _pixel_value(parsed(file, pixels=False), file)
    except (*BAD_DICOM, OSError, InputUnreadable):
        return None
    return hashlib.sha256(value).hexdigest() if value else None


def _read_header(
    reader: SourceReader, file: SourceFile, inflated: _Inflated, keep: Callable[[str, bytes], None]
) -> SliceHeader | None:
    """The header, or None for what is no DICOM object. Raises InputUnreadable for what should be one."""
    if file.name.upper().endswith("DICOMDIR"):
        return None
    try:
        data = reader.read_where(file, inflated.limits, lambda start: is_dicom(BytesIO(start)))
        if data is not None:
            if fault := byte_order_fault(data):
                raise InputUnreadable(name=file.name, why=fault)
            header = _header_of(data, file, inflated)
            if header is not None and header.words is not None:
                keep(header.sha256, data)
            return header
    except OSError as error:
        raise InputUnreadable(name=file.name, why=error.strerror or "can't be read") from error
    except BAD_DICOM as error:
        raise InputUnreadable(name=file.name, why="its header is damaged") from error
    if file.name.lower().endswith(_DICOM_SUFFIXES):
        raise InputUnreadable(name=file.name, why="it is named like DICOM but is not")
    return None


def _header_of(data: bytes, file: SourceFile, inflated: _Inflated) -> SliceHeader | None:
    """The header of a file that looks like DICOM; None for a DICOMDIR and for what only looks like it."""
    plain_file = inflated.plain(data)
    ds = parsed(plain_file, pixels=False)
    if ds.file_meta.get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY:
        return None
    pixels_at = plain_file.stream.tell()
    notes = mended_notes(ds, plain_file.whole(), pixels_at)
    state = FileState(hashlib.sha256(data).hexdigest())
    if text(ds, "SOPClassUID") == CT_IMAGE:
        words = None if plain_file.inflated_bytes else stored_words(ds, data, pixels_at)
        state = replace(state, words=words, damage=None if words else _damage(ds, plain_file))
    header = slice_header(ds, file, state)
    header = replace(header, notes=(*header.notes, *notes))
    if header.sop_class_uid and header.series_uid and header.study_uid:
        return header
    if data[128:132] == b"DICM":
        raise InputUnreadable(name=file.name, why="its header is cut off or carries no UIDs")
    return None


def _damage(ds: Dataset, file: Plain) -> str | None:
    """Why the pixel data that follows the header is not complete; a header alone never shows a file cut off."""
    try:
        return pixel_damage(ds, _pixel_value(ds, file))
    except BAD_DICOM:
        return "its picture has no end"


def _pixel_value(ds: Dataset, file: Plain) -> bytes | None:
    """Pixel Data as stored, fragments and all, of a file that was read up to it; None where it ends before."""
    at = file.stream.tell()
    try:
        element = next(pixel_elements(ds, file.stream), None)
    except EOFError:
        return unended_value(file.whole(), at)
    return element.value if isinstance(element, RawDataElement) and element.tag == PIXEL_DATA else None
