"""Severity: a fitted model where there is one, else the extent grade, and the guideline's rule on progress."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from kit.course_samples import ERROR, scan
from scanside_runtime.followup.progression import Change, compare
from scanside_runtime.measures.biomarkers import Biomarkers, extent_grade, measure, withheld
from scanside_runtime.measures.severity import assess, assess_extent, fast_progress
from scanside_runtime.measures.severity_model import FittedOn, SeverityModel
from scanside_runtime.settings.tables import SeveritySettings
from scanside_runtime.volume import Masks, Volume

PERCENT = {"CT-0": 0.0, "CT-1": 10.0, "CT-2": 30.0, "CT-3": 60.0, "CT-4": 90.0}
"""In the middle of each grade."""


def graded(grade: str | None) -> Biomarkers:
    percent = None if grade is None else PERCENT[grade]
    volume = Volume(np.full((3, 10, 11), -850, dtype=np.int16), np.eye(4), (10.0, 5.0, 5.0))
    lung = volume.with_mask(np.ones((3, 10, 11), dtype=np.bool_))
    nothing = volume.with_mask(np.zeros((3, 10, 11), dtype=np.bool_))
    healthy = measure(volume, Masks(lung, nothing, nothing))
    return replace(healthy, ct_extent_grade=grade, worse_lung_percent=percent)


def in_the_worse_lung(percent: float) -> Biomarkers:
    return replace(graded("CT-1"), ct_extent_grade=extent_grade(percent), worse_lung_percent=percent)


@pytest.mark.parametrize(
    ("percent", "flag", "distance_points"),
    [
        (24.9, "watch", 0.1),  # in INT8; in FP32 the same lung was 26.2 %
        (26.2, "watch", 23.8),
        (23.6, "none", 1.4),
        (48.8, "severe", 1.2),
        (50.0, "severe", 25.0),
        (75.0, "severe", 0.0),
        (76.0, "severe", None),
        (0.0, "none", 25.0),
    ],
)
def test_within_the_measurement_error_of_a_grade_the_graver_flag_is_given(
    percent: float, flag: str, distance_points: float | None
) -> None:
    found = assess(in_the_worse_lung(percent), error_points=1.3)
    assert (found.flag, found.deciding_percent) == (flag, percent)
    assert found.distance_points == (None if distance_points is None else pytest.approx(distance_points))
    plain = assess(in_the_worse_lung(percent))
    assert (found.why is None) == (plain.flag == flag)


def test_a_flag_that_was_made_graver_says_by_how_much() -> None:
    found = assess(in_the_worse_lung(24.9), error_points=1.3)
    assert found.why is not None
    assert "24.9 %, is 0.1 points below CT-2" in found.why


def test_no_disease_is_none_however_large_the_error() -> None:
    rule = SeveritySettings(watch_from="CT-1")
    assert assess(in_the_worse_lung(0.0), rule, error_points=5.0).flag == "none"


def test_the_figure_that_decides_stands_beside_a_models_probability() -> None:
    found = assess(sick(40.0, "CT-2"), model=model())
    assert (found.basis, found.deciding_percent, found.distance_points) == ("model", 30.0, 20.0)


@pytest.mark.parametrize(
    ("grade", "flag"),
    [("CT-0", "none"), ("CT-1", "none"), ("CT-2", "watch"), ("CT-3", "severe"), ("CT-4", "severe")],
)
def test_severe_from_ct_3_and_watched_from_ct_2(grade: str, flag: str) -> None:
    assert assess_extent(graded(grade)).flag == flag


def test_thresholds_are_settings() -> None:
    rule = SeveritySettings(severe_from="CT-4", watch_from="CT-1")
    flags = [assess_extent(graded(grade), rule).flag for grade in ("CT-0", "CT-1", "CT-3", "CT-4")]
    assert flags == ["none", "watch", "watch", "severe"]
    assert "severe from CT-4" in assess_extent(graded("CT-0"), rule).model.name


def test_a_withheld_study_is_not_assessed() -> None:
    assert assess_extent(withheld(graded("CT-4"))).flag == "not_assessed"


def test_the_document_says_that_this_is_a_rule_and_no_fitted_model() -> None:
    document = assess_extent(graded("CT-3")).to_document()
    figures = {"probability", "cut_off", "deciding_percent", "distance_points"}
    assert set(document) == {"flag", "basis", "model", "why", *figures}
    assert set(document["model"]) == {"name", "source", "fitted_on", "sensitivity", "specificity", "sha256"}
    assert (document["basis"], document["probability"], document["cut_off"]) == ("extent", None, None)
    assert document["model"]["fitted_on"] is None
    assert "not the paper's fitted model" in document["model"]["source"]


# A fitted model


def model(*features: str, coefficient: float = 0.5, cut_off: float = 0.5) -> SeverityModel:
    """By default probability 0.5 at a POI of 10 %."""
    return SeverityModel(
        name="site",
        features=features or ("poi_percent",),
        coefficients=(coefficient,) * max(len(features), 1),
        intercept=-10.0 * coefficient,
        cut_off=cut_off,
        fitted_on=FittedOn("simulated inpatients", 531, 79, "2026-11-22", patients=196),
        sensitivity=0.92,
        specificity=0.9,
        source="by construction",
    )


def sick(poi_percent: float, grade: str = "CT-1", ihu_hu: float | None = -500.0) -> Biomarkers:
    healthy = graded(grade)
    return replace(healthy, whole=replace(healthy.whole, poi_percent=poi_percent, ihu_hu=ihu_hu))


@pytest.mark.parametrize(("poi", "flag"), [(9.9, "none"), (10.0, "severe"), (40.0, "severe")])
def test_a_fitted_model_says_severe_from_its_cut_off_on(poi: float, flag: str) -> None:
    found = assess(sick(poi), model=model())
    assert (found.flag, found.basis, found.cut_off) == (flag, "model", 0.5)
    assert found.probability == pytest.approx(1.0 / (1.0 + math.exp(-0.5 * (poi - 10.0))))


def test_a_fitted_model_says_on_whom_it_was_fitted_and_how_good_it_is() -> None:
    grounds = assess(sick(40.0), model=model()).to_document()["model"]
    assert grounds["fitted_on"] == "simulated inpatients: 531 exams of 196 patients, 79 severe, fitted 2026-11-22"
    assert (grounds["name"], grounds["sensitivity"], grounds["specificity"]) == ("site", 0.92, 0.9)
    assert len(grounds["sha256"]) == 64


def test_below_the_cut_off_a_grave_extent_is_still_watched() -> None:
    found = assess(sick(9.0, "CT-3"), model=model())
    assert (found.flag, found.basis) == ("watch", "model")
    assert "cut-off" in str(found.why)


def test_a_model_that_asks_for_what_was_not_measured_leaves_it_to_the_extent_grade() -> None:
    found = assess(sick(0.0, "CT-0", None), model=model("poi_percent", "ihu_hu"))
    assert (found.flag, found.basis, found.probability) == ("none", "extent", None)
    assert "ihu_hu" in str(found.why)


@pytest.mark.parametrize("fitted", [None, model()])
def test_a_withheld_poi_is_never_called_not_severe(fitted: SeverityModel | None) -> None:
    assert assess(withheld(sick(40.0, "CT-4")), model=fitted).flag == "not_assessed"
    assert assess(None, model=fitted).flag == "not_assessed"
    fast = change("2020-04-02T10:00:00", 5.0, 20.0)
    assert assess(withheld(sick(40.0)), model=fitted, recent=[fast]).flag == "not_assessed"


# The guideline's rule on progress


def change(later: str, before: float, after: float, **changes: object) -> Change:
    return compare(scan("2020-04-01T10:00:00", before), scan(later, after, **changes), ERROR)


@pytest.mark.parametrize(
    ("later", "before", "after", "fast"),
    [
        ("2020-04-03T10:00:00", 5.0, 7.6, True),  # 48 hours, 200 to 304 ml
        ("2020-04-03T10:01:00", 5.0, 7.6, False),  # a minute too late
        ("2020-04-02T10:00:00", 5.0, 7.4, False),  # less than half more
        ("2020-04-02T10:00:00", 0.025, 0.05, False),  # 1 to 2 ml
        ("2020-04-02T10:00:00", 1.0, 1.9, False),  # 40 to 76 ml, within the measurement error
        ("2020-04-02T10:00:00", 0.0, 2.5, True),  # nothing to 100 ml
        ("2020-04-02", 5.0, 20.0, False),  # no time of day: 38 hours, or less, or more
        ("2020-04-02T10:00:00", 20.0, 5.0, False),
    ],
)
def test_fast_progress_is_half_more_within_48_hours_beyond_error_and_10_ml(
    later: str, before: float, after: float, fast: bool
) -> None:
    assert fast_progress(change(later, before, after)) is fast


def test_fast_progress_between_scans_that_are_not_alike_is_none() -> None:
    assert not fast_progress(change("2020-04-02T10:00:00", 5.0, 20.0, **{"series.slice_thickness_mm": 10.0}))


@pytest.mark.parametrize("fitted", [None, model(cut_off=0.999)])
def test_fast_progress_makes_a_patient_severe_and_says_so(fitted: SeverityModel | None) -> None:
    found = assess(sick(9.0), model=fitted, recent=[change("2020-04-02T10:00:00", 5.0, 9.0)])
    assert (found.flag, found.basis, found.probability) == ("severe", "progress", None)
    assert "200 to 360 ml in 24 hours" in str(found.why)
    assert "trial version 7" in found.model.source


def test_who_is_severe_by_extent_already_stays_so_by_extent() -> None:
    found = assess(sick(60.0, "CT-3"), recent=[change("2020-04-02T10:00:00", 5.0, 60.0)])
    assert (found.flag, found.basis) == ("severe", "extent")
