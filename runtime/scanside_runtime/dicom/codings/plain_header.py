"""The header of a file as nearly every scanner writes it, walked here: pydicom's parser takes three times as long.

What is found is what pydicom finds, element for element. Whatever is out of the ordinary is left to it: a file meta
that does not end where it says, big-endian data, a VR that nobody knows, an element whose end is not stated (but for a
sequence) or lies behind the file's, sequences nested as no scanner does it, a long list of character sets, no pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, MutableMapping
from functools import lru_cache
from io import BytesIO
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from scanside_runtime.dicom.values.elements import BAD_DICOM, LONGEST_KEPT

_META_AT, _META = 128, b"DICM\x02\x00\x00\x00UL\x04\x00"
_LENGTH_AT = _META_AT + len(_META)
_META_TAGS = {int(tag): tag for tag in (Tag("MediaStorageSOPClassUID"), Tag("TransferSyntaxUID"))}
_NOT_WALKED = (None, "", DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
_CHARACTER_SET = Tag("SpecificCharacterSet")
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LONGEST_START = 12
_ITEMS, _UNDEFINED = 0xFFFE, 0xFFFFFFFF
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = (b"\xfe\xff" + number for number in (b"\x00\xe0", b"\x0d\xe0", b"\xdd\xe0"))
_DEEPEST = 32
"""Sequences without a stated length, one in another. pydicom gives up before the 200th."""
_IN_NO_ITEM = frozenset({0xFFFEE00D, int(_CHARACTER_SET)})
_SHORT, _LONG = (
    {vr.encode("ascii"): str(vr.value) for vr in vrs} for vrs in (EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32)
)
_EMPTY: dict[str | None, Any] = {
    vr: empty_value_for_VR(vr, raw=True) for vr in (None, *_SHORT.values(), *_LONG.values())
}
_element, _length = (struct.Struct(form).unpack_from for form in ("<HH2sH", "<L"))
Elements = MutableMapping[BaseTag, DataElement | RawDataElement]


def plain_header(stream: BytesIO, tags: Mapping[int, BaseTag]) -> Dataset | None:
    """These elements of a file up to its pixel data, where the stream is left; None where anything is unusual."""
    try:
        found = _header(stream.getvalue(), tags)
    except BAD_DICOM:  # pydicom knows what it means, or what is wrong
        return None
    if found is None:
        return None
    ds, pixels_at = found
    stream.seek(pixels_at)
    return ds


def _header(data: bytes, tags: Mapping[int, BaseTag]) -> tuple[Dataset, int] | None:
    if data[_META_AT:_LENGTH_AT] != _META:
        return None
    meta, at = _walked(data, _META_AT + 4, _META_TAGS, lambda tag: tag >> 16 != 2)
    file_meta = FileMetaDataset(meta)
    syntax, group = file_meta.get("TransferSyntaxUID"), _element(data, at)[0]
    if at != _LENGTH_AT + 4 + _length(data, _LENGTH_AT)[0] or group == 0 or syntax in _NOT_WALKED:
        return None
    implicit = syntax == ImplicitVRLittleEndian
    if implicit and data[at + 4 : at + 6].isupper():  # a VR after all
        return None
    found, at = _walked(data, at, tags, _PIXELS.__contains__, implicit)
    sets = found.get(_CHARACTER_SET)
    if len(data) < at + _LONGEST_START or (sets is not None and len(sets.value or b"") > LONGEST_KEPT):
        return None
    ds = Dataset(found)
    ds.set_original_encoding(implicit, True, _encoding(sets))
    ds.file_meta = file_meta
    return ds, at


def _walked(
    data: bytes,
    at: int,
    tags: Mapping[int, BaseTag],
    is_beyond: Callable[[int], bool],
    implicit: bool = False,
    end: int = -1,
    depth: int = 0,
) -> tuple[Elements, int]:
    """The wanted elements from here to `end`, or up to the first that is beyond; and where that lies.

    Each is said to lie at 0, so that equal elements are equal. Raises ValueError of what is unusual, struct.error at
    the end of the file.
    """
    found: Elements = {}
    while at != end:
        group, number, code, length = _element(data, at)
        if is_beyond(tag := group << 16 | number):
            break
        vr, start = None, at + 8
        if implicit:
            (length,) = _length(data, at + 4)
        elif (vr := _SHORT.get(code)) is None:
            vr, (length,), start = _LONG[code], _length(data, start), start + 4
        if length == _UNDEFINED and tag not in tags and (dictionary_VR(tag) if implicit else vr) == "SQ":
            at = _behind_sequence(data, start, implicit, depth + 1)
            continue
        at = start + length
        if group == _ITEMS:
            raise ValueError("unusual")
        if tag in tags:
            found[tags[tag]] = RawDataElement(
                tags[tag], vr, length, data[start:at] or _EMPTY[vr], 0, implicit, is_little_endian=True
            )
    return found, at


def _behind_sequence(data: bytes, at: int, implicit: bool, depth: int) -> int:
    """Where a sequence ends that does not say so: each item must end where it says, or with its delimiter."""
    if depth > _DEEPEST:
        raise ValueError("unusual")
    while data.startswith(_ITEM, at):
        (length,), start = _length(data, at + 4), at + 8
        end = -1 if length == _UNDEFINED else start + length
        _, at = _walked(data, start, {}, _IN_NO_ITEM.__contains__, implicit, end, depth)
        if end < 0:
            at = _behind(_END_OF_ITEM, data, at)
    return _behind(_END_OF_SEQUENCE, data, at)


def _behind(delimiter: bytes, data: bytes, at: int) -> int:
    if not data.startswith(delimiter, at):
        raise ValueError("unusual")
    return at + 8


@lru_cache(maxsize=64)
def _encoding(element: Any) -> str | list[str]:
    """As pydicom names the character sets of a data set."""
    return default_encoding if element is None else convert_encodings(convert_raw_data_element(element).value)
