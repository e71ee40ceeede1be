"""Pixels of a chosen series become HU on one grid.

The files are read once: each is hashed, decoded, rescaled and written to its place; beside the volume only one section
is held in memory at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from scanside_runtime.errors import InputNoRescale, InputTruncated, InputUnreadable
from scanside_runtime.geometry import Scalar
from scanside_runtime.headers import BAD_DICOM, SliceHeader, lenient, read_dataset, rescale, text, whole
from scanside_runtime.pixels import signed_or_unsigned, stored_values
from scanside_runtime.series import Series
from scanside_runtime.sources import Reader
from scanside_runtime.volume import HU_MAX, HU_MIN, Volume

Progress = Callable[[int, int], None]


def read_volume(series: Series, progress: Progress | None = None) -> Volume:
    """Decodes the series to HU.

    - stored values times RescaleSlope plus RescaleIntercept of their own section, rounded to the nearest integer;
    - PixelPaddingValue, or the range up to PixelPaddingRangeLimit, becomes -1024 (DICOM PS3.3 C.7.5.1.1.2);
    - clamped to [-1024, 3071];
    - (z, y, x) from feet to head, anterior to posterior, the patient's right to left, whatever the stored order.

    `progress` is called with (sections done, sections in all). The volume carries `input_sha256`.
    Raises InputTruncated, InputUnreadable, InputTransferSyntax, InputNotGreyscale, InputNoRescale.
    """
    hu = np.empty(series.grid.shape, dtype=np.int16)  # (z, y, x)
    sums: list[str] = []
    with Reader() as reader:
        for z, header in enumerate(series.slices):
            data = _file_bytes(reader, header)
            sums.append(hashlib.sha256(data).hexdigest())
            hu[z] = series.grid.layout.to_lps(_section_hu(data, header))
            if progress is not None:
                progress(z + 1, len(series.slices))
    return Volume(
        hu=hu,
        affine=series.grid.affine.copy(),
        spacing_mm=series.spacing_mm,
        slice_thickness_mm=series.slice_thickness_mm,
        input_sha256=digest_of_sums(sums),
    )


def content_digest(series: Series) -> str:
    """`input_sha256` for a series that is not decoded. Raises InputUnreadable."""
    with Reader() as reader:
        return digest_of_sums(hashlib.sha256(_file_bytes(reader, header)).hexdigest() for header in series.slices)


def digest_of_sums(sums: Iterable[str]) -> str:
    """SHA-256 of the sorted SHA-256 sums of the files, joined by newlines: independent of names and order."""
    return hashlib.sha256("\n".join(sorted(sums)).encode("ascii")).hexdigest()


def to_source_frames(series: Series, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """(z, y, x) on the volume's grid back to (n, rows, columns), a frame for each of `series.slices`, as stored there.

    Raises ValueError when the shape is not the volume's.
    """
    if array.shape != series.grid.shape:
        raise ValueError(f"array {array.shape} for a series {series.grid.shape}: make it on the native grid")
    return np.ascontiguousarray(series.grid.layout.to_source(array))


def _file_bytes(reader: Reader, header: SliceHeader) -> bytes:
    try:
        return reader.read(header.file)
    except OSError as error:
        raise InputUnreadable(name=header.file.name, why=error.strerror or "can't be read") from error


def _section_hu(data: bytes, header: SliceHeader) -> npt.NDArray[np.int16]:
    """(rows, columns) int16 HU of one file."""
    name = header.file.name
    with lenient():
        try:
            ds = read_dataset(BytesIO(data), pixels=True)
        except BAD_DICOM as error:
            raise InputTruncated(name=name, why="the file breaks off") from error
        values = stored_values(ds, name)
        _check_unchanged(ds, values, header)
        slope_and_intercept = rescale(ds)
        if slope_and_intercept is None:
            raise InputNoRescale(name=name)
        meant = signed_or_unsigned(values, ds)
        return _hu(meant, _padding(ds, values, meant), *slope_and_intercept)


def _check_unchanged(ds: Dataset, values: npt.NDArray[Any], header: SliceHeader) -> None:
    """The file is still the one whose header was checked."""
    if values.shape != (header.rows, header.columns) or (text(ds, "SOPInstanceUID") or "") != header.sop_instance_uid:
        raise InputUnreadable(name=header.file.name, why="the file changed while it was read")


def _hu(
    values: npt.NDArray[Any], padded: npt.NDArray[np.bool_] | None, slope: float, intercept: float
) -> npt.NDArray[np.int16]:
    rescaled = values * np.float64(slope) + intercept  # (rows, columns) float64
    if padded is not None:
        rescaled[padded] = HU_MIN
    return np.rint(np.clip(rescaled, HU_MIN, HU_MAX)).astype(np.int16)


def _padding(ds: Dataset, *values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Where a section is padding, (rows, columns) bool, or None when no padding is stated.

    `values`: with and without the unused bits; padding is written before or after they were cut off.
    """
    first = _padding_value(ds, "PixelPaddingValue")
    if first is None:
        return None
    last = _padding_value(ds, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    padded = np.zeros(values[0].shape, dtype=np.bool_)
    for section in values:
        padded |= (section >= low) & (section <= high)
    return padded


def _padding_value(ds: Dataset, keyword: str) -> int | None:
    """The value in the image's PixelRepresentation.

    Files state it as US or SS, and not always as the one that fits: the 16 bits are what counts.
    """
    try:
        value = ds.get(keyword)
        stated = None if value is None else int(value)
    except BAD_DICOM:
        return None
    if stated is None or not -(2**15) <= stated < 2**16:
        return stated
    unsigned = stated % 2**16
    signed = whole(ds, "PixelRepresentation") == 1
    return unsigned - 2**16 if signed and unsigned >= 2**15 else unsigned
