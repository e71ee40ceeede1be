"""The value of one element of a header, read leniently: what is invalid is None, and nothing raises.

The slices of a series say most things alike, so what a short value means is kept by its bytes: a header of fifty
values costs the conversion of the few that differ.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, TypeVar

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import AMBIGUOUS_VR, PersonName

from scanside_runtime.errors import can_be_shown

# What pydicom raises on bytes that are no valid DICOM. Listed, so that a defect of ours is not taken for a bad file.
BAD_DICOM = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    struct.error,
    zlib.error,
)

Meaning = TypeVar("Meaning")
MAX_TEXT = 1024  # letters kept of a value; the longest VR read here (LO) has 64
_DESIGNATION = re.compile(r"\x1b[ -/]+[0-~]")
"""Of a character set (ISO 2022; PS3.5 6.1.2.5): a codec that does not know it leaves it among the letters."""
LONGEST_KEPT, MOST_KEPT = 256, 4096
"""Bytes of a value whose meaning is kept, and how many of them."""

Alone = tuple[RawDataElement, str | tuple[str, ...]]
"""All that decides what an element means: it, wherever it lies, and the character sets."""


def text(ds: Dataset, keyword: str) -> str | None:
    r"""A value as one printable line, several values joined by `\`; None when missing, empty or undecodable."""
    return _meant(ds, keyword, _printable if keyword == "PatientName" else _line)


def numbers(ds: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers, or None."""
    found = _meant(ds, keyword, _finite)
    return found if found is not None and len(found) == count else None


def single(ds: Dataset, keyword: str) -> str | None:
    """A single value as the file has it, as text; None for several, and for what is neither text nor number."""
    return _meant(ds, keyword, _single)


def stated_whole(ds: Dataset, keyword: str) -> int:
    """A whole number that is stated as one, US or the like; -1 for anything else."""
    return _meant(ds, keyword, _exactly_whole)


def whole(ds: Dataset, keyword: str, missing: int = 0) -> int:
    """A whole number, or `missing` where there is none."""
    found = numbers(ds, keyword, 1)
    return missing if found is None else int(found[0])


def rescale(ds: Dataset) -> tuple[float, float] | None:
    """(slope, intercept), or None when either is missing or no number, or the slope is zero."""
    slope, intercept = numbers(ds, "RescaleSlope", 1), numbers(ds, "RescaleIntercept", 1)
    if slope is None or intercept is None or slope[0] == 0:
        return None
    return slope[0], intercept[0]


def value_of(ds: Dataset, keyword: str) -> Any:
    """What pydicom makes of an element; None where it is missing or undecodable."""
    try:
        return ds.get(keyword)
    except BAD_DICOM:
        return None


def _meant(ds: Dataset, keyword: str, meaning: Callable[[Any], Meaning]) -> Meaning:
    tag, is_ambiguous = _known(keyword)
    element = ds.get_item(tag)
    if element is None:
        return meaning(None)
    alone = None if is_ambiguous else _alone(ds, element)
    return meaning(value_of(ds, keyword)) if alone is None else _kept(alone, meaning)


@lru_cache(maxsize=MOST_KEPT)
def _kept(alone: Alone, meaning: Callable[[Any], Meaning]) -> Meaning:
    element, sets = alone
    try:
        converted = convert_raw_data_element(element, encoding=sets if isinstance(sets, str) else list(sets)).value
    except BAD_DICOM:
        return meaning(None)
    return meaning(converted)


def _alone(ds: Dataset, element: object) -> Alone | None:
    """What an element means as far as its own bytes decide it; None where they do not, or are many."""
    charset = ds.original_character_set
    if not charset or type(element) is not RawDataElement:
        return None
    if type(value := element.value) is not bytes or len(value) > LONGEST_KEPT:
        return None
    anywhere = element._replace(value_tell=0) if element.value_tell else element
    return anywhere, charset if isinstance(charset, str) else tuple(charset)


def tag_of(keyword: str) -> BaseTag:
    """Its tag, the same object each time: who finds elements by it need not compare them."""
    return _known(keyword)[0]


@cache
def _known(keyword: str) -> tuple[BaseTag, bool]:
    """Its tag, and whether another element decides its VR (PixelPaddingValue: the sign)."""
    return Tag(keyword), dictionary_VR(keyword) in AMBIGUOUS_VR


def _line(value: Any) -> str | None:
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        value = "\\".join(str(part) for part in value)
    return _printable(value)


def _printable(value: Any) -> str | None:
    if value is None:
        return None
    line = "".join(letter if can_be_shown(letter) else " " for letter in _written(value))
    return line.strip() or None


def _single(value: Any) -> str | None:
    return _written(value) if isinstance(value, str | PersonName | int | float) else None


def _written(value: Any) -> str:
    return _DESIGNATION.sub("", str(value)[:MAX_TEXT])


def _exactly_whole(value: Any) -> int:
    return value if type(value) is int else -1


def _finite(value: Any) -> tuple[float, ...] | None:
    """The numbers of a value, all finite."""
    if value is None:
        return None
    parts = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    try:
        found = tuple(float(part) for part in parts)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if all(map(math.isfinite, found)) else None
