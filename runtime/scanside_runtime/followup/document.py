"""The one place where a result document that lies somewhere is believed, or nothing of it is used.

Every value that anything later rests on has its type, and lies where such a value can lie.

A document is this box's own, but it has lain on a disk, and hands may have been on it. Fields that are not read here
have no effect on a later result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from scanside_runtime.process.typed import typed

RESULT_SCHEMA = "scanside.result/1"
ZONES = ("right_upper", "right_middle", "right_lower", "left_upper", "left_middle", "left_lower")
PLACES = ("left", "right", *ZONES)
LIMITS = {
    "poi_percent": (0.0, 100.0),
    "ihu_hu": (-1024.0, 3071.0),
    "infection_volume_ml": (0.0, 100_000.0),
    "lung_volume_ml": (0.0, 100_000.0),
    "lung_width_mm": (0.0, 2_000.0),
    "fluid_ml": (0.0, 100_000.0),
    "slice_thickness_mm": (0.0, 1_000.0),
}
"""Within which a measure of a chest lies, whatever was measured: HU are those of the scale, the rest is far above."""


class Believable:
    """Its numbers lie within `LIMITS`. Raises ValueError."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # only dataclasses are made of it
            low, high = LIMITS.get(field.name, (0.0, 0.0))
            value = getattr(self, field.name)
            if field.name in LIMITS and value is not None and not low <= value <= high:
                raise ValueError(f"{field.name} is {value:g}")


@dataclass(frozen=True, slots=True)
class StatedMeasures(Believable):
    """What a document states of the whole, a lung or a zone; null where it was not measured."""

    poi_percent: float | None = None
    ihu_hu: float | None = None
    infection_volume_ml: float | None = None
    lung_volume_ml: float | None = None


@dataclass(frozen=True, slots=True)
class StatedBiomarkers(Believable):
    """The block `biomarkers`."""

    poi_percent: float | None = None
    ihu_hu: float | None = None
    infection_volume_ml: float | None = None
    lung_volume_ml: float | None = None
    lung_width_mm: float | None = None
    fluid_ml: float | None = None
    ct_extent_grade: str | None = None
    left: StatedMeasures | None = None
    right: StatedMeasures | None = None
    zones: dict[str, StatedMeasures | None] | None = None

    def place(self, name: str) -> StatedMeasures | None:
        """A lung, or a zone."""
        if name in ZONES:
            return (self.zones or {}).get(name)
        return self.left if name == "left" else self.right


@dataclass(frozen=True, slots=True)
class StatedStudy:
    """The block `study`."""

    study_uid: str
    patient_id: str | None = None
    issuer: str | None = None
    patient_name: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    study_date: str | None = None
    acquired_at: str | None = None

    def __post_init__(self) -> None:
        for text in (self.study_date, self.acquired_at):
            if text is not None:
                datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class StatedSeries(Believable):
    """The block `series`."""

    spacing_mm: tuple[float, ...] | None = None
    slice_thickness_mm: float | None = None
    kernel: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    contrast_bolus_agent: str | None = None


@dataclass(frozen=True, slots=True)
class StatedBundle:
    """Which networks measured it."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class StatedProvenance:
    """The block `provenance`."""

    bundle: StatedBundle | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class StatedCode:
    """A flag, or the reason."""

    code: str


@dataclass(frozen=True, slots=True)
class StatedSeverity:
    """The block `severity`."""

    flag: str


@dataclass(frozen=True, slots=True)
class StatedTrend:
    """The block `progression`."""

    trend: str | None = None


@dataclass(frozen=True, slots=True)
class StatedResult:
    """A result document, as far as anything later rests on it. study, series, biomarkers: null in many refusals."""

    schema: Literal["scanside.result/1"]
    verdict: Literal["analysed", "refused", "held"]
    flags: tuple[StatedCode, ...]
    provenance: StatedProvenance
    reason: StatedCode | None = None
    study: StatedStudy | None = None
    series: StatedSeries | None = None
    biomarkers: StatedBiomarkers | None = None
    severity: StatedSeverity | None = None
    progression: StatedTrend | None = None


def stated_result(document: Mapping[str, Any]) -> StatedResult:
    """A document whose values can be believed. Raises ValueError, which says what can't."""
    schema = document.get("schema")
    if schema != RESULT_SCHEMA:
        raise ValueError(f"its schema is {str(schema)[:40]!r}, not {RESULT_SCHEMA!r}")
    try:
        return typed(StatedResult, document)
    except ValueError as problem:
        raise ValueError(f"it is no result document that can be believed: {problem}") from problem
