"""The frames of a Segmentation after the first two slices': what highdicom made for those, once more for each slice.

highdicom builds and pydicom writes some fifteen data sets for a frame, and a chest of thin slices has three thousand
frames. They differ in four values: which slice, where it lies, which segment, and their place in the order.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.valuerep import DS

MODELS = 2
"""Slices that highdicom makes the frames of: two say in which order it sorts them."""
_CLASS, _INSTANCE = Tag("ReferencedSOPClassUID"), Tag("ReferencedSOPInstanceUID")
_SEQUENCE = struct.Struct("<HH2s2xI")  # explicit VR, little-endian (PS3.5 7.1.2)
_SHORT = struct.Struct("<HH2sH")
_ITEM = struct.Struct("<HHI")  # PS3.5 7.5
_PADDING = {b"UI": b"\0", b"DS": b" "}


@dataclass(frozen=True, slots=True)
class Frames:
    """order: the slices, as every segment has them. encoded: the per-frame groups of all segments."""

    order: tuple[int, ...]
    encoded: bytes


def add_references(seg: Dataset, sources: Sequence[Dataset]) -> None:
    """All source slices where the object names those that highdicom has seen."""
    (series,) = seg.ReferencedSeriesSequence
    series.ReferencedInstanceSequence = _named(series.ReferencedInstanceSequence, sources)
    seg.SourceImageSequence = _named(seg.SourceImageSequence, sources)


def frames_of(seg: Dataset, sources: Sequence[Dataset], segments: int) -> Frames:
    """The frames of all slices, segment after segment, as one element; `seg` gives up those that highdicom made.

    Raises ValueError where these are not as they are known: then highdicom does something else than it did.
    """
    models: list[Dataset] = list(seg.PerFrameFunctionalGroupsSequence)
    del seg.PerFrameFunctionalGroupsSequence
    order = _order(models, sources, segments)
    pieces = _constant_pieces(models[0], sources[min(order[0], MODELS - 1)])
    items = b"".join(_items(pieces, [sources[number] for number in order], segments))
    seg.NumberOfFrames = len(order) * segments
    return Frames(order, _SEQUENCE.pack(0x5200, 0x9230, b"SQ", len(items)) + items)


def pixel_element(packed: bytes) -> bytes:
    """Pixel Data of whole bytes, as an element."""
    return _SEQUENCE.pack(0x7FE0, 0x0010, b"OB", len(packed)) + packed


def _named(items: Items, sources: Sequence[Dataset]) -> Items:
    alike = [element for element in items[0] if element.tag not in (_CLASS, _INSTANCE)]
    made = []
    for source in sources:
        item = Dataset()
        item.update({element.tag: element for element in alike})
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
        made.append(item)
    return Items(made)


def _order(models: list[Dataset], sources: Sequence[Dataset], segments: int) -> tuple[int, ...]:
    """Feet to head or the other way round, as highdicom has sorted the two that it knows."""
    seen = min(MODELS, len(sources))
    expected = [[segment, place] for segment in range(1, segments + 1) for place in range(1, seen + 1)]
    if [list(model.FrameContentSequence[0].DimensionIndexValues) for model in models] != expected:
        raise ValueError("the frames do not lie segment after segment")
    first = np.array(models[0].PlanePositionSequence[0].ImagePositionPatient, np.float64)
    distances = [np.abs(np.array(one.ImagePositionPatient, np.float64) - first).max() for one in sources[:seen]]
    numbers = range(len(sources))
    return tuple(numbers if int(np.argmin(distances)) == 0 else reversed(numbers))


def _constant_pieces(model: Dataset, source: Dataset) -> list[bytes]:
    """What lies between the elements that differ, in one encoded item."""
    text, pieces = _encoded(model), []
    for element in _varying(source, 1, 1):
        before, found, text = text.partition(element)
        if not found:
            raise ValueError("an element of a frame is not as it is known")
        pieces.append(before)
    return [*pieces, text]


def _encoded(model: Dataset) -> bytes:
    """A frame's data set with no length stated but of its values, so that these may change."""
    _unmeasured(model)
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, model)
    return file.getvalue()


def _unmeasured(ds: Dataset) -> None:
    for element in ds:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _unmeasured(item)


def _items(pieces: list[bytes], sources: Sequence[Dataset], segments: int) -> Iterator[bytes]:
    references = [_reference(source) for source in sources]
    positions = [_position(source) for source in sources]
    for segment in range(1, segments + 1):
        for place, (reference, position) in enumerate(zip(references, positions, strict=True), start=1):
            varying = (reference, _index(segment, place), position, _segment(segment), b"")
            item = b"".join(part for pair in zip(pieces, varying, strict=True) for part in pair)
            yield _ITEM.pack(0xFFFE, 0xE000, len(item)) + item


def _varying(source: Dataset, segment: int, place: int) -> tuple[bytes, ...]:
    """The elements in which frames differ, in the order in which a frame has them."""
    return _reference(source), _index(segment, place), _position(source), _segment(segment)


def _reference(source: Dataset) -> bytes:
    return _short(0x0008, 0x1150, b"UI", str(source.SOPClassUID).encode()) + _short(
        0x0008, 0x1155, b"UI", str(source.SOPInstanceUID).encode()
    )


def _position(source: Dataset) -> bytes:
    place = "\\".join(str(DS(float(one), auto_format=True)) for one in source.ImagePositionPatient)
    return _short(0x0020, 0x0032, b"DS", place.encode())


def _index(segment: int, place: int) -> bytes:
    return _short(0x0020, 0x9157, b"UL", struct.pack("<II", segment, place))


def _segment(number: int) -> bytes:
    return _short(0x0062, 0x000B, b"US", struct.pack("<H", number))


def _short(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    padded = value + _PADDING.get(vr, b"")[: len(value) % 2]
    return _SHORT.pack(group, element, vr, len(padded)) + padded
