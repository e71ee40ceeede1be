"""What lies at a path, as a table to choose from: studies by number, or the series of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scanside_appliance.files.names import harmless
from scanside_appliance.page.formatting import person

WIDEST = 40
WHICH_STUDY = ("SERIES_SEVERAL_STUDIES", "SERIES_STUDY_NOT_FOUND")
Row = Sequence[str]
Listed = Sequence[Mapping[str, Any]]


def offered(document: Mapping[str, Any]) -> tuple[Listed, Listed]:
    """Studies or series that a person may choose from, where the choice is why nothing was measured; else none."""
    studies, code = document.get("contents") or [], (document.get("reason") or {}).get("code", "")
    if code in WHICH_STUDY:
        return studies, []
    uid = (document.get("study") or {}).get("study_uid")
    series: Listed = next((one["series"] for one in studies if one["study_uid"] == uid), [])
    return [], series if code.startswith("SERIES_") and len(series) > 1 else []


def offered_lines(document: Mapping[str, Any]) -> list[str]:
    """The same as a table."""
    studies, series = offered(document)
    return study_lines(studies) if studies else series_lines(series) if series else []


def contents_lines(studies: Listed) -> list[str]:
    """What lies at a path: several studies, or the series of the only one."""
    if not studies:
        return ["no CT here"]
    return series_lines(studies[0]["series"]) if len(studies) == 1 else study_lines(studies)


def study_lines(studies: Listed) -> list[str]:
    """A table of the document's `contents`: number, name, date, description, series, slices."""
    rows = [
        (
            str(one["number"]),
            person(one["patient_name"]) or one["patient_id"] or "no name",
            one["study_date"] or "no date",
            one["description"] or "no description",
            str(len(one["series"])),
            str(sum(series["slices"] for series in one["series"])),
        )
        for one in studies
    ]
    return _table(("#", "name", "date", "description", "series", "slices"), rows)


def series_lines(series: Listed) -> list[str]:
    """A table of one study's series: number, description, slices, thickness, kernel."""
    rows = [
        (
            str(one["number"]),
            one["description"] or "no description",
            str(one["slices"]),
            f"{one['slice_thickness_mm']:g} mm" if one["slice_thickness_mm"] else "not stated",
            one["kernel"] or "not stated",
        )
        for one in series
    ]
    return _table(("#", "series", "slices", "thickness", "kernel"), rows)


def _table(head: Row, rows: Sequence[Row]) -> list[str]:
    """Columns as wide as their widest text; numbers stand to the right."""
    shown = [head, *(tuple(_short(text) for text in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    right = [all(row[n].isdecimal() for row in shown[1:]) for n in range(len(head))]
    return ["  ".join(map(_aligned, row, widths, right)).rstrip() for row in shown]


def _aligned(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)


def _short(text: str) -> str:
    """On one line, without what a terminal would obey."""
    plain = harmless(text)
    return plain if len(plain) <= WIDEST else f"{plain[: WIDEST - 3]}..."
