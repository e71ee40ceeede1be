"""The straight line on real chests, through the default bundle: believable volumes, quiet healthy lungs, no shifts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from kit.reading import choose_series, find_series
from kit.real_series import CHESTS, CUT_AT_THE_BASE, Chest, dicom_folder, write_averaged
from scanside_export.data.cases import hu_volume
from scanside_export.data.lesions import insert, random_lesions
from scanside_export.data.lung_reference import reference_lungs
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.result import Analysis

pytestmark = pytest.mark.usefixtures("warm_readers")

REFERENCE_ML = json.loads((Path(__file__).parents[1] / "golden" / "lung_reference_ml.json").read_text())


# What the READMEs of the data say of the pictures: contrast medium stated or seen, and stated to be absent; metal.
CONTRAST = ("nsclc-r01-001", "lidc-idri-0001", "lidc-idri-0003", "cptac-lscc")
NO_CONTRAST = ("lidc-idri-0002", "ricord-1a", "tcga-thca")
METAL = ("4dlung-113",)
AGE_NOT_STATED = ("4dlung-113",)


def _check_against_the_readme(name: str, analysis: Analysis) -> None:
    codes = {flag.code for flag in analysis.flags}
    if name.startswith((*CONTRAST, *NO_CONTRAST)):
        assert ("QUALITY_CONTRAST" in codes) == name.startswith(CONTRAST)
    assert not name.startswith(METAL) or "QUALITY_METAL" in codes
    assert ("PATIENT_AGE_UNKNOWN" in codes) == name.startswith(AGE_NOT_STATED)
    assert not codes & {"QUALITY_HU_CALIBRATION", "QUALITY_HU_UNPROVEN", "QUALITY_UNEVEN_LUNGS", "QUALITY_LUNG_VOLUME"}


def _analyse(folder: Path) -> Analysis:
    analysis = analyze(folder)
    assert analysis.exit_code == 0, analysis.reason
    return analysis


@pytest.mark.parametrize("chest", CHESTS, ids=lambda chest: Path(chest.file).stem)
def test_a_complete_chest_is_analysed_and_its_near_healthy_lungs_are_whole_and_quiet(
    chest: Chest, shared_data: Path, tmp_path: Path
) -> None:
    analysis = _analyse(dicom_folder(shared_data / "ct" / chest.file, tmp_path / "series", chest.thickness_mm))
    _check_against_the_readme(Path(chest.file).name, analysis)
    assert analysis.masks is not None
    assert analysis.biomarkers is not None
    for side, part in chest.healthy.items():
        measured_ml = getattr(analysis.biomarkers, side).lung_volume_ml
        assert measured_ml == pytest.approx(REFERENCE_ML[chest.file][side], rel=0.08), side
        lung = getattr(analysis.masks, f"{side}_lung").array[part]
        infected = analysis.masks.infection.array[part] & lung
        assert 100.0 * infected.sum() / lung.sum() < 5.0, side


@pytest.mark.parametrize("file", CUT_AT_THE_BASE)
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


@pytest.mark.parametrize("part", [slice(0, 30), slice(30, 61), slice(15, 45)], ids=["lower", "upper", "middle"])
def test_a_part_of_a_chest_gives_no_poi(part: slice, shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "pyradiomics-lung2_5mm.npz")
    write_averaged(hu[part], spacing_mm, 1, tmp_path)
    _withheld(analyze(tmp_path), {"COVERAGE_BASE_CUT", "COVERAGE_APEX_CUT", "SERIES_NOT_CHEST"})


def test_an_abdomen_gives_no_poi_though_its_header_says_chest(shared_data: Path, tmp_path: Path) -> None:
    """The lowest 105 mm of a series whose lungs begin at 90 mm."""
    folder = dicom_folder(shared_data / "ct" / "4dlung-113_gated40_3mm.tar.xz", tmp_path / "whole")
    abdomen = tmp_path / "abdomen"
    abdomen.mkdir()
    for header in choose_series(find_series(folder)).slices[:35]:
        shutil.copy(next(folder.rglob(header.file.name)), abdomen)
    _withheld(analyze(abdomen), {"COVERAGE_APEX_CUT", "SERIES_NOT_CHEST"})


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
    _withheld(analyze(head), {"SERIES_NOT_CHEST"})


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
        ({"SeriesDescription": "胸部+腹部, ARM DOWN"}, None),
    ],
    ids=["head", "abdomen", "chest in Chinese"],
)
def test_a_real_chest_is_analysed_whatever_its_texts_say(
    texts: dict[str, str], level: str | None, short_chest: Path, tmp_path: Path
) -> None:
    analysis = _analyse(_labelled(short_chest, tmp_path / "study", **texts))
    assert [flag.level for flag in analysis.flags if flag.code == "SERIES_LABELLED_OTHERWISE"] == [level] * bool(level)
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
    analysis = _analyse(study)
    assert analysis.series is not None
    assert analysis.series.uid == first.SeriesInstanceUID
    assert [one.why.split(":")[0] for one in analysis.series.passed_over] == ["SERIES_NOT_CHEST"]


def _withheld(analysis: Analysis, reasons: set[str]) -> None:
    document = analysis.document()
    assert (analysis.exit_code, document["verdict"]) == (3, "refused")
    assert document["reason"]["code"] in reasons
    assert (document["biomarkers"] or {}).get("poi_percent") is None
    assert document["severity"]["flag"] == "not_assessed"


def _agree(analyses: list[Analysis]) -> None:
    found = [analysis.biomarkers.whole for analysis in analyses if analysis.biomarkers is not None]
    volumes_ml = [whole.lung_volume_ml for whole in found]
    poi_percent = [whole.poi_percent for whole in found if whole.poi_percent is not None]
    assert max(volumes_ml) / min(volumes_ml) < 1.03, volumes_ml
    assert max(poi_percent) - min(poi_percent) < 1.5, poi_percent


def test_inserted_lesions_measure_the_same_at_2_4_and_10_mm(shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "nsclc-r01-001_thorax_2mm.npz")
    dz, dy, dx = spacing_mm
    coarse = reference_lungs(hu[:, ::2, ::2], (dz, 2 * dy, 2 * dx)) > 0  # where lesions go need not be exact
    lungs = coarse.repeat(2, axis=1).repeat(2, axis=2)
    rng = np.random.default_rng(20200417)
    sick, _ = insert(hu, lungs, spacing_mm, random_lesions(lungs, spacing_mm, rng, burden=0.8), rng)
    analyses = []
    for by in (1, 2, 5):
        write_averaged(sick, spacing_mm, by, tmp_path / str(by))
        analyses.append(_analyse(tmp_path / str(by)))
    _agree(analyses)


def test_a_covid_patient_measures_the_same_at_2_5_5_and_10_mm(shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "extra" / "ricord-1a-000082_covid_2.5mm.npz")
    analyses = []
    for by in (1, 2, 4):
        write_averaged(hu, spacing_mm, by, tmp_path / str(by))
        analyses.append(_analyse(tmp_path / str(by)))
    _agree(analyses)
