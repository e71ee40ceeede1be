"""From files to one chest series: what is read, what is chosen, what is refused and why."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from kit.dicom_samples import ROOT, change, make_series, make_slice, picture, write
from kit.reading import choose_series, find_series
from scanside_runtime.dicom.contents import list_studies
from scanside_runtime.dicom.errors import (
    GeometryMissingSlices,
    GeometryNoPosition,
    InputEmpty,
    InputNotFound,
    InputUnreadable,
    PatientMixed,
    SeriesNotFound,
    SeriesReformatted,
    SeriesSeveralStudies,
    SeriesSingleSlice,
    SeriesStudyNotFound,
)
from scanside_runtime.dicom.series import Series
from scanside_runtime.dicom.values.kernel import Sharpness, sharpness
from scanside_runtime.errors import Refused


def chosen(folder: Path, slices: list[Dataset]) -> Series:
    return choose_series(find_series(write(folder, slices)))


def refused(folder: Path, slices: list[Dataset]) -> Refused:
    with pytest.raises(Refused) as caught:
        chosen(folder, slices)
    return caught.value


def other_series(number: int, **changes: Any) -> list[Dataset]:
    slices = make_series(**changes)
    for index, ds in enumerate(slices):
        change(ds, SeriesInstanceUID=f"{ROOT}.1.{number}", SOPInstanceUID=f"{ROOT}.1.{number}.{index + 1}")
    return slices


def heights(series: Series) -> list[float]:
    return [header.image_position_patient[2] for header in series.slices if header.image_position_patient]


# Sources


def test_file_names_sub_folders_and_instance_numbers_do_not_matter(tmp_path: Path) -> None:
    plain = chosen(tmp_path / "plain", make_series())
    slices = make_series()
    random.Random(1).shuffle(slices)
    for number, ds in enumerate(slices):
        change(ds, InstanceNumber=number + 1)
    write(tmp_path / "mixed" / "a", slices[:5], "{}")
    write(tmp_path / "mixed" / "b" / "c.d", slices[5:], "IM{}.jpg")
    mixed = choose_series(find_series(tmp_path / "mixed"))
    assert [h.sop_instance_uid for h in mixed.slices] == [h.sop_instance_uid for h in plain.slices]
    assert heights(mixed) == sorted(heights(mixed))


def test_files_that_are_no_dicom_are_counted_and_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    (folder / "LICENSE").write_text("words")
    (folder / "notes.txt").write_bytes(b"\x08\x00\x05\x00 begins like DICOM, goes on as something else")
    (folder / ".DS_Store").write_bytes(b"\x00" * 200)
    (folder / "empty").touch()
    found = find_series(folder)
    assert (len(found.headers), found.not_dicom, found.unreadable) == (12, 4, ())


def test_links_and_pipes_are_never_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    write(tmp_path / "elsewhere", other_series(2))
    (folder / "link").symlink_to(tmp_path / "elsewhere" / "000.dcm")
    (folder / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe")
    found = find_series(folder)
    assert len(found.headers) == 12
    assert found.not_dicom == 3


def test_a_zip_gives_what_its_folder_gives(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", folder))
    in_zip, in_folder = choose_series(find_series(archive)), choose_series(find_series(folder))
    assert [h.sop_instance_uid for h in in_zip.slices] == [h.sop_instance_uid for h in in_folder.slices]
    np.testing.assert_array_equal(in_zip.grid.affine, in_folder.grid.affine)


def test_a_damaged_or_encrypted_zip_is_refused_as_unreadable(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    good = Path(shutil.make_archive(str(tmp_path / "study"), "zip", folder)).read_bytes()
    with zipfile.ZipFile(tmp_path / "study.zip") as archive:
        begins = archive.infolist()[3].header_offset + 200
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(good[:begins] + b"\xff" * 60 + good[begins + 60 :])
    with pytest.raises(InputUnreadable, match="damaged"):
        choose_series(find_series(damaged))
    encrypted = tmp_path / "encrypted.zip"
    flag = good.rfind(b"PK\x01\x02") + 8
    encrypted.write_bytes(good[:flag] + b"\x01\x00" + good[flag + 2 :])
    with pytest.raises(InputUnreadable, match="encrypted"):
        find_series(encrypted)


def test_one_file_stands_for_itself_and_is_no_volume(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    found = find_series(folder / "003.dcm")
    assert len(found.headers) == 1
    with pytest.raises(SeriesSingleSlice):
        choose_series(found)


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    for file in folder.iterdir():
        data = file.read_bytes()
        meta_length = int.from_bytes(data[140:144], "little")
        file.write_bytes(data[144 + meta_length :])
    series = choose_series(find_series(folder))
    assert len(series.slices) == 12
    assert series.transfer_syntax == "1.2.840.10008.1.2.1"


def test_nothing_there_an_empty_folder_and_no_dicom_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputNotFound) as missing:
        find_series(tmp_path / "nowhere")
    assert missing.value.exit_code == 3
    assert missing.value.message == f"There is nothing at {tmp_path / 'nowhere'}."
    with pytest.raises(InputEmpty):
        find_series(tmp_path)
    (tmp_path / "readme.txt").write_text("words")
    with pytest.raises(InputEmpty, match="1 file looked"):
        find_series(tmp_path)


@pytest.mark.parametrize(
    "damage", [b"", b"\x00" * 128 + b"DICM", b"\x00" * 128 + b"DICM\x02\x00\x00\x00UL\x04\x00\xff"]
)
def test_an_unreadable_file_among_good_ones_is_refused_by_name(tmp_path: Path, damage: bytes) -> None:
    folder = write(tmp_path / "study", make_series())
    (folder / "004b.dcm").write_bytes(damage)
    found = find_series(folder)
    assert [passed.name for passed in found.unreadable] == ["004b.dcm"]
    with pytest.raises(InputUnreadable, match=r"004b\.dcm"):
        choose_series(found)


# Headers


def test_study_and_series_say_what_the_headers_say(tmp_path: Path) -> None:
    acquired: dict[str, Any] = {"AcquisitionDate": "20200401", "AcquisitionTime": "101530.25"}
    slices = make_series(PatientAge="045Y", IssuerOfPatientID="Clinic", TimezoneOffsetFromUTC="+0100", **acquired)
    series = chosen(tmp_path, slices)
    study = series.study
    assert (study.patient_id, study.issuer, study.patient_name, study.sex) == ("P1", "Clinic", "Test^Person", "F")
    assert (study.study_date, study.acquired_at) == ("2020-04-01", "2020-04-01T10:15:30.250000+01:00")
    assert study.age_years == 45.0
    assert (series.description, series.kernel, series.manufacturer) == ("Chest 10 mm", "STANDARD", "Maker")
    assert (series.slice_thickness_mm, series.transfer_syntax) == (10.0, "1.2.840.10008.1.2.1")
    assert series.notes == ()


@pytest.mark.parametrize(
    ("stated", "years"), [("045Y", 45.0), ("018M", 1.5), ("090D", 0.25), ("026W", 0.5), ("", 49.0)]
)
def test_age_is_what_is_stated_or_what_the_dates_give(tmp_path: Path, stated: str, years: float) -> None:
    assert chosen(tmp_path, make_series(PatientAge=stated)).study.age_years == years


@pytest.mark.parametrize("placeholder", ["00010101", "99991231"])
def test_a_date_that_only_fills_the_field_is_not_stated(tmp_path: Path, placeholder: str) -> None:
    stated = {"StudyDate": placeholder, "AcquisitionDate": placeholder, "SeriesDate": placeholder}
    series = chosen(tmp_path, make_series(**stated))
    assert (series.study.study_date, series.study.acquired_at) == (None, None)
    assert "INPUT_HEADER_VALUE" in {note.code for note in series.notes}


def test_an_age_that_is_none_is_taken_from_the_dates_with_a_note(tmp_path: Path) -> None:
    folder = raw(write(tmp_path, make_series(PatientAge="045Y")), {b"045Y": b"aged"})
    series = choose_series(find_series(folder))
    assert series.study.age_years == 49.0
    assert [note.message.split()[0] for note in series.notes] == ["PatientAge"]


def raw(folder: Path, replaced: dict[bytes, bytes]) -> Path:
    """Values of the same length written over the files, past every check of a writer."""
    for file in folder.iterdir():
        data = file.read_bytes()
        for old, new in replaced.items():
            assert old in data
            data = data.replace(old, new)
        file.write_bytes(data)
    return folder


def test_invalid_values_that_are_not_needed_become_none_with_one_note_each(tmp_path: Path) -> None:
    folder = write(tmp_path, make_series())
    raw(folder, {b"19700615": b"19701399", b"20200401": b"2020\xff\xfe01", b"CS\x02\x00F ": b"CS\x02\x00?!"})
    series = choose_series(find_series(folder))
    study = series.study
    assert (study.study_date, study.acquired_at, study.age_years, study.sex) == (None, None, None, None)
    assert {note.code for note in series.notes} == {"INPUT_HEADER_VALUE"}
    assert sorted(note.message.split()[0] for note in series.notes) == ["PatientBirthDate", "PatientSex", "StudyDate"]


def test_positions_that_are_no_numbers_are_refused_without_a_traceback(tmp_path: Path) -> None:
    folder = raw(write(tmp_path, make_series()), {b"-100.0\\-90.0": b"-1x0.0\\-90.0"})
    with pytest.raises(GeometryNoPosition):
        choose_series(find_series(folder))


# The choice


def test_a_soft_kernel_goes_before_a_sharp_one_and_the_reason_says_so(tmp_path: Path) -> None:
    write(tmp_path / "soft", make_series(ConvolutionKernel="B31f"))
    write(tmp_path / "sharp", other_series(0, ConvolutionKernel="B70f", SeriesDescription="Lung 10 mm"))
    series = choose_series(find_series(tmp_path))
    assert series.kernel == "B31f"
    assert "B31f" in series.chosen_because
    assert "B70f" in series.chosen_because


def test_of_equal_kernels_the_thickness_nearest_5_mm_is_chosen(tmp_path: Path) -> None:
    write(tmp_path / "thick", make_series(SliceThickness="10"))
    write(tmp_path / "near", other_series(3, SliceThickness="8"))
    assert choose_series(find_series(tmp_path)).slice_thickness_mm == 8.0


def test_original_slices_go_before_derived_ones(tmp_path: Path) -> None:
    write(tmp_path / "derived", make_series(ImageType=["DERIVED", "PRIMARY", "AXIAL"]))
    write(tmp_path / "original", other_series(2, ConvolutionKernel="LUNG"))
    assert choose_series(find_series(tmp_path)).uid == f"{ROOT}.1.2"


def test_a_series_named_by_its_uid_is_taken_though_another_ranks_first(tmp_path: Path) -> None:
    write(tmp_path / "soft", make_series())
    write(tmp_path / "sharp", other_series(2, ConvolutionKernel="BONE"))
    found = find_series(tmp_path)
    assert choose_series(found, series_uid=f"{ROOT}.1.2").kernel == "BONE"
    with pytest.raises(SeriesNotFound):
        choose_series(found, series_uid="1.2.3")


def test_a_named_series_must_still_be_a_volume(tmp_path: Path) -> None:
    found = find_series(write(tmp_path, make_series()[:5] + make_series()[6:]))
    with pytest.raises(GeometryMissingSlices):
        choose_series(found, series_uid=f"{ROOT}.1.1")


def test_several_studies_are_listed_and_one_can_be_named(tmp_path: Path) -> None:
    write(tmp_path / "a", make_series())
    write(tmp_path / "b", other_series(2, StudyInstanceUID=f"{ROOT}.2", StudyDescription="Follow-up"))
    found = find_series(tmp_path)
    listed = [(one.number, one.study_uid, one.study_date, one.description) for one in list_studies(found.headers)]
    day = "2020-04-01"
    assert listed == [(1, f"{ROOT}.1", day, None), (2, f"{ROOT}.2", day, "Follow-up")]
    with pytest.raises(SeriesSeveralStudies, match="2 studies"):
        choose_series(found)
    for name in (f"{ROOT}.2", "2"):
        assert choose_series(found, study_uid=name).study.study_uid == f"{ROOT}.2"
    for name in ("0", "3", "02", ""):
        with pytest.raises(SeriesStudyNotFound):
            choose_series(found, study_uid=name)
    with pytest.raises(SeriesStudyNotFound):
        choose_series(found, study_uid="1.2.3")


def test_a_scout_in_the_same_series_is_left_out(tmp_path: Path) -> None:
    scout = make_slice(40, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    assert len(chosen(tmp_path, [*make_series(), scout]).slices) == 12


def test_an_incomplete_series_that_was_passed_over_is_a_caution(tmp_path: Path) -> None:
    write(tmp_path / "sharp", make_series(ConvolutionKernel="LUNG"))
    soft = other_series(2)
    write(tmp_path / "soft", soft[:5] + soft[6:])
    series = choose_series(find_series(tmp_path))
    assert series.kernel == "LUNG"
    assert [(note.code, note.level) for note in series.notes] == [("SERIES_PASSED_OVER", "caution")]
    assert "GEOMETRY_MISSING_SLICES" in series.chosen_because


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "SERIES_NO_CT"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "SERIES_SECONDARY_CAPTURE"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"}, "SERIES_ENHANCED_CT"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "SERIES_LOCALIZER_ONLY"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "SERIES_PROJECTION"),
        ({"SeriesDescription": "Thorax MinIP 10mm"}, "SERIES_PROJECTION"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "INPUT_NOT_GREYSCALE"),
        ({"RescaleSlope": None}, "INPUT_NO_RESCALE"),
        ({"RescaleIntercept": None}, "INPUT_NO_RESCALE"),
        ({"RescaleType": "MGML"}, "INPUT_NOT_HU"),
        ({"ImagePositionPatient": None}, "GEOMETRY_NO_POSITION"),
        ({"ImageOrientationPatient": None}, "GEOMETRY_NO_ORIENTATION"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "GEOMETRY_NO_ORIENTATION"),
        ({"PixelSpacing": None}, "GEOMETRY_NO_PIXEL_SPACING"),
        ({"PixelSpacing": [0, 0.7]}, "GEOMETRY_NO_PIXEL_SPACING"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "GEOMETRY_NOT_AXIAL"),
        ({"ImagePositionPatient": [0, 0, 0]}, "SERIES_ONE_POSITION"),
    ],
)
def test_what_can_not_be_measured_is_refused_with_its_code(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    refusal = refused(tmp_path, make_series(**changes))
    assert (refusal.code, refusal.exit_code) == (code, 3)
    assert refusal.advice


@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "ABDOMEN", "SeriesDescription": "Thorax 5mm"},
        {"BodyPartExamined": "", "SeriesDescription": "5mm"},
        {"BodyPartExamined": "NECK", "SeriesDescription": "NECK/CHEST"},
        {"ImageType": ["ORIGINAL", "SECONDARY", "AXIAL"]},
        {"RescaleType": "HU"},
    ],
)
def test_a_chest_that_is_labelled_oddly_is_accepted(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert len(chosen(tmp_path, make_series(**changes)).slices) == 12


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"BodyPartExamined": "HEAD", "SeriesDescription": "5mm"}, "caution"),
        ({"BodyPartExamined": "", "SeriesDescription": "", "ProtocolName": "RoutineHead_1"}, "caution"),
        ({"BodyPartExamined": "ABDOMEN", "SeriesDescription": "5mm"}, "note"),
        ({"BodyPartExamined": "", "SeriesDescription": "BRZUCH 5mm"}, "note"),
    ],
)
def test_a_series_labelled_as_another_part_is_left_to_the_picture_and_says_so(
    tmp_path: Path, changes: dict[str, Any], level: str
) -> None:
    series = chosen(tmp_path, make_series(**changes))
    assert [(note.code, note.level) for note in series.notes] == [("SERIES_LABELLED_OTHERWISE", level)]


@pytest.mark.parametrize("other", ["Head 5mm", "ABDOMEN", "Schädel", "腹部", "ГОЛОВА"])
@pytest.mark.parametrize("chest", [{}, {"ImageType": ["DERIVED", "PRIMARY"]}, {"SeriesDescription": "5mm"}])
def test_another_part_beside_a_chest_is_never_measured_instead(
    tmp_path: Path, other: str, chest: dict[str, Any]
) -> None:
    named = {"SpecificCharacterSet": "ISO_IR 192", "BodyPartExamined": ""}
    write(tmp_path / "chest", make_series(**{**named, **chest, "SliceThickness": "9"}))
    write(tmp_path / "other", other_series(0, **named, SeriesDescription=other, SliceThickness="5"))
    assert choose_series(find_series(tmp_path)).slice_thickness_mm == 9.0


def test_another_part_does_not_stand_in_for_a_chest_that_lacks_a_slice(tmp_path: Path) -> None:
    slices = make_series()
    write(tmp_path / "chest", slices[:5] + slices[6:])
    write(tmp_path / "other", other_series(2, SeriesDescription="Abdomen", BodyPartExamined="ABDOMEN"))
    with pytest.raises(GeometryMissingSlices):
        choose_series(find_series(tmp_path))


def test_a_bolus_test_without_a_name_keeps_no_mislabelled_chest_out(tmp_path: Path) -> None:
    write(tmp_path / "bolus", make_series(5, SeriesDescription="Premonitoring", BodyPartExamined=""))
    write(tmp_path / "chest", other_series(2, SeriesDescription="5mm", BodyPartExamined="HEAD"))
    assert choose_series(find_series(tmp_path)).uid == f"{ROOT}.1.2"


def test_a_damaged_head_beside_a_chest_is_no_caution(tmp_path: Path) -> None:
    head = other_series(2, SeriesDescription="Head", BodyPartExamined="HEAD")
    write(tmp_path / "head", head[:5] + head[6:])
    write(tmp_path / "chest", make_series())
    assert choose_series(find_series(tmp_path)).notes == ()


@pytest.mark.parametrize(("slices", "code"), [(9, "SERIES_TOO_FEW_SLICES"), (1, "SERIES_SINGLE_SLICE")])
def test_too_few_slices_are_no_chest(tmp_path: Path, slices: int, code: str) -> None:
    assert refused(tmp_path, make_series(slices)).code == code


def test_many_slices_over_a_few_centimetres_are_no_chest(tmp_path: Path) -> None:
    thin = [make_slice(n, ImagePositionPatient=[0, 0, 1.0 * n]) for n in range(60)]
    assert refused(tmp_path, thin).code == "SERIES_TOO_FEW_SLICES"


def test_two_patients_in_one_series_are_refused(tmp_path: Path) -> None:
    slices = make_series()
    change(slices[4], PatientID="P2")
    assert refused(tmp_path, slices).code == "PATIENT_MIXED"


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("STANDARD", Sharpness.SOFT),
        ("B", Sharpness.SOFT),
        ("B31f", Sharpness.SOFT),
        ("Br40d", Sharpness.SOFT),
        ("I31f\\3", Sharpness.SOFT),
        ("FC08", Sharpness.SOFT),
        ("LUNG", Sharpness.SHARP),
        ("L", Sharpness.SHARP),
        ("B70f", Sharpness.SHARP),
        ("Bl57f", Sharpness.SHARP),
        ("FC51", Sharpness.SHARP),
        ("YA", Sharpness.SHARP),
        ("Y-Sharp", Sharpness.SHARP),
        ("B_SOFT_C", Sharpness.SOFT),
        ("B_SHARP_C", Sharpness.SHARP),
        ("B_VSHARP_C", Sharpness.SHARP),
        (None, Sharpness.UNSTATED),
        ("house blend", Sharpness.UNSTATED),
    ],
)
def test_kernels_of_five_makers_are_told_apart(kernel: str | None, expected: Sharpness) -> None:
    assert sharpness(kernel) is expected


# The grid


def test_missing_slices_are_counted_and_placed(tmp_path: Path) -> None:
    slices = make_series(16)
    refusal = refused(tmp_path, slices[:4] + slices[6:11] + slices[12:])
    assert refusal.code == "GEOMETRY_MISSING_SLICES"
    assert (refusal.values["count"], refusal.values["where"]) == (3, "30.0 mm, 100.0 mm")


@pytest.mark.parametrize(
    ("heights_mm", "code"),
    [
        ([0, 10, 20, 30, 40, 55, 65, 75, 85, 95, 105], "GEOMETRY_UNEVEN_SPACING"),
        ([0, 10, 20, 30.3, 40.3, 50.3, 60.3, 70.3, 80.3, 90.3, 100.3], "GEOMETRY_UNEVEN_SPACING"),
        ([10.0 * n for n in range(12) if n % 2 or n < 3] + [120.0, 130.0, 140.0], "GEOMETRY_MISSING_SLICES"),
    ],
)
def test_uneven_stacks_are_refused(tmp_path: Path, heights_mm: list[float], code: str) -> None:
    slices = [make_slice(n, ImagePositionPatient=[0, 0, height]) for n, height in enumerate(heights_mm)]
    assert refused(tmp_path, slices).code == code


def test_positions_rounded_by_a_scanner_pass_and_the_spacing_is_their_mean(tmp_path: Path) -> None:
    slices = [make_slice(n, ImagePositionPatient=[0, 0, round(10.04 * n, 1)]) for n in range(12)]
    assert chosen(tmp_path, slices).spacing_mm[0] == pytest.approx(round(10.04 * 11, 1) / 11)


def test_the_spacing_comes_from_positions_and_never_from_slice_thickness(tmp_path: Path) -> None:
    series = chosen(tmp_path, make_series(SliceThickness="13"))
    assert series.spacing_mm == pytest.approx((10.0, 0.8, 0.7))
    assert series.slice_thickness_mm == 13.0


def test_gaps_between_slices_are_a_caution(tmp_path: Path) -> None:
    series = chosen(tmp_path, make_series(SliceThickness="5"))
    assert [(note.code, note.level) for note in series.notes] == [("GEOMETRY_GAPS", "caution")]


def test_exact_copies_are_dropped_with_a_note(tmp_path: Path) -> None:
    folder = write(tmp_path / "study", make_series())
    shutil.copytree(folder, folder / "again")
    series = choose_series(find_series(folder))
    assert len(series.slices) == 12
    assert [note.code for note in series.notes] == ["GEOMETRY_COPIES"]


def test_two_different_pictures_at_one_place_are_refused(tmp_path: Path) -> None:
    twin = make_slice(3, pixels=picture(99), SOPInstanceUID=f"{ROOT}.7")
    refusal = refused(tmp_path, [*make_series(), twin])
    assert (refusal.code, refusal.values["position_mm"]) == ("GEOMETRY_DUPLICATE_POSITIONS", 30.0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pixels": picture(3, 11, 10)}, "GEOMETRY_MIXED_MATRIX"),
        ({"PixelSpacing": [0.8, 0.71]}, "GEOMETRY_MIXED_PIXEL_SPACING"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, -1, 0]}, "GEOMETRY_MIXED_ORIENTATION"),
        ({"FrameOfReferenceUID": f"{ROOT}.8"}, "GEOMETRY_MIXED_FRAME_OF_REFERENCE"),
    ],
)
def test_one_slice_on_another_grid_is_refused(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    slices = make_series()
    slices[3] = make_slice(3, **changes)
    assert refused(tmp_path, slices).code == code


def test_a_tilted_gantry_is_measured_and_the_affine_follows_it(tmp_path: Path) -> None:
    cosine, sine = float(np.cos(np.radians(5))), float(np.sin(np.radians(5)))
    series = chosen(tmp_path, make_series(ImageOrientationPatient=[1, 0, 0, 0, cosine, sine]))
    assert [(note.code, note.level) for note in series.notes] == [("GEOMETRY_TILT_CORRECTED", "caution")]
    assert "5.0 degrees" in series.notes[0].message
    assert series.spacing_mm == pytest.approx((10.0 * cosine, 0.8, 0.7))
    voxel_mm3 = float(np.linalg.det(series.grid.affine))
    assert voxel_mm3 == pytest.approx(np.prod(series.spacing_mm)), "a sheared voxel is as large as an upright one"
    for z, header in enumerate(series.slices):
        np.testing.assert_allclose(series.grid.affine[:3] @ [0, 0, z, 1], header.image_position_patient, atol=1e-9)


def test_a_gantry_tilted_too_far_is_refused_as_tilt_with_its_angle(tmp_path: Path) -> None:
    cosine, sine = float(np.cos(np.radians(20))), float(np.sin(np.radians(20)))
    refusal = refused(tmp_path, make_series(ImageOrientationPatient=[1, 0, 0, 0, cosine, sine]))
    assert refusal.code == "GEOMETRY_TILT"
    assert refusal.values["tilt_deg"] == pytest.approx(20.0)


def test_a_stack_that_drifts_without_a_tilted_gantry_is_refused(tmp_path: Path) -> None:
    drifting = [make_slice(n, ImagePositionPatient=[3.0 * n, 0, 10.0 * n]) for n in range(12)]
    assert refused(tmp_path / "straight", drifting).code == "GEOMETRY_TILT"
    shifted = [make_slice(n, ImagePositionPatient=[0, 4.0 * (n > 6), 10.0 * n]) for n in range(12)]
    assert refused(tmp_path / "shifted", shifted).code == "GEOMETRY_TILT"


def test_a_slightly_rotated_stack_is_no_tilt(tmp_path: Path) -> None:
    cosine, sine = float(np.cos(np.radians(5))), float(np.sin(np.radians(5)))
    rotated = [
        change(ds, ImagePositionPatient=[0, -10 * number * sine, 10 * number * cosine])
        for number, ds in enumerate(make_series(ImageOrientationPatient=[1, 0, 0, 0, cosine, sine]))
    ]
    assert chosen(tmp_path / "rotated", rotated).spacing_mm[0] == pytest.approx(10.0)


# Several stacks in one series, and what was passed over


def under_one_uid(*stacks: list[Dataset]) -> list[Dataset]:
    """The slices of all stacks as one series."""
    slices = [ds for stack in stacks for ds in stack]
    for index, ds in enumerate(slices):
        change(ds, SOPInstanceUID=f"{ROOT}.5.{index}")
    return slices


def thin_stack(slices: int = 48, **changes: Any) -> list[Dataset]:
    thin = {"SliceThickness": "2.5", **changes}
    return [make_slice(n, **{**thin, "ImagePositionPatient": [-100.0, -90.0, 2.5 * n - 3.75]}) for n in range(slices)]


def test_of_two_thicknesses_in_one_series_the_one_near_5_mm_is_measured_and_the_other_listed(tmp_path: Path) -> None:
    thick = make_series(SliceThickness="8")
    series = chosen(tmp_path, under_one_uid(thin_stack(SliceThickness="1.25"), thick))
    assert (len(series.slices), series.slice_thickness_mm) == (12, 8.0)
    assert [(note.code, note.level) for note in series.notes] == [("SERIES_SPLIT", "caution")]
    assert [(one.uid, "48 slices, 1.25 mm" in one.why) for one in series.passed_over] == [(series.uid, True)]


def test_of_two_phases_with_two_kernels_each_one_stack_is_measured(tmp_path: Path) -> None:
    stacks = [
        [make_slice(n, pixels=picture(n + seed), AcquisitionNumber=phase, ConvolutionKernel=kernel) for n in range(12)]
        for seed, phase, kernel in ((0, 1, "LUNG"), (20, 1, "STANDARD"), (40, 2, "LUNG"), (60, 2, "STANDARD"))
    ]
    series = chosen(tmp_path, under_one_uid(*stacks))
    assert (len(series.slices), series.kernel, len(series.passed_over)) == (12, "STANDARD", 3)


def test_acquisitions_that_take_turns_on_one_regular_grid_are_told_apart(tmp_path: Path) -> None:
    slices = [make_slice(n, AcquisitionNumber=n % 2 + 1, SliceThickness="5") for n in range(24)]
    series = chosen(tmp_path, slices)
    assert (len(series.slices), series.spacing_mm[0]) == (12, pytest.approx(20.0))
    assert "SERIES_SPLIT" in {note.code for note in series.notes}


@pytest.mark.parametrize("number", [lambda n: n, lambda n: n // 6])
def test_one_scan_in_several_breaths_stays_one(tmp_path: Path, number: Callable[[int], int]) -> None:
    series = chosen(tmp_path, [make_slice(n, AcquisitionNumber=number(n)) for n in range(12)])
    assert (len(series.slices), series.notes) == (12, ())


def test_half_of_a_scan_is_never_taken_for_the_whole(tmp_path: Path) -> None:
    """Two breaths, a slice missing between: each half would be a regular stack."""
    slices = [make_slice(n, AcquisitionNumber=1 + n // 12) for n in range(24) if n != 12]
    assert refused(tmp_path, slices).code == "GEOMETRY_MISSING_SLICES"


def test_a_bolus_test_in_the_same_series_is_left_out(tmp_path: Path) -> None:
    bolus = [make_slice(4, pixels=picture(50 + n), AcquisitionNumber=9) for n in range(5)]
    series = chosen(tmp_path, under_one_uid(make_series(AcquisitionNumber=1), bolus))
    assert len(series.slices) == 12
    assert "5 slices" in series.passed_over[0].why


def test_everything_that_was_passed_over_is_listed_with_its_reason(tmp_path: Path) -> None:
    write(tmp_path / "chosen", make_series())
    write(tmp_path / "sharp", other_series(2, ConvolutionKernel="LUNG"))
    write(tmp_path / "derived", other_series(3, ImageType=["DERIVED", "PRIMARY", "AXIAL"]))
    write(tmp_path / "head", other_series(4, SeriesDescription="Head", BodyPartExamined="HEAD"))
    write(tmp_path / "scout", other_series(5, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:1])
    write(tmp_path / "mpr", other_series(6, ImageType=["DERIVED", "SECONDARY", "MPR"]))
    dose = other_series(7, SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SeriesDescription="Dose")
    write(tmp_path / "dose", dose[:1])
    series = choose_series(find_series(tmp_path))
    why = {one.uid.removeprefix(f"{ROOT}.1."): one.why for one in series.passed_over}
    assert series.uid == f"{ROOT}.1.1"
    assert set(why) == set("234567")
    assert "sharper" in why["2"]
    assert "derived" in why["3"]
    assert why["4"] == "its texts name another part of the body"
    assert why["5"].startswith("SERIES_LOCALIZER_ONLY")
    assert why["6"].startswith("SERIES_REFORMATTED")
    assert why["7"] == "no CT slices: Secondary Capture Image Storage"
    assert {one.description for one in series.passed_over} >= {"Head", "Dose"}


def test_a_reformatted_series_is_never_chosen_but_can_be_named(tmp_path: Path) -> None:
    found = find_series(write(tmp_path, make_series(SeriesDescription="Chest MPR axial")))
    with pytest.raises(SeriesReformatted, match="MPR"):
        choose_series(found)
    assert len(choose_series(found, series_uid=f"{ROOT}.1.1").slices) == 12


def projections(slices: range, above_mm: float = 0.0) -> list[Dataset]:
    """Pictures of other content, some mm above the slices of the same numbers."""
    return [
        make_slice(
            n,
            pixels=picture(n + 40),
            SOPInstanceUID=f"1.2.3.{n}",
            ImageType=["DERIVED", "SECONDARY", "MIP"],
            ImagePositionPatient=[-100.0, -90.0, 10.0 * n + above_mm],
        )
        for n in slices
    ]


@pytest.mark.parametrize("above_mm", [0.0, 5.0], ids=["at their places", "half way between"])
@pytest.mark.parametrize("first", [True, False])
def test_projections_under_the_uid_of_the_slices_are_left_out_in_whatever_order_files_lie(
    tmp_path: Path, above_mm: float, first: bool
) -> None:
    mixed = [projections(range(12), above_mm), make_series()]
    series = chosen(tmp_path, [ds for part in (mixed if first else reversed(mixed)) for ds in part])
    assert heights(series) == [10.0 * n for n in range(12)]
    assert {header.image_type[0] for header in series.slices} == {"ORIGINAL"}
    assert [note.code for note in series.notes] == ["SERIES_SPLIT"]


@pytest.mark.parametrize("derived", [range(6, 7), range(12, 24)], ids=["one", "half"])
def test_a_projection_in_the_place_of_a_slice_is_no_slice(tmp_path: Path, derived: range) -> None:
    slices = [make_slice(n) for n in range(24) if n not in derived]
    assert refused(tmp_path, [*slices, *projections(derived)]).code == "SERIES_PROJECTION"


@pytest.mark.parametrize(("stated", "codes"), [("01", ["INPUT_LOSSY"]), ("00", []), ("", [])])
def test_what_was_compressed_with_loss_once_stays_so_however_it_is_stored(
    tmp_path: Path, stated: str, codes: list[str]
) -> None:
    assert [note.code for note in chosen(tmp_path, make_series(LossyImageCompression=stated)).notes] == codes


def test_a_thickness_out_of_range_goes_behind_a_sharp_kernel(tmp_path: Path) -> None:
    write(tmp_path / "thick", make_series(SliceThickness="20"))
    write(tmp_path / "sharp", other_series(2, ConvolutionKernel="LUNG"))
    assert choose_series(find_series(tmp_path)).kernel == "LUNG"


@pytest.mark.parametrize(("thickness", "codes"), [("20", ["GEOMETRY_OVERLAP"]), ("11", []), ("9", [])])
def test_overlapping_slices_are_noted(tmp_path: Path, thickness: str, codes: list[str]) -> None:
    assert [note.code for note in chosen(tmp_path, make_series(SliceThickness=thickness)).notes] == codes


@pytest.mark.parametrize(
    "other", [{"PatientID": "P2"}, {"PatientName": "Other^Person"}, {"PatientSex": "M"}], ids=["id", "name", "sex"]
)
def test_two_patients_in_one_series_are_refused_whatever_tells_them_apart(
    tmp_path: Path, other: dict[str, str]
) -> None:
    slices = make_series()
    change(slices[7], **other)
    with pytest.raises(PatientMixed):
        chosen(tmp_path, slices)


def test_what_the_first_slice_leaves_out_is_taken_from_the_next_that_says_it(tmp_path: Path) -> None:
    slices = make_series()
    change(slices[0], PatientName="", PatientSex="", PatientBirthDate="", StudyDate="")
    study = chosen(tmp_path, slices).study
    assert (study.patient_name, study.sex, study.birth_date) == ("Test^Person", "F", "1970-06-15")
    assert (study.study_date, study.age_years) == ("2020-04-01", 49.0)


def test_a_slice_that_does_not_state_the_name_is_no_other_patient(tmp_path: Path) -> None:
    slices = make_series()
    change(slices[7], PatientName="", PatientSex="")
    assert len(chosen(tmp_path, slices).slices) == len(slices)
