"""Pixels of a chosen series become HU on one grid.

Each file is read, held against the sum that was taken when its header was read, decoded, rescaled and written to its
place; beside the volume only one slice is held in memory at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from scanside_runtime.dicom.codings.pixels import signed_or_unsigned, stored_values
from scanside_runtime.dicom.completeness import check_described, damage_refusal
from scanside_runtime.dicom.errors import InputNoRescale, InputTruncated, InputUnreadable
from scanside_runtime.dicom.files import SourceReader
from scanside_runtime.dicom.geometry import Layout, Scalar
from scanside_runtime.dicom.headers import BAD_DICOM, SliceHeader, lenient, read_dataset, rescale, whole
from scanside_runtime.dicom.series import Series
from scanside_runtime.settings.tables import ReadingSettings
from scanside_runtime.volume import HU_MAX, HU_MIN, Volume

Progress = Callable[[int, int], None]


def read_volume(series: Series, limits: ReadingSettings, progress: Progress | None = None) -> Volume:
    """Decodes the series to HU, in this process. For files that nobody vouches for: `reader.StudyReader`.

    - stored values times RescaleSlope plus RescaleIntercept of their own slice, rounded to the nearest integer;
    - PixelPaddingValue, or the range up to PixelPaddingRangeLimit, becomes -1024 (DICOM PS3.3 C.7.5.1.1.2);
    - clamped to [-1024, 3071];
    - (z, y, x) from feet to head, anterior to posterior, the patient's right to left, whatever the stored order.

    `progress` is called with (slices done, slices in all). The volume carries `input_sha256`.
    Raises InputTruncated, InputUnreadable, InputTransferSyntax, InputNotGreyscale, InputNoRescale.
    """
    check_complete(series)
    hu = np.empty(series.grid.shape, dtype=np.int16)  # (z, y, x)
    for done, _ in enumerate(decode_into(hu, series.slices, series.grid.layout, limits), start=1):
        if progress is not None:
            progress(done, len(series.slices))
    return volume_of(series, hu)


def check_complete(series: Series) -> None:
    """The pixel data of every slice is as long as it must be. Raises InputTruncated, InputCodingContradicts."""
    for header in series.slices:
        if header.damage:
            raise damage_refusal(header.file.name, header.damage)


def decode_into(
    hu: npt.NDArray[np.int16], slices: Sequence[SliceHeader], layout: Layout, limits: ReadingSettings
) -> Iterator[None]:
    """Writes each slice, feet to head, to its place in `hu` (z, y, x); yields after each.

    Raises as `read_volume`; InputUnreadable where a file is not the one whose header was read.
    """
    with SourceReader() as reader:
        for z, header in enumerate(slices):
            hu[z] = layout.to_lps(_slice_hu(_same_bytes(reader, header, limits), header, limits))
            yield


def volume_of(series: Series, hu: npt.NDArray[np.int16]) -> Volume:
    """The decoded HU (z, y, x) in their place."""
    return Volume(
        hu=hu,
        affine=series.grid.affine.copy(),
        spacing_mm=series.spacing_mm,
        slice_thickness_mm=series.slice_thickness_mm,
        input_sha256=content_digest(series),
    )


def content_digest(series: Series) -> str:
    """`input_sha256`: SHA-256 of the sorted SHA-256 sums of the files, joined by newlines, whatever names and order."""
    return hashlib.sha256("\n".join(sorted(header.sha256 for header in series.slices)).encode("ascii")).hexdigest()


def _same_bytes(reader: SourceReader, header: SliceHeader, limits: ReadingSettings) -> bytes:
    """The file as it was at first sight: its pixels belong to the header that was judged.

    Raises InputUnreadable where it is gone or another one.
    """
    try:
        data = reader.read(header.file, limits)
    except OSError as error:
        raise InputUnreadable(name=header.file.name, why=error.strerror or "can't be read") from error
    if hashlib.sha256(data).hexdigest() != header.sha256:
        raise InputUnreadable(name=header.file.name, why="the file changed while it was read")
    return data


def to_source_frames(series: Series, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """(z, y, x) on the volume's grid back to (n, rows, columns), a frame for each of `series.slices`, as stored there.

    Raises ValueError when the shape is not the volume's.
    """
    if array.shape != series.grid.shape:
        raise ValueError(f"array {array.shape} for a series {series.grid.shape}: make it on the native grid")
    return np.ascontiguousarray(series.grid.layout.to_source(array))


def _slice_hu(data: bytes, header: SliceHeader, limits: ReadingSettings) -> npt.NDArray[np.int16]:
    """(rows, columns) int16 HU of one file."""
    name = header.file.name
    with lenient():
        try:
            ds = read_dataset(BytesIO(data), pixels=True, max_inflated_mb=limits.max_inflated_mb)
        except BAD_DICOM as error:
            raise InputTruncated(name=name, why="the file breaks off") from error
        check_described(ds, name)
        values = stored_values(ds, name)
        if values.shape != (header.rows, header.columns):
            raise InputUnreadable(name=name, why="its picture is not as large as its header says")
        slope_and_intercept = rescale(ds)
        if slope_and_intercept is None:
            raise InputNoRescale(name=name)
        meant = signed_or_unsigned(values, ds, name)
        return _hu(meant, _padding(ds, values, meant), *slope_and_intercept)


def _hu(
    values: npt.NDArray[Any], padded: npt.NDArray[np.bool_] | None, slope: float, intercept: float
) -> npt.NDArray[np.int16]:
    rescaled = values * np.float64(slope) + intercept  # (rows, columns) float64
    if padded is not None:
        rescaled[padded] = HU_MIN
    return np.rint(np.clip(rescaled, HU_MIN, HU_MAX)).astype(np.int16)


def _padding(ds: Dataset, *values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
    """Where a slice is padding, (rows, columns) bool, or None when no padding is stated.

    `values`: with and without the unused bits; padding is written before or after they were cut off.
    """
    first = _padding_value(ds, "PixelPaddingValue")
    if first is None:
        return None
    last = _padding_value(ds, "PixelPaddingRangeLimit")
    low, high = sorted((first, first if last is None else last))
    padded = np.zeros(values[0].shape, dtype=np.bool_)
    for plane in values:
        padded |= (plane >= low) & (plane <= high)
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
