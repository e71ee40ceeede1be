"""Organs drawn below a diaphragm: beside the lungs and never in them, with contents as a recipe needs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kit.body_samples import PIXEL_MM, patient, trunk
from kit.export_samples import phantom_case, tiny_recipe
from scanside_export.data.abdomens import with_abdomen
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case
from scanside_export.data.samples import Sampler, low_slices

STACK = patient(slices=1).astype(np.float32)
ROOM = trunk() & (np.indices(trunk().shape)[1] > 112)
WHOLE = replace(phantom_case(slab_mm=5.0), name="whole")


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return with_abdomen(STACK, ROOM, PIXEL_MM, np.random.default_rng(seed))


def test_nothing_is_drawn_outside_the_room_and_what_was_drawn_is_told() -> None:
    for seed in range(60):
        hu, where = drawn(seed)
        assert where.any() and not (where & ~ROOM).any()
        np.testing.assert_array_equal(hu[0][~where], STACK[0][~where])


def test_contents_are_food_with_bubbles_gas_above_a_level_and_organs_without_any() -> None:
    pictures = [hu[0][where] for hu, where in map(drawn, range(80))]
    bubbly = [np.mean((values < -150) & (values > -850)) > 0.02 for values in pictures]
    gassy = [np.mean(values < -850) > 0.15 for values in pictures]
    solid = [values.min() > -250 for values in pictures]
    for share in map(np.mean, (bubbly, gassy, solid)):
        assert 0.08 < share < 0.85


def test_the_same_seed_draws_the_same_organ() -> None:
    np.testing.assert_array_equal(drawn(5)[0], drawn(5)[0])
    assert (drawn(5)[0] != drawn(6)[0]).any()


def test_a_picture_without_a_room_of_some_size_stays_as_it_is() -> None:
    for room in (np.zeros_like(ROOM), ROOM & (np.indices(ROOM.shape)[0] < 33)):
        hu, where = with_abdomen(STACK, room, PIXEL_MM, np.random.default_rng(0))
        np.testing.assert_array_equal(hu, STACK)
        assert not where.any()


def test_low_slices_show_a_dome_or_lie_below_it() -> None:
    lungs = np.zeros((20, 40, 40), np.uint8)
    for z, width in enumerate((4, 8, 12, 16, 16, 16, 14, 10, 6), start=6):
        lungs[z, :, :width], lungs[z, :, 40 - width :] = RIGHT, LEFT
    lungs[0] = UNKNOWN
    assert low_slices(lungs, 5.0).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert low_slices(lungs, 40.0).tolist() == [4, 5, 6, 7, 8]


def test_a_recipe_without_abdomens_draws_as_before_and_one_with_them_does_not() -> None:
    plain, none, some = (Sampler([WHOLE], tiny_recipe("lungs", abdomens=share)) for share in (0.0, 0.0, 1.0))
    assert plain.draw(3).stack.tobytes() == none.draw(3).stack.tobytes()
    assert (plain.draw(3).stack != some.draw(3).stack).any()


def test_an_organ_changes_the_picture_and_never_what_is_lung() -> None:
    sampler = Sampler([_of_two_densities(WHOLE)], tiny_recipe("lungs", abdomens=1.0))
    changed = 0
    for number in range(40):
        sample = sampler.draw(number)
        lung = sample.target[1:].sum(axis=0)
        np.testing.assert_allclose(sample.stack[0][lung > 0.999], LUNG_SHADE, atol=1e-3)
        middle = sample.stack[0][16:48, 16:48]
        changed += bool((abs(middle[lung[16:48, 16:48] < 1e-6] - TISSUE_SHADE) > 0.01).any())
    assert 10 < changed < 40


LUNG_SHADE, TISSUE_SHADE = 100.0 / 1300.0, 1040.0 / 1300.0


def _of_two_densities(case: Case) -> Case:
    """The case with lungs of one density, all else of another."""
    hu = np.where((case.lungs == RIGHT) | (case.lungs == LEFT), -900, 40).astype(np.int16)
    return replace(case, hu=hu)
