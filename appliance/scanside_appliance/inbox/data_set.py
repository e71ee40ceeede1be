"""A sum of what a DICOM file says, whoever wrote the file around it.

A slice that comes by a share and once more by the network is the same data set in two files: the file meta information
(group 0002) names another writer, lengths of groups and sequences are spelled otherwise, and the transfer syntax may be
implicit for explicit VR. All that is left out. Everything else counts, byte for byte: every value, its order, and the
transfer syntax where pixels are compressed, byte-swapped or deflated. Where there is any doubt there is no sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from io import BytesIO

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.values import convert_SQ

MAGIC_AT, META_AT = 128, 132
META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
"""(0002,0000), with which the file meta information begins (PS3.10 7.1)."""
PADDING = 0xFFFCFFFC
PIXEL_REPRESENTATION = 0x00280103
SEVERAL_VRS = "US or SS"
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, EOFError, OSError, RecursionError)


def data_set_sum(data: bytes, syntax: str) -> str:
    """SHA-256 of the data set in a whole file of this transfer syntax; empty where it can't be told for certain.

    Files with the same sum are read to the same elements with the same bytes.
    """
    start = _start(data)
    if start is None or not syntax:
        return ""
    digest = hashlib.sha256()
    if syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        digest.update(f"{syntax}\n".encode() + data[start:])
        return digest.hexdigest()
    implicit = syntax == ImplicitVRLittleEndian
    digest.update(b"" if implicit or syntax == ExplicitVRLittleEndian else f"{syntax}\n".encode())
    stream = BytesIO(data)
    stream.seek(start)
    try:
        for part in _parts(_to_the_end(stream, implicit, len(data)), signed=None):
            digest.update(part)
    except UNREADABLE:
        return ""
    return digest.hexdigest()


def _to_the_end(stream: BytesIO, implicit: bool, size: int) -> Iterator[RawDataElement | DataElement]:
    """The elements; raises EOFError where bytes are left that are none."""
    end = stream.tell()
    for element in data_element_generator(stream, implicit, True):
        end = stream.tell()
        yield element
    if end != size:
        raise EOFError


def _start(data: bytes) -> int | None:
    """Where the data set begins, by the length that the file meta information states."""
    if data[MAGIC_AT:META_AT] != b"DICM" or data[META_AT : META_AT + 8] != META_LENGTH:
        return None
    start = META_AT + 12 + int.from_bytes(data[META_AT + 8 : META_AT + 12], "little")
    next_group = data[start : start + 2]
    return start if len(next_group) == 2 and next_group != b"\x02\x00" else None


def _parts(elements: Iterable[RawDataElement | DataElement], signed: bool | None) -> Iterator[bytes]:
    """Each element as its tag, its length and its bytes, sequences item by item."""
    for element in elements:
        tag = element.tag
        if tag == PADDING or _is_length_of_group(element):
            continue
        if isinstance(element, RawDataElement):
            value = element.value or b""
            if tag == PIXEL_REPRESENTATION:
                signed = value[:1] == b"\x01"
            if _usual_vr(tag) != "SQ" and element.VR != "SQ":
                yield b"%08x%s %d:" % (tag, _unusual(tag, element.VR, signed), len(value))
                yield value
                continue
            items: Iterable[Dataset] = convert_SQ(value, bool(element.is_implicit_VR), True)
        else:
            items = element.value
        yield b"%08x(" % tag
        for item in items:
            yield b"{"
            yield from _parts((item.get_item(one) for one in item.keys()), signed)  # noqa: SIM118  # get_item: unconverted
            yield b"}"
        yield b")"


def _is_length_of_group(element: RawDataElement | DataElement) -> bool:
    """(gggg,0000), retired: it says nothing of the patient (PS3.5 7.2)."""
    if not isinstance(element, RawDataElement) or element.tag.element != 0:
        return False
    return element.length == 4 and element.VR in (None, "UL")


def _usual_vr(tag: BaseTag) -> str | None:
    """What the dictionary says; None for what it does not know, private elements among them."""
    try:
        return None if tag.is_private else dictionary_VR(tag)
    except KeyError:
        return None


def _unusual(tag: BaseTag, vr: str | None, signed: bool | None) -> bytes:
    """The VR where it is another one than implicit VR would mean: then the same bytes may be another value."""
    usual = _usual_vr(tag)
    if vr is None or tag.is_private:
        return b""
    if usual is not None and usual.startswith(SEVERAL_VRS):
        usual = usual.replace(SEVERAL_VRS, "SS" if signed else "US")
    return b"" if usual is not None and vr in usual.split(" or ") else vr.encode("ascii", "replace")
