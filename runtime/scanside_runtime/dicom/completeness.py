"""Whether a DICOM object is there to its end: one judgement for the inbox and for the analysis.

It goes by lengths and imports no decoder: whether a picture can be decoded is another question (pixels.py).
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from scanside_runtime.dicom.errors import InputCodingContradicts, InputHeaderLacks, InputTruncated
from scanside_runtime.dicom.headers import CT_IMAGE
from scanside_runtime.dicom.values.elements import text, whole
from scanside_runtime.errors import Refused

NATIVE = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}
NOT_COMPRESSED = "they should be compressed, and are not"
_ITEM = b"\xfe\xff\x00\xe0"
_UNDEFINED_LENGTH = 0xFFFFFFFF
_FLOATING = ("FloatPixelData", "DoubleFloatPixelData")


def object_damage(ds: Dataset) -> str | None:
    """Why an object that was parsed with its pixels is not complete; None where it is, as far as its lengths tell."""
    if _last_element_breaks_off(ds):
        return "its last element breaks off"
    if "PixelData" in ds:
        return pixel_damage(ds, ds.PixelData)
    is_picture = "Rows" in ds or text(ds, "SOPClassUID") == CT_IMAGE
    return "there is no pixel data" if is_picture and not any(name in ds for name in _FLOATING) else None


def damage_refusal(name: str, damage: str) -> Refused:
    """The refusal of an object with `pixel_damage`: sending it again helps where something is missing."""
    kind = InputCodingContradicts if damage == NOT_COMPRESSED else InputTruncated
    return kind(name=name, why=damage)


def check_described(ds: Dataset, name: str) -> None:
    """The header says how pixels are stored; of none of these can it be guessed. Raises InputHeaderLacks."""
    for keyword in ("BitsAllocated", "BitsStored", "PixelRepresentation"):
        if text(ds, keyword) is None:
            raise InputHeaderLacks(name=name, keyword=keyword)


def pixel_damage(ds: Dataset, value: bytes | None) -> str | None:
    """Why the pixel data of an object is not complete; None where it is, as far as its lengths tell."""
    if not value:
        return "there is no pixel data"
    if str(ds.file_meta.TransferSyntaxUID) not in NATIVE:
        if not value.startswith(_ITEM):
            return NOT_COMPRESSED
        return None if _fragments_end_with(value) else "its fragments break off"
    expected = _native_bits(ds) // 8
    return f"{len(value)} of {expected} bytes are there" if len(value) < expected else None


def _native_bits(ds: Dataset) -> int:
    """DICOM PS3.5 8.1.1, 8.2; frames follow each other without a gap, also where a pixel is one bit."""
    samples, frames = whole(ds, "SamplesPerPixel", missing=1), whole(ds, "NumberOfFrames", missing=1)
    return whole(ds, "Rows") * whole(ds, "Columns") * whole(ds, "BitsAllocated") * max(samples, 1) * max(frames, 1)


def _fragments_end_with(value: bytes) -> bool:
    """The items of encapsulated pixel data (PS3.5 A.4) follow each other up to the end of the value."""
    at = 0
    while at + 8 <= len(value) and value[at : at + 4] == _ITEM:
        at += 8 + int.from_bytes(value[at + 4 : at + 8], "little")
    return at == len(value)


def _last_element_breaks_off(ds: Dataset) -> bool:
    """A value of defined length may be shorter than it says without the parser saying so; another may not."""
    last = ds.get_item(max(ds.keys())) if len(ds) else None
    if last is None:
        return True
    length, value = getattr(last, "length", None), last.value
    return isinstance(length, int) and length != _UNDEFINED_LENGTH and isinstance(value, bytes) and len(value) < length
