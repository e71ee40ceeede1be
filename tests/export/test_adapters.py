"""Labelled sets in the form in which they are published: small files made in that form come out as cases."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from kit.analysis_samples import chest_hu, chest_masks, chest_series
from kit.turned_segmentation import WAYS, turned_segmentation
from scanside_appliance.results.dicom_seg import series_segmentation
from scanside_export.cli.main import RECIPES
from scanside_export.data.adapters.forms import FORMS, parse_source, read_form
from scanside_export.data.adapters.metaimage import read_metaimage
from scanside_export.data.adapters.nifti import read_nifti, same_grid
from scanside_export.data.adapters.segmentation import read_segments
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case
from scanside_export.data.recipe import read_recipe
from scanside_export.errors import LabelsUnusable
from scanside_runtime.phantom.dicom_writer import write_series

SPACING_MM = (8.0, 0.7, 0.8)
SHAPE = (4, 200, 210)  # deliberately odd, and rows are not columns


def chest() -> np.ndarray:
    """HU (z, y, x), LPS: two lungs in soft tissue, dark at the front, spine behind."""
    hu = np.full(SHAPE, 40, np.int16)
    hu[lungs()] = -850
    hu[:, 180:, 95:115] = 700
    return hu


def lungs() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[:, 40:160, 15:90] = mask[:, 40:160, 120:195] = True
    return mask


def infection() -> np.ndarray:
    """In the patient's right lung, at the back, in the two lowest slices."""
    mask = np.zeros(SHAPE, bool)
    mask[:2, 130:155, 20:50] = True
    return mask


def write_nifti(
    path: Path, array: np.ndarray, axes: str = "RAS", moved_mm: tuple[float, ...] = (0, 0, 0), placed: bool = True
) -> None:
    """An LPS array (z, y, x) in a file whose axes run as told, moved in RAS; unless `placed`, it says no place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dz, dy, dx = SPACING_MM
    affine = np.diag([dx, dy, dz, 1.0])
    affine[:3, 3] = moved_mm
    ras = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)[::-1, ::-1]), affine)
    if not placed:
        ras.set_sform(None, 0)
        ras.set_qform(None, 0)
        nibabel.save(ras, path)
        return
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(axes)
    )
    nibabel.save(ras.as_reoriented(turn), path)


def check(case: Case, share: str, name: str) -> None:
    assert (case.name, case.source, case.spacing_mm) == (name, share, pytest.approx(SPACING_MM))
    np.testing.assert_array_equal(case.hu, chest())
    np.testing.assert_array_equal(case.infection[0], infection())


@pytest.mark.parametrize("axes", ["RAS", "LPS", "LAS", "PLS", "ASR"])
def test_a_volume_comes_out_feet_to_head_and_right_to_left_however_it_is_stored(tmp_path: Path, axes: str) -> None:
    write_nifti(tmp_path / "a.nii.gz", chest(), axes)
    grid = read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(grid.values, chest())
    assert grid.spacing_mm == pytest.approx(SPACING_MM)


@pytest.mark.parametrize("moved_mm", [(80.0, 0, 0), (0, -1.0, 0), (0, 0, 8.0)])
@pytest.mark.parametrize("axes", ["RAS", "LPS", "ASR"])
def test_a_mask_that_lies_elsewhere_than_its_picture_is_refused(
    tmp_path: Path, moved_mm: tuple[float, ...], axes: str
) -> None:
    write_nifti(tmp_path / "images" / "a.nii.gz", chest())
    write_nifti(tmp_path / "masks" / "a.nii.gz", infection().astype(np.uint8), axes, moved_mm)
    with pytest.raises(LabelsUnusable, match="lies elsewhere than its picture"):
        list(read_form("pairs", tmp_path))


def test_how_far_away_a_mask_lies_is_said_in_the_patients_directions(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii", chest())
    write_nifti(tmp_path / "b.nii", infection() * 1.0, moved_mm=(80.0, -2.0, 3.0))
    with pytest.raises(LabelsUnusable, match=r"-80\.0, \+2\.0, \+3\.0 mm \(left, back, up\)"):
        same_grid(read_nifti(tmp_path / "a.nii"), read_nifti(tmp_path / "b.nii"), tmp_path / "b.nii")


def test_a_mask_less_than_half_a_voxel_away_goes_by_its_voxels(tmp_path: Path) -> None:
    write_nifti(tmp_path / "images" / "a.nii.gz", chest(), moved_mm=(-120.0, -90.0, 33.0))
    write_nifti(tmp_path / "masks" / "a.nii.gz", infection().astype(np.uint8), moved_mm=(-119.7, -90.3, 36.0))
    (case,) = read_form("pairs", tmp_path)
    check(case, "infection-3d", "a")


def test_a_pair_that_says_no_place_goes_by_its_voxels_and_one_without_beside_one_with_is_refused(
    tmp_path: Path,
) -> None:
    write_nifti(tmp_path / "images" / "a.nii.gz", chest(), placed=False)
    write_nifti(tmp_path / "masks" / "a.nii.gz", infection().astype(np.uint8), placed=False)
    (case,) = read_form("pairs", tmp_path)
    np.testing.assert_array_equal(case.hu, chest()[:, :, ::-1])
    np.testing.assert_array_equal(case.infection[0], infection()[:, :, ::-1])
    write_nifti(tmp_path / "images" / "a.nii.gz", chest())
    with pytest.raises(LabelsUnusable, match="only one says where it lies"):
        list(read_form("pairs", tmp_path))


def test_a_nifti_mask_is_held_against_the_place_of_its_dicom_series(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path / "images" / "P1")
    (tmp_path / "masks").mkdir()
    lps_to_ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    for moved_mm, taken in ((0.0, True), (80.0, False)):
        affine = lps_to_ras @ volume.affine
        affine[0, 3] += moved_mm
        mask = nibabel.Nifti1Image(chest_masks(volume).infection.array.transpose(2, 1, 0).astype(np.uint8), affine)
        nibabel.save(mask, tmp_path / "masks" / "P1.nii.gz")
        if taken:
            (case,) = read_form("pairs", tmp_path)
            np.testing.assert_array_equal(case.infection[0], chest_masks(volume).infection.array)
            continue
        with pytest.raises(LabelsUnusable, match="lies elsewhere"):
            list(read_form("pairs", tmp_path))


def test_mosmed_studies_with_a_mask_become_cases(tmp_path: Path) -> None:
    write_nifti(tmp_path / "studies" / "CT-1" / "study_0255.nii.gz", chest())
    write_nifti(tmp_path / "studies" / "CT-0" / "study_0001.nii.gz", chest())
    write_nifti(tmp_path / "masks" / "study_0255_mask.nii.gz", infection().astype(np.uint8))
    (case,) = read_form("mosmed", tmp_path)
    check(case, "infection-3d", "mosmed_study_0255")
    assert (case.lungs == UNKNOWN).all()


def test_covid_19_ct_seg_cases_come_with_lungs_told_apart_and_8_bit_ones_in_hu(tmp_path: Path) -> None:
    grey = np.rint((chest() + 1250.0) / 1500.0 * 255).clip(0, 255).astype(np.uint8)
    for name, picture in (("coronacases_001", chest()), ("radiopaedia_4_85506_1", grey)):
        write_nifti(tmp_path / "COVID-19-CT-Seg_20cases" / f"{name}.nii.gz", picture)
        write_nifti(tmp_path / "Infection_Mask" / f"{name}.nii.gz", infection().astype(np.uint8))
        labels = lungs().astype(np.uint8)
        labels[:, :, 105:] *= 2
        write_nifti(tmp_path / "Lung_Mask" / f"{name}.nii.gz", labels)
    first, second = read_form("covid-19-ct-seg", tmp_path)
    check(first, "infection-3d", "ctseg_coronacases_001")
    assert set(np.unique(first.lungs[:, :, :105])) == {0, RIGHT}
    assert set(np.unique(first.lungs[:, :, 105:])) == {0, LEFT}
    assert np.abs(second.hu - chest().clip(-1250, 250)).max() <= 3


def test_medseg_slices_become_single_cases_and_effusion_is_no_infection(tmp_path: Path) -> None:
    labels = infection() * np.uint8(2)
    labels[:, 150:158, 20:50] = 3
    labels[0, 132:140, 22:30] = 1
    write_nifti(tmp_path / "tr_im.nii.gz", chest())
    write_nifti(tmp_path / "tr_mask.nii.gz", labels)
    write_nifti(tmp_path / "tr_lungmasks_updated.nii.gz", lungs().astype(np.uint8))
    found = list(read_form("medseg-slices", tmp_path))
    assert [case.name for case in found] == [f"medseg_labelled_{number:03d}" for number in range(4)]
    assert {case.source for case in found} == {"infection-2d"}
    expected = infection()[0] & (labels[0] != 3)
    np.testing.assert_array_equal(found[0].infection[0][0], expected)
    assert not found[3].infection[0].any()
    assert found[0].spacing_mm[2] == pytest.approx(290.0 / 180)


def test_medseg_volumes_become_cases(tmp_path: Path) -> None:
    write_nifti(tmp_path / "rp_im" / "1.nii.gz", chest().astype(np.float32))
    write_nifti(tmp_path / "rp_msk" / "1.nii.gz", infection() * np.uint8(1))
    write_nifti(tmp_path / "rp_lung_msk" / "1.nii.gz", lungs().astype(np.uint8))
    (case,) = read_form("medseg-volumes", tmp_path)
    check(case, "infection-3d", "medseg_volume_1")
    assert set(np.unique(case.lungs)) == {0, RIGHT, LEFT}


def write_metaimage(
    path: Path, array: np.ndarray, element: str, *, compressed: bool, matrix: str, offset: str = "0 0 0"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = array.tobytes()
    raw = path.with_suffix(".zraw" if compressed else ".raw")
    raw.write_bytes(zlib.compress(data) if compressed else data)
    dz, dy, dx = SPACING_MM
    z, y, x = array.shape
    path.write_text(
        f"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        f"CompressedData = {compressed}\n"
        f"TransformMatrix = {matrix}\nOffset = {offset}\nElementSpacing = {dx} {dy} {dz}\nDimSize = {x} {y} {z}\n"
        f"ElementType = {element}\nElementDataFile = {raw.name}\n"
    )


def test_luna16_scans_come_with_lungs_and_without_infection(tmp_path: Path) -> None:
    labels = lungs() * np.uint8(3)
    labels[:, :, 105:] = lungs()[:, :, 105:] * np.uint8(4)
    labels[:, 50:60, 100:110] = 5
    plain = "1 0 0 0 1 0 0 0 1"
    write_metaimage(tmp_path / "subset0" / "1.2.mhd", chest(), "MET_SHORT", compressed=False, matrix=plain)
    write_metaimage(tmp_path / "seg-lungs-LUNA16" / "1.2.mhd", labels, "MET_UCHAR", compressed=True, matrix=plain)
    (case,) = read_form("luna16", tmp_path)
    np.testing.assert_array_equal(case.hu, chest())
    np.testing.assert_array_equal((case.lungs == RIGHT) | (case.lungs == LEFT), lungs())
    assert (case.name, case.source, case.infection) == ("luna16_1.2", "real", ())


def test_a_metaimage_that_lies_the_other_way_round_is_turned(tmp_path: Path) -> None:
    turned = np.ascontiguousarray(chest()[:, ::-1, ::-1])
    matrix = "-1 0 0 0 -1 0 0 0 1"
    write_metaimage(tmp_path / "a.mhd", turned, "MET_SHORT", compressed=True, matrix=matrix)
    np.testing.assert_array_equal(read_metaimage(tmp_path / "a.mhd").values, chest())


def test_a_metaimage_that_is_turned_lies_where_the_other_lies_and_nowhere_else(tmp_path: Path) -> None:
    _, dy, dx = SPACING_MM
    turned = np.ascontiguousarray(chest()[:, ::-1, ::-1])
    write_metaimage(tmp_path / "a.mhd", chest(), "MET_SHORT", compressed=True, matrix="1 0 0 0 1 0 0 0 1")
    for name, away_mm in (("b", 0.0), ("c", 80.0)):
        offset = f"{dx * (SHAPE[2] - 1) + away_mm} {dy * (SHAPE[1] - 1)} 0"
        matrix = "-1 0 0 0 -1 0 0 0 1"
        write_metaimage(tmp_path / f"{name}.mhd", turned, "MET_SHORT", compressed=True, matrix=matrix, offset=offset)
    picture, same, moved = (read_metaimage(tmp_path / f"{name}.mhd") for name in "abc")
    assert same_grid(picture, same, tmp_path) is same
    with pytest.raises(LabelsUnusable, match=r"\+80\.0, \+0\.0, \+0\.0 mm"):
        same_grid(picture, moved, tmp_path)


def test_a_metaimage_with_fewer_voxels_than_it_says_is_refused(tmp_path: Path) -> None:
    write_metaimage(tmp_path / "a.mhd", chest(), "MET_SHORT", compressed=False, matrix="1 0 0 0 1 0 0 0 1")
    (tmp_path / "a.raw").write_bytes((tmp_path / "a.raw").read_bytes()[:-2])
    with pytest.raises(LabelsUnusable, match="bytes of"):
        read_metaimage(tmp_path / "a.mhd")


def test_plain_nifti_pairs_become_cases(tmp_path: Path) -> None:
    write_nifti(tmp_path / "images" / "ward 3.nii.gz", chest(), "LPS")
    write_nifti(tmp_path / "masks" / "ward 3.nii", infection().astype(np.uint8), "RAS")
    write_nifti(tmp_path / "lungs" / "ward 3.nii.gz", lungs().astype(np.uint8))
    (case,) = read_form("pairs", tmp_path)
    check(case, "infection-3d", "ward 3")
    assert set(np.unique(case.lungs)) == {0, RIGHT, LEFT}


@pytest.mark.parametrize("orientation", ["HFS", "HFP", "FFS"])
def test_a_dicom_series_with_scansides_own_segmentation_becomes_a_case(tmp_path: Path, orientation: str) -> None:
    series, volume = chest_series(tmp_path / "images" / "P1", orientation=orientation)
    masks = chest_masks(volume)
    (tmp_path / "masks").mkdir()
    content = series_segmentation(series, masks, algorithm_version="1", software_version="1")
    (tmp_path / "masks" / "P1.dcm").write_bytes(content)
    (case,) = read_form("pairs", tmp_path)
    np.testing.assert_array_equal(case.hu, volume.hu)
    np.testing.assert_array_equal(case.infection[0], masks.infection.array)
    np.testing.assert_array_equal(case.lungs == RIGHT, masks.right_lung.array)
    np.testing.assert_array_equal(case.lungs == LEFT, masks.left_lung.array)
    assert not any(array.flags.writeable for array in (case.hu, case.lungs, *case.infection))
    assert case.slice_thickness_mm == volume.slice_thickness_mm


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("orientation", ["HFS", "FFS", "HFP"])
def test_a_segmentation_is_read_onto_the_volume_however_its_frames_are_turned(
    tmp_path: Path, orientation: str, way: tuple[bool, bool, bool]
) -> None:
    series, volume = chest_series(tmp_path / "scan", orientation=orientation)
    masks = chest_masks(volume)
    content = series_segmentation(series, masks, algorithm_version="1", software_version="1")
    (tmp_path / "seg.dcm").write_bytes(turned_segmentation(content, *way))
    segments = read_segments(tmp_path / "seg.dcm", volume)
    assert volume.hu.shape[1] != volume.hu.shape[2]
    np.testing.assert_array_equal(segments["Left lung"], masks.left_lung.array)
    np.testing.assert_array_equal(segments["Right lung"], masks.right_lung.array)
    np.testing.assert_array_equal(segments["Infection"], masks.infection.array)


@pytest.mark.parametrize("cosines", [[0.8, 0.6, 0, -0.6, 0.8, 0], [1, 0, 0, 1, 0, 0]])
def test_a_segmentation_that_is_turned_askew_is_refused(tmp_path: Path, cosines: list[float]) -> None:
    series, volume = chest_series(tmp_path / "scan")
    content = series_segmentation(series, chest_masks(volume), algorithm_version="1", software_version="1")
    ds = pydicom.dcmread(io.BytesIO(content))
    ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient = cosines
    ds.save_as(tmp_path / "seg.dcm")
    with pytest.raises(LabelsUnusable, match="do not lie on the grid"):
        read_segments(tmp_path / "seg.dcm", volume)


def test_a_segmentation_of_another_series_is_refused(tmp_path: Path) -> None:
    series, volume = chest_series(tmp_path / "other")
    write_series(chest_hu(), (9.5, 4.4, 5.0), tmp_path / "images" / "P1", origin_mm=(-100.0, -80.0, -63.25))
    (tmp_path / "masks").mkdir()
    content = series_segmentation(series, chest_masks(volume), algorithm_version="1", software_version="1")
    (tmp_path / "masks" / "P1.dcm").write_bytes(content)
    with pytest.raises(LabelsUnusable, match="do not lie on the grid"):
        list(read_form("pairs", tmp_path))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "masks" / "a.nii.gz").rename(folder / "masks" / "b.nii.gz"), "no partner"),
        (lambda folder: write_nifti(folder / "masks" / "a.nii.gz", infection()[:3] * 1.0), "its picture"),
        (lambda folder: (folder / "masks" / "a.nii.gz").write_bytes(b"no NIfTI"), "no NIfTI file"),
        (lambda folder: (folder / "images" / "a.nii.gz").unlink(), "neither a NIfTI file nor a folder"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_with_a_sentence(tmp_path: Path, spoil: object, says: str) -> None:
    write_nifti(tmp_path / "images" / "a.nii.gz", chest())
    write_nifti(tmp_path / "masks" / "a.nii.gz", infection() * 1.0)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(LabelsUnusable, match=says):
        list(read_form("pairs", tmp_path))


def test_a_form_that_there_is_not_is_told_with_those_that_there_are() -> None:
    assert parse_source("mosmed=a=b") == ("mosmed", Path("a=b"))
    with pytest.raises(ValueError, match="one of pairs, mosmed"):
        parse_source("brats=folder")


def test_every_form_is_drawn_by_the_shipped_recipes() -> None:
    recipe = read_recipe(RECIPES / "infection.toml")
    assert {"infection-3d", "infection-2d", "real"} <= {name for name, share in recipe.shares.items() if share > 0}
    assert len(FORMS) == 9
