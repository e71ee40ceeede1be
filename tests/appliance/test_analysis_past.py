"""What the analysis makes of a patient's past and of a fitted severity model, on a small chest and tiny networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kit.analysis_samples import SPACING_MM, chest_hu
from kit.bundle_samples import write_bundle
from kit.case_kit import put
from kit.course_samples import result
from scanside_appliance.cli.main import app
from scanside_appliance.files.layout import patient_folder
from scanside_appliance.site_model import install_site_model
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.options import Options
from scanside_runtime.analysis.result import Analysis
from scanside_runtime.followup.patient_record import Earlier
from scanside_runtime.measures.severity_model import FittedOn, SeverityModel
from scanside_runtime.phantom.dicom_writer import write_series
from scanside_runtime.settings.tables import InferenceSettings, PatientSettings, Settings, SeveritySettings

pytestmark = pytest.mark.usefixtures("warm_readers")

PHANTOM = {"study.patient_id": "PHANTOM", "study.birth_date": "1960-01-01", "study.sex": "O"}
LIKE_THE_CHEST = {
    "series.slice_thickness_mm": SPACING_MM[0],
    "series.kernel": "STANDARD",
    "provenance": {"bundle": {"name": "tiny", "version": "1", "sha256": "ab"}, "revision": None},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("series")
    write_series(chest_hu(), SPACING_MM, target)
    return target


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle")).folder


def model(name: str, severe: bool) -> SeverityModel:
    """A model that calls everybody severe, or nobody."""
    fitted_on = FittedOn("by construction", 100, 20, "2026-11-22")
    return SeverityModel(name, ("poi_percent",), (0.0,), 5.0 if severe else -5.0, 0.5, fitted_on, 0.9, 0.9, "test")


def run(folder: Path, bundle: Path, severity_model: str = "", **options: Any) -> Analysis:
    settings = Settings(inference=InferenceSettings(threads=1), severity=SeveritySettings(model=severity_model))
    return analyze(folder, Options(settings, "onnxruntime", bundle=bundle, **options))


def before(acquired_at: str, poi_percent: float, **changes: Any) -> Any:
    return result(acquired_at, poi_percent, **{**PHANTOM, **LIKE_THE_CHEST, **changes})


def test_without_a_lookup_there_is_no_progression(folder: Path, bundle: Path) -> None:
    assert run(folder, bundle).document()["progression"] is None


def test_the_patient_is_looked_up_by_id_and_issuer_and_compared(folder: Path, bundle: Path) -> None:
    asked: list[tuple[str, str | None]] = []

    def lookup(patient_id: str, issuer: str | None) -> Earlier:
        asked.append((patient_id, issuer))
        return Earlier((before("2020-03-01T10:00:00", 0.5),))

    document = run(folder, bundle, earlier=lookup).document()
    assert asked == [("PHANTOM", None)]
    assert (document["progression"]["trend"], document["severity"]["basis"]) == ("rising", "extent")
    assert document["progression"]["measurement_error"]["source"]


def test_half_more_than_a_day_before_is_severe(folder: Path, bundle: Path) -> None:
    document = run(folder, bundle, earlier=lambda *_: Earlier((before("2020-03-31T10:15:30", 0.5),))).document()
    assert (document["severity"]["flag"], document["severity"]["basis"]) == ("severe", "progress")


def test_a_conflict_is_held_before_anything_is_measured(folder: Path, bundle: Path) -> None:
    other = before("2020-03-01T10:00:00", 0.5, **{"study.birth_date": "1961-01-01"})
    analysis = run(folder, bundle, earlier=lambda *_: Earlier((other,)))
    document = analysis.document()
    assert (analysis.exit_code, document["verdict"], document["reason"]["code"]) == (6, "held", "PATIENT_CONFLICT")
    assert (document["biomarkers"], document["severity"]["flag"]) == (None, "not_assessed")
    assert document["study"]["patient_id"] == "PHANTOM"


def test_what_is_no_result_is_left_out_with_a_caution_and_the_study_is_analysed(folder: Path, bundle: Path) -> None:
    earlier = Earlier((before("2020-03-01T10:00:00", 0.5), {"schema": "other"}), ("results/x/result.json (damaged)",))
    document = run(folder, bundle, earlier=lambda *_: earlier).document()
    assert [flag["code"] for flag in document["flags"]] == ["BOX_EARLIER_RESULT"] * 2
    assert (document["verdict"], document["progression"]["trend"]) == ("analysed", "rising")


def flags_of(folder: Path, bundle: Path, earlier: Earlier, **patient: Any) -> list[str]:
    settings = Settings(inference=InferenceSettings(threads=1), patient=PatientSettings(**patient))
    analysis = analyze(folder, Options(settings, "onnxruntime", bundle=bundle, earlier=lambda *_: earlier))
    assert analysis.verdict == "analysed"
    trend = (analysis.document()["progression"] or {}).get("trend")
    return [*(flag.code for flag in analysis.flags), str(trend)]


def test_under_an_id_that_is_given_to_many_there_is_no_trend_without_the_birth_date(folder: Path, bundle: Path) -> None:
    nobodys = Earlier((before("2020-03-01T10:00:00", 0.5, **{"study.birth_date": None}),))
    mine = Earlier((before("2020-03-01T10:00:00", 0.5),))
    said = flags_of(folder, bundle, nobodys, placeholder_ids=("phantom",))
    assert said == ["PATIENT_ID_PLACEHOLDER", "None"]
    assert flags_of(folder, bundle, mine, placeholder_ids=("phantom",)) == ["rising"]
    assert flags_of(folder, bundle, nobodys) == ["rising"]


def test_a_trend_that_an_added_issuer_takes_away_is_said_to_be_missing(folder: Path, bundle: Path) -> None:
    elsewhere = Earlier(other_issuers=(before("2020-03-01T10:00:00", 0.5, **{"study.issuer": "ARCHIVE"}),))
    assert flags_of(folder, bundle, elsewhere) == ["PATIENT_OTHER_ISSUER", "None"]


def test_another_body_than_before_stands_beside_the_trend(folder: Path, bundle: Path) -> None:
    small = before("2020-03-01T10:00:00", 0.5, **{"biomarkers.lung_width_mm": 120.0})
    assert flags_of(folder, bundle, Earlier((small,))) == ["PATIENT_OTHER_BODY", "rising"]


def test_a_scan_without_a_date_says_why_it_has_no_trend(bundle: Path, tmp_path: Path) -> None:
    paths = write_series(chest_hu(), SPACING_MM, tmp_path)
    put(paths, StudyDate="", SeriesDate="", AcquisitionDate="")
    assert "PATIENT_UNDATED" in flags_of(tmp_path, bundle, Earlier((before("2020-03-01T10:00:00", 0.5),)))


def test_the_settings_model_goes_before_the_box_and_that_before_the_bundle(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(json.dumps(model("named", False).to_document()))
    bundle = write_bundle(tmp_path / "b", severity_model=model("the bundle's", True).to_document()).folder
    runs = [
        run(folder, bundle),
        run(folder, bundle, site_model=model("the box's", True)),
        run(folder, bundle, str(tmp_path / "m.json"), site_model=model("the box's", True)),
    ]
    found = [analysis.document()["severity"] for analysis in runs]
    assert [one["model"]["name"] for one in found] == ["the bundle's", "the box's", "named"]
    assert [one["flag"] for one in found] == ["severe", "severe", "none"]


def test_a_model_that_can_not_be_read_stops_with_5_and_never_falls_back_in_silence(
    folder: Path, bundle: Path, tmp_path: Path
) -> None:
    analysis = run(folder, bundle, str(tmp_path / "absent.json"))
    assert (analysis.exit_code, analysis.document()["reason"]["code"]) == (5, "BOX_SEVERITY_MODEL")


def test_the_box_uses_its_own_model_and_its_own_results(folder: Path, bundle: Path, tmp_path: Path) -> None:
    install_site_model(tmp_path, model("ours", True), data="cohort.csv")
    kept = tmp_path / "results" / patient_folder("PHANTOM", None) / "1.2.3" / "1"
    kept.mkdir(parents=True)
    (kept / "result.json").write_text(json.dumps(before("2020-03-01T10:00:00", 0.5)))
    command = ["--root", tmp_path, "analyze", folder, "--bundle", bundle, "--output", tmp_path / "out"]
    shown = CliRunner().invoke(app, list(map(str, command)))
    assert shown.exit_code == 0
    assert "SEVERE (model ours: probability 0.99, severe from 0.50)" in shown.stdout
    assert "trend     POI RISING" in shown.stdout
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for text in ("Fitted model <bdi>ours</bdi>", "100 exams, 20 severe", "Since the scan before", "▲ rising"):
        assert text in page


def test_a_folder_of_earlier_results_that_is_not_there_is_said(folder: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["analyze", str(folder), "--earlier", str(tmp_path / "nowhere"), "--json"])
    assert (shown.exit_code, shown.stdout) == (2, "")  # a mistyped folder is wrong usage
    assert "nowhere" in shown.stderr
