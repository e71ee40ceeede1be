"""A severity model is data: read strictly, since a misspelt key would change a flag in silence."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.bundle_samples import write_bundle
from scanside_runtime.analysis.analyze import bundled_severity_model
from scanside_runtime.followup.measurement_error import MeasurementError, measurement_error
from scanside_runtime.measures.errors import SeverityModelUnusable
from scanside_runtime.measures.severity_model import (
    SEVERITY_MODEL_SCHEMA,
    SeverityModel,
    read_severity_model,
)
from scanside_runtime.model.bundle import LIMITS, Bundle
from scanside_runtime.model.errors import ModelBundleDamaged
from scanside_runtime.settings.tables import ProgressionSettings

DOCUMENT: dict[str, Any] = {
    "schema": SEVERITY_MODEL_SCHEMA,
    "name": "POI and iHU",
    "features": ["poi_percent", "ihu_hu"],
    "coefficients": [2.0, 0.5],
    "intercept": -3,
    "cut_off": 0.3,
    "fitted_on": {"cohort": "inpatients", "n": 531, "events": 79, "date": "2026-11-22"},
    "sensitivity": 0.92,
    "specificity": 0.9,
    "source": "by construction",
    "standardisation": {"mean": [10.0, -500.0], "sd": [5.0, 100.0]},
}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    model = SeverityModel.from_document(DOCUMENT)
    (tmp_path / "m.json").write_text(json.dumps(model.to_document()))
    assert read_severity_model(tmp_path / "m.json") == model
    assert model.fitted_on.patients is None


def test_the_probability_is_that_of_the_logistic_model() -> None:
    model = SeverityModel.from_document(DOCUMENT)
    log_odds = -3.0 + 2.0 * (20.0 - 10.0) / 5.0 + 0.5 * (-400.0 + 500.0) / 100.0
    expected = 1.0 / (1.0 + math.exp(-log_odds))
    assert model.probability({"poi_percent": 20.0, "ihu_hu": -400.0}) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_probability_lies_between_0_and_1_for_any_numbers(poi: float, ihu: float) -> None:
    assert 0.0 <= SeverityModel.from_document(DOCUMENT).probability({"poi_percent": poi, "ihu_hu": ihu}) <= 1.0


BROKEN: dict[str, Any] = {
    "schema": {"schema": "scanside.severity-model/2"},
    "standardization": {"standardization": None},
    "name": {"name": ""},
    "features": {"features": ["poi_percent", "age_years"]},
    "features ": {"features": []},
    "coefficients": {"coefficients": [1.0]},
    "coefficients ": {"coefficients": [1.0, math.nan]},
    "coefficients  ": {"coefficients": [1.0, True]},
    "coefficients   ": {"coefficients": 1.0},
    "intercept": {"intercept": "0"},
    "cut_off": {"cut_off": 14.3},
    "sensitivity": {"sensitivity": 92.4},
    "standardisation": {"standardisation": {"mean": [1.0], "sd": [1.0]}},
    "standardisation.sd": {"standardisation": {"mean": [1.0, 1.0], "sd": [1.0, 0.0]}},
    "standardisation.sd ": {"standardisation": {"mean": [1.0, 1.0]}},
    "fitted_on.events": {"fitted_on": {"cohort": "c", "n": 5, "events": 5, "date": "2026-11-22"}},
    "fitted_on.date": {"fitted_on": {"cohort": "c", "n": 5, "events": 2, "date": "yesterday"}},
    "fitted_on.date ": {"fitted_on": {"cohort": "c", "n": 5, "events": 2}},
    "fitted_on.patients": {"fitted_on": {"cohort": "c", "n": 5, "events": 2, "date": "2026-11-22", "patients": 9}},
    "fitted_on": {"fitted_on": None},
}


@pytest.mark.parametrize("field", BROKEN)
def test_a_broken_model_is_refused_by_the_name_of_the_field(tmp_path: Path, field: str) -> None:
    (tmp_path / "m.json").write_text(json.dumps({**DOCUMENT, **BROKEN[field]}))
    with pytest.raises(SeverityModelUnusable) as caught:
        read_severity_model(tmp_path / "m.json")
    assert f"used: {field.strip()}: " in caught.value.message
    assert (caught.value.code, caught.value.exit_code) == ("BOX_SEVERITY_MODEL", 5)


KEYS = ["mean", "sd", "n", "events", "cohort", "patients"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from([1e308, -1e308, 5e-324, 10**400, math.nan, math.inf, "x" * 2000, "poi_percent", "ihu_hu"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
FIELDS = st.sampled_from([*sorted(DOCUMENT), "coefficients", "standardisation", "fitted_on"])


@given(FIELDS, ANYTHING, st.sampled_from([-1024.0, 0.0, 100.0, 3071.0]))
def test_a_model_in_which_anything_stands_is_refused_or_gives_a_probability(
    field: str, value: Any, measured: float
) -> None:
    both_are_tables = isinstance(value, dict) and isinstance(DOCUMENT[field], dict)
    hostile = {**DOCUMENT, field: {**DOCUMENT[field], **value} if both_are_tables else value}
    try:
        model = SeverityModel.from_document(json.loads(json.dumps(hostile)))
    except ValueError:
        return
    assert 0.0 <= model.probability({"poi_percent": measured, "ihu_hu": measured}) <= 1.0


HUGE: dict[str, Any] = {
    "coefficients": {"coefficients": [1e308, -1e308]},
    "coefficients ": {"coefficients": [1e308, 10**400]},
    "intercept": {"intercept": -(10**400)},
    "standardisation.mean": {"standardisation": {"mean": [1e308, -1e308], "sd": [1.0, 1.0]}},
    "standardisation.sd": {"standardisation": {"mean": [1.0, 1.0], "sd": [5e-324, 5e-324]}},
    "n": {"fitted_on": {"cohort": "c", "n": 10**400, "events": 2, "date": "2026-11-22"}},
    "name": {"name": "x" * 10**6},
}


@pytest.mark.parametrize("field", HUGE)
def test_numbers_and_texts_that_no_fit_gives_are_refused_also_in_a_bundle(tmp_path: Path, field: str) -> None:
    """Two huge coefficients of either sign gave NaN for a probability."""
    hostile = {**DOCUMENT, **HUGE[field]}
    with pytest.raises(ValueError, match=field.strip()):
        SeverityModel.from_document(hostile)
    with pytest.raises(ModelBundleDamaged, match=field.strip()):
        bundled_severity_model(hostile)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"intercept": 1e999}'])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.json").write_bytes(content)
    with pytest.raises(SeverityModelUnusable):
        read_severity_model(tmp_path / "m.json")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SeverityModelUnusable, match="No such file"):
        read_severity_model(tmp_path / "absent.json")


# What a bundle's manifest carries


def test_a_bundle_carries_a_model_or_none(tmp_path: Path) -> None:
    assert bundled_severity_model(write_bundle(tmp_path / "a").severity_document) is None
    model = bundled_severity_model(write_bundle(tmp_path / "b", severity_model=DOCUMENT).severity_document)
    assert model == SeverityModel.from_document(DOCUMENT)


def test_a_bundle_with_a_broken_model_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(ModelBundleDamaged, match="cut_off"):
        bundled_severity_model(write_bundle(tmp_path, severity_model={**DOCUMENT, "cut_off": 2.0}).severity_document)


def test_a_bundle_whose_validation_is_no_table_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(ModelBundleDamaged, match="it is no manifest"):
        write_bundle(tmp_path, validation=[1])


def error_of(bundle: Bundle, settings: ProgressionSettings | None = None) -> MeasurementError:
    return measurement_error(bundle.limits_of_agreement, settings or ProgressionSettings(), bundle.title)


EITHER = {"poi_points": {"lower": -1.0, "upper": 1.0}, "ihu_hu": {"lower": -9.0, "upper": 9.0}}


def test_the_measurement_error_is_the_settings_until_a_bundle_carries_limits(tmp_path: Path) -> None:
    error = error_of(write_bundle(tmp_path), ProgressionSettings(1.5, 20.0, "our own rescans"))
    assert (error.poi_points, error.ihu_hu, error.source) == (1.5, 20.0, "our own rescans")


def test_a_bundles_limits_of_one_measurement_become_those_of_a_difference(tmp_path: Path) -> None:
    limits = {
        "poi_points": {"bias": -0.5, "lower": -2.5, "upper": 1.5},
        "ihu_hu": {"bias": 0.0, "lower": -20.0, "upper": 20.0},
    }
    bundle = write_bundle(tmp_path, validation={LIMITS: limits})
    error = error_of(bundle)
    assert error.poi_points == pytest.approx(2.0 * math.sqrt(2.0))
    assert error.ihu_hu == pytest.approx(20.0 * math.sqrt(2.0))
    assert error.source == "validation of tiny 1"


def test_a_bundles_limits_of_a_change_are_taken_as_they_are_by_the_wider_side(tmp_path: Path) -> None:
    limits = {
        "of": "change",
        "poi_points": {"bias": -0.1, "lower": -1.9, "upper": 1.7},
        "ihu_hu": {"bias": 4.0, "lower": -59.0, "upper": 67.0},
        "source": "24 phantom patients",
    }
    error = error_of(write_bundle(tmp_path, validation={LIMITS: limits}))
    assert (error.poi_points, error.ihu_hu, error.source) == (1.9, 67.0, "24 phantom patients")


@pytest.mark.parametrize(
    "limits",
    [{}, {"poi_points": 3}, {"poi_points": {"lower": 2.0, "upper": 1.0}}, [1], {"of": "a guess", **EITHER}],
)
def test_limits_that_are_none_make_the_bundle_damaged(tmp_path: Path, limits: Any) -> None:
    with pytest.raises(ModelBundleDamaged, match="limits_of_agreement"):
        error_of(write_bundle(tmp_path, validation={LIMITS: limits}))
