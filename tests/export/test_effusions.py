"""Fluid and dense lung drawn for training: fluid is even and no lung, dense lung stays lung."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from kit.export_samples import phantom_case, tiny_recipe
from scanside_export.data.effusions import (
    FLUID_HU,
    Noise,
    image_noise_hu,
    scan_noise,
    with_dense_lung,
    with_effusion,
    with_level,
)
from scanside_export.data.samples import Sampler

PIXEL_MM = 1.5
NOISE_HU = 9.0
Y, X = np.indices((160, 220))
SIDES = np.stack([np.hypot((Y - 80) / 55, (X - at) / 40) < 1.0 for at in (60, 160)])
LUNGS = SIDES.any(axis=0)


def chest() -> np.ndarray:
    """Two lungs in muscle with noise, (1, rows, columns)."""
    noise = NOISE_HU * np.random.default_rng(1).standard_normal(LUNGS.shape)
    return (np.where(LUNGS, -850.0, 50.0) + noise)[None].astype(np.float32)


def effusion(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return with_effusion(chest(), SIDES, PIXEL_MM, np.random.default_rng(seed))


def test_fluid_is_of_one_density_and_as_noisy_as_the_rest_of_the_picture() -> None:
    pieces = [hu[0][gone > 0.999] for hu, gone in map(effusion, range(40))]
    for fluid in pieces:
        assert FLUID_HU[0] - 4 < fluid.mean() < FLUID_HU[1] + 4
    assert 0.7 * NOISE_HU < np.median([fluid.std() for fluid in pieces]) < 1.3 * NOISE_HU
    assert abs(image_noise_hu(chest()[0]) - NOISE_HU) < 2.0


def test_layers_are_thin_thick_and_on_either_or_both_sides() -> None:
    shares = np.array([[(gone > 0.5)[side].mean() for side in SIDES] for _, gone in map(effusion, range(80))])
    largest = shares.max(axis=1)
    assert (largest < 0.15).any() and (largest > 0.6).any() and 0.3 < np.mean(largest < 0.4) < 0.95
    for there in (shares[:, 0] > 0.02, shares[:, 1] > 0.02, (shares > 0.02).all(axis=1)):
        assert 0.1 < there.mean() < 0.9


def test_fluid_lies_behind_the_lung_and_nothing_else_is_taken_from_it() -> None:
    behind = 0
    for seed in range(60):
        hu, gone = effusion(seed)
        assert not (gone > 0)[~LUNGS].any()
        assert (hu[0][LUNGS & (gone > 0.999)] > -100).all()
        behind += bool((Y * gone).sum() / gone.sum() > 80)
    assert 50 < behind < 60


def test_dense_lung_is_denser_than_fluid_or_uneven_or_has_air_in_its_bronchi() -> None:
    for seed in range(60):
        hu = with_dense_lung(chest(), SIDES, PIXEL_MM, np.random.default_rng(seed))[0]
        dense = hu[LUNGS & (hu > -600)]
        assert dense.mean() > FLUID_HU[1] - 8 or dense.std() > 1.6 * NOISE_HU


def test_a_lung_too_small_to_hold_any_and_a_picture_without_one_stay_as_they_are() -> None:
    for sides in (np.zeros_like(SIDES), SIDES & (Y < 30)):
        hu, gone = with_effusion(chest(), sides, PIXEL_MM, np.random.default_rng(0))
        np.testing.assert_array_equal(hu, chest())
        assert not gone.any()
        np.testing.assert_array_equal(with_dense_lung(chest(), sides, PIXEL_MM, np.random.default_rng(0)), chest())


def test_fluid_takes_lung_away_from_the_answer_and_dense_lung_does_not() -> None:
    case = replace(phantom_case(slab_mm=5.0), name="whole")
    plain, dense, fluid = (
        Sampler([case], tiny_recipe("lungs", **changes)) for changes in ({}, {"dense_lungs": 1.0}, {"effusions": 1.0})
    )
    less = 0
    for number in range(20):
        truth = plain.draw(number).target
        np.testing.assert_array_equal(dense.draw(number).target, truth)
        wet = fluid.draw(number).target
        np.testing.assert_allclose(wet.sum(axis=0), 1.0, atol=1e-5)
        assert (wet[1:] <= truth[1:] + 1e-6).all()
        less += bool(wet[1:].sum() < 0.97 * truth[1:].sum())
    assert less >= 10


def grainy(sigma_px: float) -> np.ndarray:
    """The chest with noise of a grain, more muscle around it, (1, rows, columns)."""
    shape = (LUNGS.shape[0] + 80, LUNGS.shape[1])
    grain = cv2.GaussianBlur(np.random.default_rng(2).standard_normal(shape).astype(np.float32), (0, 0), sigma_px)
    tissue = np.full(shape, 50.0)
    tissue[: len(LUNGS)][LUNGS] = -850.0
    return (tissue + NOISE_HU * grain / grain.std())[None].astype(np.float32)


@pytest.mark.parametrize("sigma_px", [0.2, 0.7, 1.5])
def test_the_noise_of_a_scan_is_told_with_its_grain(sigma_px: float) -> None:
    hu = grainy(sigma_px)
    lungs = np.zeros(hu.shape, np.bool_)
    lungs[0, : len(LUNGS)] = LUNGS
    noise = scan_noise(hu, lungs, PIXEL_MM)
    assert noise.sd_hu == pytest.approx(NOISE_HU, rel=0.15)
    assert noise.grain_px == pytest.approx(sigma_px, abs=0.2)


def test_a_scan_without_thick_soft_tissue_gets_usual_noise() -> None:
    assert scan_noise(np.full((2, 40, 40), -900.0, np.float32), np.ones((2, 40, 40), np.bool_), PIXEL_MM).sd_hu == 8.0


def test_a_level_takes_the_back_of_one_lung_and_leaves_the_other_as_it_is() -> None:
    lung, other = SIDES[:, None]
    noise = Noise(NOISE_HU, 0.7)
    hu, fluid = with_level(chest(), LUNGS[None], lung, 1 / 3, 15.0, noise, np.random.default_rng(3))
    assert abs(fluid.sum() / lung.sum() - 1 / 3) < 0.02
    assert fluid.nonzero()[1].min() > (lung & ~fluid).nonzero()[1].max()
    level = fluid.nonzero()[1].min()
    up_to_the_wall = fluid.copy()
    up_to_the_wall[:, : level + 3] = False
    assert abs(hu[up_to_the_wall].mean() - 15.0) < 2.0
    assert hu[up_to_the_wall].min() > -60.0, "a dark line at the wall"
    np.testing.assert_array_equal(hu[other], chest()[other])
