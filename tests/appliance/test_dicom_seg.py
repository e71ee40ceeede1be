"""The DICOM Segmentation says exactly what the masks say, where the source slices are."""

from __future__ import annotations

import dataclasses
import io
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from highdicom.seg import segread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from kit.analysis_samples import chest_masks, chest_series
from kit.reading import choose_series, find_series
from scanside_appliance.results import dicom_seg
from scanside_appliance.results.dicom_seg import LABELS, segmentation_bytes, series_segmentation
from scanside_runtime.dicom.series import Series
from scanside_runtime.volume import Masks, Volume

SHAPE = (7, 10, 11)  # deliberately odd, and rows are not columns
HEAD_FIRST = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
FLIPPED = [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def make_headers(orientation: list[float] = HEAD_FIRST, z_step_mm: float = 5.0, **changes: object) -> list[Dataset]:
    study, series, frame_of_reference = generate_uid(), generate_uid(), generate_uid()
    headers = []
    for number in range(SHAPE[0]):
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, generate_uid()
        header.StudyInstanceUID, header.SeriesInstanceUID = study, series
        header.FrameOfReferenceUID = frame_of_reference
        header.PatientID, header.PatientName, header.Modality = "P1", "Müller^Anna", "CT"
        header.PatientSex, header.StudyDate, header.SpecificCharacterSet = "F", "20200401", "ISO_IR 100"
        header.Rows, header.Columns, header.PixelSpacing = SHAPE[1], SHAPE[2], [0.7, 0.8]
        header.ImageOrientationPatient = orientation
        header.ImagePositionPatient = [-12.5, 30.25, -100.0 + z_step_mm * number]
        header.SliceThickness, header.SeriesNumber = 5.0, 3
        for keyword, value in changes.items():
            delattr(header, keyword) if value is None else setattr(header, keyword, value)
        headers.append(header)
    return headers


def make_frames(seed: int = 1) -> npt.NDArray[np.bool_]:
    """Right half, left half, and infection inside them: (n, rows, columns, 3)."""
    random = np.random.default_rng(seed)
    frames = np.zeros((*SHAPE, 3), np.bool_)
    frames[1:6, 2:8, 6:10, 0] = True
    frames[1:6, 2:8, 1:5, 1] = True
    frames[..., 2] = frames[..., :2].any(axis=-1) & (random.random(SHAPE) < 0.3)
    return frames


def written(headers: list[Dataset], frames: npt.NDArray[np.bool_]) -> bytes:
    segments = list(np.moveaxis(frames, -1, 0))
    versions = {"algorithm_version": "default 1.0", "software_version": "0.1.0"}
    return segmentation_bytes(headers, segments, slice_spacing_mm=5.0, **versions)


def by_position(content: bytes) -> dict[tuple[int, tuple[float, ...]], npt.NDArray[np.uint8]]:
    """Each frame under its segment and position, read by pydicom alone."""
    ds = pydicom.dcmread(io.BytesIO(content))
    return {
        (
            int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            tuple(map(float, item.PlanePositionSequence[0].ImagePositionPatient)),
        ): frame
        for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True)
    }


@pytest.mark.parametrize("orientation", [HEAD_FIRST, FLIPPED])
@pytest.mark.parametrize("z_step_mm", [5.0, -5.0])
def test_every_voxel_comes_back_at_the_position_of_its_source_slice(orientation: list[float], z_step_mm: float) -> None:
    headers, frames = make_headers(orientation, z_step_mm), make_frames()
    found = by_position(written(headers, frames))
    assert len(found) == SHAPE[0] * 3
    for index, header in enumerate(headers):
        position = tuple(map(float, header.ImagePositionPatient))
        for segment in range(3):
            np.testing.assert_array_equal(found[segment + 1, position], frames[index, :, :, segment])


class Seen(Exception):
    """What highdicom made."""

    def __init__(self, seg: Dataset) -> None:
        self.seg = seg


@pytest.mark.parametrize("orientation", [HEAD_FIRST, FLIPPED])
@pytest.mark.parametrize("z_step_mm", [5.0, -1.2345678901])
def test_references_and_frames_are_those_that_highdicom_makes_of_all_slices(
    orientation: list[float], z_step_mm: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, frames = make_headers(orientation, z_step_mm), make_frames()
    ours = pydicom.dcmread(io.BytesIO(written(headers, frames)))

    def stop(seg: Dataset, _: object) -> None:
        raise Seen(seg)

    monkeypatch.setattr(dicom_seg, "MODELS", SHAPE[0])
    monkeypatch.setattr(dicom_seg, "add_references", stop)
    with pytest.raises(Seen) as seen:
        written(headers, frames)
    file = io.BytesIO()
    seen.value.seg.save_as(file)
    file.seek(0)
    whole = pydicom.dcmread(file)
    for keyword in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "SourceImageSequence"):
        assert ours[keyword] == whole[keyword]
    (referenced,), (expected,) = ours.ReferencedSeriesSequence, whole.ReferencedSeriesSequence
    assert referenced.ReferencedInstanceSequence == expected.ReferencedInstanceSequence
    assert ours.NumberOfFrames == whole.NumberOfFrames
    assert [element.tag for element in ours] == [element.tag for element in whole]


def test_highdicom_reads_the_same_masks_by_source_instance() -> None:
    headers, frames = make_headers(), make_frames()
    seg = segread(io.BytesIO(written(headers, frames)))
    read = seg.get_pixels_by_source_instance([header.SOPInstanceUID for header in headers])
    np.testing.assert_array_equal(read, frames)


def test_it_is_a_binary_segmentation_with_the_three_labels_on_the_source_grid() -> None:
    ds = pydicom.dcmread(io.BytesIO(written(make_headers(), make_frames())))
    assert ds.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66.4"
    assert ds.SegmentationType == "BINARY"
    assert tuple(item.SegmentLabel for item in ds.SegmentSequence) == LABELS == ("Left lung", "Right lung", "Infection")
    assert {item.SegmentAlgorithmType for item in ds.SegmentSequence} == {"AUTOMATIC"}
    sides = [item.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning for item in ds.SegmentSequence[:2]]
    assert sides == ["Left", "Right"]
    measures = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (list(measures.PixelSpacing), measures.SpacingBetweenSlices) == ([0.7, 0.8], 5.0)
    assert ds.PatientName == "Müller^Anna"
    assert ds.PatientSex == "F"


def test_an_empty_infection_is_a_segment_without_a_voxel() -> None:
    frames = make_frames()
    frames[..., 2] = False
    content = written(make_headers(), frames)
    assert not any(frame.any() for (segment, _), frame in by_position(content).items() if segment == 3)
    assert pydicom.dcmread(io.BytesIO(content)).SegmentSequence[2].SegmentLabel == "Infection"


def test_missing_and_senseless_header_values_become_empty_ones() -> None:
    headers = make_headers(FrameOfReferenceUID=None, PatientID=None, SliceThickness=None, PatientSex="W")
    ds = pydicom.dcmread(io.BytesIO(written(headers, make_frames())))
    assert (ds.PatientID or "", ds.PatientSex or "") == ("", "")
    assert pydicom.uid.UID(ds.FrameOfReferenceUID).is_valid


def test_slices_whose_orientation_differs_by_rounding_make_one_object() -> None:
    headers = make_headers()
    headers[3].ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 0.9999999, 0.0]
    frames = make_frames()
    assert len(by_position(written(headers, frames))) == SHAPE[0] * 3


def test_overlap_is_stated_as_it_is() -> None:
    apart = make_frames()
    apart[..., 2] = False
    for frames, stated in ((make_frames(), "YES"), (apart, "NO")):
        assert pydicom.dcmread(io.BytesIO(written(make_headers(), frames))).SegmentsOverlap == stated


def test_a_wrong_number_of_frames_is_an_error() -> None:
    with pytest.raises(ValueError):
        written(make_headers(), make_frames()[:-1])


@pytest.mark.parametrize("orientation", ["HFS", "FFS", "HFP", "flipped_rows", "flipped_columns", "reversed_order"])
def test_the_masks_of_a_series_come_back_in_the_patient_whatever_the_stored_order(
    tmp_path: Path, orientation: str
) -> None:
    series, volume = chest_series(tmp_path, orientation=orientation)
    assert_same_place(series, volume, chest_masks(volume))


@pytest.mark.parametrize(
    "transfer_syntax", [RLELossless, JPEGLSLossless, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian]
)
def test_compressed_slices_are_referenced_without_their_pixels(tmp_path: Path, transfer_syntax: str) -> None:
    series, volume = chest_series(tmp_path, transfer_syntax=transfer_syntax)
    assert_same_place(series, volume, chest_masks(volume))


def test_slices_in_a_zip_are_referenced(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path / "series")
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "series")
    series = choose_series(find_series(Path(archive)))
    assert_same_place(series, volume, chest_masks(volume))


def test_what_the_reader_says_is_held_against_its_vr_and_files_are_not_read_again(tmp_path: Path) -> None:
    series, volume = chest_series(tmp_path)
    masks = chest_masks(volume)
    shutil.rmtree(tmp_path)
    assert_same_place(series, volume, masks)
    said = {"StudyDate": "2020-W01", "AccessionNumber": "x" * 17, "SeriesNumber": "1e9", "PatientName": "A^B"}
    first = dataclasses.replace(series.slices[0], stated=said, frame_of_reference_uid="../1")
    series = dataclasses.replace(series, slices=(first, *series.slices[1:]))
    content = series_segmentation(series, masks, algorithm_version="sample 1", software_version="0.1.0")
    ds = pydicom.dcmread(io.BytesIO(content))
    assert (ds.StudyDate, ds.AccessionNumber, ds.SeriesNumber, ds.PatientName) == ("", "", 9000, "A^B")
    assert ds.FrameOfReferenceUID.is_valid


def assert_same_place(series: Series, volume: Volume, masks: Masks) -> None:
    """Read back by pydicom alone: every voxel is at the LPS millimetres that the volume's affine says."""
    content = series_segmentation(series, masks, algorithm_version="sample 1", software_version="0.1.0")
    ds = pydicom.dcmread(io.BytesIO(content))
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found: dict[int, set[tuple[float, ...]]] = {1: set(), 2: set(), 3: set()}
    positions = set()
    for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, ds.pixel_array, strict=True):
        position = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        positions.add(tuple(position))
        rows, columns = np.nonzero(frame)
        points = position + np.stack([columns * between_columns, rows * between_rows], axis=1) @ cosines.reshape(2, 3)
        found[item.SegmentIdentificationSequence[0].ReferencedSegmentNumber] |= set(map(tuple, points.round(2)))
    for segment, mask in enumerate((masks.left_lung, masks.right_lung, masks.infection), start=1):
        z, y, x = np.nonzero(mask.array)
        expected = (volume.affine @ np.stack([x, y, z, np.ones_like(z)]))[:3].T.round(2)
        assert found[segment] == set(map(tuple, expected))
    assert positions == {header.image_position_patient for header in series.slices}
    referenced = [item.ReferencedSOPInstanceUID for item in ds.SourceImageSequence]
    assert sorted(referenced) == sorted({header.sop_instance_uid for header in series.slices})  # each once
