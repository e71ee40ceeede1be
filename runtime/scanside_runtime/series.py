"""From files to one axial chest series whose grid is sound: headers only, no pixels yet.

found = find_series(path)            every DICOM header, and what was passed over
series = choose_series(found)        one series, with the reason for it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scanside_runtime import ranking
from scanside_runtime.candidates import CT_IMAGE, ENHANCED_CT, Candidate, candidate
from scanside_runtime.errors import (
    GeometryNotAxial,
    InputEmpty,
    InputUnreadable,
    Refused,
    SeriesLocalizerOnly,
    SeriesNoCt,
    SeriesNotFound,
    SeriesSecondaryCapture,
    SeriesSeveralStudies,
    SeriesStudyNotFound,
)
from scanside_runtime.findings import Finding
from scanside_runtime.geometry import Grid
from scanside_runtime.headers import BAD_DICOM, SliceHeader, is_dicom, lenient, read_dataset, slice_header
from scanside_runtime.sources import Reader, SourceFile, list_files

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

_DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")


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


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that is not used, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that lies at a path.

    headers: every DICOM object, in the order of the files' names.
    unreadable: files that are or claim to be DICOM and can't be read; a choice refuses because of them.
    not_dicom: how many files are something else; passed over.
    """

    headers: tuple[SliceHeader, ...]
    unreadable: tuple[PassedOver, ...]
    not_dicom: int


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One CT series whose sections make one volume.

    slices: sorted from feet to head. spacing_mm: (z, y, x) of the volume, z from positions along the normal.
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
    notes: tuple[Finding, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """(z, y, x) of the volume."""
        return self.grid.spacing_mm


def find_series(path: Path) -> Found:
    """The headers of all DICOM objects at a path: a folder at any depth, one file, or a zip.

    Raises InputNotFound, InputUnreadable, InputTooLarge, and InputEmpty where there is no DICOM at all.
    """
    listing = list_files(path)
    headers: list[SliceHeader] = []
    unreadable: list[PassedOver] = []
    not_dicom = listing.not_opened
    with Reader() as reader, lenient():
        for file in listing.files:
            try:
                header = _read_header(reader, file)
            except InputUnreadable as error:
                unreadable.append(PassedOver(file.name, str(error.values["why"])))
                continue
            if header is None:
                not_dicom += 1
            else:
                headers.append(header)
    if not headers and not unreadable:
        raise InputEmpty(files=len(listing.files))
    return Found(tuple(headers), tuple(unreadable), not_dicom)


def _read_header(reader: Reader, file: SourceFile) -> SliceHeader | None:
    """The header, or None for what is no DICOM object. Raises InputUnreadable for what should be one."""
    if file.name.upper().endswith("DICOMDIR"):
        return None
    try:
        with reader.open(file) as stream:
            if not is_dicom(stream):
                if file.name.lower().endswith(_DICOM_SUFFIXES):
                    raise InputUnreadable(name=file.name, why="it is named like DICOM but is not")
                return None
            has_preamble = stream.read(132)[128:] == b"DICM"
            stream.seek(0)
            header = slice_header(read_dataset(stream, pixels=False), file)
    except OSError as error:
        raise InputUnreadable(name=file.name, why=error.strerror or "can't be read") from error
    except BAD_DICOM as error:
        raise InputUnreadable(name=file.name, why="its header is damaged") from error
    if header.sop_class_uid and header.series_uid and header.study_uid:
        return header
    if has_preamble:
        raise InputUnreadable(name=file.name, why="its header is cut off or carries no UIDs")
    return None


def studies(found: Found) -> list[tuple[str, str]]:
    """(StudyInstanceUID, description) of every study that holds CT, sorted by UID."""
    described = {h.study_uid: _study_text(h) for h in reversed(found.headers) if _is_ct(h)}
    return sorted(described.items())


def choose_series(found: Found, *, study_uid: str | None = None, series_uid: str | None = None) -> Series:
    """One axial chest CT series whose sections make one volume, and why it was chosen.

    - every file that should be DICOM could be read (a lost section may have been in it);
    - one study holds CT, or `study_uid` names it;
    - the series is CT Image Storage, no localizer, no projection, single-frame, MONOCHROME2, in HU, decodable;
    - no text says another part of the body, unless `series_uid` names the series (see `ranking.check_chest`);
    - at least 10 sections over at least 100 mm, axial within 10 degrees, on one grid (see `geometry.check_grid`);
    - of several, the first by `ranking.rank`, or the one that `series_uid` names.

    Raises a subclass of Refused; where no series will do, the refusal of the one that came closest.
    """
    _check_all_read(found)
    headers = _of_one_study(found, study_uid)
    groups = _by_series(headers)
    if series_uid is not None:
        if series_uid not in groups:
            raise SeriesNotFound(series_uid=series_uid)
        groups = {series_uid: groups[series_uid]}
    candidates: list[Candidate] = []
    refusals: dict[str, Refused] = {}
    for uid, group in groups.items():
        try:
            candidates.append(candidate(group, any_part=series_uid is not None))
        except Refused as refusal:
            refusals[uid] = refusal
    if not candidates:
        raise _closest(refusals, groups)
    candidates.sort(key=lambda one: ranking.rank(one.slices[0], len(one.slices)))
    because = "It was named by its UID." if series_uid else _because(candidates, refusals, groups)
    return _series(candidates[0], because, _damaged_notes(refusals))


def _check_all_read(found: Found) -> None:
    if found.unreadable:
        first = found.unreadable[0]
        more = len(found.unreadable) - 1
        raise InputUnreadable(name=first.name, why=first.why + (f"; and {more} more" if more else ""))


def _of_one_study(found: Found, study_uid: str | None) -> list[SliceHeader]:
    """The headers of the study that is meant."""
    known = studies(found)
    if study_uid is not None:
        if study_uid not in dict(known):
            raise SeriesStudyNotFound(study_uid=study_uid)
        return [h for h in found.headers if h.study_uid == study_uid]
    if len(known) > 1:
        listed = "; ".join(f"{uid} ({text})" for uid, text in known)
        raise SeriesSeveralStudies(count=len(known), studies=listed)
    if not known:
        captured = any(h.sop_class_uid == SECONDARY_CAPTURE and h.modality == "CT" for h in found.headers)
        raise SeriesSecondaryCapture() if captured else SeriesNoCt()
    return [h for h in found.headers if h.study_uid == known[0][0]]


def _is_ct(header: SliceHeader) -> bool:
    return header.sop_class_uid == CT_IMAGE or header.sop_class_uid in ENHANCED_CT


def _study_text(header: SliceHeader) -> str:
    return ", ".join(part for part in (header.study_description, header.patient.study_date) if part) or "no description"


def _by_series(headers: Iterable[SliceHeader]) -> dict[str, list[SliceHeader]]:
    """The CT objects of each series, series in the order of their UIDs."""
    groups: dict[str, list[SliceHeader]] = {}
    for header in headers:
        if _is_ct(header):
            groups.setdefault(header.series_uid, []).append(header)
    return dict(sorted(groups.items()))


def _closest(refusals: dict[str, Refused], groups: dict[str, list[SliceHeader]]) -> Refused:
    """Of the series that will not do, the refusal of the one with the most sections that are no localizers."""

    def sections(uid: str) -> tuple[bool, int]:
        return not isinstance(refusals[uid], SeriesLocalizerOnly), len(groups[uid])

    return refusals[max(refusals, key=sections)]


def _because(
    candidates: Sequence[Candidate], refusals: dict[str, Refused], groups: dict[str, list[SliceHeader]]
) -> str:
    chosen = candidates[0].slices
    others = [f"{_called(c.slices[0], len(c.slices))}" for c in candidates[1:]]
    refused = [f"{_called(groups[uid][0], len(groups[uid]))}: {why.code}" for uid, why in refusals.items()]
    start = "The best of the axial chest series" if others else "The only axial chest series that can be measured"
    passed = f" Passed over: {'; '.join(others + refused)}." if others or refused else ""
    ranked = " Order: original, chest, soft kernel, near 5 mm, more sections." if others else ""
    return f"{start}: {_called(chosen[0], len(chosen))}.{ranked}{passed}"


def _called(header: SliceHeader, slices: int) -> str:
    thickness = f"{header.slice_thickness_mm:g} mm" if header.slice_thickness_mm else "thickness not stated"
    kernel = f"kernel {header.kernel}" if header.kernel else "kernel not stated"
    return f'"{header.series_description or "no description"}" ({slices} sections, {thickness}, {kernel})'


def _damaged_notes(refusals: dict[str, Refused]) -> tuple[Finding, ...]:
    """A chest series that was passed over because its grid is broken may be the one that was meant."""
    damaged = {uid: why for uid, why in refusals.items() if _is_damage(why)}
    return tuple(
        Finding("SERIES_PASSED_OVER", "caution", f"Series {uid} was passed over: {why.message}")
        for uid, why in damaged.items()
    )


def _is_damage(why: Refused) -> bool:
    return not (isinstance(why, GeometryNotAxial) or why.code.startswith("SERIES_"))


def _series(chosen: Candidate, because: str, notes: tuple[Finding, ...]) -> Series:
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
        notes=(*header_notes, *chosen.notes, *notes),
    )


def _study(slices: Sequence[SliceHeader]) -> Study:
    """From the lowest section; the acquisition begins with its earliest section."""
    patient = slices[0].patient
    return Study(
        patient_id=patient.patient_id,
        issuer=patient.issuer,
        patient_name=patient.patient_name,
        study_uid=slices[0].study_uid,
        study_date=patient.study_date,
        acquired_at=min((h.patient.acquired_at for h in slices if h.patient.acquired_at), default=None),
        birth_date=patient.birth_date,
        age_years=patient.age_years,
        sex=patient.sex,
    )
