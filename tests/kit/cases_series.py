"""Made cases: no series that can be measured, and slices that are not one regular axial stack."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom

from kit.analysis_samples import SPACING_MM
from kit.case_kit import case, chest, cut, edit, move, put, scan, second_series, tilted
from scanside_runtime.phantom.dicom_writer import SeriesTags

# What holds no series to measure


for sop_class, code in {
    "1.2.840.10008.5.1.4.1.1.4": "SERIES_NO_CT",
    "1.2.840.10008.5.1.4.1.1.66.4": "SERIES_NO_CT",
    "1.2.840.10008.5.1.4.1.1.7": "SERIES_SECONDARY_CAPTURE",
    "1.2.840.10008.5.1.4.1.1.2.1": "SERIES_ENHANCED_CT",
}.items():

    def of_another_class(folder: Path, uid: str = sop_class) -> None:
        put(scan(folder), SOPClassUID=uid)

    of_another_class.__name__ = f"objects_of_class_{sop_class}"
    case(code)(of_another_class)


@case("SERIES_ENHANCED_CT")
def a_plain_ct_of_many_frames(folder: Path) -> None:
    put(scan(folder), NumberOfFrames="14")


for kind, code in {
    "LOCALIZER": "SERIES_LOCALIZER_ONLY",
    "MIP": "SERIES_PROJECTION",
    "MPR": "SERIES_REFORMATTED",
}.items():

    def of_another_type(folder: Path, kind: str = kind) -> None:
        put(scan(folder), ImageType=["DERIVED", "SECONDARY", kind])

    of_another_type.__name__ = f"a_series_of_type_{kind}"
    case(code)(of_another_type)


@case("SERIES_NOT_CHEST")
def a_head_that_says_head(folder: Path) -> None:
    head = SeriesTags(series_description="HEAD 5MM", body_part_examined="HEAD", study_description="CT HEAD")
    scan(folder, np.where(chest() < -300, np.int16(40), chest()), tags=head)


@case("SERIES_NOT_CHEST")
def a_head_that_says_chest(folder: Path) -> None:
    says = SeriesTags(series_description="CHEST 5MM", body_part_examined="CHEST")
    scan(folder, np.where(chest() < -300, np.int16(40), chest()), tags=says)


@case("GEOMETRY_MISSING_SLICES")
def a_chest_that_lacks_a_slice_beside_a_whole_abdomen(folder: Path) -> None:
    scan(folder / "chest")[6].unlink()
    second_series(folder / "abdomen", series_description="Abdomen", body_part_examined="ABDOMEN")


@case("INPUT_TRUNCATED")
def a_chest_cut_off_beside_a_whole_head(folder: Path) -> None:
    cut(scan(folder / "chest")[6], 0.7)
    second_series(folder / "head", series_description="Kopf", body_part_examined="HEAD")


@case("SERIES_NOT_CHEST")
def a_body_without_lungs(folder: Path) -> None:
    scan(folder, np.full_like(chest(), 40))


@case("SERIES_SINGLE_SLICE")
def one_slice(folder: Path) -> Path:
    return scan(folder)[5]


@case("SERIES_ONE_POSITION")
def all_slices_at_one_position(folder: Path) -> None:
    put(scan(folder), ImagePositionPatient=[0, 0, 0])


@case("SERIES_SINGLE_SLICE")
def fourteen_copies_of_one_slice(folder: Path) -> None:
    paths = scan(folder)
    for path in paths[1:]:
        shutil.copy(paths[0], path)


@case("SERIES_UID_PER_SLICE")
def a_series_uid_for_each_slice(folder: Path) -> None:
    edit(scan(folder), lambda ds, number: setattr(ds, "SeriesInstanceUID", f"1.2.3.{number + 1}"))


@case("SERIES_TOO_LARGE", reading={"max_voxels_m": 1})
def more_voxels_than_are_measured(folder: Path) -> None:
    scan(folder, np.repeat(np.repeat(chest(), 7, axis=1), 7, axis=2), (SPACING_MM[0], 0.6, 0.7))


@case("GEOMETRY_MIXED_FRAME_OF_REFERENCE")
def a_frame_of_reference_for_each_slice(folder: Path) -> None:
    edit(scan(folder), lambda ds, number: setattr(ds, "FrameOfReferenceUID", f"1.2.3.{number + 1}"))


@case(None, written=False)
def a_bolus_test_at_one_position_beside_a_chest(folder: Path) -> None:
    scan(folder / "chest")
    bolus = second_series(folder / "bolus", series_description="Monitoring", body_part_examined="")
    put(bolus, ImagePositionPatient=[0, 0, 0])


@case("SERIES_TOO_FEW_SLICES")
def nine_slices(folder: Path) -> None:
    for path in scan(folder)[9:]:
        path.unlink()


@case("SERIES_SEVERAL_STUDIES")
def two_studies(folder: Path) -> None:
    scan(folder / "a", tags=SeriesTags(study_uid="1.2.3"))
    scan(folder / "b", tags=SeriesTags(study_uid="1.2.4"))


@case("SERIES_STUDY_NOT_FOUND", study_uid="1.2.3")
def a_study_that_is_not_there(folder: Path) -> None:
    scan(folder)


@case("SERIES_NOT_FOUND", series_uid="1.2.3")
def a_series_that_is_not_there(folder: Path) -> None:
    scan(folder)


@case("PATIENT_MIXED")
def two_patients_in_one_series(folder: Path) -> None:
    put(scan(folder), only=4, PatientID="SOMEONE ELSE")


# What is not one regular axial stack


@case("GEOMETRY_MISSING_SLICES")
def a_slice_is_missing(folder: Path) -> None:
    scan(folder)[6].unlink()


@case("GEOMETRY_MISSING_SLICES")
def every_other_slice_is_missing_in_one_half(folder: Path) -> None:
    for path in scan(folder, np.repeat(chest(), 2, axis=0))[1:12:2]:
        path.unlink()


@case("GEOMETRY_UNEVEN_SPACING")
def a_stack_with_a_step_that_fits_no_spacing(folder: Path) -> None:
    move(scan(folder), lambda number, at: [at[0], at[1], at[2] + (4.0 if number > 6 else 0.0)])


@case("GEOMETRY_DUPLICATE_POSITIONS")
def two_pictures_at_one_place(folder: Path) -> None:
    paths = scan(folder)
    move(paths, lambda number, at: [at[0], at[1], at[2] - (SPACING_MM[0] if number == 6 else 0.0)])


@case("GEOMETRY_MIXED_MATRIX")
def one_slice_of_another_matrix(folder: Path) -> None:
    paths, other = scan(folder), scan(folder.parent / "other", chest()[:, ::2, ::2])
    uids = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "ImagePositionPatient")
    first = pydicom.dcmread(paths[0])
    put([other[0]], **{keyword: first[keyword].value for keyword in uids}, PixelSpacing=first.PixelSpacing)
    shutil.copy(other[0], paths[0])


@case("GEOMETRY_MIXED_PIXEL_SPACING")
def one_slice_of_another_pixel_size(folder: Path) -> None:
    put(scan(folder), only=3, PixelSpacing=[4.1, 5.0])


@case("GEOMETRY_MIXED_ORIENTATION")
def one_slice_upside_down(folder: Path) -> None:
    put(scan(folder), only=3, ImageOrientationPatient=[1, 0, 0, 0, -1, 0])


@case("GEOMETRY_MIXED_FRAME_OF_REFERENCE")
def one_slice_from_another_frame_of_reference(folder: Path) -> None:
    put(scan(folder), only=3, FrameOfReferenceUID="1.2.3")


@case("GEOMETRY_MIXED_RECONSTRUCTION")
def one_slice_of_another_thickness(folder: Path) -> None:
    put(scan(folder), only=3, SliceThickness="2")


@case("GEOMETRY_NOT_AXIAL")
def coronal_slices(folder: Path) -> None:
    put(scan(folder), ImageOrientationPatient=[1, 0, 0, 0, 0, -1])


@case("GEOMETRY_TILT")
def a_gantry_tilted_by_20_degrees(folder: Path) -> None:
    tilted(scan(folder), 20.0)


@case("GEOMETRY_TILT")
def a_stack_sheared_sideways(folder: Path) -> None:
    move(scan(folder), lambda number, at: [at[0] + 3.0 * number, at[1], at[2]])


for keyword, code in {
    "ImagePositionPatient": "GEOMETRY_NO_POSITION",
    "ImageOrientationPatient": "GEOMETRY_NO_ORIENTATION",
    "PixelSpacing": "GEOMETRY_NO_PIXEL_SPACING",
}.items():

    def without(folder: Path, keyword: str = keyword) -> None:
        put(scan(folder), only=8, **{keyword: None})

    without.__name__ = f"{keyword}_is_missing_in_one_slice"
    case(code)(without)


@case("COVERAGE_BASE_CUT")
def lungs_without_their_bases(folder: Path) -> None:
    scan(folder, np.concatenate([chest()[4:], chest()[:2], chest()[:2]]))
