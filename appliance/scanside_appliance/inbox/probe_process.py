"""The child that reads headers for the daemon: a name below the inbox in, facts out.

`python -m scanside_appliance.inbox.probe_process`.

Each file is read to its end, once: hashed, parsed, and held against its own lengths as in the analysis, so that a file
that breaks off is known as such. One that is larger than is read is not opened further than to see that. Names and
birth dates of patients do not leave this process.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset

from scanside_appliance.dicom_out.own import is_own
from scanside_appliance.files.beneath import opened_below
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.data_set import data_set_sum
from scanside_appliance.inbox.facts import SIGN_EVERY_S, WHOLE_MB, Facts, Probe, StillReading, stack_name
from scanside_runtime.dicom.archives.tars import BLOCK, GZIP, is_tar
from scanside_runtime.dicom.completeness import object_damage
from scanside_runtime.dicom.errors import InputTooLarge
from scanside_runtime.dicom.files import HEAD_BYTES, MIB, ZIP, SourceFile
from scanside_runtime.dicom.headers import (
    CT_IMAGE,
    MEDIA_DIRECTORY,
    SliceHeader,
    import_encodings,
    is_dicom,
    lenient,
    read_dataset,
    slice_header,
)
from scanside_runtime.dicom.values.elements import BAD_DICOM
from scanside_runtime.process.cell import lock_in
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.typed import typed
from scanside_runtime.settings.reading import ReadingSettings

BLOCK_BYTES = 2**18
"""A slow share gives so much within a second or two."""
UNREADABLE = (*BAD_DICOM, InputTooLarge, MemoryError)
_UNDEFINED_LENGTH = b"\xff\xff\xff\xff"
_END_OF_ITEMS = b"\xfe\xff\xdd\xe0\0\0\0\0"


def main() -> None:
    """Answer until the daemon closes the pipe, from the inbox of the first question alone: it is locked in there."""
    import_encodings()
    channel = Channel.open()
    reading = typed(ReadingSettings, json.loads(sys.argv[1]))
    inbox: Path | None = None
    for question in channel.questions((Probe,)):
        try:
            if inbox is None:
                lock_in([question.inbox])
                inbox = question.inbox
            channel.send(facts_of(question.inbox, question.name, reading, SignsOfLife(channel.send).heard))
        except OSError as error:
            channel.send(Facts("out_of_reach", why=error.strerror or "it can't be read"))


class SignsOfLife:
    """Says now and then how much of a file has come. now: a clock, in seconds."""

    def __init__(self, say: Callable[[StillReading], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say, self._now = say, now
        self._read, self._said = 0, now()

    def heard(self, size: int) -> None:
        """So many more bytes have come."""
        self._read += size
        if self._now() - self._said >= SIGN_EVERY_S:
            self._said = self._now()
            self._say(StillReading(self._read))


def facts_of(inbox: Path, name: str, reading: ReadingSettings, heard: Callable[[int], None] = lambda _: None) -> Facts:
    """What the daemon must know of a file below the inbox. heard: called with the size of each block. Raises OSError.

    The sum is the first of two: it names these bytes, and the copy that is taken later must have the same. A file of up
    to `WHOLE_MB` is parsed from the very bytes that were summed; of a larger one no more than the header is held.
    """
    with opened_below(inbox, name) as handle, os.fdopen(os.dup(handle), "rb") as file:
        seen = Signature.of(os.fstat(handle))
        size_mb = seen.size / MIB
        if size_mb > reading.max_file_mb:
            why = f"it has {size_mb:.0f} MB, at most {reading.max_file_mb} are read"
            return Facts("too_large", size=seen.size, mtime_ns=seen.mtime_ns, why=why)
        if size_mb > WHOLE_MB:
            facts, sha256 = _parsed_large(file, seen.size, name, reading), _sum(file, seen.size, heard)
        else:
            data = b"".join(_blocks(file, seen.size, heard))
            facts, sha256 = _parsed(data, name, reading), hashlib.sha256(data).hexdigest()
    return replace(facts, sha256=sha256, size=seen.size, mtime_ns=seen.mtime_ns)


def _sum(file: BinaryIO, size: int, heard: Callable[[int], None]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    for block in _blocks(file, size, heard):
        digest.update(block)
    return digest.hexdigest()


def _blocks(file: BinaryIO, size: int, heard: Callable[[int], None]) -> Iterator[bytes]:
    """Of so many bytes at most: a file may grow while it is read."""
    while size > 0 and (block := file.read(min(BLOCK_BYTES, size))):
        size -= len(block)
        heard(len(block))
        yield block


def _kind_of(start: bytes) -> Facts | None:
    """What needs no parsing, by its first bytes."""
    if start.startswith((ZIP, GZIP)) or is_tar(start[:BLOCK]):
        return Facts("zip")
    if not start:
        return Facts("broken")
    return None if is_dicom(BytesIO(start)) else Facts("other")


def _parsed(data: bytes, name: str, reading: ReadingSettings) -> Facts:
    if (other := _kind_of(data[:BLOCK])) is not None:
        return other
    try:
        with lenient():
            ds = read_dataset(BytesIO(data), pixels=True, max_inflated_mb=reading.max_inflated_mb)
            header = slice_header(ds, SourceFile(Path(name)))
            complete = object_damage(ds) is None
            if _is_directory(ds):
                return Facts("other")
    except UNREADABLE:
        return _parsed_head(BytesIO(data), name, reading)
    facts = _image(header, complete, data[:HEAD_BYTES])
    if facts.kind != "image" or not complete:
        return facts
    return replace(facts, data_sha256=data_set_sum(data, str(ds.file_meta.get("TransferSyntaxUID", ""))))


def _parsed_head(stream: BinaryIO, name: str, reading: ReadingSettings) -> Facts:
    """By the header alone: the file can't be parsed to its end, or is too large to be held."""
    try:
        start = stream.read(HEAD_BYTES)
        stream.seek(0)
        with lenient():
            ds = read_dataset(stream, pixels=False, max_inflated_mb=reading.max_inflated_mb)
            return _image(slice_header(ds, SourceFile(Path(name))), False, start)
    except UNREADABLE:
        return Facts("broken")


def _parsed_large(file: BinaryIO, size: int, name: str, reading: ReadingSettings) -> Facts:
    """No slice is as large: whether its pixels are all there goes by their stated length, or by their end mark."""
    start = file.read(BLOCK)
    file.seek(0)
    if (other := _kind_of(start)) is not None:
        return other
    facts = _parsed_head(file, name, reading)
    return replace(facts, whole=True) if facts.kind == "image" and _has_its_pixels(file, size) else facts


def _has_its_pixels(file: BinaryIO, size: int) -> bool:
    """The stream stands at the element (PS3.5 7.1): what it says of its length must fit into the file."""
    at, head = file.tell(), file.read(12)
    starts, stated = (12, head[8:12]) if head[4:6] in (b"OB", b"OW") else (8, head[4:8])
    if stated != _UNDEFINED_LENGTH:
        return at + starts + int.from_bytes(stated, "little") <= size
    file.seek(max(size - len(_END_OF_ITEMS), 0))
    return file.read() == _END_OF_ITEMS


def _is_directory(ds: Dataset) -> bool:
    return bool(ds.file_meta.get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY)


def _image(header: SliceHeader, complete: bool, start: bytes) -> Facts:
    if not header.study_uid:
        return Facts("broken" if start[128:] == b"DICM" else "other")
    if is_own(header.sop_class_uid, header.manufacturer):
        return Facts("own")
    stack, along_mm = _place(header)
    return Facts(
        "image",
        whole=complete,
        study_uid=header.study_uid,
        sop_uid=header.sop_instance_uid,
        patient_id=header.patient.patient_id,
        issuer=header.patient.issuer,
        stack=stack,
        along_mm=along_mm,
    )


def _place(header: SliceHeader) -> tuple[str, float | None]:
    """Which stack a slice belongs to, and where along its normal it lies (DICOM PS3.3 C.7.6.2.1.1)."""
    row_and_column, position = header.image_orientation_patient, header.image_position_patient
    is_slice = header.sop_class_uid == CT_IMAGE and "LOCALIZER" not in header.image_type
    if not is_slice or row_and_column is None or position is None:
        return "", None
    (a, b, c), (d, e, f) = row_and_column[:3], row_and_column[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    along_mm = sum(p * n for p, n in zip(position, normal, strict=True))
    series = hashlib.sha256(header.series_uid.encode()).hexdigest()[:16]
    return stack_name(series, row_and_column), along_mm


if __name__ == "__main__":
    main()
