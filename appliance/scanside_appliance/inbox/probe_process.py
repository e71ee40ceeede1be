"""The child that reads headers for the daemon: a path in, facts out.

`python -m scanside_appliance.inbox.probe_process`.

Each file is read to its end, once: hashed, parsed, and held against its own lengths as in the analysis, so that a file
that breaks off is known as such. Names and birth dates of patients do not leave this process.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset

from scanside_appliance.dicom_out.own import is_own
from scanside_appliance.inbox.facts import Facts, Probe, stack_name
from scanside_runtime.dicom.archives.tars import BLOCK, GZIP, is_tar
from scanside_runtime.dicom.completeness import object_damage
from scanside_runtime.dicom.errors import InputTooLarge
from scanside_runtime.dicom.files import MIB, ZIP, SourceFile, open_regular
from scanside_runtime.dicom.headers import (
    BAD_DICOM,
    CT_IMAGE,
    MEDIA_DIRECTORY,
    SliceHeader,
    is_dicom,
    lenient,
    read_dataset,
    slice_header,
)
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.typed import typed
from scanside_runtime.settings.tables import ReadingSettings

UNREADABLE = (*BAD_DICOM, InputTooLarge)


def main() -> None:
    """Answer until the daemon closes the pipe."""
    channel = Channel.open()
    reading = typed(ReadingSettings, json.loads(sys.argv[1]))
    for question in channel.questions((Probe,)):
        try:
            channel.send(facts_of(question.path, reading))
        except OSError as error:
            channel.send(Facts("out_of_reach", why=error.strerror or "it can't be read"))


def facts_of(path: Path, reading: ReadingSettings) -> Facts:
    """What the daemon must know of a file; one that is larger than is read is broken. Raises OSError.

    The sum is taken of the very bytes that are parsed: from here on the book knows the file by it.
    """
    with open_regular(path) as file:
        data = file.read(reading.max_file_mb * MIB + 1)
        digest = hashlib.sha256(data)
        while more := file.read(MIB):
            digest.update(more)
        seen = os.fstat(file.fileno())
    is_read = len(data) == seen.st_size
    facts = _parsed(data, path, reading) if is_read else Facts("broken")
    return replace(facts, sha256=digest.hexdigest(), size=seen.st_size, mtime_ns=seen.st_mtime_ns)


def _parsed(data: bytes, path: Path, reading: ReadingSettings) -> Facts:
    if data.startswith((ZIP, GZIP)) or is_tar(data[:BLOCK]):
        return Facts("zip")
    if not data:
        return Facts("broken")
    if not is_dicom(BytesIO(data)):
        return Facts("other")
    try:
        with lenient():
            ds = read_dataset(BytesIO(data), pixels=True, max_inflated_mb=reading.max_inflated_mb)
            header = slice_header(ds, SourceFile(path))
            complete = object_damage(ds) is None
            if _is_directory(ds):
                return Facts("other")
    except UNREADABLE:
        return _parsed_head(data, path, reading)
    return _image(header, complete, data)


def _parsed_head(data: bytes, path: Path, reading: ReadingSettings) -> Facts:
    """The file can't be parsed to its end; perhaps its header can."""
    try:
        with lenient():
            ds = read_dataset(BytesIO(data), pixels=False, max_inflated_mb=reading.max_inflated_mb)
            return _image(slice_header(ds, SourceFile(path)), False, data)
    except UNREADABLE:
        return Facts("broken")


def _is_directory(ds: Dataset) -> bool:
    return bool(ds.file_meta.get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY)


def _image(header: SliceHeader, complete: bool, data: bytes) -> Facts:
    if not header.study_uid:
        return Facts("broken" if data[128:132] == b"DICM" else "other")
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
