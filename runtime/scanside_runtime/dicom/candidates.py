"""One series as a candidate for measuring: every check that a series must pass by itself, headers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from scanside_runtime.dicom import ranking
from scanside_runtime.dicom.codings.pixels import DECODABLE, LOSSY, check_greyscale
from scanside_runtime.dicom.completeness import damage_refusal
from scanside_runtime.dicom.errors import (
    GeometryDuplicatePositions,
    GeometryMissingSlices,
    GeometryMixedFrame,
    GeometryMixedMatrix,
    GeometryMixedOrientation,
    GeometryMixedPixelSpacing,
    GeometryMixedReconstruction,
    GeometryNotAxial,
    GeometryTilt,
    GeometryUnevenSpacing,
    InputDecimalComma,
    InputFileTooLarge,
    InputHeaderLacks,
    InputNoRescale,
    InputNotHu,
    InputTransferSyntax,
    PatientMixed,
    SeriesEnhancedCt,
    SeriesLocalizerOnly,
    SeriesOnePosition,
    SeriesProjection,
    SeriesReformatted,
    SeriesSingleSlice,
    SeriesTooFewSlices,
    SeriesTooLarge,
)
from scanside_runtime.dicom.geometry import SAME_POSITION_MM, Grid, check_axial, check_grid, projected_mm
from scanside_runtime.dicom.headers import ENHANCED_CT, SliceHeader
from scanside_runtime.dicom.rescale import is_map
from scanside_runtime.dicom.splitting import interleaved, mixed_reconstruction, ways_apart
from scanside_runtime.dicom.values.person_name import is_one_name
from scanside_runtime.errors import Refused
from scanside_runtime.findings import Finding, figures
from scanside_runtime.settings.reading import ReadingSettings

MIN_SLICES = 10
MIN_COVERAGE_MM = 100.0
NUMBER_TOLERANCE = 1e-5  # relative and absolute: what is written with fewer digits is the same number
BEYOND_THE_END = 0.75  # of the distance of slices: centres of thin ones lie further out than those of thick ones
# What a series looks like that holds more than one stack.
_MIXTURES = (
    GeometryDuplicatePositions,
    GeometryMissingSlices,
    GeometryMixedFrame,
    GeometryMixedMatrix,
    GeometryMixedOrientation,
    GeometryMixedPixelSpacing,
    GeometryMixedReconstruction,
    GeometryNotAxial,
    GeometryTilt,
    GeometryUnevenSpacing,
    SeriesProjection,
    SeriesReformatted,
)


@dataclass(frozen=True, slots=True)
class PassedSeries:
    """A series, or a part of one, that was not measured, and why."""

    uid: str
    description: str | None
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A series that could be measured, or the part of one; passed_over: its other parts."""

    slices: tuple[SliceHeader, ...]
    grid: Grid
    notes: tuple[Finding, ...]
    passed_over: tuple[PassedSeries, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A study's series: the slices of each by UID, those that could be measured, best first, and why the others not."""

    groups: Mapping[str, Sequence[SliceHeader]]
    candidates: Sequence[Candidate]
    refusals: Mapping[str, Refused]


def candidate(group: Sequence[SliceHeader], limits: ReadingSettings, *, named: bool) -> Candidate:
    """The slices of a series on their grid; of a series with several acquisitions or reconstructions, the best part.

    named: a person named the series, so that a reformat by its texts or ImageType is not kept out.
    Raises the first reason against it.
    """
    slices = _without_localizers(group)
    try:
        whole = _one_grid(slices, limits, named=named)
    except _MIXTURES as refusal:
        part = _best_part(slices, limits, named=named)
        if part is None:
            raise refusal
        return part
    part = _best_part(slices, limits, named=named) if interleaved(whole.slices) else None
    return part or whole


def _one_grid(slices: Sequence[SliceHeader], limits: ReadingSettings, *, named: bool) -> Candidate:
    _check_objects(slices, limits)
    if not named:
        ranking.check_original(slices)
    ranking.check_slices(slices)
    _check_all_have_the_id(slices)
    check_axial(slices)
    slices, notes = _sorted_without_copies(slices)
    _check_enough(slices)
    grid = check_grid(slices)
    _check_one_reconstruction(slices)
    return Candidate(tuple(slices), grid, (*notes, *grid.notes, *_lossy_notes(slices)))


def _best_part(slices: Sequence[SliceHeader], limits: ReadingSettings, *, named: bool) -> Candidate | None:
    """The best part that is one grid by itself and reaches as far as the others; None if there is none.

    A part that leaves others outside its reach is not taken: it may be half of a scan.
    """
    for parts in ways_apart(slices):
        sound: list[tuple[Candidate, list[SliceHeader]]] = []
        for part in parts:
            with suppress(Refused):
                sound.append((_one_grid(part, limits, named=named), part))
        if sound:
            best, own = min(sound, key=lambda one: ranking.rank(one[0].slices))
            others = [part for part in parts if part is not own]
            if all(_within_reach(best, part) for part in others):
                return _split(best, others)
    return None


def _within_reach(best: Candidate, part: Sequence[SliceHeader]) -> bool:
    """No slice of the part lies beyond the ends of the best one. Slices that are not axial lie nowhere on it."""
    try:
        check_axial(part)
        along = projected_mm([best.slices[0], best.slices[-1], *part])
    except Refused as refusal:
        return isinstance(refusal, GeometryNotAxial)
    reach_mm = BEYOND_THE_END * best.grid.spacing_mm[0]
    return bool(along[2:].min() > along[0] - reach_mm and along[2:].max() < along[1] + reach_mm)


def _split(best: Candidate, others: Sequence[Sequence[SliceHeader]]) -> Candidate:
    taken = ranking.called(best.slices)
    message = f"The series holds {len(others) + 1} acquisitions or reconstructions; measured is {taken}."
    passed = tuple(
        PassedSeries(part[0].series_uid, part[0].series_description, f"another part of it: {ranking.called(part)}")
        for part in others
    )
    return replace(best, notes=(Finding("SERIES_SPLIT", "caution", message), *best.notes), passed_over=passed)


def _without_localizers(group: Sequence[SliceHeader]) -> list[SliceHeader]:
    slices = [header for header in group if not is_localizer(header)]
    if not slices:
        raise SeriesLocalizerOnly()
    return slices


def is_localizer(header: SliceHeader) -> bool:
    """A scout, by its ImageType (DICOM PS3.3 C.8.2.1.1.1)."""
    return "LOCALIZER" in header.image_type


def _check_objects(slices: Sequence[SliceHeader], limits: ReadingSettings) -> None:
    """Each is one frame of grey values that can be decoded and rescaled to HU, and none is too large."""
    for header in slices:
        if header.sop_class_uid in ENHANCED_CT or header.frames > 1:
            raise SeriesEnhancedCt()
        _check_header_whole(header)
        if max(header.rows, header.columns) > limits.max_matrix:
            size = f"{header.rows} x {header.columns}"
            raise InputFileTooLarge(what=f"a slice has {size} pixels, at most {limits.max_matrix} each way are read")
        check_greyscale(header.photometric_interpretation, header.samples_per_pixel)
        if header.transfer_syntax not in DECODABLE:
            raise InputTransferSyntax(transfer_syntax=header.transfer_syntax)
        if header.decimal_comma is not None:
            raise InputDecimalComma(name=header.file.name, stated=header.decimal_comma)
        if header.rescale is None:
            raise InputNoRescale(name=header.file.name)
        if is_map(header.rescale_type):
            raise InputNotHu(why=f'RescaleType says "{header.rescale_type}"')
    voxels_m = sum(h.rows * h.columns for h in slices) / 10**6
    if voxels_m > limits.max_voxels_m:
        raise SeriesTooLarge(voxels_m=voxels_m, slices=len(slices), limit_m=limits.max_voxels_m)


def _check_header_whole(header: SliceHeader) -> None:
    """A header that lacks its last elements and its pixels is a file that breaks off."""
    breaks_off = header.rows < 1 or header.columns < 1 or header.rescale is None
    if breaks_off and header.damage:
        raise damage_refusal(header.file.name, header.damage)
    if header.rows < 1 or header.columns < 1:
        raise InputHeaderLacks(name=header.file.name, keyword="Rows or Columns")
    if header.photometric_interpretation is None:
        raise InputHeaderLacks(name=header.file.name, keyword="PhotometricInterpretation")


def check_one_patient(headers: Sequence[SliceHeader]) -> None:
    """Of what is stated of the patient nothing differs: ID, issuer, birth date, sex, name (padded as it may be).

    Raises PatientMixed.
    """
    patients = [header.patient for header in headers]
    for keyword in ("patient_id", "issuer", "birth_date", "sex"):
        stated = {value for patient in patients if (value := getattr(patient, keyword))}
        if len(stated) > 1:
            raise PatientMixed(patients=", ".join(sorted(stated)))
    names = sorted({patient.patient_name for patient in patients if patient.patient_name})
    if not is_one_name(names):
        raise PatientMixed(patients=", ".join(names))


def _check_all_have_the_id(slices: Sequence[SliceHeader]) -> None:
    """A series in which some slices state a PatientID and others none may be two. Raises PatientMixed."""
    patient_ids = {header.patient.patient_id or "(none)" for header in slices}
    if len(patient_ids) > 1:
        raise PatientMixed(patients=", ".join(sorted(patient_ids)))


def _sorted_without_copies(slices: Sequence[SliceHeader]) -> tuple[list[SliceHeader], tuple[Finding, ...]]:
    """From feet to head; of slices at one place that are the same picture, one is kept.

    Raises GeometryDuplicatePositions where slices at one place differ.
    """
    along = projected_mm(slices)
    order = sorted(range(len(slices)), key=lambda index: (along[index], slices[index].sop_instance_uid))
    places = np.split(order, np.flatnonzero(np.diff(along[order]) >= SAME_POSITION_MM) + 1)
    if len(places) == 1:
        alike = len({header.pixels_sha256 for header in slices}) == 1
        raise SeriesSingleSlice() if alike else SeriesOnePosition(slices=len(slices))
    for place in places:
        if not all(_same_picture(slices[place[0]], slices[index]) for index in place[1:]):
            raise GeometryDuplicatePositions(
                count=sum(len(place) > 1 for place in places), position_mm=float(along[place[0]])
            )
    copies = len(slices) - len(places)
    message = f"{copies} exact copies of slices were left out."
    notes = (Finding("GEOMETRY_COPIES", "note", message, figures(copies=copies)),) if copies else ()
    return [min((slices[index] for index in place), key=lambda h: h.file) for place in places], notes


def _same_picture(one: SliceHeader, other: SliceHeader) -> bool:
    """The same pixels in the same place with the same meaning, whatever else the files say."""
    words = [(h.pixels_sha256 or h.sha256, h.rows, h.columns, h.transfer_syntax) for h in (one, other)]
    fields = ("image_position_patient", "image_orientation_patient", "pixel_spacing_mm", "rescale")
    pairs = [(getattr(one, name) or (), getattr(other, name) or ()) for name in fields]
    near = all(len(a) == len(b) and np.allclose(a, b, rtol=NUMBER_TOLERANCE, atol=NUMBER_TOLERANCE) for a, b in pairs)
    return words[0] == words[1] and near


def _check_one_reconstruction(slices: Sequence[SliceHeader]) -> None:
    differs = mixed_reconstruction(slices)
    if differs:
        raise GeometryMixedReconstruction(differs=differs)


def _lossy_notes(slices: Sequence[SliceHeader]) -> tuple[Finding, ...]:
    if not any(h.was_lossy or h.transfer_syntax in LOSSY for h in slices):
        return ()
    return (Finding("INPUT_LOSSY", "caution", "The pixels were compressed with loss: HU are near, not exact."),)


def _check_enough(slices: Sequence[SliceHeader]) -> None:
    along = projected_mm(slices)
    coverage_mm = float(along[-1] - along[0]) * len(slices) / (len(slices) - 1)
    if len(slices) < MIN_SLICES or coverage_mm < MIN_COVERAGE_MM:
        raise SeriesTooFewSlices(
            slices=len(slices), coverage_mm=coverage_mm, min_slices=MIN_SLICES, min_coverage_mm=MIN_COVERAGE_MM
        )
