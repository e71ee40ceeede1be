"""The result document as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from scanside_appliance.languages.catalogue import ENGLISH, to_translate
from scanside_appliance.languages.columns import cells, padded
from scanside_appliance.languages.words import Message, Words, said
from scanside_appliance.page.contents import offered_lines
from scanside_appliance.page.sentences import cautions, explained, reason_in_words
from scanside_runtime.errors import shown

NOT_MEASURED = to_translate("not measured")
SEVERITY = {
    "none": to_translate("none"),
    "watch": to_translate("WATCH"),
    "severe": to_translate("SEVERE"),
    "not_assessed": to_translate("not assessed"),
}
TREND = {
    "rising": to_translate("RISING"),
    "falling": to_translate("falling"),
    "stable": to_translate("stable"),
    "not_comparable": to_translate("not comparable"),
}
VERDICT = {
    "analysed": to_translate("analysed"),
    "refused": to_translate("REFUSED"),
    "held": to_translate("HELD"),
}
LABELS = (
    *(to_translate("study"), to_translate("verdict"), to_translate("dense"), to_translate("lungs")),
    *(to_translate("right"), to_translate("left"), to_translate("zones"), to_translate("severity")),
    *(to_translate("trend"), to_translate("reason"), to_translate("advice"), to_translate("page")),
    *(to_translate("note"), to_translate("caution"), to_translate("withhold")),
)
"""What stands before the lines."""
Line = tuple[str, str]


def summary(document: Mapping[str, Any], _: Words) -> str:
    """Verdict and numbers, or code, reason and advice; then every flag. _: says it in the reader's language."""
    analysed = document["verdict"] == "analysed"
    body = _numbers(document, _) if analysed else _refusal(document, _)
    lines = [_line(*one, _) for one in [*_patient(document), *body]]
    offered = [] if analysed else offered_lines(document, _)
    return "\n".join([*lines, *offered, *(_line(*one, _) for one in _flags(document, _))])


def page_line(path: Path, _: Words) -> str:
    """Where the page lies."""
    return _line("page", str(path), _)


def _line(name: str, text: str, _: Words) -> str:
    return padded(_(name), _label_width(_)) + shown(text)


@cache
def _label_width(_: Words) -> int:
    return max(10, *(cells(_(name)) + 1 for name in LABELS))


def _patient(document: Mapping[str, Any]) -> list[Line]:
    study = document.get("study") or {}
    parts = [study.get("patient_id"), study.get("acquired_at") or study.get("study_date"), study.get("study_uid")]
    known = [part for part in parts if part]
    return [("study", ", ".join(known))] if known else []


def _numbers(document: Mapping[str, Any], _: Words) -> list[Line]:
    measured = document["biomarkers"]
    dense = said("{share} of the lung from -200 HU on", share=_number(measured["high_opacity_percent"], "%", 1))
    score = measured["six_zone_score"]
    return [
        ("verdict", _(VERDICT["analysed"])),
        ("POI", _(_number(measured["poi_percent"], "%", 1))),
        ("iHU", _(_number(measured["ihu_hu"], "HU"))),
        ("dense", _(dense)),
        ("lungs", _(_number(measured["lung_volume_ml"], "ml"))),
        *((side, _lung(measured[side], _)) for side in ("right", "left")),
        ("zones", _(said("score {score} of 24", score=score) if score is not None else said("score not measured"))),
        ("severity", _severity(document["severity"], measured["ct_extent_grade"], _)),
        *_trend(document["progression"], _),
    ]


def _severity(severity: Mapping[str, Any], grade: str | None, _: Words) -> str:
    """The flag and what it rests on."""
    flag, model = _(SEVERITY[severity["flag"]]), severity["model"]
    if severity["basis"] == "model":
        odds = {"probability": severity["probability"], "cut_off": severity["cut_off"]}
        rests = _("model {name}: probability {probability:.2f}, severe from {cut_off:.2f}", name=model["name"], **odds)
        return f"{flag} ({rests})"
    if severity["basis"] == "progress":
        return f"{flag} ({model['name']}: {explained(severity['why'], _)})"
    rests = _("extent grade {grade}", grade=grade or said(NOT_MEASURED))
    return f"{flag} ({', '.join([rests, *_next_grade(severity, _)])})"


def _next_grade(severity: Mapping[str, Any], _: Words) -> list[str]:
    """What decides, and how far the next grade is."""
    percent, points = severity.get("deciding_percent"), severity.get("distance_points")
    if percent is None:
        return []
    decides = _("{percent:.1f} % of the worse lung", percent=percent)
    return [decides] if points is None else [decides, _("{points:.1f} points below the next", points=points)]


def _trend(progression: Mapping[str, Any] | None, _: Words) -> list[Line]:
    """What changed since the scan before."""
    if progression is None:
        return []
    told = _(
        "POI {poi}, iHU {ihu} since {moment} ({days:.1f} days)",
        poi=said(TREND[progression["trend"]]),
        ihu=said(TREND[progression["density_trend"]]),
        moment=progression["previous_acquired_at"],
        days=progression["interval_days"],
    )
    return [("trend", told), ("", explained(progression["why"], _))]


def _lung(lung: Mapping[str, Any], _: Words) -> str:
    poi, ihu = _(_number(lung["poi_percent"], "%", 1)), _(_number(lung["ihu_hu"], "HU"))
    return f"POI {poi}, iHU {ihu}, {_(_number(lung['lung_volume_ml'], 'ml'))}"


def _refusal(document: Mapping[str, Any], _: Words) -> list[Line]:
    reason = document["reason"]
    told, advice, more = reason_in_words(reason, _)
    if _.language == ENGLISH:
        told, more = reason["message"], ""
    return [
        ("verdict", f"{_(VERDICT[document['verdict']])}  {reason['code']}"),
        ("reason", _.together(told, more)),
        ("advice", advice),
    ]


def _flags(document: Mapping[str, Any], _: Words) -> list[Line]:
    """What each means, and the document's own words, which have the figures."""
    found = cautions(document["flags"], _)
    meanings = ["" if _.language == ENGLISH or one.meaning == one.detail else f"{one.meaning} " for one in found]
    return [
        (one.level, f"{one.code}: {meaning if one.detail else one.meaning}{one.detail}".rstrip())
        for one, meaning in zip(found, meanings, strict=True)
    ]


def _number(value: float | None, unit: str, digits: int = 0) -> Message:
    return said(NOT_MEASURED) if value is None else Message(f"{value:.{digits}f} {unit}")
