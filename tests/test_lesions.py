"""Lesions put into lungs: where they go, what they change, and that a seed repeats them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from scanside_export.lesions import LesionSpec, insert, pleural_consolidation, random_lesions, smooth_noise
from scanside_runtime.phantom import Phantom, PhantomSpec, make_phantom


@lru_cache
def healthy() -> Phantom:
    return make_phantom(PhantomSpec(seed=21, matrix=96, section_mm=8.0, increment_mm=8.0))


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
def test_densities_only_rise_and_outside_the_lungs_nothing_changes(seed: int) -> None:
    hu, infection = sick(seed)
    assert hu.dtype == np.int16
    assert (hu >= healthy().hu).all()
    np.testing.assert_array_equal(hu[~healthy().lungs], healthy().hu[~healthy().lungs])
    assert hu[infection].mean() > healthy().hu[infection].mean() + 50


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
    hu, infection = insert(
        healthy().hu, healthy().lungs, healthy().spacing_mm, [lesion], np.random.default_rng(0)
    )
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


def test_noise_has_its_strength_and_its_wave_length() -> None:
    noise = smooth_noise((24, 60, 60), (2.0, 1.0, 1.0), 10.0, np.random.default_rng(0))
    assert noise.shape == (24, 60, 60)
    assert 0.4 < noise.std() < 1.2
    near, far = (np.corrcoef(noise[:, :, step:].ravel(), noise[:, :, :-step].ravel())[0, 1] for step in (1, 20))
    assert near > 0.95
    assert abs(far) < 0.3
