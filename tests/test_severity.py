"""Severity from the extent grade: a rule, and it says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scanside_runtime.biomarkers import Biomarkers, measure, withheld
from scanside_runtime.settings import SeveritySettings
from scanside_runtime.severity import assess_extent
from scanside_runtime.volume import Masks, Volume


def graded(grade: str | None) -> Biomarkers:
    volume = Volume(np.full((3, 10, 11), -850, dtype=np.int16), np.eye(4), (10.0, 5.0, 5.0))
    lung = volume.with_mask(np.ones((3, 10, 11), dtype=np.bool_))
    nothing = volume.with_mask(np.zeros((3, 10, 11), dtype=np.bool_))
    return replace(measure(volume, Masks(lung, nothing, nothing)), ct_extent_grade=grade)


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
    assert set(document) == {"flag", "basis", "probability", "cut_off", "model", "why"}
    assert set(document["model"]) == {"name", "source", "fitted_on", "sensitivity", "specificity", "sha256"}
    assert (document["basis"], document["probability"], document["cut_off"]) == ("extent", None, None)
    assert document["model"]["fitted_on"] is None
    assert "not the paper's fitted model" in document["model"]["source"]
