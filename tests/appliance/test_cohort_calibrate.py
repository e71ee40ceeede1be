"""Calibration as a person runs it: figures, refusals, pictures, and the model that the box takes over."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.tools.tools import add_constant

from kit.statistics_samples import exams, write_exams
from scanside_appliance.site_model import model_in_force, read_changes
from scanside_runtime.measures.severity_model import read_severity_model

Run = Callable[..., tuple[int, str, str]]


def calibrated(run: Run, table: Path, *options: object) -> dict[str, Any]:
    code, out, _ = run("cohort", "calibrate", table, "--label", "severe", "--json", *options)
    assert code == 0
    return json.loads(out)


def test_the_json_has_the_promised_keys_and_the_figures_of_other_implementations(run: Run, tmp_path: Path) -> None:
    table = exams(exams_a_patient=1)
    table.to_csv(tmp_path / "t.csv", index=False)
    poi, ihu, both = calibrated(run, tmp_path / "t.csv", "--resamples", 40)["models"]
    assert [model["features"] for model in (poi, ihu, both)] == [["poi_percent"], ["ihu_hu"], ["poi_percent", "ihu_hu"]]
    assert list(poi)[:14] == [
        "features", "n", "events", "auc", "auc_ci95", "cut_off", "sensitivity", "specificity", "sensitivity_ci95",
        "specificity_ci95", "odds_ratio_per_sd", "odds_ratio_ci95", "p_value", "aic",
    ]  # fmt: skip
    assert (poi["n"], poi["events"], poi["by_patient"]) == (200, 40, None)
    assert poi["auc"] == pytest.approx(roc_auc_score(table["severe"], table["poi_percent"]), abs=1e-6)
    z = (table["poi_percent"] - table["poi_percent"].mean()) / table["poi_percent"].std()
    glm = GLM(table["severe"], add_constant(z), family=Binomial()).fit(tol=1e-12)
    assert poi["odds_ratio_per_sd"] == pytest.approx(np.exp(glm.params.iloc[1]), rel=1e-6)
    assert poi["aic"] == pytest.approx(glm.aic, abs=1e-6)
    assert poi["p_value"] == pytest.approx(glm.pvalues.iloc[1], rel=1e-4)
    assert len(both["odds_ratio_per_sd"]) == 2
    assert 0.0 < both["cut_off"] < 1.0
    low, high = poi["auc_ci95"]
    assert poi["auc_ci95_delong"][0] != low < poi["auc"] < high
    assert poi["auc_ci95_delong"][1] - poi["auc"] == pytest.approx(1.959964 * poi["auc_standard_error"], abs=1e-6)


def test_several_exams_of_a_patient_bring_intervals_by_patient_and_the_optimism(run: Run, tmp_path: Path) -> None:
    model = calibrated(run, write_exams(tmp_path / "t.csv"), "--resamples", 40)["models"][0]
    assert (model["patients"], model["by_patient"]["patients"]) == (100, 100)
    low, high = model["by_patient"]["auc_ci95"]
    assert low < model["auc"] < high
    assert -0.05 < model["by_patient"]["sensitivity_optimism"] < 0.2


def test_the_optimism_of_the_cut_off_stands_beside_it_where_each_patient_has_one_exam_too(
    run: Run, tmp_path: Path
) -> None:
    table = write_exams(tmp_path / "t.csv", exams_a_patient=1)
    model = calibrated(run, table, "--resamples", 40)["models"][0]
    assert model["by_patient"] is None
    assert -0.05 < model["sensitivity_optimism"] < 0.2
    assert -0.05 < model["specificity_optimism"] < 0.1
    assert calibrated(run, table, "--resamples", 0)["models"][0]["sensitivity_optimism"] is None
    assert "too high" in run("cohort", "calibrate", table, "--label", "severe", "--resamples", 40)[1]


def test_a_person_reads_cut_off_sensitivity_and_odds_ratio(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("cohort", "calibrate", write_exams(tmp_path / "t.csv"), "--label", "severe", "--resamples", 20)
    assert code == 0
    for words in ("POI: 200 exams, 40 severe", "(Youden)", "(exact)", "per SD of ihu_hu", "AIC", "by patient"):
        assert words in out


def test_too_few_events_are_refused_with_how_many_are_needed(run: Run, tmp_path: Path) -> None:
    code, _, err = run("cohort", "calibrate", write_exams(tmp_path / "t.csv", severe=9), "--label", "severe")
    assert code == 3
    assert "INPUT_TOO_FEW_EVENTS" in err
    assert "9 with it" in err
    assert "at least 10" in err


def test_fifteen_events_fit_one_feature_and_not_two(run: Run, tmp_path: Path) -> None:
    facts = calibrated(run, write_exams(tmp_path / "t.csv", severe=15), "--resamples", 0)
    assert [model["features"] for model in facts["models"]] == [["poi_percent"], ["ihu_hu"]]
    assert "at least 20" in facts["not_fitted"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"severe": "often"}, "severe in row 3 is 'often'"),
        ({"severe": 2}, "neither 0 nor 1"),
        ({"poi_percent": 140}, "poi_percent in row 3 is '140'"),
        ({"poi_percent": "much"}, "poi_percent in row 3 is 'much'"),
        ({"ihu_hu": "inf"}, "ihu_hu in row 3"),
    ],
)
def test_a_cell_that_cant_be_is_named_and_nothing_is_fitted(run: Run, tmp_path: Path, change: dict, words: str) -> None:
    table = exams().astype(object)
    for column, value in change.items():
        table.loc[2, column] = value
    table.to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run("cohort", "calibrate", tmp_path / "t.csv", "--label", "severe")
    assert (code, out) == (3, "")
    assert ("INPUT_TABLE" in err, words in err) == (True, True)


def test_a_column_or_a_file_that_is_missing_is_said(run: Run, tmp_path: Path) -> None:
    code, _, err = run("cohort", "calibrate", write_exams(tmp_path / "t.csv"), "--label", "died")
    assert (code, "no column died" in err) == (3, True)
    assert run("cohort", "calibrate", tmp_path / "none.csv", "--label", "died")[0] == 3


def test_exams_without_poi_label_or_ihu_are_left_out_and_counted(run: Run, tmp_path: Path) -> None:
    table = exams()
    table.loc[0:2, "poi_percent"] = np.nan
    table["severe"] = table["severe"].astype(object)
    table.loc[199, "severe"] = None
    table.loc[100:109, "ihu_hu"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    facts = calibrated(run, tmp_path / "t.csv", "--resamples", 0)
    assert facts["left_out"] == {"no_label": 1, "no_poi": 3}
    assert [model["n"] for model in facts["models"]] == [196, 186, 186]


def test_rows_that_are_nobodys_are_patients_of_their_own_and_one_patient_gives_no_interval_by_patient(
    run: Run, tmp_path: Path
) -> None:
    """All exams of ANONYMOUS were one patient's, whose draws are all alike: AUC 0.9 to 0.9."""
    table = exams()
    table["patient_id"] = ["ANONYMOUS", "000"] * 100
    table.to_csv(tmp_path / "t.csv", index=False)
    facts = calibrated(run, tmp_path / "t.csv", "--resamples", 5)
    assert (facts["nobodys"], facts["models"][0]["patients"], facts["models"][0]["by_patient"]) == (200, 200, None)
    table["patient_id"] = "P7"
    table.to_csv(tmp_path / "t.csv", index=False)
    model = calibrated(run, tmp_path / "t.csv", "--resamples", 5)["models"][0]
    assert (model["patients"], model["by_patient"], model["sensitivity_optimism"]) == (1, None, None)
    assert "too short" in run("cohort", "calibrate", tmp_path / "t.csv", "--label", "severe", "--resamples", 5)[1]


def test_a_study_that_stands_in_two_rows_is_refused(run: Run, tmp_path: Path) -> None:
    table = exams()
    table["study_uid"] = [f"1.2.{number}" for number in range(200)]
    table.loc[[3, 150], "study_uid"] = "1.2.9"
    table.to_csv(tmp_path / "t.csv", index=False)
    code, _, err = run("cohort", "calibrate", tmp_path / "t.csv", "--label", "severe")
    assert (code, "row 10 has the same study_uid" in err) == (3, True)


def test_a_row_with_more_cells_than_the_header_does_not_move_every_cell_by_one(run: Run, tmp_path: Path) -> None:
    """Measured of the ages what was the POI, as the first cell had become a name of the row."""
    rows = [f"{n},{n % 2},{30 + n % 5},{50 + n % 7}" for n in range(40)]
    for extra, code in ((",", 0), (",seen", 3)):
        (tmp_path / "t.csv").write_text("\n".join(["n,severe,age_years,poi_percent", *(row + extra for row in rows)]))
        done, out, _ = run("cohort", "evaluate", "groups", tmp_path / "t.csv", "--label", "severe", "--json")
        assert done == code
        if code == 0:
            medians = {row["name"]: row["without"]["median"] for row in json.loads(out)["measures"]}
            assert medians == {"poi_percent": 53.0, "age_years": 32.0}


def test_two_features_that_split_the_groups_give_no_model_of_both(run: Run, tmp_path: Path) -> None:
    """Percent and HU were added up for a score then, cut at a "probability" of some -500."""
    table = exams(exams_a_patient=1)
    table["poi_percent"] = np.where(table["severe"] == 1, 50.0, 5.0) + table["poi_percent"] / 100.0
    table.to_csv(tmp_path / "t.csv", index=False)
    facts = calibrated(run, tmp_path / "t.csv", "--resamples", 0)
    assert [model["features"] for model in facts["models"]] == [["poi_percent"], ["ihu_hu"]]
    assert facts["models"][0]["auc"] == 1.0
    assert facts["not_fitted"] == ["poi_percent and ihu_hu: the groups do not overlap."]


def test_a_feature_that_falls_with_severity_is_cut_from_above(run: Run, tmp_path: Path) -> None:
    table = exams()
    table["ihu_hu"] = -1200.0 - table["ihu_hu"]
    table.to_csv(tmp_path / "t.csv", index=False)
    model = calibrated(run, tmp_path / "t.csv", "--resamples", 0)["models"][1]
    called = table["ihu_hu"] <= model["cut_off"]
    assert model["severe_when"] == "<="
    assert model["auc"] > 0.5
    assert model["sensitivity"] == pytest.approx(called[table["severe"] == 1].mean())


@pytest.mark.parametrize("use", ["poi", "ihu", "both"])
def test_the_site_model_calls_the_same_exams_severe_as_the_cut_off(run: Run, tmp_path: Path, use: str) -> None:
    table = exams()
    facts = calibrated(
        run, write_exams(tmp_path / "t.csv"), "--model", tmp_path / "m.json", "--use", use, "--resamples", 0
    )
    site = read_severity_model(tmp_path / "m.json")
    model = facts["models"][["poi", "ihu", "both"].index(use)]
    called = np.array([site.probability(row) >= site.cut_off for row in table[list(site.features)].to_dict("records")])
    severe = table["severe"].to_numpy() == 1
    assert called[severe].mean() == pytest.approx(model["sensitivity"])
    assert (~called[~severe]).mean() == pytest.approx(model["specificity"])
    assert (site.fitted_on.n, site.fitted_on.events, site.fitted_on.patients) == (200, 40, 100)


def test_a_calibration_is_put_in_force_on_record_and_taken_back(run: Run, tmp_path: Path) -> None:
    table, root = write_exams(tmp_path / "t.csv"), tmp_path / "root"
    options = ("--label", "severe", "--resamples", 0, "--apply", "--json")
    _, out, _ = run("--root", root, "cohort", "calibrate", table, *options)
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert json.loads(out)["applied"]["data"] == f"t.csv, sha256 {digest}"
    assert (model_in_force(root) or pytest.fail("none")).fitted_on.table_sha256 == digest
    assert run("--root", root, "severity", "rollback")[0] == 0
    assert model_in_force(root) is None
    assert [change.action for change in read_changes(root)] == ["install", "rollback"]


def test_parquet_is_read_like_csv(run: Run, tmp_path: Path) -> None:
    exams().to_parquet(tmp_path / "t.parquet")
    text = calibrated(run, write_exams(tmp_path / "t.csv"), "--resamples", 0)["models"]
    assert calibrated(run, tmp_path / "t.parquet", "--resamples", 0)["models"][0]["auc"] == pytest.approx(
        text[0]["auc"]
    )


def test_pictures_are_written_and_are_pictures(run: Run, tmp_path: Path) -> None:
    facts = calibrated(run, write_exams(tmp_path / "t.csv"), "--pictures", tmp_path / "p", "--resamples", 0)
    assert [Path(path).name for path in facts["pictures"]] == ["roc.png", "boxes.png"]
    for path in facts["pictures"]:
        pixels = cv2.imread(path)
        assert pixels is not None
        assert pixels.std() > 5


def test_groups_are_compared_with_chi_squared_and_mann_whitney(run: Run, tmp_path: Path) -> None:
    table = write_exams(tmp_path / "t.csv")
    code, out, _ = run("cohort", "evaluate", "groups", table, "--label", "severe", "--pictures", tmp_path, "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["n"] == {"without": 160, "with_label": 40}
    assert [row["name"] for row in facts["measures"]] == ["poi_percent", "ihu_hu"]
    assert sum(row["with_label"] for row in facts["categories"]) == 40
    assert (tmp_path / "boxes.png").exists()
    _, text, _ = run("cohort", "evaluate", "groups", table, "--label", "severe")
    assert "Mann-Whitney" in text and "chi-squared" in text
    assert facts["patients"] == 100
    assert "200 rows of 100 patients: the tests take each row for a patient" in text


def test_what_the_extra_is_for_says_so_when_it_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scanside_appliance.statistics.calibration", None)
    code, _, err = run("cohort", "calibrate", write_exams(tmp_path / "t.csv"), "--label", "severe")
    assert (code, "BOX_EXTRA_MISSING" in err, "scanside[cohort]" in err) == (5, True, True)


def test_a_patient_id_keeps_its_leading_zeros_and_one_of_two_issuers_is_two_patients(run: Run, tmp_path: Path) -> None:
    table = exams(exams_a_patient=1)
    table["patient_id"] = [f"{number // 4:02d}" if number < 40 else str(number) for number in range(200)]
    table.loc[:39, "patient_id"] = ["01", "1"] * 20
    table["issuer"] = pd.Series(["A", "A", "B", "B"] * 50)
    table.to_csv(tmp_path / "t.csv", index=False)
    assert calibrated(run, tmp_path / "t.csv", "--resamples", 5)["models"][0]["patients"] == 160 + 4
