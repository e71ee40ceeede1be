"""Which of several axial series is measured, and which hold no slices as they were scanned.

Texts rank and keep nothing out: whether a series is a chest is decided by its picture (`quality.anatomy`). Words of
parts of the body are data (`body_parts`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set

from scanside_runtime.dicom.errors import SeriesProjection, SeriesReformatted
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.values.body_parts import BodyPart, body_part, part_named, texts, words
from scanside_runtime.dicom.values.kernel import Sharpness, sharpness
from scanside_runtime.findings import Finding
from scanside_runtime.plural import told

WANTED_THICKNESS_MM = 5.0
THINNEST_MM, THICKEST_MM = 0.5, 10.0

_PROJECTION_WORDS = re.compile(r"\b(?:mips?|min ?ip|vrt|ssd)\b")
_PROJECTION_TYPES = {"PROJECTION IMAGE", "MIP", "MINIP", "MIN IP", "VOLREN", "VRT", "SSD", "MEAN IP"}

_REFORMATTED_WORDS = re.compile(r"\b(?:mprs?|cprs?|reformat\w*)\b")
_REFORMATTED_TYPES = {"REFORMATTED", "MPR", "CPR", "CURVED MPR", "CURVED_PLANAR", "CSA MPR"}

_REASONS = (
    "its texts name another part of the body",
    "its pixel data is incomplete",
    "its slices are derived, not original",
    "its texts do not say chest, or name a part that is further from it",
    "its thickness is out of range",
    "its kernel is sharper or not stated",
    "its thickness is further from 5 mm",
    "it has fewer slices",
    "it is equal; the smaller UID was taken",
)


def rank(slices: Sequence[SliceHeader]) -> tuple[bool, bool, bool, BodyPart, bool, Sharpness, float, int, str]:
    """The sort key of a series, smaller is better.

    In this order:

    1. a series that no text calls another part of the body before one that is called so,
    2. complete pixel data before files that break off,
    3. original before derived slices (ImageType value 1),
    4. a series that a text calls a chest before one that says nothing; abdomen and heart before head and limbs,
    5. a slice thickness from 0.5 to 10 mm before any other,
    6. a soft kernel before one that is not stated, and that before a sharp one,
    7. a slice thickness near 5 mm,
    8. more slices, then the smaller SeriesInstanceUID (so that the choice never depends on file order).
    """
    header = slices[0]
    thickness = header.slice_thickness_mm
    return (
        called_another_part(slices),
        any(one.damage for one in slices),
        header.image_type[0] != "ORIGINAL",
        body_part(header),
        thickness is not None and not THINNEST_MM <= thickness <= THICKEST_MM,
        sharpness(header.kernel),
        abs(thickness - WANTED_THICKNESS_MM) if thickness is not None else float("inf"),
        -len(slices),
        header.series_uid,
    )


def why_behind(chosen: Sequence[SliceHeader], other: Sequence[SliceHeader]) -> str:
    """The first point in which the other series comes after the chosen one."""
    pairs = zip(rank(chosen), rank(other), _REASONS, strict=True)
    return next(reason for one, another, reason in pairs if one != another)


def called(slices: Sequence[SliceHeader]) -> str:
    """A series as a person would tell it from others."""
    header = slices[0]
    thickness = f"{header.slice_thickness_mm:g} mm" if header.slice_thickness_mm else "thickness not stated"
    kernel = f"kernel {header.kernel}" if header.kernel else "kernel not stated"
    name = header.series_description or "no description"
    return told('"{name}" ({slices} slice(s), {how})', name=name, slices=len(slices), how=f"{thickness}, {kernel}")


def called_another_part(slices: Sequence[SliceHeader]) -> bool:
    """The texts of the series name another part of the body than the chest."""
    return body_part(slices[0]) > BodyPart.UNSAID


def label_notes(slices: Sequence[SliceHeader]) -> tuple[Finding, ...]:
    """What names another part than the chest, for a series that is measured all the same."""
    where = body_part(slices[0])
    if where <= BodyPart.UNSAID:
        return ()
    field, text = next(one for one in texts(slices[0]) if part_named(one[1]) is where)
    message = f'{field} says "{text}"; whether this is a chest is decided by the picture.'
    return (Finding("SERIES_LABELLED_OTHERWISE", "caution" if where is BodyPart.ELSEWHERE else "note", message),)


def check_original(slices: Sequence[SliceHeader]) -> None:
    """None is calculated from other slices (reformatted), by ImageType or description. Raises SeriesReformatted."""
    kind = _kind(slices, _REFORMATTED_TYPES, _REFORMATTED_WORDS)
    if kind:
        raise SeriesReformatted(kind=kind)


def check_slices(slices: Sequence[SliceHeader]) -> None:
    """None is a maximum intensity or other projection, by ImageType or description. Raises SeriesProjection."""
    kind = _kind(slices, _PROJECTION_TYPES, _PROJECTION_WORDS)
    if kind:
        raise SeriesProjection(kind=kind)


def _kind(slices: Sequence[SliceHeader], types: Set[str], described: re.Pattern[str]) -> str | None:
    """What the first slice that is one of these kinds calls itself; None where none is."""
    for image_type, description in dict.fromkeys((one.image_type, one.series_description) for one in slices):
        named = types & set(image_type)
        if named or described.search(words(description or "")):
            return ", ".join(sorted(named)) or description
    return None
