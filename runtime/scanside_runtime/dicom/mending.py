"""What a file gets wrong about its picture though the picture is whole: read as what it can only mean, and said.

- the end of the fragments is not marked, and what follows is nothing or zeros (PS3.5 A.4 wants a delimiter);
- one picture is cut into several by the offset table, though the header says one frame;
- what stands behind the picture is damaged;
- the transfer syntax says implicit VR and the elements are explicit, or the reverse;
- SamplesPerPixel is not stated: a CT image has one (PS3.3 C.8.2.1).

Whatever leaves a doubt (a picture without its own end, two pictures, no BitsStored) is not mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import pydicom
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import data_element_generator
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import ImplicitVRLittleEndian

from scanside_runtime.findings import Finding

_PIXEL_DATA = 0x7FE00010
_ELEMENT = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_PIXEL_VRS = (b"OB", b"OW")  # as the length of an implicit element these would be odd, which none is
_ITEM = b"\xfe\xff\x00\xe0"
_NEEDED_NUMBERS = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("RescaleSlope", "RescaleIntercept"),
)
_DECIMAL_COMMA = re.compile(r"[-+\d.,eE \\]*\d,\d[-+\d.,eE \\\x00]*")
_LONGEST_NUMBERS = 128
_OFFSET_BYTES = 4
_MOST_RLE_SEGMENTS = 15
# JPEG and JPEG-LS, JPEG 2000; both end in the same marker.
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_PICTURE_END = b"\xff\xd9"


def read_header(stream: BinaryIO, tags: list[BaseTag]) -> Dataset:
    """These elements of the data set up to its pixels. Raises as `pydicom.dcmread`, OSError for the stream alone."""
    try:
        return pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=list(tags))
    except OSError as error:
        raise _damaged(error) from error


def read_whole(stream: BinaryIO) -> Dataset:
    """The data set with its pixels, mended. Raises as `pydicom.dcmread`, and OSError for the stream alone."""
    try:
        ds: Dataset = pydicom.dcmread(stream, force=True)
    except OSError as error:
        if error.errno is not None:
            raise
        ds = _without_the_rest(stream)
    if "PixelData" not in ds:
        ds = _with_unended_pixels(stream) or ds
    _join_pictures(ds)
    if _lacks_samples(ds):
        ds.SamplesPerPixel = 1
    return ds


def mended_notes(ds: Dataset, data: bytes, at: int) -> tuple[Finding, ...]:
    """What `read_whole` mends in a file, by its header and the place `at` which its pixel data begin."""
    found = []
    declared_implicit = ds.file_meta.get("TransferSyntaxUID") == ImplicitVRLittleEndian
    if data[at : at + 4] == _ELEMENT[:4] and declared_implicit == (data[at + 4 : at + 6] in _PIXEL_VRS):
        said, are = ("implicit", "explicit") if declared_implicit else ("explicit", "implicit")
        found.append(f"the transfer syntax says {said} VR, and the elements are {are}")
    if _lacks_samples(ds):
        found.append("SamplesPerPixel is not stated and was taken as 1")
    if data[at : at + len(_ELEMENT)] == _ELEMENT:
        items = list(_items(data, at + len(_ELEMENT)))
        if _is_unended(data, at + len(_ELEMENT), items):
            found.append("the end of its picture is not marked, and the picture is whole")
        if _is_one_picture_cut(items):
            found.append("its offset table names several pictures, and there is one")
    return tuple(Finding("INPUT_MENDED", "note", f"In the files {what}.") for what in found)


def decimal_comma(ds: Dataset) -> str | None:
    """The first number that a measurement needs and that is written with decimal commas, with its keyword.

    It is not read: 1,024 may be a thousand and twenty-four.
    """
    for keyword in _NEEDED_NUMBERS:
        stated = _as_stated(ds.get_item(keyword).value)[:_LONGEST_NUMBERS] if keyword in ds else ""
        if _DECIMAL_COMMA.fullmatch(stated):
            return f"{keyword} {stated.strip()}"
    return None


def _as_stated(value: object) -> str:
    """A value as the file has it, parsed already or not."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    parts = value if isinstance(value, MultiValue) else [value]
    return "\\".join(str(part) for part in parts)


def pixel_elements(ds: Dataset, stream: BinaryIO) -> Iterator[RawDataElement | DataElement]:
    """The elements from Pixel Data on, where the stream stands; explicit or implicit as they are, whatever is declared.

    Raises EOFError where the first one has no end.
    """
    at = stream.tell()
    start = stream.read(6)
    stream.seek(at)
    return data_element_generator(stream, start[4:] not in _PIXEL_VRS, bool(ds.original_encoding[1]))


def unended_value(data: bytes, at: int) -> bytes:
    """Encapsulated Pixel Data without the delimiter that it should have.

    Raises EOFError where its last fragment is no end of a picture, or anything but zeros follows.
    """
    start = at + len(_ELEMENT)
    items = list(_items(data, start)) if data[at:start] == _ELEMENT else []
    if not _is_unended(data, start, items):
        raise EOFError("the picture has no end")
    return data[start : start + _length(items)]


def _is_unended(data: bytes, start: int, items: list[bytes]) -> bool:
    """Nothing but zeros behind the items, and the last ends a picture; of RLE each is a picture (PS3.5 A.4.2)."""
    if len(items) < 2 or data[start + _length(items) :].strip(b"\x00"):
        return False
    is_rle = len(items) == 2 and 1 <= int.from_bytes(items[1][:4], "little") <= _MOST_RLE_SEGMENTS
    return is_rle or items[-1].rstrip(b"\x00").endswith(_PICTURE_END)


def _length(items: list[bytes]) -> int:
    return sum(8 + len(item) for item in items)


def _items(data: bytes, at: int) -> Iterator[bytes]:
    """The whole items (PS3.5 A.4) that follow each other from here, the offset table first."""
    while data[at : at + 4] == _ITEM:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            return
        yield data[at + 8 : at + 8 + length]
        at += 8 + length


def _with_unended_pixels(stream: BinaryIO) -> Dataset | None:
    """The data set with pixels that the parser gave up for want of an end; None where they are not whole."""
    ds = _up_to_pixels(stream)
    at = stream.tell()
    stream.seek(0)
    try:
        ds.PixelData = unended_value(stream.read(), at)
    except EOFError:
        return None
    ds["PixelData"].is_undefined_length = True
    return ds


def _up_to_pixels(stream: BinaryIO) -> Dataset:
    stream.seek(0)
    try:
        ds: Dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
    except OSError as error:
        raise _damaged(error) from error
    return ds


def _without_the_rest(stream: BinaryIO) -> Dataset:
    """The data set with its pixels, whatever stands behind them."""
    ds = _up_to_pixels(stream)
    element = next(pixel_elements(ds, stream), None)
    if isinstance(element, RawDataElement) and element.tag == _PIXEL_DATA:
        ds[element.tag] = element
    return ds


def _join_pictures(ds: Dataset) -> None:
    value = ds.get("PixelData")
    if not isinstance(value, bytes) or value[:4] != _ITEM or int(ds.get("NumberOfFrames") or 1) > 1:
        return
    items = list(_items(value, 0))
    if _is_one_picture_cut(items):
        whole = b"".join(items[1:])
        ds.PixelData = _ITEM + bytes(4) + _ITEM + len(whole).to_bytes(4, "little") + whole
        ds["PixelData"].is_undefined_length = True


def _is_one_picture_cut(items: list[bytes]) -> bool:
    """An offset table of more than one entry over fragments of which the first alone begins a picture."""
    if len(items) < 3 or len(items[0]) <= _OFFSET_BYTES:
        return False
    return items[1].startswith(_PICTURE_STARTS) and not any(one.startswith(_PICTURE_STARTS) for one in items[2:])


def _lacks_samples(ds: Dataset) -> bool:
    """A grey picture whose samples are not stated."""
    return ds.get("SamplesPerPixel") is None and str(ds.get("PhotometricInterpretation")).startswith("MONOCHROME")


def _damaged(error: OSError) -> Exception:
    """Pydicom says OSError of a sequence without an end; one of the system has a number."""
    return InvalidDicomError("a sequence has no end") if error.errno is None else error
