"""From files to one axial chest series whose grid is sound: headers only, no pixels yet.

found = index.find_series(path, limits)           every DICOM header, and what was passed over
series = choose_series(found, limits=limits)      one series, with the reason for it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scanside_runtime.dicom import ranking
from scanside_runtime.dicom.candidates import (
    MIN_SLICES,
    Candidate,
    Judged,
    PassedSeries,
    candidate,
    check_one_patient,
)
from scanside_runtime.dicom.choice import damaged_notes, other_objects, passed_over, shared_uid_notes, why_chosen
from scanside_runtime.dicom.contents import is_ct, list_studies, series_named, study_named
from scanside_runtime.dicom.errors import (
    GeometryNotAxial,
    InputByteOrder,
    InputUnreadable,
    PatientMixed,
    SeriesLocalizerOnly,
    SeriesNoCt,
    SeriesNotChest,
    SeriesNotFound,
    SeriesProjection,
    SeriesReformatted,
    SeriesSecondaryCapture,
    SeriesSeveralStudies,
    SeriesSingleSlice,
    SeriesStudyNotFound,
    SeriesTooFewSlices,
    SeriesUidPerSlice,
)
from scanside_runtime.dicom.geometry import Grid
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.index import Found
from scanside_runtime.dicom.values.body_parts import BodyPart, body_part
from scanside_runtime.dicom.values.byte_order import BIG_AS_LITTLE, LITTLE_AS_BIG
from scanside_runtime.errors import Refused
from scanside_runtime.findings import Finding
from scanside_runtime.plural import told
from scanside_runtime.settings.reading import ReadingSettings

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CHOSEN_BY_A_PERSON = "It was chosen by a person."
# Why a series was never a stack of slices of the chest, whatever its texts say.
_NO_STACK = (
    GeometryNotAxial,
    SeriesLocalizerOnly,
    SeriesProjection,
    SeriesReformatted,
    SeriesNotChest,
)


@dataclass(frozen=True, slots=True)
class Study:
    """Who was scanned and when. None where the header does not say it, or says nonsense (then a note says so)."""

    patient_id: str | None
    issuer: str | None
    patient_name: str | None
    study_uid: str
    study_date: str | None
    acquired_at: str | None
    birth_date: str | None
    age_years: float | None
    sex: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One CT series whose slices make one volume.

    slices: sorted from feet to head. spacing_mm: (z, y, x) of the volume, z from positions along the normal.
    patients: PatientID and issuer as any object of its study states them, or leaves them out.
    """

    uid: str
    study: Study
    description: str | None
    slices: tuple[SliceHeader, ...]
    grid: Grid
    slice_thickness_mm: float | None
    kernel: str | None
    contrast_bolus_agent: str | None
    manufacturer: str | None
    model: str | None
    transfer_syntax: str
    frame_of_reference_uid: str | None
    chosen_because: str
    passed_over: tuple[PassedSeries, ...]
    notes: tuple[Finding, ...]
    patients: frozenset[tuple[str | None, str | None]]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(z, y, x) of the volume."""
        return self.grid.spacing_mm


def choose_series(
    found: Found,
    *,
    limits: ReadingSettings,
    study_uid: str | None = None,
    series_uid: str | None = None,
    no_chests: Mapping[str, SeriesNotChest] | None = None,
) -> Series:
    """One axial chest CT series whose slices make one volume, and why it was chosen.

    - every file that should be DICOM could be read (a lost slice may have been in it);
    - one study holds CT, or `study_uid` names it, by UID or by its number in `contents.list_studies`;
    - that study is one patient's: no two of its objects state another PatientID, none of its CT objects anything else;
    - the series is CT Image Storage, no localizer, no projection, single-frame, MONOCHROME2, in HU, decodable;
    - no text says a reformat, unless `series_uid` names the series (see `ranking`);
    - of a study in which another series may be the chest and can't be measured, none that is called another part;
    - at least 10 slices over at least 100 mm, axial within 10 degrees, on one grid (see `geometry.check_grid`), or a
      part of the series that is (see `candidates.candidate`);
    - of several, the first by `ranking.rank`, or the one that `series_uid` names, by UID or number;
    - none of `no_chests`: series that were looked at and are no chest by their picture, with what was seen.

    Raises a subclass of Refused; where no series will do, the refusal of the one that came closest.
    """
    _check_all_read(found)
    headers = _of_one_study(found, study_uid)
    groups = _by_series(headers)
    _check_one_patient(headers)
    if series_uid is not None:
        uid = series_named(list_studies(headers)[0].series, series_uid) if groups else None
        if uid is None:
            raise SeriesNotFound(series_uid=series_uid)
        groups = {uid: groups[uid]}
    judged = _judged(groups, limits, no_chests or {}, named=series_uid is not None)
    if not judged.candidates:
        _check_uids_of_series(judged)
        raise _closest(judged.refusals, groups)
    if series_uid is None:
        _check_no_stand_in(judged)
    chosen = judged.candidates[0]
    because = CHOSEN_BY_A_PERSON if series_uid else why_chosen(judged)
    left = (*passed_over(judged), *other_objects(headers))
    notes = (*shared_uid_notes(chosen.slices, headers), *damaged_notes(judged))
    patients = frozenset((header.patient.patient_id, header.patient.issuer) for header in headers)
    return _series(chosen, because, left, notes, patients)


def study_in(found: Found, study_uid: str | None = None) -> Study | None:
    """Whose CT lies there, so that a refusal can say it; None for several studies, or headers that contradict another.

    `study_uid` names one of several.
    """
    if study_uid is None:
        known = [one.study_uid for one in list_studies(found.headers)]
    else:
        known = [study_named(found.headers, study_uid)]
    headers = [header for header in found.headers if len(known) == 1 and header.study_uid == known[0]]
    return _study(headers) if headers and _of_one_patient(headers) else None


def _of_one_patient(headers: Sequence[SliceHeader]) -> bool:
    try:
        check_one_patient(headers)
    except PatientMixed:
        return False
    return True


def _check_one_patient(headers: Sequence[SliceHeader]) -> None:
    """One study is one patient's, whichever of its series is measured.

    Objects that are no CT may spell the rest otherwise, the PatientID they share. Raises PatientMixed.
    """
    check_one_patient([header for header in headers if is_ct(header)])
    patient_ids = {header.patient.patient_id for header in headers if header.patient.patient_id}
    if len(patient_ids) > 1:
        raise PatientMixed(patients=", ".join(sorted(patient_ids)))


def _judged(
    groups: dict[str, list[SliceHeader]],
    limits: ReadingSettings,
    no_chests: Mapping[str, SeriesNotChest],
    *,
    named: bool,
) -> Judged:
    candidates: list[Candidate] = []
    refusals: dict[str, Refused] = dict(no_chests)
    for uid, group in groups.items():
        if uid in no_chests:
            continue
        try:
            candidates.append(candidate(group, limits, named=named))
        except Refused as refusal:
            refusals[uid] = refusal
    return Judged(groups, sorted(candidates, key=lambda one: ranking.rank(one.slices)), refusals)


def _check_all_read(found: Found) -> None:
    if found.unreadable:
        first = found.unreadable[0]
        if first.why in (BIG_AS_LITTLE, LITTLE_AS_BIG):
            raise InputByteOrder(name=first.name, why=first.why)
        more = len(found.unreadable) - 1
        why = told("and {count} more file(s)", count=more)
        raise InputUnreadable(name=first.name, why=f"{first.why}; {why}" if more else first.why)


def _of_one_study(found: Found, study_uid: str | None) -> list[SliceHeader]:
    """The headers of the study that is meant."""
    known = [one.study_uid for one in list_studies(found.headers)]
    if study_uid is not None:
        uid = study_named(found.headers, study_uid)
        if uid not in known:
            raise SeriesStudyNotFound(study_uid=study_uid)
        return [h for h in found.headers if h.study_uid == uid]
    if len(known) > 1:
        raise SeriesSeveralStudies(count=len(known))
    if not known:
        captured = any(h.sop_class_uid == SECONDARY_CAPTURE and h.modality == "CT" for h in found.headers)
        raise SeriesSecondaryCapture() if captured else SeriesNoCt()
    return [h for h in found.headers if h.study_uid == known[0]]


def _by_series(headers: Iterable[SliceHeader]) -> dict[str, list[SliceHeader]]:
    """The CT objects of each series, series in the order of their UIDs."""
    groups: dict[str, list[SliceHeader]] = {}
    for header in headers:
        if is_ct(header):
            groups.setdefault(header.series_uid, []).append(header)
    return dict(sorted(groups.items()))


def _closest(refusals: Mapping[str, Refused], groups: Mapping[str, Sequence[SliceHeader]]) -> Refused:
    """Of the series that will not do, the refusal of the one with the most slices that are no localizers."""

    def slices(uid: str) -> tuple[bool, int]:
        return not isinstance(refusals[uid], SeriesLocalizerOnly), len(groups[uid])

    return refusals[max(refusals, key=slices)]


def _check_uids_of_series(judged: Judged) -> None:
    """No stack of slices in which each is a series. Raises SeriesUidPerSlice."""
    single = (judged.groups[uid] for uid, why in judged.refusals.items() if type(why) is SeriesSingleSlice)
    lone = [group[0] for group in single if len(group) == 1]
    if len({header.image_position_patient for header in lone}) >= MIN_SLICES:
        raise SeriesUidPerSlice(slices=len(lone))


def _check_no_stand_in(judged: Judged) -> None:
    """A head or an abdomen never stands in for a chest that can't be measured: then the reason of that is raised."""
    if ranking.called_another_part(judged.candidates[0].slices):
        meant = {uid: why for uid, why in judged.refusals.items() if _may_be_meant(judged.groups[uid], why)}
        if meant:
            raise _closest(meant, judged.groups)


def _may_be_meant(group: Sequence[SliceHeader], why: Refused) -> bool:
    """A refused series that may be the chest: slices, and no text that names another part.

    A few slices (a bolus test) must be called a chest.
    """
    where = body_part(group[0])
    few = isinstance(why, (SeriesSingleSlice, SeriesTooFewSlices))
    return not isinstance(why, _NO_STACK) and where <= (BodyPart.CHEST if few else BodyPart.UNSAID)


def _series(
    chosen: Candidate,
    because: str,
    passed_over: tuple[PassedSeries, ...],
    notes: tuple[Finding, ...],
    patients: frozenset[tuple[str | None, str | None]],
) -> Series:
    slices = chosen.slices
    first = slices[0]
    header_notes = dict.fromkeys(note for header in slices for note in header.notes)
    syntaxes = Counter(header.transfer_syntax for header in slices)
    return Series(
        uid=first.series_uid,
        study=_study(slices),
        description=first.series_description,
        slices=slices,
        grid=chosen.grid,
        slice_thickness_mm=first.slice_thickness_mm,
        kernel=first.kernel,
        contrast_bolus_agent=first.contrast_bolus_agent,
        manufacturer=first.manufacturer,
        model=first.model,
        transfer_syntax="\\".join(sorted(syntaxes)),
        frame_of_reference_uid=first.frame_of_reference_uid,
        chosen_because=because,
        passed_over=passed_over,
        notes=(*header_notes, *ranking.label_notes(slices), *chosen.notes, *notes),
        patients=patients,
    )


def _study(slices: Sequence[SliceHeader]) -> Study:
    """Each fact from the first slice that states it; the acquisition begins with its earliest slice."""
    return Study(
        patient_id=_first_stated(slices, "patient_id"),
        issuer=_first_stated(slices, "issuer"),
        patient_name=_first_stated(slices, "patient_name"),
        study_uid=slices[0].study_uid,
        study_date=_first_stated(slices, "study_date"),
        acquired_at=min((h.patient.acquired_at for h in slices if h.patient.acquired_at), default=None),
        birth_date=_first_stated(slices, "birth_date"),
        age_years=_first_stated(slices, "age_years"),
        sex=_first_stated(slices, "sex"),
    )


def _first_stated(slices: Sequence[SliceHeader], fact: str) -> Any:
    """What slices say of their one patient; a slice that leaves it out hides nothing that another one says."""
    return next((value for header in slices if (value := getattr(header.patient, fact)) is not None), None)
