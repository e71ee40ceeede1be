"""What lies at a path, as a table to choose from: studies by number, or the series of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scanside_appliance.files.names import harmless
from scanside_appliance.languages.columns import cells, padded
from scanside_appliance.languages.words import Words
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


def offered_lines(document: Mapping[str, Any], _: Words) -> list[str]:
    """The same as a table."""
    studies, series = offered(document)
    return study_lines(studies, _) if studies else series_lines(series, _) if series else []


def contents_lines(studies: Listed, _: Words) -> list[str]:
    """What lies at a path: several studies, or the series of the only one."""
    if not studies:
        return [_("no CT here")]
    return series_lines(studies[0]["series"], _) if len(studies) == 1 else study_lines(studies, _)


def study_lines(studies: Listed, _: Words) -> list[str]:
    """A table of the document's `contents`: number, name, date, description, series, slices."""
    rows = [
        (
            str(one["number"]),
            person(one["patient_name"]) or one["patient_id"] or _("no name"),
            one["study_date"] or _("no date"),
            one["description"] or _("no description"),
            str(len(one["series"])),
            str(sum(series["slices"] for series in one["series"])),
        )
        for one in studies
    ]
    return _table(("#", _("Name"), _("Date"), _("Description"), _("Series"), _("Slices")), rows)


def series_lines(series: Listed, _: Words) -> list[str]:
    """A table of one study's series: number, description, slices, thickness, kernel."""
    rows = [
        (
            str(one["number"]),
            one["description"] or _("no description"),
            str(one["slices"]),
            f"{one['slice_thickness_mm']:g} mm" if one["slice_thickness_mm"] else _("not stated"),
            one["kernel"] or _("not stated"),
        )
        for one in series
    ]
    return _table(("#", _("Series"), _("Slices"), _("Thickness"), _("Kernel")), rows)


def _table(head: Row, rows: Sequence[Row]) -> list[str]:
    """Columns as wide as their widest text; numbers stand to the right."""
    shown = [head, *(tuple(_short(text) for text in row) for row in rows)]
    widths = [max(map(cells, column)) for column in zip(*shown, strict=True)]
    right = [all(row[n].isdecimal() for row in shown[1:]) for n in range(len(head))]
    return ["  ".join(map(_aligned, row, widths, right)).rstrip() for row in shown]


def _aligned(text: str, width: int, right: bool) -> str:
    return padded(text, width, right=right)


def _short(text: str) -> str:
    """On one line, without what a terminal would obey."""
    plain = harmless(text)
    return plain if len(plain) <= WIDEST else f"{plain[: WIDEST - 3]}..."
