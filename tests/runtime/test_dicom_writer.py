"""The writer of DICOM series: what goes in comes out, whichever way it was stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.uid import JPEG2000, JPEG2000Lossless, RLELossless

from scanside_runtime.phantom.dicom_writer import LOSSLESS_SYNTAXES, Orientation, SeriesTags, Storage, write_series

SPACING_MM = (5.0, 0.7, 0.8)
ORIGIN_MM = (-12.5, 30.25, -101.0)
ORIENTATIONS: tuple[Orientation, ...] = ("HFS", "FFS", "HFP", "flipped_rows", "flipped_columns", "reversed_order")


@pytest.fixture
def hu() -> npt.NDArray[np.int16]:
    """An odd shape that no flip maps to itself, with the ends of the HU range in it."""
    array = np.random.default_rng(1).integers(-1024, 3072, (5, 10, 11)).astype(np.int16)
    array[0, 0, 0], array[4, 9, 10] = -1024, 3071
    return array


def read_hu(ds: pydicom.Dataset) -> npt.NDArray[np.int64]:
    return ds.pixel_array.astype(np.int64) * int(ds.RescaleSlope) + int(ds.RescaleIntercept)


def read_as_lps(paths: list[Path]) -> tuple[npt.NDArray[np.int64], list[float]]:
    """A plain reader of its own: pixels put where their headers say, and the place of the first voxel."""
    slices = []
    for path in paths:
        ds = pydicom.dcmread(path)
        pixels = read_hu(ds)
        iop, ipp = [float(v) for v in ds.ImageOrientationPatient], [float(v) for v in ds.ImagePositionPatient]
        dy, dx = (float(v) for v in ds.PixelSpacing)
        if iop[0] < 0:
            pixels, ipp[0] = pixels[:, ::-1], ipp[0] - dx * (ds.Columns - 1)
        if iop[4] < 0:
            pixels, ipp[1] = pixels[::-1], ipp[1] - dy * (ds.Rows - 1)
        slices.append((ipp[2], ipp, pixels))
    slices.sort(key=lambda one_slice: one_slice[0])
    return np.stack([pixels for _, _, pixels in slices]), slices[0][1]


@pytest.mark.parametrize("syntax", LOSSLESS_SYNTAXES, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("rescale", [(1.0, -1024.0), (1.0, 0.0)], ids=["unsigned", "signed"])
def test_lossless_syntaxes_give_the_same_hu_back(
    tmp_path: Path, hu: npt.NDArray[np.int16], syntax: str, rescale: tuple[float, float]
) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, stored=Storage(transfer_syntax=syntax, rescale=rescale))
    headers = [pydicom.dcmread(path) for path in paths]
    assert {ds.file_meta.TransferSyntaxUID for ds in headers} == {syntax}
    assert {ds.PixelRepresentation for ds in headers} == {int(rescale[1] == 0.0)}
    assert np.array_equal(np.stack([read_hu(ds) for ds in headers]), hu)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_arrives_in_the_same_place(
    tmp_path: Path, hu: npt.NDArray[np.int16], orientation: Orientation
) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, origin_mm=ORIGIN_MM, stored=Storage(orientation=orientation))
    array, first_mm = read_as_lps(paths)
    assert np.array_equal(array, hu)
    assert first_mm == pytest.approx(ORIGIN_MM)


def test_orientations_are_stored_in_different_ways(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    stored = set()
    for orientation in ORIENTATIONS:
        paths = write_series(hu, SPACING_MM, tmp_path / orientation, stored=Storage(orientation=orientation))
        first = min((pydicom.dcmread(path) for path in paths), key=lambda ds: int(ds.InstanceNumber))
        stored.add(first.PixelData)
    assert len(stored) == len(ORIENTATIONS)


def test_feet_first_twin_says_so_and_runs_from_head_to_feet(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, stored=Storage(orientation="FFS"))
    ds = [pydicom.dcmread(path) for path in paths]
    assert ds[0].PatientPosition == "FFS"
    assert ds[0].ImageOrientationPatient == [-1, 0, 0, 0, 1, 0]
    assert [int(one.InstanceNumber) for one in ds] == [5, 4, 3, 2, 1]


def test_paths_come_back_from_feet_to_head(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    for names in ("plain", "shuffled", "subfolders"):
        paths = write_series(
            hu, SPACING_MM, tmp_path / names, stored=Storage(file_names=names, orientation="reversed_order")
        )
        heights = [float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in paths]
        assert heights == [0.0, 5.0, 10.0, 15.0, 20.0]


def test_shuffled_names_sort_otherwise_than_the_slices(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, stored=Storage(file_names="shuffled"))
    assert sorted(paths) != paths
    assert len(set(paths)) == len(hu)


def test_subfolders_hold_files_at_several_places(tmp_path: Path) -> None:
    many = np.zeros((40, 2, 2), np.int16)
    paths = write_series(many, SPACING_MM, tmp_path, stored=Storage(file_names="subfolders"))
    assert len({path.parent for path in paths}) == 3


def test_scrambled_instance_numbers_are_a_permutation_that_is_not_the_order(
    tmp_path: Path, hu: npt.NDArray[np.int16]
) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, stored=Storage(scramble_instance_numbers=True))
    numbers = [int(pydicom.dcmread(path).InstanceNumber) for path in paths]
    assert sorted(numbers) == [1, 2, 3, 4, 5]
    assert numbers not in ([1, 2, 3, 4, 5], [5, 4, 3, 2, 1])


@pytest.mark.parametrize(("rescale", "padding"), [((1.0, 0.0), -2000), ((1.0, -1024.0), 4095), ((1.0, -1024.0), -2000)])
def test_padding_fills_the_outside_of_the_circle_only(
    tmp_path: Path, hu: npt.NDArray[np.int16], rescale: tuple[float, float], padding: int
) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, stored=Storage(rescale=rescale, pixel_padding_value=padding))
    ds = pydicom.dcmread(paths[2])
    assert ds.PixelPaddingValue == padding
    assert (ds["PixelPaddingValue"].VR == "SS") is (padding < 0)
    pixels = ds.pixel_array
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == padding).all()
    assert np.array_equal(read_hu(ds)[3:7, 3:8], hu[2, 3:7, 3:8])


def test_slope_other_than_one_keeps_hu_within_half_a_step(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, stored=Storage(rescale=(2.0, -1024.0)))
    ds = pydicom.dcmread(paths[0])
    assert np.abs(read_hu(ds) - hu[0]).max() == 1


def test_same_call_writes_the_same_bytes(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    first = write_series(hu, SPACING_MM, tmp_path / "a")
    again = write_series(hu, SPACING_MM, tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_lossless_twin_keeps_its_uids_and_other_pixels_have_others(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    plain = pydicom.dcmread(write_series(hu, SPACING_MM, tmp_path / "a")[0])
    twin = pydicom.dcmread(
        write_series(hu, SPACING_MM, tmp_path / "b", stored=Storage(transfer_syntax=JPEG2000Lossless))[0]
    )
    other = pydicom.dcmread(write_series(hu[::-1], SPACING_MM, tmp_path / "c")[0])
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert getattr(plain, keyword) == getattr(twin, keyword)
        assert getattr(plain, keyword) != getattr(other, keyword)


def test_two_series_of_one_study_share_study_and_frame_of_reference(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    tags = SeriesTags(study_uid="1.2.3")
    soft = pydicom.dcmread(write_series(hu, SPACING_MM, tmp_path / "a", tags=tags)[0])
    sharp_tags = replace(tags, convolution_kernel="LUNG", series_number=3)
    sharp = pydicom.dcmread(write_series(hu, SPACING_MM, tmp_path / "b", tags=sharp_tags)[0])
    assert soft.StudyInstanceUID == sharp.StudyInstanceUID == "1.2.3"
    assert soft.FrameOfReferenceUID == sharp.FrameOfReferenceUID
    assert soft.SeriesInstanceUID != sharp.SeriesInstanceUID


def test_headers_hold_what_a_ct_image_must(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    paths = write_series(hu, SPACING_MM, tmp_path, slice_thickness_mm=6.5)
    ds = pydicom.dcmread(paths[0])
    needed_with_value = (
        "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality ImageType "
        "ImagePositionPatient ImageOrientationPatient PixelSpacing Rows Columns BitsAllocated BitsStored HighBit "
        "PixelRepresentation SamplesPerPixel PhotometricInterpretation RescaleSlope RescaleIntercept PatientPosition"
    )
    may_be_empty = (
        "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID "
        "AccessionNumber SeriesNumber PositionReferenceIndicator Manufacturer InstanceNumber SliceThickness KVP "
        "AcquisitionNumber"
    )
    assert all(ds.get(keyword) not in (None, "") for keyword in needed_with_value.split())
    assert all(keyword in ds for keyword in may_be_empty.split())
    assert float(ds.SliceThickness) == 6.5
    assert ds.PixelSpacing == [0.7, 0.8]
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert (ds.BitsStored, ds.HighBit) == (12, 11)


def test_long_numbers_fit_a_decimal_string(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    spacing_mm = (10 / 3, 360 / 512 / 7, 360 / 512 / 7)
    ds = pydicom.dcmread(write_series(hu, spacing_mm, tmp_path, origin_mm=(-1000 / 7, 1e-7 / 3, -777.5))[3])
    for value in (*ds.PixelSpacing, *ds.ImagePositionPatient, ds.SliceThickness):
        assert len(str(value)) <= 16
    assert float(ds.PixelSpacing[0]) == pytest.approx(spacing_mm[1], rel=1e-9)


def test_encapsulated_pixels_are_smaller_and_in_one_frame(tmp_path: Path) -> None:
    flat = np.zeros((1, 64, 64), np.int16)
    ds = pydicom.dcmread(write_series(flat, SPACING_MM, tmp_path, stored=Storage(transfer_syntax=RLELossless))[0])
    assert len(ds.PixelData) < 64 * 64
    assert ds["PixelData"].is_undefined_length


@pytest.mark.parametrize(
    "array", [np.zeros((2, 3), np.int16), np.zeros((1, 2, 2), np.float32), np.zeros((0, 2, 2), np.int16)]
)
def test_arrays_that_are_no_hu_volume_are_refused(tmp_path: Path, array: npt.NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match="int16"):
        write_series(array, SPACING_MM, tmp_path)


def test_lossy_syntax_is_refused(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match="transfer syntax"):
        write_series(hu, SPACING_MM, tmp_path, stored=Storage(transfer_syntax=JPEG2000))


def test_values_beyond_sixteen_bits_are_refused(tmp_path: Path, hu: npt.NDArray[np.int16]) -> None:
    with pytest.raises(ValueError, match="16 bits"):
        write_series(hu, SPACING_MM, tmp_path, stored=Storage(rescale=(0.01, 0.0)))
