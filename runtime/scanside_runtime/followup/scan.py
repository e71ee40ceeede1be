"""One scan of a patient as his result documents tell it: what a comparison over time looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from scanside_runtime.followup.person_names import is_one_person_by_name

RESULT_SCHEMA = "scanside.result/1"
ZONES = ("right_upper", "right_middle", "right_lower", "left_upper", "left_middle", "left_lower")
PLACES = ("left", "right", *ZONES)
NO_BIRTH_DATES = ("1899-12-30", "1899-12-31", "1900-01-01", "1901-01-01")
"""The days that programs count from, and what people type where no birth date is known."""
RELEASED = "PATIENT_RELEASED"
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured in the whole, in a lung, in a zone; None where it was not."""

    poi_percent: float | None
    ihu_hu: float | None
    infection_volume_ml: float | None
    lung_volume_ml: float | None


@dataclass(frozen=True, slots=True)
class Person:
    """Who was scanned. An ID belongs to its issuer; birth date (ISO 8601) and sex say whether it is the same person.

    name: as the header spells it; spelling is no proof, but another given name is another person's. is_anybody: the ID
    is given to many (see `placeholders`), so that it says nothing.
    """

    patient_id: str | None
    issuer: str | None
    birth_date: str | None
    sex: str | None
    name: str | None = None
    is_anybody: bool = False

    @property
    def born(self) -> str | None:
        """The birth date, unless it is one that programs write where none is known."""
        return None if self.birth_date in NO_BIRTH_DATES else self.birth_date

    def conflicts(self, other: Person) -> str | None:
        """What the two state differently, in words; None where nothing that both state differs."""
        pairs = {"birth date": (self.born, other.born), "sex": (self.sex, other.sex)}
        differing = [f"{name} {a} and {b}" for name, (a, b) in pairs.items() if a and b and a != b]
        return ", ".join(differing) or None

    def is_proven(self, other: Person) -> bool:
        """A fact beside the ID that few share is the same, the birth date, and nothing differs."""
        same = self.born is not None and self.born == other.born
        return same and self.conflicts(other) is None and is_one_person_by_name(self.name, other.name)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a scan was made: a date, and the time of day where the header states it."""

    day: date
    at: datetime | None

    @classmethod
    def from_iso(cls, text: str) -> Moment:
        """Read ISO 8601. Raises ValueError."""
        if "T" not in text:
            return cls(date.fromisoformat(text), None)
        at = datetime.fromisoformat(text)
        return cls(at.date(), at)

    def days_after(self, earlier: Moment) -> float:
        """Days from `earlier` to this, negative where it is later.

        Whole days where either states no time of day. Where only one states a time zone, both are read as local time.
        """
        if self.at is None or earlier.at is None:
            return float((self.day - earlier.day).days)
        a, b = self.at, earlier.at
        if (a.tzinfo is None) != (b.tzinfo is None):
            a, b = a.replace(tzinfo=None), b.replace(tzinfo=None)
        return (a - b).total_seconds() / _DAY_S

    def sort_key(self, *, zoned: bool) -> datetime:
        """For putting moments in order: UTC where all state a time zone, else local time; a date is its start."""
        if self.at is None:
            return datetime.combine(self.day, time())
        return self.at.astimezone(UTC) if zoned else self.at.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Scan:
    """A measured study. flags: the codes of its findings. bundle: name and version of the networks.

    places: left, right and the six zones, those that were measured. lung_width_mm: from the right lung's right edge to
    the left one's left, which hardly changes with the breath. ct_extent_grade, severity_flag: as its result gave them.
    """

    study_uid: str
    moment: Moment | None
    acquired_at: str | None
    person: Person
    verdict: str
    whole: Measures
    places: Mapping[str, Measures]
    slice_thickness_mm: float | None
    kernel: str | None
    scanner: tuple[str | None, str | None]
    contrast_bolus_agent: str | None
    flags: frozenset[str]
    bundle: str | None
    lung_width_mm: float | None = None
    ct_extent_grade: str | None = None
    severity_flag: str | None = None

    @property
    def is_set_apart(self) -> bool:
        """It waits for a person's decision, or a person released it to stand by itself."""
        return self.verdict == "held" or RELEASED in self.flags

    @property
    def measured(self) -> bool:
        """POI was measured and not withheld."""
        return self.verdict == "analysed" and self.whole.poi_percent is not None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Scan:
        """Read a result document. Raises ValueError when it is none, or names no study."""
        try:
            return _scan(document)
        except (KeyError, TypeError, AttributeError) as problem:
            raise ValueError(f"it is no result document ({problem!r})") from problem


def _scan(document: Mapping[str, Any]) -> Scan:
    if document["schema"] != RESULT_SCHEMA:
        raise ValueError(f"its schema is {document['schema']!r}, not {RESULT_SCHEMA!r}")
    study, series = document["study"], document["series"] or {}
    biomarkers, bundle = document["biomarkers"] or {}, document["provenance"]["bundle"]
    stated = study["acquired_at"] or study["study_date"]
    zones = biomarkers.get("zones") or {}
    found = {name: zones.get(name) if name in ZONES else biomarkers.get(name) for name in PLACES}
    return Scan(
        study_uid=str(study["study_uid"]),
        moment=None if stated is None else Moment.from_iso(stated),
        acquired_at=stated,
        person=Person(
            study["patient_id"], study["issuer"], study.get("birth_date"), study["sex"], study.get("patient_name")
        ),
        verdict=document["verdict"],
        whole=_measures(biomarkers),
        places={name: _measures(place) for name, place in found.items() if place},
        slice_thickness_mm=_number(series.get("slice_thickness_mm")) or _slice_spacing_mm(series),
        kernel=series.get("kernel"),
        scanner=(series.get("manufacturer"), series.get("model")),
        contrast_bolus_agent=series.get("contrast_bolus_agent"),
        flags=frozenset(flag["code"] for flag in document["flags"]),
        bundle=None if bundle is None else f"{bundle['name']} {bundle['version']}",
        lung_width_mm=_number(biomarkers.get("lung_width_mm")),
        ct_extent_grade=biomarkers.get("ct_extent_grade"),
        severity_flag=(document.get("severity") or {}).get("flag"),
    )


def _slice_spacing_mm(series: Mapping[str, Any]) -> float | None:
    """The distance of slices stands in for a thickness that is not stated."""
    spacing_mm = series.get("spacing_mm")
    return None if not spacing_mm else _number(spacing_mm[0])


def _measures(place: Mapping[str, Any]) -> Measures:
    names = ("poi_percent", "ihu_hu", "infection_volume_ml", "lung_volume_ml")
    return Measures(*(_number(place.get(name)) for name in names))


def _number(value: object) -> float | None:
    """A number as float. Raises TypeError for what is neither number nor None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)
