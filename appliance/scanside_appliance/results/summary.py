"""The result document as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanside_appliance.page.contents import offered_lines

NOT_MEASURED = "not measured"
SEVERITY = {"none": "none", "watch": "WATCH", "severe": "SEVERE", "not_assessed": "not assessed"}
TREND = {"rising": "RISING", "falling": "falling", "stable": "stable", "not_comparable": "not comparable"}


def summary(document: Mapping[str, Any]) -> str:
    """Verdict and numbers, or code, reason and advice; then every flag."""
    body = _numbers(document) if document["verdict"] == "analysed" else [*_refusal(document), *offered_lines(document)]
    return "\n".join([*_patient(document), *body, *_flags(document)])


def _patient(document: Mapping[str, Any]) -> list[str]:
    study = document.get("study") or {}
    parts = [study.get("patient_id"), study.get("acquired_at") or study.get("study_date"), study.get("study_uid")]
    known = [part for part in parts if part]
    return [_line("study", ", ".join(known))] if known else []


def _numbers(document: Mapping[str, Any]) -> list[str]:
    measured = document["biomarkers"]
    return [
        _line("verdict", "analysed"),
        _line("POI", _number(measured["poi_percent"], "%", 1)),
        _line("iHU", _number(measured["ihu_hu"], "HU")),
        _line("dense", f"{_number(measured['high_opacity_percent'], '%', 1)} of the lung from -200 HU on"),
        _line("lungs", _number(measured["lung_volume_ml"], "ml")),
        *(_line(side, _lung(measured[side])) for side in ("right", "left")),
        _line("zones", f"score {_number(measured['six_zone_score'], 'of 24')}"),
        _line("severity", _severity(document["severity"], measured["ct_extent_grade"])),
        *_trend(document["progression"]),
    ]


def _severity(severity: Mapping[str, Any], grade: str | None) -> str:
    """The flag and what it rests on."""
    flag, model = SEVERITY[severity["flag"]], severity["model"]
    if severity["basis"] == "model":
        odds = f"probability {severity['probability']:.2f}, severe from {severity['cut_off']:.2f}"
        return f"{flag} (model {model['name']}: {odds})"
    if severity["basis"] == "progress":
        return f"{flag} ({model['name']}: {severity['why']})"
    return f"{flag} (extent grade {grade or NOT_MEASURED}{_next_grade(severity)})"


def _next_grade(severity: Mapping[str, Any]) -> str:
    """What decides, and how far the next grade is."""
    percent, points = severity.get("deciding_percent"), severity.get("distance_points")
    if percent is None:
        return ""
    decides = f", {percent:.1f} % of the worse lung"
    return decides if points is None else f"{decides}, {points:.1f} points below the next"


def _trend(progression: Mapping[str, Any] | None) -> list[str]:
    """What changed since the scan before."""
    if progression is None:
        return []
    trends = f"POI {TREND[progression['trend']]}, iHU {TREND[progression['density_trend']]}"
    since = f"since {progression['previous_acquired_at']} ({progression['interval_days']:.1f} days)"
    return [_line("trend", f"{trends} {since}"), _line("", progression["why"])]


def _lung(lung: Mapping[str, Any]) -> str:
    return ", ".join(
        (
            f"POI {_number(lung['poi_percent'], '%', 1)}",
            f"iHU {_number(lung['ihu_hu'], 'HU')}",
            _number(lung["lung_volume_ml"], "ml"),
        )
    )


def _refusal(document: Mapping[str, Any]) -> list[str]:
    reason = document["reason"]
    return [
        _line("verdict", f"{document['verdict'].upper()}  {reason['code']}"),
        _line("reason", reason["message"]),
        _line("advice", reason["advice"]),
    ]


def _flags(document: Mapping[str, Any]) -> list[str]:
    return [_line(flag["level"], f"{flag['code']}: {flag['message']}") for flag in document["flags"]]


def _number(value: float | None, unit: str, digits: int = 0) -> str:
    return NOT_MEASURED if value is None else f"{value:.{digits}f} {unit}"


def _line(name: str, text: str) -> str:
    return f"{name:<10}{text}"
