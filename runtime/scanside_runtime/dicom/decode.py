"""Pixels of a chosen series become HU on one grid.

Each file is read, held against the sum that was taken when its header was read, decoded and rescaled, one at a time.
The few that the process kept as it read their headers are not read again: what happens to them on the disk since then
is not noticed, and matters to nothing, as pixels, header and sum are of the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from scanside_runtime.dicom.codings.pixels import signed_or_unsigned, stored_values
from scanside_runtime.dicom.codings.words import Integers, StoredWords, padding, without_unused_bits
from scanside_runtime.dicom.completeness import check_described, damage_refusal
from scanside_runtime.dicom.errors import InputNoRescale, InputTruncated, InputUnreadable
from scanside_runtime.dicom.files import SourceFile, SourceReader
from scanside_runtime.dicom.geometry import Layout, Scalar
from scanside_runtime.dicom.headers import SliceHeader, lenient, read_dataset
from scanside_runtime.dicom.values.elements import BAD_DICOM, rescale
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.volume import HU_MAX, HU_MIN, Volume

if TYPE_CHECKING:  # how a series is chosen is imported by who chooses: not in the child
    from scanside_runtime.dicom.series import Series

Progress = Callable[[int, int], None]
OUTSIDE_HU = -950
"""Padding that is no more than this as HU changes nothing where a patient has it: it is air."""
_WHOLE_INTERCEPTS = (-8192, HU_MAX)
"""With these no clamped value, of 16 bits signed or not, leaves the 16 bits."""


@dataclass(frozen=True, slots=True)
class StoredSlice:
    """What is needed of a slice's header to decode it; its fields are those of `SliceHeader`."""

    file: SourceFile
    sha256: str
    rows: int
    columns: int
    rescale: tuple[float, ...] | None
    words: StoredWords | None

    @classmethod
    def of(cls, header: SliceHeader) -> Self:
        """The part of a header."""
        return cls(header.file, header.sha256, header.rows, header.columns, header.rescale, header.words)


def read_volume(series: Series, limits: ReadingSettings, progress: Progress | None = None) -> Volume:
    """Decodes the series to HU, in this process. For files that nobody vouches for: `reader.StudyReader`.

    - stored values times RescaleSlope plus RescaleIntercept of their own slice, rounded to the nearest integer;
    - PixelPaddingValue, or the range up to PixelPaddingRangeLimit, becomes -1024 (DICOM PS3.3 C.7.5.1.1.2); where it is
      a value that a patient has too, as far as it reaches in from the picture's edge;
    - clamped to [-1024, 3071];
    - (z, y, x) from feet to head, anterior to posterior, the patient's right to left, whatever the stored order.

    `progress` is called with (slices done, slices in all). The volume carries `input_sha256`.
    Raises InputTruncated, InputUnreadable, InputTransferSyntax, InputNotGreyscale, InputNoRescale.
    """
    check_complete(series)
    hu = np.empty(series.grid.shape, dtype=np.int16)  # (z, y, x)
    for z, plane in enumerate(decoded(stored_slices(series), series.grid.layout, limits)):
        hu[z] = plane
        if progress is not None:
            progress(z + 1, len(series.slices))
    return volume_of(series, hu)


def stored_slices(series: Series) -> tuple[StoredSlice, ...]:
    """What is to be decoded, in the order of the series."""
    return tuple(map(StoredSlice.of, series.slices))


def check_complete(series: Series) -> None:
    """The pixel data of every slice is as long as it must be. Raises InputTruncated, InputCodingContradicts."""
    for header in series.slices:
        if header.damage:
            raise damage_refusal(header.file.name, header.damage)


def decoded(
    slices: Sequence[StoredSlice], layout: Layout, limits: ReadingSettings, kept: dict[str, bytes] | None = None
) -> Iterator[npt.NDArray[np.int16]]:
    """Each slice in its turn, (y, x) int16 HU.

    kept: files by their sum, as they were at first sight; each is taken out, and not read again.
    Raises as `read_volume`; InputUnreadable where a file that is read again is not the one whose header was read.
    """
    with SourceReader() as reader:
        for stored in slices:
            data = (kept or {}).pop(stored.sha256, None) or _same_bytes(reader, stored, limits)
            yield layout.to_lps(_slice_hu(data, stored, limits))


def volume_of(series: Series, hu: npt.NDArray[np.int16]) -> Volume:
    """The decoded HU (z, y, x) in their place."""
    return Volume(
        hu=hu,
        affine=series.grid.affine.copy(),
        spacing_mm=series.spacing_mm,
        slice_thickness_mm=series.slice_thickness_mm,
        input_sha256=content_digest(series),
        position=series.slices[0].patient_position,
    )


def content_digest(series: Series) -> str:
    """`input_sha256`: SHA-256 of the sorted SHA-256 sums of the files, joined by newlines, whatever names and order."""
    return hashlib.sha256("\n".join(sorted(header.sha256 for header in series.slices)).encode("ascii")).hexdigest()


def _same_bytes(reader: SourceReader, stored: StoredSlice, limits: ReadingSettings) -> bytes:
    """The file as it was at first sight: its pixels belong to the header that was judged.

    Raises InputUnreadable where it is gone or another one.
    """
    try:
        data = reader.read(stored.file, limits)
    except OSError as error:
        raise InputUnreadable(name=stored.file.name, why=error.strerror or "can't be read") from error
    if hashlib.sha256(data).hexdigest() != stored.sha256:
        raise InputUnreadable(name=stored.file.name, why="the file changed while it was read")
    return data


def to_source_frames(series: Series, array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """(z, y, x) on the volume's grid back to (n, rows, columns), a frame for each of `series.slices`, as stored there.

    Raises ValueError when the shape is not the volume's.
    """
    if array.shape != series.grid.shape:
        raise ValueError(f"array {array.shape} for a series {series.grid.shape}: make it on the native grid")
    return np.ascontiguousarray(series.grid.layout.to_source(array))


def _slice_hu(data: bytes, stored: StoredSlice, limits: ReadingSettings) -> npt.NDArray[np.int16]:
    """(rows, columns) int16 HU of one file."""
    if stored.words is not None and stored.rescale is not None:
        return _hu_of_words(data, stored, stored.words, *stored.rescale)
    name = stored.file.name
    with lenient():
        try:
            ds = read_dataset(BytesIO(data), pixels=True, max_inflated_mb=limits.max_inflated_mb)
        except BAD_DICOM as error:
            raise InputTruncated(name=name, why="the file breaks off") from error
        check_described(ds, name)
        values = stored_values(ds, name)
        if values.shape != (stored.rows, stored.columns):
            raise InputUnreadable(name=name, why="its picture is not as large as its header says")
        slope_and_intercept = rescale(ds)
        if slope_and_intercept is None:
            raise InputNoRescale(name=name)
        meant = signed_or_unsigned(values, ds, name)
        return _hu(meant, _padded(padding(ds), values, meant), *slope_and_intercept)


def _hu_of_words(
    data: bytes, stored: StoredSlice, words: StoredWords, slope: float, intercept: float
) -> npt.NDArray[np.int16]:
    values = words.values(data, stored.rows, stored.columns)
    meant = without_unused_bits(values, words.bits_stored, words.high_bit, coded=16)
    return _hu(meant, _padded(words.padding, values, meant), slope, intercept)


def _hu(
    values: Integers, padded: npt.NDArray[np.bool_] | None, slope: float, intercept: float
) -> npt.NDArray[np.int16]:
    lowest, highest = _WHOLE_INTERCEPTS
    is_shift = slope == 1.0 and intercept.is_integer() and lowest <= intercept <= highest
    if is_shift and values.dtype.itemsize == 2:
        hu = _shifted(values, int(intercept))
    else:
        hu = np.rint(np.clip(values * np.float64(slope) + intercept, HU_MIN, HU_MAX)).astype(np.int16)
    if padded is not None:
        hu[_around(padded) if (hu[padded] > OUTSIDE_HU).any() else padded] = HU_MIN
    return hu


def _around(padded: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Padding in a straight line from an edge of the picture: what surrounds a round or narrow field of view.

    Inside of it the same value is the patient: soft tissue is 0 HU in places, metal as much as there is.
    """
    around = np.zeros_like(padded)
    for axis in (0, 1):
        for way in (slice(None), slice(None, None, -1)):
            turn = (way, slice(None)) if axis == 0 else (slice(None), way)
            around[turn] |= np.logical_and.accumulate(padded[turn], axis=axis)
    return around


def _shifted(values: Integers, intercept: int) -> npt.NDArray[np.int16]:
    """The same in whole numbers of 16 bits, where the slope is 1: clamped first, so that no sum can overflow."""
    if values.dtype.kind == "u" and values.max() < 2**15:  # the same bits with a sign are clamped six times as fast
        values = values.view(np.int16)
    least = max(HU_MIN - intercept, int(np.iinfo(values.dtype).min))
    hu = np.clip(values, least, HU_MAX - intercept).view(np.int16)
    hu += np.int16(intercept)
    return hu


def _padded(stated: tuple[int, int] | None, values: Integers, meant: Integers) -> npt.NDArray[np.bool_] | None:
    """Where a slice is padding, (rows, columns) bool, or None when no padding is stated.

    values, meant: with and without the unused bits; padding is written before or after they were cut off.
    """
    if stated is None:
        return None
    low, high = stated
    padded = (meant >= low) & (meant <= high)
    return padded if meant is values else padded | (values >= low) & (values <= high)
