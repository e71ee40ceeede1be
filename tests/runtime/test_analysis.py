"""One verb over everything: a folder in, a document out, whatever lies in the folder."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from kit.analysis_samples import SPACING_MM, chest_hu, written
from kit.bundle_samples import LUNGS, lungs_network, write_bundle
from kit.case_kit import chest
from kit.dicom_samples import change, make_series, write
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.findings import Finding
from scanside_runtime.model.bundle import MANIFEST
from scanside_runtime.phantom.dicom_writer import LOSSLESS_SYNTAXES, SeriesTags
from scanside_runtime.settings.tables import (
    CoverageSettings,
    InferenceSettings,
    MeasureSettings,
    Settings,
    SeveritySettings,
)
from scanside_runtime.volume import Hu

pytestmark = pytest.mark.usefixtures("warm_readers")

ONE_THREAD = Settings(inference=InferenceSettings(threads=1))

# The result document as ARCHITECTURE.md has it, key by key.
REGION = {
    "poi_percent", "ihu_hu", "lung_volume_ml", "infection_volume_ml", "high_opacity_percent", "consolidation_ml",
}  # fmt: skip
ZONES = {f"{side}_{third}" for side in ("right", "left") for third in ("upper", "middle", "lower")}
DOCUMENT: dict[str, set[str]] = {
    "": {
        "schema", "verdict", "reason", "flags", "study", "series", "biomarkers", "severity", "progression",
        "provenance", "timing_ms", "artefacts", "contents",
    },
    "reason": {"code", "message", "advice"},
    "study": {
        "patient_id", "issuer", "patient_name", "study_uid", "study_date", "acquired_at", "birth_date", "age_years",
        "sex",
    },
    "series": {
        "uid", "description", "slices", "spacing_mm", "slice_thickness_mm", "kernel", "contrast_bolus_agent",
        "manufacturer", "model", "transfer_syntax", "hu_mean", "chosen_because", "passed_over",
    },
    "biomarkers": REGION
    | {"left", "right", "zones", "six_zone_score", "ct_extent_grade", "ct_extent_basis", "lung_width_mm"}
    | {"fluid_ml", "poi_with_fluid_percent"},
    "severity": {
        "flag", "basis", "probability", "cut_off", "model", "why", "deciding_percent", "distance_points",
    },
    "provenance": {
        "software", "version", "commit", "bundle", "engine", "selftest", "input_sha256", "settings_sha256", "revision",
        "supersedes", "for_earlier_scan",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle")).folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("series")
    write_chest(target)
    return target


@pytest.fixture(scope="module")
def analysed(folder: Path, bundle: Path) -> dict[str, Any]:
    return document(run(folder, bundle))


def write_chest(folder: Path, hu: Hu | None = None, **options: Any) -> list[Path]:
    return written(chest() if hu is None else hu, SPACING_MM, folder, **options)


CHOICES = ("study_uid", "series_uid", "found", "networks", "progress")


def run(path: Path, bundle: Path, **how: Any) -> Analysis:
    chosen = {name: how.pop(name) for name in CHOICES if name in how}
    options = Options(**{"bundle": bundle, "engine": "onnxruntime", "settings": ONE_THREAD, **how})
    return analyze(path, options, **chosen)


def document(analysis: Analysis) -> dict[str, Any]:
    """The document as it is printed: no NaN, nothing that JSON does not know."""
    printed: dict[str, Any] = json.loads(json.dumps(analysis.document(), allow_nan=False))
    return printed


def without_times(content: dict[str, Any]) -> dict[str, Any]:
    return {name: block for name, block in content.items() if name != "timing_ms"}


# The document


def test_a_chest_is_analysed(analysed: dict[str, Any]) -> None:
    assert (analysed["schema"], analysed["verdict"], analysed["reason"]) == ("scanside.result/1", "analysed", None)
    found = analysed["biomarkers"]
    voxel_ml = SPACING_MM[0] * SPACING_MM[1] * SPACING_MM[2] / 1000
    assert found["lung_volume_ml"] == pytest.approx(2 * 10 * 24 * 15 * voxel_ml, rel=0.08)
    assert found["infection_volume_ml"] == pytest.approx(4 * 7 * 11 * voxel_ml, rel=0.25)
    assert found["ihu_hu"] == pytest.approx(-520, abs=40)
    assert found["left"]["poi_percent"] > 5 > 1 > found["right"]["poi_percent"]


def test_the_document_has_exactly_the_keys_that_were_agreed(analysed: dict[str, Any]) -> None:
    assert set(analysed) == DOCUMENT[""]
    for block in ("study", "series", "biomarkers", "severity", "provenance"):
        assert set(analysed[block]) == DOCUMENT[block], block
    found = analysed["biomarkers"]
    assert set(found["left"]) == set(found["right"]) == REGION
    assert set(found["zones"]) == ZONES
    assert all(set(zone) == REGION | {"score"} for zone in found["zones"].values())
    assert set(analysed["severity"]["model"]) == {
        "name", "source", "fitted_on", "sensitivity", "specificity", "sha256",
    }  # fmt: skip
    assert set(analysed["provenance"]["bundle"]) == {"name", "version", "sha256"}
    assert set(analysed["provenance"]["engine"]) == {"name", "version", "precision", "threads", "isa"}
    assert "total" in analysed["timing_ms"]
    assert (analysed["artefacts"], analysed["progression"]) == ([], None)


def test_left_and_right_and_zones_add_up(analysed: dict[str, Any]) -> None:
    found = analysed["biomarkers"]
    for name in ("lung_volume_ml", "infection_volume_ml"):
        assert found["left"][name] + found["right"][name] == pytest.approx(found[name])
        assert sum(zone[name] for zone in found["zones"].values()) == pytest.approx(found[name])
    assert found["poi_percent"] == pytest.approx(100 * found["infection_volume_ml"] / found["lung_volume_ml"])


def test_series_and_study_say_what_was_written(analysed: dict[str, Any]) -> None:
    assert analysed["study"]["patient_id"] == "PHANTOM"
    assert analysed["series"]["slices"] == 14
    assert analysed["series"]["spacing_mm"] == pytest.approx(list(SPACING_MM))
    assert analysed["series"]["hu_mean"] == pytest.approx(float(chest().mean(dtype=np.float64)))


def test_measures_are_numbers_and_never_text(analysed: dict[str, Any]) -> None:
    for name in REGION:
        assert isinstance(analysed["biomarkers"][name], float)
    assert all(isinstance(value, float) and value >= 0 for value in analysed["timing_ms"].values())


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("precision", "computed_in"), [("fp32", "fp32"), ("auto", "int8+fp32")])
def test_the_provenance_says_what_computed(
    folder: Path, bundle: Path, engine: str, precision: str, computed_in: str
) -> None:
    facts = run(folder, bundle, engine=engine, precision=precision).document()["provenance"]
    assert (facts["engine"]["name"], facts["engine"]["precision"]) == (engine, computed_in)
    assert facts["engine"]["threads"] == 1
    assert facts["bundle"]["name"] == "tiny"
    assert len(facts["bundle"]["sha256"]) == len(facts["input_sha256"]) == len(facts["settings_sha256"]) == 64


def test_both_engines_measure_the_same(folder: Path, bundle: Path) -> None:
    one, other = (document(run(folder, bundle, engine=engine)) for engine in ("openvino", "onnxruntime"))
    assert one["biomarkers"] == other["biomarkers"]


def test_the_same_input_gives_the_same_document_but_for_times(
    folder: Path, bundle: Path, analysed: dict[str, Any]
) -> None:
    assert without_times(document(run(folder, bundle))) == without_times(analysed)


def test_other_settings_are_another_digest(folder: Path, bundle: Path, analysed: dict[str, Any]) -> None:
    other = Settings(inference=InferenceSettings(threads=1), measures=MeasureSettings(floor_ml=2.0))
    digest = run(folder, bundle, settings=other).document()["provenance"]["settings_sha256"]
    assert digest != analysed["provenance"]["settings_sha256"]


def test_progress_goes_through_every_stage_to_its_end(folder: Path, bundle: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    run(folder, bundle, progress=lambda *step: steps.append(step))
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == ["decode", "lungs", "infection"]
    for stage in ("decode", "lungs", "infection"):
        done, total = zip(*(step[1:] for step in steps if step[0] == stage), strict=True)
        assert list(done) == sorted(done)
        assert done[-1] == total[-1] > 0


# Twins: the same patient, stored otherwise


TWINS: dict[str, dict[str, Any]] = {
    **{f"as {syntax.name}": {"transfer_syntax": syntax} for syntax in LOSSLESS_SYNTAXES},
    "feet first": {"orientation": "FFS"},
    "prone": {"orientation": "HFP"},
    "rows flipped": {"orientation": "flipped_rows"},
    "columns flipped": {"orientation": "flipped_columns"},
    "head to feet": {"orientation": "reversed_order"},
    "names shuffled": {"file_names": "shuffled", "scramble_instance_numbers": True},
    "in sub-folders": {"file_names": "subfolders"},
    "as signed pixels": {"rescale": (1.0, 0.0)},
    "feet first in JPEG-LS": {"orientation": "FFS", "transfer_syntax": "1.2.840.10008.1.2.4.80"},
}


@pytest.mark.parametrize("twin", TWINS)
def test_a_twin_gives_the_same_numbers_to_the_last_digit(
    tmp_path: Path, bundle: Path, analysed: dict[str, Any], twin: str
) -> None:
    write_chest(tmp_path, **TWINS[twin])
    other = document(run(tmp_path, bundle))
    assert other["verdict"] == "analysed"
    assert other["biomarkers"] == analysed["biomarkers"]
    assert other["severity"] == analysed["severity"]
    assert other["series"]["hu_mean"] == analysed["series"]["hu_mean"]


# Refusals


def refusal(analysis: Analysis, exit_code: int = 3) -> dict[str, Any]:
    """A document that says why, with every key in its place and no measure that was not made."""
    content = document(analysis)
    assert (content["verdict"], analysis.exit_code) == ("refused", exit_code)
    assert set(content) == DOCUMENT[""]
    assert set(content["reason"]) == DOCUMENT["reason"]
    assert all(content["reason"].values())
    assert "{" not in content["reason"]["message"]
    assert content["severity"]["flag"] == "not_assessed"
    assert content["provenance"]["software"] == "scanside"
    return content


def test_a_path_where_nothing_is_and_a_folder_without_dicom_are_refused(tmp_path: Path, bundle: Path) -> None:
    assert refusal(run(tmp_path / "nowhere", bundle))["reason"]["code"] == "INPUT_NOT_FOUND"
    (tmp_path / "notes.txt").write_text("no pictures here")
    assert refusal(run(tmp_path, bundle))["reason"]["code"] == "INPUT_EMPTY"


def test_a_folder_with_dicom_but_without_ct_is_refused(tmp_path: Path, bundle: Path) -> None:
    mr = "1.2.840.10008.5.1.4.1.1.4"
    write(tmp_path, [change(ds, SOPClassUID=mr, Modality="MR") for ds in make_series()])
    assert refusal(run(tmp_path, bundle))["reason"]["code"] == "SERIES_NO_CT"


def test_an_unreadable_file_among_good_ones_is_refused_by_name(tmp_path: Path, bundle: Path) -> None:
    write_chest(tmp_path)
    (tmp_path / "bad.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 50)
    reason = refusal(run(tmp_path, bundle))["reason"]
    assert reason["code"] == "INPUT_UNREADABLE"
    assert "bad.dcm" in reason["message"]


def test_a_truncated_slice_is_refused_and_what_the_headers_say_stays(tmp_path: Path, bundle: Path) -> None:
    path = write_chest(tmp_path)[5]
    path.write_bytes(path.read_bytes()[:-100])
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "INPUT_TRUNCATED"
    assert path.name in content["reason"]["message"]
    assert set(content["series"]) == DOCUMENT["series"]
    assert content["study"]["patient_id"] == "PHANTOM"
    assert content["series"]["hu_mean"] is None
    assert content["biomarkers"] is None


def test_one_slice_is_refused(tmp_path: Path, bundle: Path) -> None:
    one = write_chest(tmp_path)[5]
    assert refusal(run(one, bundle))["reason"]["code"] == "SERIES_SINGLE_SLICE"


def test_a_missing_slice_is_refused(tmp_path: Path, bundle: Path) -> None:
    write_chest(tmp_path)[5].unlink()
    assert refusal(run(tmp_path, bundle))["reason"]["code"] == "GEOMETRY_MISSING_SLICES"


def test_two_studies_are_refused_and_one_can_be_named(tmp_path: Path, bundle: Path, analysed: dict[str, Any]) -> None:
    write_chest(tmp_path / "a", tags=SeriesTags(study_uid="1.2.3"))
    write_chest(tmp_path / "b", tags=SeriesTags(study_uid="1.2.4"))
    assert refusal(run(tmp_path, bundle))["reason"]["code"] == "SERIES_SEVERAL_STUDIES"
    chosen = document(run(tmp_path, bundle, study_uid="1.2.4"))
    assert chosen["study"]["study_uid"] == "1.2.4"
    assert chosen["biomarkers"] == analysed["biomarkers"]


def test_a_refusal_at_the_door_says_whose_study_it_is(tmp_path: Path, bundle: Path) -> None:
    write_chest(tmp_path)[5].unlink()
    study = refusal(run(tmp_path, bundle))["study"]
    assert (study["patient_id"], study["sex"]) == ("PHANTOM", "O")
    assert set(study) == DOCUMENT["study"]


def test_a_refusal_names_nobody_where_headers_name_two(tmp_path: Path, bundle: Path) -> None:
    paths = write_chest(tmp_path)
    other = change(pydicom.dcmread(paths[3]), PatientID="ANOTHER")
    other.save_as(paths[3])
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "PATIENT_MIXED"
    assert content["study"] is None


def test_a_body_without_lungs_is_no_chest_and_never_a_healthy_one(tmp_path: Path, bundle: Path) -> None:
    write_chest(tmp_path, np.full_like(chest(), 40))
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "SERIES_NOT_CHEST"
    assert content["biomarkers"] is None


def test_lungs_that_are_cut_off_keep_their_volume_and_lose_what_rests_on_infection(
    tmp_path: Path, bundle: Path, analysed: dict[str, Any]
) -> None:
    write_chest(tmp_path, chest()[2:])  # the lungs begin in slice 2
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "COVERAGE_BASE_CUT"
    assert [(flag["code"], flag["level"]) for flag in content["flags"]] == [("COVERAGE_BASE_CUT", "withhold")]
    found = content["biomarkers"]
    assert found["lung_volume_ml"] == analysed["biomarkers"]["lung_volume_ml"]
    assert set(found) == DOCUMENT["biomarkers"]
    for place in (found, found["left"], found["right"], *found["zones"].values()):
        assert place["poi_percent"] is place["ihu_hu"] is place["infection_volume_ml"] is None
    assert found["ct_extent_grade"] is found["six_zone_score"] is None


def test_a_cut_that_the_settings_allow_is_a_caution_and_the_study_is_analysed(tmp_path: Path, bundle: Path) -> None:
    write_chest(tmp_path, chest()[2:])
    lenient = Settings(inference=InferenceSettings(threads=1), coverage=CoverageSettings(withhold_share=1.0))
    content = document(run(tmp_path, bundle, settings=lenient))
    assert content["verdict"] == "analysed"
    assert [flag["level"] for flag in content["flags"]] == ["caution"]


def test_a_child_gets_no_poi_and_keeps_the_lung_volume(tmp_path: Path, bundle: Path, analysed: dict[str, Any]) -> None:
    write_chest(tmp_path, tags=SeriesTags(patient_age="012Y"))
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "PATIENT_UNDER_AGE"
    assert content["biomarkers"]["lung_volume_ml"] == analysed["biomarkers"]["lung_volume_ml"]
    assert content["biomarkers"]["poi_percent"] is None


def test_an_unknown_age_is_a_caution_beside_the_same_numbers(
    tmp_path: Path, bundle: Path, analysed: dict[str, Any]
) -> None:
    write_chest(tmp_path, tags=SeriesTags(patient_age="", patient_birth_date=""))
    content = document(run(tmp_path, bundle))
    assert [(flag["code"], flag["level"]) for flag in content["flags"]] == [("PATIENT_AGE_UNKNOWN", "caution")]
    assert content["biomarkers"] == analysed["biomarkers"]


def test_numbers_that_are_no_hu_give_no_poi(tmp_path: Path, bundle: Path) -> None:
    """An intercept that is off by 130: the trachea measures -870."""
    for path in write_chest(tmp_path):
        ds = pydicom.dcmread(path)
        ds.RescaleIntercept = str(float(ds.RescaleIntercept) + 130)
        ds.save_as(path)
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "QUALITY_HU_CALIBRATION"
    assert content["biomarkers"]["poi_percent"] is None


def test_two_reasons_to_withhold_are_both_flags_and_the_graver_is_the_reason(tmp_path: Path, bundle: Path) -> None:
    write_chest(tmp_path, chest()[2:], tags=SeriesTags(patient_age="003M"))
    content = refusal(run(tmp_path, bundle))
    assert content["reason"]["code"] == "PATIENT_UNDER_AGE"
    assert {"PATIENT_UNDER_AGE", "COVERAGE_BASE_CUT"} <= {flag["code"] for flag in content["flags"]}


def test_a_healthy_chest_has_no_density_of_infection_and_no_nan(tmp_path: Path, bundle: Path) -> None:
    hu = chest()
    hu[chest_hu() == -520] = -850
    write_chest(tmp_path, hu)
    content = document(run(tmp_path, bundle))
    found = content["biomarkers"]
    for place in (found, found["left"], found["right"], *found["zones"].values()):
        assert (place["poi_percent"], place["infection_volume_ml"], place["ihu_hu"]) == (0.0, 0.0, None)
    assert (content["verdict"], content["severity"]["flag"]) == ("analysed", "none")


# Bundles and engines


def test_a_missing_bundle_ends_with_4_and_the_series_is_still_described(tmp_path: Path, folder: Path) -> None:
    content = refusal(run(folder, tmp_path / "nowhere"), exit_code=4)
    assert content["reason"]["code"] == "MODEL_BUNDLE_MISSING"
    assert content["series"]["hu_mean"] is not None
    assert content["provenance"]["bundle"] is None


@pytest.mark.parametrize("name", ["lungs.int8.onnx", "infection.int8.onnx", MANIFEST])
def test_a_damaged_bundle_ends_with_4(tmp_path: Path, folder: Path, name: str) -> None:
    path = write_bundle(tmp_path).folder / name
    data = bytearray(path.read_bytes())
    data[10] ^= 0x10
    path.write_bytes(bytes(data))
    content = refusal(run(folder, tmp_path), exit_code=4)
    assert content["reason"]["code"] == "MODEL_BUNDLE_DAMAGED"
    assert name in content["reason"]["message"]
    assert content["biomarkers"] is None


def test_only_the_files_that_are_used_must_be_whole(tmp_path: Path, folder: Path) -> None:
    (write_bundle(tmp_path).folder / "lungs.fp16.onnx").write_bytes(b"damaged")
    assert run(folder, tmp_path, precision="int8").exit_code == 0
    assert refusal(run(folder, tmp_path, precision="fp32"), exit_code=4)


def test_a_precision_that_is_not_to_be_had_ends_with_4(folder: Path, bundle: Path) -> None:
    content = refusal(run(folder, bundle, precision="bf16"), exit_code=4)
    assert content["reason"]["code"] == "MODEL_PRECISION"


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_a_network_that_does_not_fit_its_contract_ends_with_4(tmp_path: Path, folder: Path, engine: str) -> None:
    """The contract says 64 × 64, the network takes 96 × 96."""
    other = lungs_network("int8", replace(LUNGS, matrix=(64, 64)))
    write_bundle(tmp_path, files={"lungs.int8.onnx": other})
    content = refusal(run(folder, tmp_path, engine=engine), exit_code=4)
    assert content["reason"]["code"] == "MODEL_ENGINE"


@pytest.mark.parametrize(("watch_from", "extensive"), [("CT-1", True), ("CT-4", False)])
def test_a_withheld_study_that_looks_extensive_says_so(
    folder: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, watch_from: str, extensive: bool
) -> None:
    moved = Finding("QUALITY_MOTION", "withhold", "Most slices with infection are blurred.")
    monkeypatch.setattr("scanside_runtime.quality.gate.judge", lambda *_: (moved,))
    severity = SeveritySettings(watch_from=watch_from, severe_from="CT-4")
    found = document(run(folder, bundle, settings=replace(ONE_THREAD, severity=severity)))
    assert found["biomarkers"]["poi_percent"] is None
    assert found["severity"]["flag"] == "not_assessed"
    assert ("QUALITY_LOOKS_EXTENSIVE" in [flag["code"] for flag in found["flags"]]) == extensive


def test_no_finding_tells_a_poi_that_is_withheld(folder: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = (
        Finding("QUALITY_MOTION", "withhold", "Most slices with infection are blurred."),
        Finding("QUALITY_UNCERTAIN", "caution", "POI 11.7 to 47.3 %.", {"low_percent": 11.7, "high_percent": 47.3}),
        Finding("QUALITY_POSSIBLE_EFFUSION", "caution", "47.3 %", {"fluid_ml": 81.5, "percent_with_fluid": 47.3}),
    )
    monkeypatch.setattr("scanside_runtime.quality.gate.judge", lambda *_: findings)
    found = document(run(folder, bundle))
    told = {flag["code"]: flag for flag in found["flags"]}
    assert {"QUALITY_UNCERTAIN", "QUALITY_POSSIBLE_EFFUSION"} <= set(told)
    assert told["QUALITY_POSSIBLE_EFFUSION"]["values"] == {"fluid_ml": 81.5}
    assert not {"47.3", "11.7"} & set(re.findall(r"[\d.]+", json.dumps(found["flags"])))
