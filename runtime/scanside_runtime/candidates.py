"""One series as a candidate for measuring: every check that a series must pass by itself, headers only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scanside_runtime import ranking
from scanside_runtime.errors import (
    GeometryDuplicatePositions,
    InputNoRescale,
    InputNotHu,
    InputTooLarge,
    InputTransferSyntax,
    InputUnreadable,
    PatientMixed,
    SeriesEnhancedCt,
    SeriesLocalizerOnly,
    SeriesSingleSlice,
    SeriesTooFewSlices,
)
from scanside_runtime.findings import Finding
from scanside_runtime.geometry import SAME_POSITION_MM, Grid, check_axial, check_grid, projected_mm
from scanside_runtime.headers import BAD_DICOM, SliceHeader, lenient, read_dataset
from scanside_runtime.pixels import DECODABLE, LOSSY, check_greyscale
from scanside_runtime.sources import Reader

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})

MIN_SLICES = 10
MIN_COVERAGE_MM = 100.0
MAX_VOXELS = 2**29
_HU_TYPES = (None, "HU", "US", "NORMALIZED")


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A series that could be measured."""

    slices: tuple[SliceHeader, ...]
    grid: Grid
    notes: tuple[Finding, ...]


def candidate(group: Sequence[SliceHeader], *, any_part: bool) -> Candidate:
    """The sections of a series on their grid. Raises the first reason against it."""
    sections = _without_localizers(group)
    _check_objects(sections)
    if not any_part:
        ranking.check_chest(sections[0])
    ranking.check_sections(sections[0])
    _check_one_patient(sections)
    check_axial(sections)
    sections, notes = _sorted_without_copies(sections)
    _check_enough(sections)
    grid = check_grid(sections)
    return Candidate(tuple(sections), grid, (*notes, *grid.notes, *_lossy_notes(sections)))


def _without_localizers(group: Sequence[SliceHeader]) -> list[SliceHeader]:
    sections = [h for h in group if "LOCALIZER" not in h.image_type]
    if not sections:
        raise SeriesLocalizerOnly()
    return sections


def _check_objects(sections: Sequence[SliceHeader]) -> None:
    """Each is one frame of grey values that can be decoded and rescaled to HU."""
    for header in sections:
        if header.sop_class_uid in ENHANCED_CT or header.frames > 1:
            raise SeriesEnhancedCt()
        if header.rows < 1 or header.columns < 1:
            raise InputUnreadable(name=header.file.name, why="its header states no rows and columns")
        check_greyscale(header.photometric_interpretation, header.samples_per_pixel)
        if header.transfer_syntax not in DECODABLE:
            raise InputTransferSyntax(transfer_syntax=header.transfer_syntax)
        if header.rescale is None:
            raise InputNoRescale(name=header.file.name)
        if header.rescale_type not in _HU_TYPES:
            raise InputNotHu(rescale_type=header.rescale_type)
    if sum(h.rows * h.columns for h in sections) > MAX_VOXELS:
        raise InputTooLarge(what=f"the series has more than {MAX_VOXELS} voxels")


def _check_one_patient(sections: Sequence[SliceHeader]) -> None:
    """One PatientID, and of names and sexes that are stated, one each. Raises PatientMixed."""
    patients = {h.patient.patient_id or "(none)" for h in sections}
    names = {h.patient.patient_name for h in sections if h.patient.patient_name}
    sexes = {h.patient.sex for h in sections if h.patient.sex}
    for stated in (patients, names, sexes):
        if len(stated) > 1:
            raise PatientMixed(patients=", ".join(sorted(stated)))


def _sorted_without_copies(sections: Sequence[SliceHeader]) -> tuple[list[SliceHeader], tuple[Finding, ...]]:
    """From feet to head; of sections at one place that are the same picture, one is kept.

    Raises GeometryDuplicatePositions where sections at one place differ.
    """
    along = projected_mm(sections)
    order = sorted(range(len(sections)), key=lambda index: (along[index], sections[index].sop_instance_uid))
    places = np.split(order, np.flatnonzero(np.diff(along[order]) >= SAME_POSITION_MM) + 1)
    if len(places) == 1:
        raise SeriesSingleSlice()
    with Reader() as reader:
        for place in places:
            pictures = {_picture_sum(reader, sections[index]) for index in place} if len(place) > 1 else set()
            if len(pictures) > 1:
                raise GeometryDuplicatePositions(
                    count=sum(len(place) > 1 for place in places), position_mm=float(along[place[0]])
                )
    copies = len(sections) - len(places)
    notes = (Finding("GEOMETRY_COPIES", "note", f"{copies} exact copies of sections were left out."),) if copies else ()
    return [min((sections[index] for index in place), key=lambda h: h.file) for place in places], notes


def _picture_sum(reader: Reader, header: SliceHeader) -> str:
    """SHA-256 of what the picture of a section is made of, whatever else the file says."""
    try:
        with lenient(), reader.open(header.file) as stream:
            pixels = read_dataset(stream, pixels=True).get("PixelData", b"")
    except (OSError, *BAD_DICOM) as error:
        raise InputUnreadable(name=header.file.name, why=str(error)) from error
    place = (header.image_position_patient, header.image_orientation_patient, header.pixel_spacing_mm, header.rescale)
    return hashlib.sha256(repr((place, header.transfer_syntax)).encode() + pixels).hexdigest()


def _lossy_notes(sections: Sequence[SliceHeader]) -> tuple[Finding, ...]:
    if not any(h.transfer_syntax in LOSSY for h in sections):
        return ()
    return (Finding("INPUT_LOSSY", "caution", "The pixels were compressed with loss: HU are near, not exact."),)


def _check_enough(sections: Sequence[SliceHeader]) -> None:
    along = projected_mm(sections)
    coverage_mm = float(along[-1] - along[0]) * len(sections) / (len(sections) - 1)
    if len(sections) < MIN_SLICES or coverage_mm < MIN_COVERAGE_MM:
        raise SeriesTooFewSlices(
            slices=len(sections), coverage_mm=coverage_mm, min_slices=MIN_SLICES, min_coverage_mm=MIN_COVERAGE_MM
        )
