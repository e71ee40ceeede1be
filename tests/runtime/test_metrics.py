"""Metrics against their definitions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scanside_runtime.metrics import (
    dice,
    limits_of_agreement,
    poi_error_points,
    poi_percent,
    precision,
    sensitivity,
    volume_error_percent,
)

Bools = npt.NDArray[np.bool_]

pairs = st.tuples(arrays(np.bool_, (2, 3, 4)), arrays(np.bool_, (2, 3, 4)))
numbers = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=20)


def voxels(*indices: int) -> Bools:
    mask = np.zeros(10, dtype=np.bool_)
    mask[list(indices)] = True
    return mask.reshape(1, 2, 5)


@given(pairs)
def test_dice_is_the_harmonic_mean_of_sensitivity_and_precision(pair: tuple[Bools, Bools]) -> None:
    found, truth = pair
    s, p = sensitivity(found, truth), precision(found, truth)
    if found.any() and truth.any():
        assert dice(found, truth) == pytest.approx(2 * s * p / (s + p) if s + p else 0.0)
    else:
        assert dice(found, truth) == float(not found.any() and not truth.any())


@given(pairs)
def test_dice_is_symmetric_and_one_only_for_equal_masks(pair: tuple[Bools, Bools]) -> None:
    a, b = pair
    assert dice(a, b) == dice(b, a)
    assert (dice(a, b) == 1.0) == np.array_equal(a, b)


def test_figures_of_a_worked_example() -> None:
    found, truth = voxels(0, 1, 2), voxels(1, 2, 3, 4)
    assert dice(found, truth) == pytest.approx(4 / 7)
    assert sensitivity(found, truth) == pytest.approx(2 / 4)
    assert precision(found, truth) == pytest.approx(2 / 3)
    assert volume_error_percent(found, truth) == pytest.approx(-25.0)


def test_nothing_to_find_and_nothing_found_are_no_failure() -> None:
    empty, some = voxels(), voxels(1)
    assert dice(empty, empty) == sensitivity(some, empty) == precision(empty, some) == 1.0
    assert dice(some, empty) == sensitivity(empty, some) == precision(some, empty) == 0.0


def test_volume_error_of_an_empty_truth_is_not_measured() -> None:
    assert volume_error_percent(voxels(1), voxels()) is None


def test_poi_counts_infection_only_within_the_lung() -> None:
    assert poi_percent(voxels(0, 1, 9), voxels(0, 1, 2, 3)) == pytest.approx(50.0)


def test_poi_error_is_signed_in_percentage_points() -> None:
    lung, true_lung = voxels(0, 1, 2, 3), voxels(0, 1, 2, 3, 4)
    assert poi_error_points(voxels(0), lung, voxels(0, 1), true_lung) == pytest.approx(25.0 - 40.0)


def test_poi_error_without_a_lung_is_not_measured() -> None:
    assert poi_error_points(voxels(0), voxels(), voxels(0), voxels(0)) is None


def test_masks_of_different_shapes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="one grid"):
        dice(np.zeros((2, 3, 4), dtype=np.bool_), np.zeros((3, 4), dtype=np.bool_))
    with pytest.raises(ValueError, match="one grid"):
        volume_error_percent(np.ones((2, 3, 4), dtype=np.bool_), np.ones((1, 3, 4), dtype=np.bool_))


@given(numbers)
def test_limits_lie_evenly_around_the_mean_difference(rows: list[tuple[float, float]]) -> None:
    a, b = zip(*rows, strict=True)
    limits = limits_of_agreement(a, b)
    mean = math.fsum(x - y for x, y in rows) / len(rows)
    assert limits.bias == pytest.approx(mean, abs=1e-6)
    assert limits.upper - limits.bias == pytest.approx(limits.bias - limits.lower, abs=1e-6)
    assert limits.lower <= limits.bias <= limits.upper


def test_limits_of_a_worked_example() -> None:
    limits = limits_of_agreement([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0])
    spread = 1.96 * math.sqrt(5.0 / 3.0)
    assert (limits.bias, limits.lower, limits.upper) == pytest.approx((2.5, 2.5 - spread, 2.5 + spread))


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([], []), ([[1.0, 2.0]], [[1.0, 2.0]])])
def test_limits_need_two_lists_of_one_length(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="same length"):
        limits_of_agreement(a, b)
