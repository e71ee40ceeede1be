"""Pixels that lie in their file as words of 16 bits, little-endian, one after another up to its end: most of all CT.

Where they lie and what they mean is told by the header, and found once, when that is read. The bytes that are decoded
later are the same by their sum, so nothing has to be parsed again. What differs in anything goes the way of `pixels`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from scanside_runtime.dicom.values.elements import BAD_DICOM, single, stated_whole, value_of, whole

Integers = npt.NDArray[np.integer[Any]]
_BYTES = 2
_PIXEL_DATA = b"\xe0\x7f\x10\x00"
_BEGINNINGS = {str(ExplicitVRLittleEndian): _PIXEL_DATA + b"OW\x00\x00", str(ImplicitVRLittleEndian): _PIXEL_DATA}
_LENGTH_BYTES = 4
_ITEM = b"\xfe\xff\x00\xe0"


@dataclass(frozen=True, slots=True)
class StoredWords:
    """at: where the first pixel lies in the file. padding: the values that are none, from and to, or None."""

    at: int
    signed: bool
    bits_stored: int
    high_bit: int
    padding: tuple[int, int] | None

    def values(self, data: bytes, rows: int, columns: int) -> Integers:
        """(rows, columns) as stored, unused bits still as they are; a view. Raises ValueError of a shorter file."""
        words = np.frombuffer(data, "<i2" if self.signed else "<u2", rows * columns, self.at)
        return words.reshape(rows, columns)


def stored_words(ds: Dataset, data: bytes, pixels_at: int) -> StoredWords | None:
    """Of a file whose header was read up to `pixels_at`; None where anything is out of the ordinary.

    Ordinary is what no parser and no decoder could understand in another way: every value that describes the picture is
    stated as the standard wants it, and the file ends with the last pixel.
    """
    beginning = _BEGINNINGS.get(str(ds.file_meta.get("TransferSyntaxUID")))
    if beginning is None or not _is_one_grey_picture(ds):
        return None
    rows, columns, bits_stored = (stated_whole(ds, one) for one in ("Rows", "Columns", "BitsStored"))
    at, length = pixels_at + len(beginning) + _LENGTH_BYTES, rows * columns * _BYTES
    if min(rows, columns) < 1 or max(rows, columns) >= 2**15 or not 0 < bits_stored <= 8 * _BYTES:
        return None
    if data[pixels_at:at] != beginning + length.to_bytes(_LENGTH_BYTES, "little") or at + length != len(data):
        return None
    if data.startswith(_ITEM, at):  # as a compressed picture begins
        return None
    return StoredWords(at, stated_whole(ds, "PixelRepresentation") == 1, bits_stored, whole(ds, "HighBit"), padding(ds))


def _is_one_grey_picture(ds: Dataset) -> bool:
    return (
        "NumberOfFrames" not in ds
        and stated_whole(ds, "SamplesPerPixel") == 1
        and stated_whole(ds, "BitsAllocated") == 8 * _BYTES
        and stated_whole(ds, "PixelRepresentation") in (0, 1)
        and single(ds, "PhotometricInterpretation") == "MONOCHROME2"
    )


def padding(ds: Dataset) -> tuple[int, int] | None:
    """The stored values that are padding, from and to; None where none are stated (DICOM PS3.3 C.7.5.1.1.2)."""
    first = _padding_value(ds, "PixelPaddingValue")
    if first is None:
        return None
    last = _padding_value(ds, "PixelPaddingRangeLimit")
    return (first, first) if last is None else (min(first, last), max(first, last))


def _padding_value(ds: Dataset, keyword: str) -> int | None:
    """The value in the image's PixelRepresentation.

    Files state it as US or SS, and not always as the one that fits: the 16 bits are what counts.
    """
    value = value_of(ds, keyword)
    try:
        stated = None if value is None else int(value)
    except BAD_DICOM:
        return None
    if stated is None or not -(2**15) <= stated < 2**16:
        return stated
    unsigned = stated % 2**16
    signed = whole(ds, "PixelRepresentation") == 1
    return unsigned - 2**16 if signed and unsigned >= 2**15 else unsigned


def without_unused_bits(values: Integers, stored: int, high_bit: int, coded: int) -> Integers:
    """The values of so many stored bits below `high_bit`, what lies above and below them taken away, the sign kept.

    stored: fewer than `coded`, the bits with which the picture was coded; else there is nothing to take away.
    """
    if not 0 < stored < coded:
        return values
    container = values.dtype.itemsize * 8
    above = container - 1 - (high_bit if stored - 1 <= high_bit < coded else stored - 1)
    return np.right_shift(np.left_shift(values, above), container - stored)
