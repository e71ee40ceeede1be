"""Which of several axial chest series is measured, and which are no chest slices at all.

Words are data: another one is one more entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from scanside_runtime.dicom.errors import SeriesNotChest, SeriesProjection, SeriesReformatted
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.kernel import Sharpness, sharpness

WANTED_THICKNESS_MM = 5.0
THINNEST_MM, THICKEST_MM = 0.5, 10.0

_CHEST = re.compile(r"\b(?:chest|thora|torax|torac|lung|pulm|poumon|hrct\b|thx|cap\b|tap\b)")
# Plainly another part. A first of these in the text closest to the series decides.
_ELSEWHERE = re.compile(
    r"\b(?:head|brain|skull|cereb|cranio|cranium|kopf|hirn|neuro|face|facial|orbit|sinus|dental|jaw|mandib|maxill"
    r"|petrous|temporal|ear\b|iac\b|neck|hals\b|[clt] ?spine|spine|lumb|sacr|wirbel|hip\b|knee|ankle|foot\b|leg\b"
    r"|femur|tibia|arm\b|elbow|wrist|hand\b|shoulder|extremit)"
)
# Often left over from a protocol that scans the chest too: decides only when nothing says chest.
_NEIGHBOUR = re.compile(r"\b(?:abdom|pelvi|liver|kidney|renal|colon|heart|cardi|coronar|breast)")
_PROJECTION_WORDS = re.compile(r"\b(?:mips?|min ?ip|vrt|ssd)\b")
_PROJECTION_TYPES = {"PROJECTION IMAGE", "MIP", "MINIP", "MIN IP", "VOLREN", "VRT", "SSD", "MEAN IP"}

_REFORMATTED_WORDS = re.compile(r"\b(?:mprs?|cprs?|reformat\w*)\b")
_REFORMATTED_TYPES = {"REFORMATTED", "MPR", "CPR", "CURVED MPR", "CURVED_PLANAR", "CSA MPR"}

_REASONS = (
    "its pixel data is incomplete",
    "its slices are derived, not original",
    "its texts do not say chest",
    "its thickness is out of range",
    "its kernel is sharper or not stated",
    "its thickness is further from 5 mm",
    "it has fewer slices",
    "it is equal; the smaller UID was taken",
)


def rank(slices: Sequence[SliceHeader]) -> tuple[bool, bool, bool, bool, Sharpness, float, int, str]:
    """The sort key of a series, smaller is better.

    In this order:

    1. complete pixel data before files that break off,
    2. original before derived slices (ImageType value 1),
    3. a series that a text calls a chest before one that says nothing,
    4. a slice thickness from 0.5 to 10 mm before any other,
    5. a soft kernel before one that is not stated, and that before a sharp one,
    6. a slice thickness near 5 mm,
    7. more slices, then the smaller SeriesInstanceUID (so that the choice never depends on file order).
    """
    header = slices[0]
    thickness = header.slice_thickness_mm
    return (
        any(one.damage for one in slices),
        header.image_type[0] != "ORIGINAL",
        not says_chest(header),
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
    return f'"{header.series_description or "no description"}" ({len(slices)} slices, {thickness}, {kernel})'


def says_chest(header: SliceHeader) -> bool:
    """Some text of the header says chest."""
    return any(_CHEST.search(_words(text)) for _, text in _texts(header))


def check_chest(header: SliceHeader) -> None:
    """No text plainly says another part of the body.

    The first text that names a part decides, from the closest to the series to the furthest: SeriesDescription,
    BodyPartExamined, ProtocolName, StudyDescription. Abdomen and heart decide only when no text says chest.
    Raises SeriesNotChest.
    """
    chest = says_chest(header)
    for field, text in _texts(header):
        words = _words(text)
        if _CHEST.search(words):
            return
        if _ELSEWHERE.search(words) or (not chest and _NEIGHBOUR.search(words)):
            raise SeriesNotChest(why=f'{field} says "{text}"')


def check_original(header: SliceHeader) -> None:
    """Not calculated from other slices (reformatted), by ImageType or description. Raises SeriesReformatted."""
    named = _REFORMATTED_TYPES.intersection(header.image_type)
    described = _REFORMATTED_WORDS.search(_words(header.series_description or ""))
    if named or described:
        raise SeriesReformatted(kind=", ".join(sorted(named)) or header.series_description)


def check_slices(header: SliceHeader) -> None:
    """Not a maximum intensity or other projection, by ImageType or description. Raises SeriesProjection."""
    named = _PROJECTION_TYPES.intersection(header.image_type)
    described = _PROJECTION_WORDS.search(_words(header.series_description or ""))
    if named or described:
        raise SeriesProjection(kind=", ".join(sorted(named)) or header.series_description)


def _texts(header: SliceHeader) -> Iterable[tuple[str, str]]:
    fields = {
        "SeriesDescription": header.series_description,
        "BodyPartExamined": header.body_part_examined,
        "ProtocolName": header.protocol_name,
        "StudyDescription": header.study_description,
    }
    return ((field, text) for field, text in fields.items() if text)


def _words(text: str) -> str:
    """Lower case, with spaces where words are glued by case, digits or signs ("RoutineChest_5mm", "CTHead")."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return re.sub(r"[^a-z]+", " ", apart.lower())
