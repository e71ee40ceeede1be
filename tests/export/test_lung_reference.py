"""Lungs by thresholds: on a healthy phantom whose lungs are known, and on shapes made for one question."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from scanside_export.data.lung_reference import FAR_MM, airways, far_from_lung, reference_lungs, split_sides
from scanside_runtime.metrics import dice
from scanside_runtime.phantom.make import Phantom, PhantomSpec, make_phantom

SPACING_MM = (4.0, 2.0, 2.0)


@lru_cache
def healthy() -> Phantom:
    return make_phantom(PhantomSpec(seed=11, matrix=160))


@lru_cache
def healthy_reference() -> np.ndarray:
    return reference_lungs(healthy().hu, healthy().spacing_mm)


@pytest.mark.parametrize("side", [1, 2], ids=["right", "left"])
def test_each_side_of_a_healthy_chest_is_found_within_four_percent(side: int) -> None:
    found, truth = healthy_reference() == side, (healthy().right_lung, healthy().left_lung)[side - 1]
    assert found.sum() == pytest.approx(truth.sum(), rel=0.04)
    assert dice(found, truth) > 0.96


def ellipse(x_mm: float, y_mm: float, rx_mm: float, ry_mm: float) -> np.ndarray:
    """(1, 128, 160) bool, mm from the middle of the picture."""
    y, x = np.ogrid[-128.0:128.0:2.0, -160.0:160.0:2.0]
    return (((x - x_mm) / rx_mm) ** 2 + ((y - y_mm) / ry_mm) ** 2 <= 1)[None]


def chest_with_airways() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A body, two lungs, and a trachea whose two main bronchi open into them: hu, lungs, airways."""
    shape = (40, 128, 160)
    lungs = np.zeros(shape, bool)
    lungs[4:34] = ellipse(-65, 0, 45, 70) | ellipse(65, 0, 45, 70)
    tubes = np.zeros(shape, bool)
    tubes[18:] = ellipse(0, 10, 8, 8)
    tubes[17:20] |= ellipse(0, 10, 30, 6)
    tubes &= ~lungs
    hu = np.full(shape, -1000, np.int16)
    hu[np.broadcast_to(ellipse(0, 0, 140, 105), shape)] = 40
    hu[lungs], hu[tubes] = -850, -1000
    return hu, lungs, tubes


def test_trachea_and_main_bronchi_are_airways_and_no_lung() -> None:
    hu, lungs, tubes = chest_with_airways()
    found = airways(hu, lungs | tubes, SPACING_MM)
    assert (found & tubes).sum() > 0.9 * tubes.sum()
    reference = reference_lungs(hu, SPACING_MM)
    trachea = tubes & (np.arange(40) > 21)[:, None, None]
    assert not (reference > 0)[trachea].any()
    assert dice(reference > 0, lungs) > 0.96


def test_air_around_the_body_is_no_lung() -> None:
    hu, _, _ = chest_with_airways()
    assert not (reference_lungs(hu, SPACING_MM)[:, [0, -1]]).any()


def test_the_top_of_a_liver_is_no_lung_and_a_mass_with_lung_below_it_is() -> None:
    hu, lungs, _ = chest_with_airways()
    liver, mass = np.zeros_like(lungs), np.zeros_like(lungs)
    liver[:14] = ellipse(-65, 10, 25, 40)
    mass[10:16] = ellipse(65, 10, 20, 30)
    hu[liver | mass] = 50
    reference = reference_lungs(hu, SPACING_MM)
    assert not reference[liver].any()
    assert (reference[mass] == 2).all()


def test_two_lungs_that_touch_in_front_are_cut_between_them() -> None:
    right = np.repeat(ellipse(-50, 0, 48, 80), 8, axis=0)
    left = np.repeat(ellipse(50, 0, 48, 80), 8, axis=0)
    bridge = np.repeat(ellipse(0, 0, 12, 3), 8, axis=0) & ~right & ~left
    sides = split_sides(right | left | bridge, SPACING_MM)
    np.testing.assert_array_equal(sides > 0, right | left | bridge)
    assert (sides[right] == 1).mean() > 0.99
    assert (sides[left] == 2).mean() > 0.99


def test_lungs_apart_take_the_side_on_which_they_lie() -> None:
    right, left = (np.repeat(ellipse(x, 0, 30, 60), 4, axis=0) for x in (-60, 60))
    np.testing.assert_array_equal(split_sides(right | left, SPACING_MM), right * 1 + left * 2)


def test_no_lung_has_no_sides() -> None:
    assert not split_sides(np.zeros((2, 32, 32), bool), SPACING_MM).any()


def test_gas_that_is_not_the_lungs_is_no_lung_and_lung_that_nobody_drew_may_be_one() -> None:
    hu = np.full((12, 64, 96), 40, np.int16)
    hu[:, 20:40, 10:30] = -850  # a lung through all slices, drawn in some
    hu[:4, 30:40, 70:80] = -900  # gas in a stomach
    drawn = np.zeros(hu.shape, bool)
    drawn[6:, 20:40, 10:30] = True
    far = far_from_lung(hu, drawn, (5.0, 1.0, 1.0))
    assert not far[:, 20:40, 10:30].any()
    assert far[:4, 30:40, 70:80].all()
    beside = round(FAR_MM)
    assert not far[0, 30, 30 : 29 + beside].any()
    assert far[0, 30, 30 + beside :].all()
    assert not far_from_lung(hu, np.zeros_like(drawn), (5.0, 1.0, 1.0)).any()
