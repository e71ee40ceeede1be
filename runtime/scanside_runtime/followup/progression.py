"""What changed since the scan before: POI, iHU and volumes of the same patient, like compared with like.

Pure functions on result documents: nothing is read, and the order in which documents come changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scanside_runtime.followup.comparability import obstacles
from scanside_runtime.followup.measurement_error import MeasurementError
from scanside_runtime.followup.scan import Measures, Scan

Trend = Literal["rising", "falling", "stable", "not_comparable"]

LEAST_INFECTION_ML = 10.0
"""iHU is compared only where both scans hold this much infection: the mean of less says little."""


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """Later less earlier, for the whole, a lung or a zone; None where it can't be said."""

    poi_change_points: float | None
    ihu_change_hu: float | None
    infection_volume_change_ml: float | None
    infection_volume_change_percent: float | None
    lung_volume_change_percent: float | None


NO_CHANGE_KNOWN = PlaceChange(None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class Change:
    """One scan against an earlier one. trend is that of POI, density_trend that of iHU; why says what they rest on.

    timed: the interval is exact, both scans state their time of day; else it is whole days between dates.
    """

    previous: Scan
    interval_days: float
    timed: bool
    whole: PlaceChange
    places: Mapping[str, PlaceChange]
    trend: Trend
    density_trend: Trend
    why: str

    @property
    def comparable(self) -> bool:
        """The two scans are alike enough for POI to be compared."""
        return self.trend != "not_comparable"

    def to_document(self) -> dict[str, Any]:
        """The fields of the block `progression` that speak of one pair."""
        places = {name: asdict(change) for name, change in self.places.items()}
        sides = {side: places.pop(side, None) for side in ("left", "right")}
        return {
            "previous_study_uid": self.previous.study_uid,
            "previous_acquired_at": self.previous.acquired_at,
            "interval_days": self.interval_days,
            **asdict(self.whole),
            "trend": self.trend,
            "density_trend": self.density_trend,
            "why": self.why,
            **sides,
            "zones": places or None,
        }


@dataclass(frozen=True, slots=True)
class Step:
    """A scan in a patient's course, and how it differs from the one before; None for the first."""

    scan: Scan
    change: Change | None

    def to_document(self) -> dict[str, Any]:
        """A row of the history: measures of the scan, what changed since the one before."""
        change = self.change
        whole = NO_CHANGE_KNOWN if change is None else change.whole
        return {
            "study_uid": self.scan.study_uid,
            "acquired_at": self.scan.acquired_at,
            "verdict": self.scan.verdict,
            **asdict(self.scan.whole),
            "ct_extent_grade": self.scan.ct_extent_grade,
            "severity_flag": self.scan.severity_flag,
            "slice_thickness_mm": self.scan.slice_thickness_mm,
            "interval_days": None if change is None else change.interval_days,
            **asdict(whole),
            "trend": None if change is None else change.trend,
            "density_trend": None if change is None else change.density_trend,
            "why": None if change is None else change.why,
        }


@dataclass(frozen=True, slots=True)
class Progression:
    """The present scan against what was before it.

    change: against the measured scan right before. last_comparable: where that one can't be compared, against the
    latest that can. recent: against every comparable scan before, latest first. course: all scans up to the present.
    """

    change: Change
    last_comparable: Change | None
    recent: tuple[Change, ...]
    course: tuple[Step, ...]
    error: MeasurementError

    def to_document(self) -> dict[str, Any]:
        """The block `progression` of the result document."""
        return {
            **self.change.to_document(),
            "last_comparable": None if self.last_comparable is None else self.last_comparable.to_document(),
            "measurement_error": asdict(self.error),
            "scans": [step.to_document() for step in self.course],
        }


def progression(present: Scan, earlier: Sequence[Scan], error: MeasurementError) -> Progression | None:
    """The present scan against the patient's earlier ones; None where nothing measured lies before it.

    Scans of the same study (its earlier revisions) and scans that were not made before the present one are left out.
    """
    before = [scan for scan in in_order(earlier) if scan.study_uid != present.study_uid and _is_before(scan, present)]
    measured = [scan for scan in reversed(before) if scan.measured]
    if not present.measured or not measured:
        return None
    changes = tuple(compare(scan, present, error) for scan in measured)
    recent = tuple(change for change in changes if change.comparable)
    return Progression(
        change=changes[0],
        last_comparable=None if changes[0].comparable or not recent else recent[0],
        recent=recent,
        course=course([*before, present], error),
        error=error,
    )


def course(scans: Sequence[Scan], error: MeasurementError) -> tuple[Step, ...]:
    """All scans in the order in which they were made, each measured one against the measured one before."""
    steps: list[Step] = []
    last: Scan | None = None
    for scan in in_order(scans):
        change = compare(last, scan, error) if last is not None and scan.measured else None
        steps.append(Step(scan, change))
        last = scan if scan.measured else last
    return tuple(steps)


def in_order(scans: Sequence[Scan]) -> list[Scan]:
    """By acquisition time, then by study UID; scans without a date can't be placed and are left out."""
    dated = [(scan.moment, scan) for scan in scans if scan.moment is not None]
    zoned = all(moment.at is not None and moment.at.tzinfo is not None for moment, _ in dated)
    return [scan for _, scan in sorted(dated, key=lambda pair: (pair[0].sort_key(zoned=zoned), pair[1].study_uid))]


def compare(before: Scan, after: Scan, error: MeasurementError) -> Change:
    """What changed from one scan to a later one; "not_comparable", with no numbers, where they are not alike.

    POI rises or falls where it changed by more than `error.poi_points`, iHU where both hold 10 ml of infection and it
    changed by more than `error.ihu_hu`. Raises ValueError for a scan without a date.
    """
    if before.moment is None or after.moment is None:
        raise ValueError("a scan without a date can't be compared")
    days = after.moment.days_after(before.moment)
    timed = before.moment.at is not None and after.moment.at is not None
    why_not = (*obstacles(before, after), *(() if days > 0.0 else ("which of them came first is not known",)))
    if why_not:
        why = f"Not compared: {'; '.join(why_not)}."
        return Change(before, days, timed, NO_CHANGE_KNOWN, {}, "not_comparable", "not_comparable", why)
    whole = _place_change(before.whole, after.whole)
    poi_trend, ihu_trend = _trend(whole.poi_change_points, error.poi_points), _trend(whole.ihu_change_hu, error.ihu_hu)
    shared = before.places.keys() & after.places.keys()
    places = {name: _place_change(before.places[name], after.places[name]) for name in after.places if name in shared}
    return Change(before, days, timed, whole, places, poi_trend, ihu_trend, _why(whole, poi_trend, ihu_trend, error))


def _is_before(scan: Scan, present: Scan) -> bool:
    return scan.moment is not None and present.moment is not None and present.moment.days_after(scan.moment) > 0.0


def _place_change(before: Measures, after: Measures) -> PlaceChange:
    enough = all((place.infection_volume_ml or 0.0) >= LEAST_INFECTION_ML for place in (before, after))
    return PlaceChange(
        poi_change_points=_difference(before.poi_percent, after.poi_percent),
        ihu_change_hu=_difference(before.ihu_hu, after.ihu_hu) if enough else None,
        infection_volume_change_ml=_difference(before.infection_volume_ml, after.infection_volume_ml),
        infection_volume_change_percent=_relative(before.infection_volume_ml, after.infection_volume_ml),
        lung_volume_change_percent=_relative(before.lung_volume_ml, after.lung_volume_ml),
    )


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _relative(before: float | None, after: float | None) -> float | None:
    """In percent of the earlier value; None where that is nothing, or next to it."""
    if not before or after is None:
        return None
    percent = 100.0 * (after - before) / before
    return percent if math.isfinite(percent) else None


def _trend(change: float | None, error: float) -> Trend:
    if change is None:
        return "not_comparable"
    if abs(change) <= error:
        return "stable"
    return "rising" if change > 0.0 else "falling"


def _why(whole: PlaceChange, poi_trend: Trend, ihu_trend: Trend, error: MeasurementError) -> str:
    """The sentence behind both trends."""
    poi = _sentence("POI", whole.poi_change_points, poi_trend, error.poi_points, "points", 1)
    if ihu_trend == "not_comparable":
        return f"{poi} iHU is not compared: it takes {LEAST_INFECTION_ML:.0f} ml of infection in both scans."
    return f"{poi} {_sentence('iHU', whole.ihu_change_hu, ihu_trend, error.ihu_hu, 'HU', 0)}"


def _sentence(name: str, change: float | None, trend: Trend, error: float, unit: str, digits: int) -> str:
    where = "within" if trend == "stable" else "beyond"
    return f"{name} changed by {change or 0.0:+.{digits}f} {unit}, {where} the measurement error of {error:.{digits}f}."
