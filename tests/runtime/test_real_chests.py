"""The straight line on real chests, through the default bundle: believable volumes, quiet healthy lungs, no shifts.

Some series stand here for all: contrast medium and thin slices, metal, two kernels, slices that overlap, COVID-19. The
others, lesions that were put in, and more thicknesses and turns: sweeps/real_chests.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest

from kit.reading import choose_series, find_series
from kit.real_chests import analysed, check_complete_chest, check_same_at, check_withheld
from kit.real_series import CHESTS, CUT_AT_THE_BASE, Chest, dicom_folder, write_averaged
from scanside_export.data.cases import hu_volume
from scanside_runtime.analysis.analyze import analyze

pytestmark = pytest.mark.usefixtures("warm_readers")

HERE = ("nsclc-r01-001", "4dlung-113", "lung-dx-a0001", "tcga-thca", "ricord-1a")


def named(chest: Chest) -> str:
    return Path(chest.file).stem


@pytest.mark.parametrize("chest", [chest for chest in CHESTS if Path(chest.file).name.startswith(HERE)], ids=named)
def test_a_complete_chest_is_analysed_and_its_near_healthy_lungs_are_whole_and_quiet(
    chest: Chest, shared_data: Path, tmp_path: Path
) -> None:
    check_complete_chest(chest, shared_data, tmp_path)


@pytest.mark.parametrize("file", CUT_AT_THE_BASE[1:])
def test_lungs_whose_bases_are_cut_off_are_flagged_and_no_poi_is_given(
    file: str, shared_data: Path, tmp_path: Path
) -> None:
    analysis = analyze(dicom_folder(shared_data / "ct" / file, tmp_path / "series"))
    document = analysis.document()
    assert "COVERAGE_BASE_CUT" in {flag["code"] for flag in document["flags"]}
    assert analysis.exit_code == 3
    assert document["reason"]["code"] == "COVERAGE_BASE_CUT"
    assert document["biomarkers"]["poi_percent"] is None
    assert document["biomarkers"]["lung_volume_ml"] > 1000.0
    assert document["severity"]["flag"] == "not_assessed"


@pytest.mark.parametrize(
    "file", ["philips-ingenuity_head-study_subset.tar.xz", "helical-chest-slice_16-transfer-syntaxes.zip"]
)
def test_a_head_and_a_single_slice_are_refused(file: str, shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "ct" / file
    analysis = analyze(dicom_folder(path, tmp_path / "series") if path.suffix == ".xz" else path)
    assert analysis.exit_code == 3
    assert analysis.document()["biomarkers"] is None


@pytest.mark.parametrize("part", [slice(0, 30), slice(30, 61)], ids=["lower", "upper"])
def test_a_part_of_a_chest_gives_no_poi(part: slice, shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "pyradiomics-lung2_5mm.npz")
    write_averaged(hu[part], spacing_mm, 1, tmp_path)
    check_withheld(analyze(tmp_path), {"COVERAGE_BASE_CUT", "COVERAGE_APEX_CUT", "SERIES_NOT_CHEST"})


def test_an_abdomen_gives_no_poi_though_its_header_says_chest(shared_data: Path, tmp_path: Path) -> None:
    """The lowest 105 mm of a series whose lungs begin at 90 mm."""
    folder = dicom_folder(shared_data / "ct" / "4dlung-113_gated40_3mm.tar.xz", tmp_path / "whole")
    abdomen = tmp_path / "abdomen"
    abdomen.mkdir()
    for header in choose_series(find_series(folder)).slices[:35]:
        shutil.copy(next(folder.rglob(header.file.name)), abdomen)
    check_withheld(analyze(abdomen), {"COVERAGE_APEX_CUT", "SERIES_NOT_CHEST"})


@pytest.mark.parametrize("label", ["", "CHEST"])
def test_a_head_gives_no_poi_though_its_header_says_chest_or_nothing(
    label: str, shared_data: Path, tmp_path: Path
) -> None:
    folder = dicom_folder(shared_data / "ct" / "philips-ingenuity_head-study_subset.tar.xz", tmp_path / "study")
    head = tmp_path / "head"
    head.mkdir()
    for number, path in enumerate(sorted(path for path in (folder / "S2010").rglob("*") if path.is_file())):
        ds = pydicom.dcmread(path)
        for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription"):
            setattr(ds, keyword, label)
        ds.save_as(head / f"{number:03d}.dcm")
    check_withheld(analyze(head), {"SERIES_NOT_CHEST"})


LABELS = (
    *("CT CHEST", "Thorax nativ", "THORAX SANS IV", "TÓRAX/ABDOMEN", "TORACE", "Klatka piersiowa", "Hrudník"),
    *("Mellkas", "TORAKS ABDOMEN", "ОГК и брюшная полость", "ΘΩΡΑΚΑΣ", "胸部+腹部", "胸腹部CT", "흉부"),
    *("الصدر والبطن", "חזה", "Ngực"),
)


@pytest.fixture(scope="module")
def short_chest(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real chest in slices of 10 mm."""
    folder = tmp_path_factory.mktemp("chest")
    hu, spacing_mm = hu_volume(shared_data / "ct" / "pyradiomics-lung2_5mm.npz")
    write_averaged(hu, spacing_mm, 2, folder)
    return folder


def _labelled(source: Path, folder: Path, **texts: str) -> Path:
    folder.mkdir(parents=True)
    for path in source.iterdir():
        ds = pydicom.dcmread(path)
        for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription"):
            setattr(ds, keyword, texts.get(keyword, ""))
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.save_as(folder / path.name)
    return folder


def test_a_chest_labelled_in_17_languages_is_chosen_and_called_a_chest(short_chest: Path, tmp_path: Path) -> None:
    for number, label in enumerate(LABELS):
        folder = _labelled(short_chest, tmp_path / str(number), SeriesDescription=label)
        assert choose_series(find_series(folder)).notes == (), label
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("texts", "level"),
    [
        ({"BodyPartExamined": "HEAD", "SeriesDescription": "HEAD FIRST"}, "caution"),
        ({"SeriesDescription": "Brzuch", "BodyPartExamined": "ABDOMEN"}, "note"),
    ],
    ids=["head", "abdomen"],
)
def test_a_real_chest_is_analysed_whatever_its_texts_say(
    texts: dict[str, str], level: str, short_chest: Path, tmp_path: Path
) -> None:
    analysis = analysed(_labelled(short_chest, tmp_path / "study", **texts))
    assert [flag.level for flag in analysis.flags if flag.code == "SERIES_LABELLED_OTHERWISE"] == [level]
    assert analysis.biomarkers is not None
    assert analysis.biomarkers.whole.lung_volume_ml == pytest.approx(4033.0, rel=0.05)


def test_of_two_series_without_a_name_the_chest_is_found_by_its_picture(
    short_chest: Path, shared_data: Path, tmp_path: Path
) -> None:
    """The head ranks first: its slices are nearer to 5 mm."""
    head = dicom_folder(shared_data / "ct" / "philips-ingenuity_head-study_subset.tar.xz", tmp_path / "head")
    study = tmp_path / "study"
    _labelled(short_chest, study / "chest")
    first = pydicom.dcmread(next((study / "chest").iterdir()), stop_before_pixels=True)
    (study / "head").mkdir()
    for number, path in enumerate(sorted(path for path in (head / "S2010").rglob("*") if path.is_file())):
        ds = pydicom.dcmread(path)
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
            setattr(ds, keyword, first.get(keyword, ""))
        for keyword in ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription"):
            setattr(ds, keyword, "")
        ds.save_as(study / "head" / f"{number:03d}.dcm")
    assert choose_series(find_series(study)).uid != first.SeriesInstanceUID
    analysis = analysed(study)
    assert analysis.series is not None
    assert analysis.series.uid == first.SeriesInstanceUID
    assert [one.why.split(":")[0] for one in analysis.series.passed_over] == ["SERIES_NOT_CHEST"]


def test_a_covid_patient_measures_the_same_at_2_5_and_10_mm(shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "extra" / "ricord-1a-000082_covid_2.5mm.npz")
    check_same_at(hu, spacing_mm, (1, 4), tmp_path)
