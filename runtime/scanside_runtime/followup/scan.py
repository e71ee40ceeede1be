"""One scan of a patient as his result documents tell it: what a comparison over time looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from scanside_runtime.followup.document import (
    PLACES,
    StatedBiomarkers,
    StatedMeasures,
    StatedResult,
    StatedSeries,
    stated_result,
)
from scanside_runtime.followup.person_names import is_one_person_by_name

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
        born = bool(self.born and other.born and self.born != other.born)
        sex = bool(self.sex and other.sex and self.sex != other.sex)
        if born and sex:
            return f"birth date {self.born} and {other.born}, sex {self.sex} and {other.sex}"
        if born:
            return f"birth date {self.born} and {other.born}"
        return f"sex {self.sex} and {other.sex}" if sex else None

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
        try:
            return self.at.astimezone(UTC) if zoned else self.at.replace(tzinfo=None)
        except OverflowError:  # the first or the last day that there is
            return self.at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scan:
    """A measured study. flags: the codes of its findings. bundle: name and version of the networks.

    places: left, right and the six zones, those that were measured. lung_width_mm: from the right lung's right edge to
    the left one's left, which hardly changes with the breath. fluid_ml: what was set apart as pleural fluid; None where
    the result is older than that rule. ct_extent_grade, severity_flag: as its result gave them.
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
    fluid_ml: float | None = None
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
        """Read a result document. Raises ValueError when it is none, names no study, or a value can't be believed."""
        return _scan(stated_result(document))


def _scan(stated: StatedResult) -> Scan:
    study, series = stated.study, stated.series or StatedSeries()
    biomarkers, bundle = stated.biomarkers or StatedBiomarkers(), stated.provenance.bundle
    if study is None:
        raise ValueError("it is no result document of a study: it names none")
    moment = study.acquired_at or study.study_date
    found = {name: place for name in PLACES if (place := biomarkers.place(name))}
    return Scan(
        study_uid=study.study_uid,
        moment=None if moment is None else Moment.from_iso(moment),
        acquired_at=moment,
        person=Person(study.patient_id, study.issuer, study.birth_date, study.sex, study.patient_name),
        verdict=stated.verdict,
        whole=_measures(biomarkers),
        places={name: _measures(place) for name, place in found.items()},
        slice_thickness_mm=series.slice_thickness_mm or _slice_spacing_mm(series),
        kernel=series.kernel,
        scanner=(series.manufacturer, series.model),
        contrast_bolus_agent=series.contrast_bolus_agent,
        flags=frozenset(flag.code for flag in stated.flags),
        bundle=None if bundle is None else f"{bundle.name} {bundle.version}",
        lung_width_mm=biomarkers.lung_width_mm,
        fluid_ml=biomarkers.fluid_ml,
        ct_extent_grade=biomarkers.ct_extent_grade,
        severity_flag=None if stated.severity is None else stated.severity.flag,
    )


def _slice_spacing_mm(series: StatedSeries) -> float | None:
    """The distance of slices stands in for a thickness that is not stated."""
    return series.spacing_mm[0] if series.spacing_mm else None


def _measures(place: StatedBiomarkers | StatedMeasures) -> Measures:
    return Measures(place.poi_percent, place.ihu_hu, place.infection_volume_ml, place.lung_volume_ml)
