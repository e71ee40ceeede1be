"""Lesions put into lungs: where they go, what they change, and that a seed repeats them."""

from __future__ import annotations

from functools import lru_cache
from typing import get_args

import cv2
import numpy as np
import pytest

from scanside_export.data.lesions import (
    CUFF_MM,
    RIM_HU,
    VESSEL_HU,
    LesionSpec,
    Pattern,
    insert,
    large_consolidation,
    pleural_consolidation,
    random_lesions,
    smooth_noise,
)
from scanside_export.evaluation.lesion_figures import comparison, lesion_figures
from scanside_runtime.phantom.make import Phantom, PhantomSpec, make_phantom


@lru_cache
def healthy() -> Phantom:
    return make_phantom(PhantomSpec(seed=21, matrix=96, slice_thickness_mm=8.0, increment_mm=8.0))


def sick(seed: int, burden: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lesions = random_lesions(healthy().lungs, healthy().spacing_mm, rng, burden)
    return insert(healthy().hu, healthy().lungs, healthy().spacing_mm, lesions, rng)


@pytest.mark.parametrize("seed", range(4))
def test_infection_lies_within_the_lungs_and_is_there(seed: int) -> None:
    _, infection = sick(seed)
    assert infection.any()
    assert not (infection & ~healthy().lungs).any()


@pytest.mark.parametrize("seed", range(4))
def test_densities_only_rise_and_outside_the_lungs_nothing_changes_but_their_half_dark_edge(seed: int) -> None:
    hu, infection = sick(seed)
    assert hu.dtype == np.int16
    assert (hu >= healthy().hu).all()
    outside = ~healthy().lungs & ((healthy().hu <= RIM_HU[0]) | (healthy().hu >= RIM_HU[1]))
    np.testing.assert_array_equal(hu[outside], healthy().hu[outside])
    assert hu[infection].mean() > healthy().hu[infection].mean() + 50


@pytest.mark.parametrize(("pattern", "rim_hu"), [("consolidation", 40), ("ground_glass", -400)])
def test_between_dense_disease_and_the_wall_nothing_stays_half_dark(pattern: Pattern, rim_hu: int) -> None:
    hu = np.full((3, 40, 40), 45, np.int16)
    hu[:, :, :20], hu[:, :, 20] = -860, -400
    lungs = hu < -500
    lesion = LesionSpec((1, 20, 15), (90.0, 90.0, 90.0), 40.0 if pattern == "consolidation" else -600.0, 0.0, pattern)
    sick, infection = insert(hu, lungs, (5.0, 1.0, 1.0), [lesion], np.random.default_rng(0))
    assert infection[1, 20, 15] and not (infection & ~lungs).any()
    assert sick[1, 20, 20] == rim_hu
    assert (sick[:, :, 21:] == 45).all()


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = sick(3), sick(3), sick(4)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, again, strict=True))
    assert first[1].tobytes() != other[1].tobytes()


def test_a_greater_burden_makes_more_infection() -> None:
    few, many = (np.mean([sick(seed, burden)[1].sum() for seed in range(8)]) for burden in (0.0, 1.0))
    assert many > 2 * few


def test_ground_glass_leaves_vessels_as_they_are() -> None:
    vessels = healthy().lungs & (healthy().hu > -100)
    lesion = LesionSpec((15, 48, 28), (60.0, 60.0, 60.0), -600.0, 10.0, "ground_glass")
    hu, infection = insert(healthy().hu, healthy().lungs, healthy().spacing_mm, [lesion], np.random.default_rng(0))
    assert (infection & vessels).any()
    np.testing.assert_array_equal(hu[vessels], healthy().hu[vessels])


@pytest.mark.parametrize("share", [0.2, 0.3, 0.4])
def test_a_pleural_consolidation_fills_about_its_share_of_one_lung(share: float) -> None:
    lung = healthy().right_lung
    found = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        lesion = pleural_consolidation(lung, healthy().spacing_mm, share, rng)
        hu, infection = insert(healthy().hu, healthy().lungs, healthy().spacing_mm, [lesion], rng)
        assert np.median(hu[infection & lung]) > -100
        found.append((infection & lung).sum() / lung.sum())
    assert np.mean(found) == pytest.approx(share, rel=0.35)


@pytest.mark.parametrize("seed", range(6))
def test_a_large_consolidation_is_dense_and_begins_in_the_back_half_of_a_lung(seed: int) -> None:
    lungs = healthy().lungs
    lesion = large_consolidation(lungs, np.random.default_rng(seed))
    assert lesion.dense and lungs[lesion.centre]
    assert lesion.centre[1] >= np.median(np.nonzero(lungs)[1])
    assert all(16.0 <= radius_mm <= 97.5 for radius_mm in lesion.radii_mm)


def test_noise_has_its_strength_and_its_wave_length() -> None:
    noise = smooth_noise((24, 60, 60), (2.0, 1.0, 1.0), 10.0, np.random.default_rng(0))
    assert noise.shape == (24, 60, 60)
    assert 0.4 < noise.std() < 1.2
    near, far = (np.corrcoef(noise[:, :, step:].ravel(), noise[:, :, :-step].ravel())[0, 1] for step in (1, 20))
    assert near > 0.95
    assert abs(far) < 0.3


def one_lesion(pattern: Pattern, *, along_vessels: bool = False) -> tuple[np.ndarray, np.ndarray]:
    lesion = LesionSpec((15, 48, 28), (60.0, 40.0, 40.0), -600.0, 5.0, pattern, along_vessels)
    return insert(healthy().hu, healthy().lungs, healthy().spacing_mm, [lesion], np.random.default_rng(0))


def test_crazy_paving_is_ground_glass_with_a_mesh_of_denser_sheets() -> None:
    plain, infection = one_lesion("ground_glass")
    paved, same = one_lesion("crazy_paving")
    np.testing.assert_array_equal(same, infection)
    mesh = (paved.astype(int) - plain)[infection & (healthy().hu < -700)]
    assert (mesh > 80).mean() == pytest.approx(0.25, abs=0.2)
    assert np.median(mesh) < 40


def test_slices_without_a_vessel_hold_no_disease_along_vessels() -> None:
    lungs = np.ones((4, 24, 24), np.bool_)
    hu = np.full(lungs.shape, -850, np.int16)
    hu[2:, 12, 12] = 0
    lesion = LesionSpec((2, 12, 12), (30.0, 20.0, 20.0), -600.0, 5.0, "ground_glass", along_vessels=True)
    _, infection = insert(hu, lungs, (5.0, 2.0, 2.0), [lesion], np.random.default_rng(1))
    assert not infection[:2].any()
    assert infection[2:].any()


def test_disease_along_vessels_stays_near_them() -> None:
    _, filled = one_lesion("ground_glass")
    _, along = one_lesion("ground_glass", along_vessels=True)
    assert 0 < along.sum() < 0.8 * filled.sum()
    assert not (along & ~filled).any()
    vessels = healthy().hu > VESSEL_HU
    away = np.stack([cv2.distanceTransform((~plane).astype(np.uint8), cv2.DIST_L2, 3) for plane in vessels])
    assert away[along].max() * healthy().spacing_mm[1] < 1.5 * CUFF_MM


def test_lesions_follow_vessels_only_where_the_picture_is_known() -> None:
    lungs, spacing_mm = healthy().lungs, healthy().spacing_mm
    drawn = [random_lesions(lungs, spacing_mm, np.random.default_rng(seed), 1.0, healthy().hu) for seed in range(20)]
    blind = [random_lesions(lungs, spacing_mm, np.random.default_rng(seed), 1.0) for seed in range(20)]
    assert any(lesion.along_vessels for some in drawn for lesion in some)
    assert not any(lesion.along_vessels for some in blind for lesion in some)
    assert {lesion.pattern for some in drawn for lesion in some} == set(get_args(Pattern))


def test_a_ball_under_the_pleura_has_the_figures_of_a_ball_under_the_pleura() -> None:
    lungs = np.zeros((10, 60, 80), np.bool_)
    lungs[:, 5:55, 5:75] = True
    infection = np.zeros_like(lungs)
    infection[1:4, 45:55, 20:40] = True
    hu = np.where(infection, -300, np.where(lungs, -850, 40)).astype(np.int16)
    found = lesion_figures(hu, lungs, infection, (5.0, 2.0, 2.0))
    assert found is not None
    assert found.poi_percent == pytest.approx(100.0 * infection.sum() / lungs.sum())
    assert (found.lesions, found.largest_size_percent) == (1, pytest.approx(found.poi_percent))
    assert (found.hu_p5, found.hu_p95, found.edge_hu) == (-300.0, -300.0, 550.0)
    assert (found.posterior_percent, found.lower_percent) == (100.0, 100.0)
    assert found.subpleural_percent == pytest.approx(50.0, abs=10.0)
    assert found.subpleural_percent > found.subpleural_lung_percent
    assert lesion_figures(hu, lungs, np.zeros_like(lungs), (5.0, 2.0, 2.0)) is None
    assert "| poi percent |" in comparison([found], [found])
