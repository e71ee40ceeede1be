"""The result document as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_MEASURED = "not measured"
SEVERITY = {"none": "none", "watch": "WATCH", "severe": "SEVERE", "not_assessed": "not assessed"}


def summary(document: Mapping[str, Any]) -> str:
    """Verdict and numbers, or code, reason and advice; then every flag."""
    body = _numbers(document) if document["verdict"] == "analysed" else _refusal(document)
    return "\n".join([*_patient(document), *body, *_flags(document)])


def _patient(document: Mapping[str, Any]) -> list[str]:
    study = document.get("study") or {}
    parts = [study.get("patient_id"), study.get("acquired_at") or study.get("study_date"), study.get("study_uid")]
    known = [part for part in parts if part]
    return [_line("study", ", ".join(known))] if known else []


def _numbers(document: Mapping[str, Any]) -> list[str]:
    measured, severity = document["biomarkers"], document["severity"]
    flag = SEVERITY[severity["flag"]]
    return [
        _line("verdict", "analysed"),
        _line("POI", _number(measured["poi_percent"], "%", 1)),
        _line("iHU", _number(measured["ihu_hu"], "HU")),
        _line("lungs", _number(measured["lung_volume_ml"], "ml")),
        *(_line(side, _lung(measured[side])) for side in ("right", "left")),
        _line("zones", f"score {_number(measured['six_zone_score'], 'of 24')}"),
        _line("severity", f"{flag} (extent grade {measured['ct_extent_grade'] or NOT_MEASURED})"),
    ]


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
