"""The child that reads headers for the daemon: a path in, facts out.

`python -m scanside_appliance.inbox.probe_process`.

Each file is read to its end once: hashed, parsed, and held against its own lengths as in the analysis, so that a file
that breaks off is known as such. Names and birth dates of patients do not leave this process.
"""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from scanside_runtime.dicom.completeness import object_damage
from scanside_runtime.dicom.errors import InputTooLarge
from scanside_runtime.dicom.files import MIB, SourceFile, open_regular
from scanside_runtime.dicom.headers import (
    BAD_DICOM,
    CT_IMAGE,
    MEDIA_DIRECTORY,
    FileState,
    SliceHeader,
    is_dicom,
    lenient,
    read_dataset,
    slice_header,
)
from scanside_runtime.process.child_side import Answers, end_with_the_daemon, limit_memory, questions
from scanside_runtime.settings import ReadingSettings

MEMORY_LIMIT_MB = 2048
LARGEST_FILE_BYTES = ReadingSettings().max_file_mb * MIB
UNREADABLE = (*BAD_DICOM, InputTooLarge)


def main() -> None:
    """Answer until the daemon closes the pipe."""
    answers = Answers()
    end_with_the_daemon()
    limit_memory(MEMORY_LIMIT_MB)
    for question in questions():
        try:
            answers.send(**facts_of(Path(question["path"])))
        except OSError as error:
            answers.send(kind="out_of_reach", why=error.strerror or "it can't be read")


def facts_of(path: Path) -> dict[str, Any]:
    """What the daemon must know of a file. Raises OSError where it can't be read."""
    with open_regular(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        data = file.read(LARGEST_FILE_BYTES + 1)
        seen = os.fstat(file.fileno())
    known = {"sha256": sha256, "size": seen.st_size, "mtime_ns": seen.st_mtime_ns}
    if len(data) != seen.st_size:
        return {"kind": "broken", **known}
    return {**_kind(data, path, FileState(sha256)), **known}


def _kind(data: bytes, path: Path, state: FileState) -> dict[str, Any]:
    if data[:4] == b"PK\x03\x04":
        return {"kind": "zip"}
    if not data:
        return {"kind": "broken"}
    if not is_dicom(BytesIO(data)):
        return {"kind": "other"}
    try:
        with lenient():
            ds = read_dataset(BytesIO(data), pixels=True)
            header = slice_header(ds, SourceFile(path), state)
            complete = object_damage(ds) is None
            if _is_directory(ds):
                return {"kind": "other"}
    except UNREADABLE:
        return _kind_of_head(data, path, state)
    return _image(header, complete, data)


def _kind_of_head(data: bytes, path: Path, state: FileState) -> dict[str, Any]:
    """The file can't be parsed to its end; perhaps its header can."""
    try:
        with lenient():
            header = slice_header(read_dataset(BytesIO(data), pixels=False), SourceFile(path), state)
            return _image(header, False, data)
    except UNREADABLE:
        return {"kind": "broken"}


def _is_directory(ds: Dataset) -> bool:
    return bool(ds.file_meta.get("MediaStorageSOPClassUID") == MEDIA_DIRECTORY)


def _image(header: SliceHeader, complete: bool, data: bytes) -> dict[str, Any]:
    if not header.study_uid:
        return {"kind": "broken" if data[128:132] == b"DICM" else "other"}
    stack, along_mm = _place(header)
    return {
        "kind": "image",
        "whole": complete,
        "study_uid": header.study_uid,
        "sop_uid": header.sop_instance_uid,
        "patient_id": header.patient.patient_id,
        "issuer": header.patient.issuer,
        "stack": stack,
        "along_mm": along_mm,
    }


def _place(header: SliceHeader) -> tuple[str, float | None]:
    """Which stack a slice belongs to, and where along its normal it lies (DICOM PS3.3 C.7.6.2.1.1)."""
    row_and_column, position = header.image_orientation_patient, header.image_position_patient
    is_slice = header.sop_class_uid == CT_IMAGE and "LOCALIZER" not in header.image_type
    if not is_slice or row_and_column is None or position is None:
        return "", None
    (a, b, c), (d, e, f) = row_and_column[:3], row_and_column[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    along_mm = sum(p * n for p, n in zip(position, normal, strict=True))
    stack = f"{header.series_uid} {[round(cosine, 2) for cosine in row_and_column]}"
    return hashlib.sha256(stack.encode()).hexdigest()[:16], along_mm


if __name__ == "__main__":
    main()
