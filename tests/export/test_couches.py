"""Couches drawn around cropped pictures: outside of the body alone, as various as a recipe needs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kit.body_samples import AIR, PIXEL_MM, lungs, patient, trunk
from kit.export_samples import phantom_case, tiny_recipe
from scanside_export.data.cases import UNKNOWN
from scanside_export.data.couches import find_body, with_couch
from scanside_export.data.samples import Sampler

STACK = patient(slices=3).astype(np.float32)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return with_couch(STACK, PIXEL_MM, np.random.default_rng(seed))


def test_the_body_is_found_with_its_lungs() -> None:
    np.testing.assert_array_equal(find_body(STACK[0]), trunk())


def test_nothing_is_drawn_into_the_body() -> None:
    for seed in range(60):
        hu, where = drawn(seed)
        np.testing.assert_array_equal(hu[:, trunk()], STACK[:, trunk()])
        assert not (where & trunk()).any()


def test_what_was_drawn_is_told() -> None:
    for seed in range(60):
        hu, where = drawn(seed)
        assert where.any()
        np.testing.assert_array_equal(hu[1][~where], STACK[1][~where])


def test_there_is_foam_as_dark_as_lung_and_a_shell_as_dense_as_a_chest_wall() -> None:
    pictures = [hu[1][where] for hu, where in (drawn(seed) for seed in range(60))]
    foamy = [np.mean((values > -960) & (values < -600)) > 0.2 for values in pictures]
    shelled = [(values > -100).any() for values in pictures]
    assert np.mean(foamy) > 0.5
    assert np.mean(shelled) > 0.7


def test_couches_lie_below_the_body_but_for_the_prone() -> None:
    dense = [(hu[1] > -300) & where for hu, where in map(drawn, range(60))]
    below = [one[80:].sum() >= one[:80].sum() for one in dense if one.any()]
    assert 0.8 < np.mean(below) < 1.0


def test_the_same_seed_draws_the_same_couch() -> None:
    np.testing.assert_array_equal(drawn(5)[0], drawn(5)[0])
    assert (drawn(5)[0] != drawn(6)[0]).any()


def test_a_picture_without_a_body_stays_as_it_is() -> None:
    empty = np.full((1, 40, 50), AIR, np.float32)
    hu, where = with_couch(empty, PIXEL_MM, np.random.default_rng(0))
    np.testing.assert_array_equal(hu, empty)
    assert not where.any()


def test_a_recipe_without_couches_draws_as_before_and_one_with_them_does_not() -> None:
    case = phantom_case()
    plain, none, some = (Sampler([case], tiny_recipe("lungs", couches=share)) for share in (0.0, 0.0, 1.0))
    assert plain.draw(3).stack.tobytes() == none.draw(3).stack.tobytes()
    assert (plain.draw(3).stack != some.draw(3).stack).any()


def test_a_couch_is_known_to_be_no_lung_where_nothing_else_is_known() -> None:
    case = phantom_case()
    half_known = case.lungs.copy()
    half_known[:, :, : half_known.shape[2] // 2] = UNKNOWN
    case = replace(case, lungs=half_known)
    plain, some = (Sampler([case], tiny_recipe("lungs", couches=share)) for share in (0.0, 1.0))
    gained = [some.draw(number).known - plain.draw(number).known for number in range(6)]
    assert min(float(more.min()) for more in gained) >= 0.0
    assert max(float(more.max()) for more in gained) == 1.0
    assert not any(some.draw(number).target[1:, some.draw(number).known == 0].any() for number in range(6))


def test_lungs_are_no_place_for_a_couch() -> None:
    assert not any((drawn(seed)[1] & lungs()).any() for seed in range(60))
