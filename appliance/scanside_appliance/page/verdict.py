"""What was found, in one sentence as a doctor would write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanside_appliance.languages.words import Words
from scanside_appliance.page.formatting import number

Measured = Mapping[str, Any]

MOST_SHARE = 0.25
"""A zone is named where it holds so much of all infection, more than a sixth: else it is everywhere."""
STANDS_OUT = 1.25
"""And so many times what any other zone holds: of two that are nearly alike none is called the one with the most."""
NEXT_GRADES = {"CT-0": "CT-2", "CT-1": "CT-2", "CT-2": "CT-3", "CT-3": "CT-4"}


def verdict_sentence(document: Mapping[str, Any], _: Words) -> str:
    """Where opacity is, how much, where most of it, how dense, which grade and how far from the next one.

    document: of an analysed study. _: says a text in the reader's language.
    """
    measured = document.get("biomarkers") or {}
    percent = measured.get("poi_percent")
    if percent is None:
        return _("Opacity was not measured.")
    if not measured.get("infection_volume_ml"):
        return _("No opacity was found in the lungs.")
    found = [_where(measured, _), _share(percent, measured, _), _most(measured, _), _density(measured, _)]
    text = _(", ").join(part for part in found if part)
    grade = _grade(measured, document.get("severity") or {}, _)
    sentence = _("%(found)s; %(grade)s.") if grade else _("%(found)s.")
    verdict = sentence % {"found": text, "grade": grade}
    return _.together(verdict, *_change(document.get("progression") or {}, _))


def _sides(measured: Measured) -> set[str]:
    """The lungs with opacity, by the zones that reach the floors of `[measures]`."""
    zones = (measured.get("zones") or {}).items()
    return {name.partition("_")[0] for name, zone in zones if zone and zone.get("score")}


def _where(measured: Measured, _: Words) -> str:
    sides = _sides(measured)
    if sides == {"right", "left"}:
        return _("Opacity in both lungs")
    if sides == {"right"}:
        return _("Opacity in the right lung")
    if sides == {"left"}:
        return _("Opacity in the left lung")
    zones = (measured.get("zones") or {}).values()
    known = any(zone and zone.get("score") is not None for zone in zones)
    return _("Traces of opacity") if known else _("Opacity in the lungs")


def _share(percent: float, measured: Measured, _: Words) -> str:
    """Of both lungs: where one was named alone, nobody may take it for that one's."""
    said = _("%s %% of both lungs together") if len(_sides(measured)) == 1 else _("%s %% of the lung")
    return said % number(percent, 0 if percent >= 9.95 else 1)


def _most(measured: Measured, _: Words) -> str | None:
    """The zone with the most of it, where one stands out; else the two of one height that hold more than half.

    None where the figures beside it would say otherwise: where another zone has a higher POI, because it is smaller.
    """
    zones = measured.get("zones") or {}
    share = {name: float((zones.get(name) or {}).get("poi_percent") or 0.0) for name in _in_one_zone(_)}
    highest = max(share.values())
    volumes = {name: float((zones.get(name) or {}).get("infection_volume_ml") or 0.0) for name in _in_one_zone(_)}
    most, second, third, *_less = sorted(volumes, key=volumes.__getitem__, reverse=True)
    all_ml = sum(volumes.values())
    if volumes[most] >= MOST_SHARE * all_ml and volumes[most] > STANDS_OUT * volumes[second]:
        return _in_one_zone(_)[most] if share[most] >= highest else None
    height = most.partition("_")[2]
    both = second.endswith(height) and volumes[second] > STANDS_OUT * volumes[third]
    both = both and volumes[most] + volumes[second] > all_ml / 2 and max(share[most], share[second]) >= highest
    return _in_both_zones(_)[height] if both else None


def _in_one_zone(_: Words) -> dict[str, str]:
    return {
        "right_upper": _("most in the right upper zone"),
        "right_middle": _("most in the right middle zone"),
        "right_lower": _("most in the right lower zone"),
        "left_upper": _("most in the left upper zone"),
        "left_middle": _("most in the left middle zone"),
        "left_lower": _("most in the left lower zone"),
    }


def _in_both_zones(_: Words) -> dict[str, str]:
    return {
        "upper": _("most in both upper zones"),
        "middle": _("most in both middle zones"),
        "lower": _("most in both lower zones"),
    }


def _density(measured: Measured, _: Words) -> str | None:
    """How much of it is consolidation rather than ground glass."""
    dense_ml, all_ml = measured.get("consolidation_ml"), measured.get("infection_volume_ml")
    if dense_ml is None or not all_ml:
        return None
    share = dense_ml / all_ml
    if share < 0.1:
        return _("nearly all of it ground glass")
    if share < 0.4:
        return _("mostly ground glass")
    if share <= 0.6:
        return _("half of it dense")
    return _("mostly dense") if share <= 0.9 else _("nearly all of it dense")


def _change(progression: Mapping[str, Any], _: Words) -> list[str]:
    """Where the scan before can be compared, which way POI went."""
    sentences = {
        "rising": _("Rising by %(points)s points since %(date)s."),
        "falling": _("Falling by %(points)s points since %(date)s."),
        "stable": _("Unchanged since %(date)s."),
    }
    sentence, change = sentences.get(str(progression.get("trend"))), progression.get("poi_change_points")
    if sentence is None or change is None:
        return []
    return [sentence % {"points": number(abs(change), 1), "date": str(progression["previous_acquired_at"])[:10]}]


def _grade(measured: Measured, severity: Mapping[str, Any], _: Words) -> str | None:
    grade, points = measured.get("ct_extent_grade"), severity.get("distance_points")
    if grade is None:
        return None
    following = NEXT_GRADES.get(grade)
    if points is None or following is None or grade == "CT-0":
        return _("grade %(grade)s") % {"grade": str(grade)}
    values = {"grade": grade, "points": number(points, 1), "following": following}
    return _("grade %(grade)s, %(points)s points below %(following)s") % values
