"""The result document without what says whose it is: numbers, codes and grades are copied by name, all else is not.

Texts of the document may quote a header (a description, a name, a date), so that none is taken over: what stands for a
code is said in the words that it always has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from scanside_appliance.explain import explanation
from scanside_appliance.referral.pseudonym import Pseudonyms
from scanside_runtime.findings import KINDS

Document = Mapping[str, Any]

_SERIES = ("slices", "spacing_mm", "slice_thickness_mm", "hu_mean")
_SEVERITY = ("flag", "basis", "probability", "cut_off", "deciding_percent", "distance_points")
_CHANGE = (
    "interval_days", "poi_change_points", "ihu_change_hu", "infection_volume_change_percent",
    "lung_volume_change_percent", "trend", "density_trend",
)  # fmt: skip
_PROVENANCE = ("software", "version", "commit", "bundle", "engine", "revision", "for_earlier_scan")
_WORDS = frozenset(
    (
        *("none", "watch", "severe", "not_assessed", "extent", "model", "progress"),
        *("rising", "falling", "stable", "not_comparable", "worse_lung", "whole_lung"),
        *("CT-0", "CT-1", "CT-2", "CT-3", "CT-4"),
    )
)
"""The only texts among what was measured: a closed list, so that no other one passes."""


def clean_document(document: Document, pseudonyms: Pseudonyms, pseudonym: str) -> dict[str, Any]:
    """The document of schema scanside.result/1 as it may leave the hospital; what is left out is null or empty."""
    return {
        "schema": document["schema"],
        "verdict": document["verdict"],
        "reason": _reason(document.get("reason")),
        "flags": [_flag(flag) for flag in document["flags"] if flag["code"] in KINDS],
        "study": {**dict.fromkeys(document["study"]), **_study(document["study"], pseudonyms, pseudonym)},
        "series": {**dict.fromkeys(document["series"]), **_series(document["series"], pseudonyms)},
        "biomarkers": measured(document["biomarkers"]),
        "severity": _severity(document.get("severity")),
        "progression": _change(document.get("progression")),
        "provenance": {**dict.fromkeys(document["provenance"]), **_some(document["provenance"], _PROVENANCE)},
        "timing_ms": {},
        "artefacts": [],
    }


def measured(value: Any) -> Any:
    """Numbers, yes and no, the words of closed lists, and what holds them; anything else is null."""
    if isinstance(value, Mapping):
        return {str(name): measured(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [measured(one) for one in value]
    if isinstance(value, str):
        return value if value in _WORDS else None
    return value if isinstance(value, bool | int | float) else None


def _some(block: Document, names: Iterable[str]) -> dict[str, Any]:
    return {name: block[name] for name in names if name in block}


def _reason(reason: Document | None) -> dict[str, str] | None:
    """What its code always says; the box's own words may quote a header."""
    known = None if reason is None else explanation(str(reason["code"]))
    return None if known is None else {"code": known.code, "message": known.message, "advice": known.advice}


def _severity(severity: Document | None) -> dict[str, Any] | None:
    return None if severity is None else {**dict.fromkeys(severity), **measured(_some(severity, _SEVERITY))}


def _flag(flag: Document) -> dict[str, Any]:
    """Its figures are numbers that were measured; its message may quote a header."""
    figures = {name: value for name, value in measured(flag.get("values") or {}).items() if value is not None}
    return {"code": flag["code"], "level": flag["level"], "message": KINDS[flag["code"]].meaning, "values": figures}


def _study(study: Document, pseudonyms: Pseudonyms, pseudonym: str) -> dict[str, Any]:
    return {"patient_id": pseudonym, "study_uid": pseudonyms.uid(study["study_uid"])}


def _series(series: Document, pseudonyms: Pseudonyms) -> dict[str, Any]:
    nothing = {"passed_over": [], "chosen_because": ""}
    return {**nothing, **measured(_some(series, _SERIES)), "uid": pseudonyms.uid(series["uid"])}


def _change(change: Document | None) -> dict[str, Any] | None:
    """What changed, in figures; when the scans were made stays here."""
    if change is None:
        return None
    return {**dict.fromkeys(change), **measured(_some(change, _CHANGE)), "scans": []}
