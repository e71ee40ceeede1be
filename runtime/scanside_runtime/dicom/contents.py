"""What lies at a path as a person would choose from it: studies and their CT series, each with a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scanside_runtime.dicom.headers import CT_IMAGE, ENHANCED_CT, SliceHeader


@dataclass(frozen=True, slots=True)
class ListedSeries:
    """A CT series; number: from 1 within its study, by which it can be chosen. slices: how many objects it has."""

    number: int
    uid: str
    description: str | None
    slices: int
    slice_thickness_mm: float | None
    kernel: str | None


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A study that holds CT; number: from 1, by which it can be chosen. Facts are None where no slice states them."""

    number: int
    study_uid: str
    patient_id: str | None
    patient_name: str | None
    study_date: str | None
    description: str | None
    series: tuple[ListedSeries, ...]

    @property
    def slices(self) -> int:
        """Of all its series."""
        return sum(one.slices for one in self.series)


def is_ct(header: SliceHeader) -> bool:
    """CT slices, of whatever kind; no secondary captures, dose reports or other objects of a study."""
    return header.sop_class_uid == CT_IMAGE or header.sop_class_uid in ENHANCED_CT


def list_studies(headers: Iterable[SliceHeader]) -> tuple[ListedStudy, ...]:
    """Every study that holds CT, by patient, date and UID: the same numbers for the same files, in whatever folders."""
    groups: dict[str, list[SliceHeader]] = {}
    for header in headers:
        if is_ct(header):
            groups.setdefault(header.study_uid, []).append(header)
    studies = sorted((_study(0, group) for group in groups.values()), key=_order)
    return tuple(_study(number, groups[one.study_uid]) for number, one in enumerate(studies, start=1))


def study_named(headers: Iterable[SliceHeader], name: str) -> str:
    """The UID of the study that is named by UID or number; the name itself where there is none."""
    studies = list_studies(headers)
    numbers = {str(one.number): one.study_uid for one in studies}
    return name if any(one.study_uid == name for one in studies) else numbers.get(name, name)


def series_named(series: Sequence[ListedSeries], name: str) -> str | None:
    """The UID of the series that is named by UID or number; None where there is none."""
    numbers = {str(one.number): one.uid for one in series}
    return name if any(one.uid == name for one in series) else numbers.get(name)


def _order(study: ListedStudy) -> tuple[str, str, str]:
    return (study.patient_name or study.patient_id or "").casefold(), study.study_date or "", study.study_uid


def _study(number: int, group: Sequence[SliceHeader]) -> ListedStudy:
    by_series: dict[str, list[SliceHeader]] = {}
    for header in group:
        by_series.setdefault(header.series_uid, []).append(header)
    patients = [header.patient for header in group]
    return ListedStudy(
        number,
        group[0].study_uid,
        _first(one.patient_id for one in patients),
        _first(one.patient_name for one in patients),
        _first(one.study_date for one in patients),
        _first(header.study_description for header in group),
        tuple(_series(n, some) for n, (_, some) in enumerate(sorted(by_series.items()), start=1)),
    )


def _series(number: int, slices: Sequence[SliceHeader]) -> ListedSeries:
    first = slices[0]
    description = _first(header.series_description for header in slices)
    return ListedSeries(number, first.series_uid, description, len(slices), first.slice_thickness_mm, first.kernel)


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)
