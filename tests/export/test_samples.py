"""Training samples: repeatable, built as the runtime builds its stacks, sides kept right when a view is flipped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kit.export_samples import phantom_case, tiny_recipe
from scanside_export.cli.main import RECIPES
from scanside_export.convert.export_networks import calibration_stacks
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case
from scanside_export.data.recipe import read_recipe
from scanside_export.data.samples import Sample, Sampler
from scanside_export.data.volumes import volume_of
from scanside_runtime.model.stacks import body_box, make_stacks, mask_box

NETWORKS = ("lungs", "infection")
CASE = phantom_case()


def arrays(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sample.stack, sample.target, sample.known


def planes_of(case: Case, network: str, first_slice: int = 0) -> np.ndarray:
    """What the runtime makes of a case, from a slice on: (s, rows, columns)."""
    contract = replace(tiny_recipe(network).contract(""), slab_mm=5.0)
    box = body_box(case.hu) if network == "lungs" else mask_box((case.lungs == RIGHT) | (case.lungs == LEFT))
    assert box is not None
    stacks = make_stacks(volume_of(case.hu[first_slice:], case.spacing_mm), box, contract)
    return np.stack([stacks.plane(slab) for slab in range(len(stacks))])


def is_in(plane: np.ndarray, planes: np.ndarray) -> bool:
    """Whether a plane shows one of the slabs, flipped or not."""
    return any(np.abs(planes - view).max(axis=(1, 2)).min() < 1e-3 for view in (plane, plane[:, ::-1]))


def found_in(plane: np.ndarray, planes: np.ndarray) -> tuple[int, bool]:
    """The slab that a plane shows, and whether it is flipped; fails where it shows none of them."""
    assert is_in(plane, planes)
    apart = np.abs(planes - plane).max(axis=(1, 2)), np.abs(planes - plane[:, ::-1]).max(axis=(1, 2))
    flipped = bool(apart[1].min() < apart[0].min())
    return int(apart[flipped].argmin()), flipped


@pytest.mark.parametrize("network", NETWORKS)
def test_the_same_number_is_the_same_sample_in_any_order(network: str) -> None:
    shipped = read_recipe(RECIPES / f"{network}.toml")
    recipe = tiny_recipe(network, augment=shipped.augment)
    forwards, backwards = Sampler([CASE], recipe), Sampler([CASE], recipe)
    first = [arrays(forwards.draw(number)) for number in range(5)]
    again = [arrays(backwards.draw(number)) for number in reversed(range(5))][::-1]
    for a, b in zip(first, again, strict=True):
        assert [x.tobytes() for x in a] == [y.tobytes() for y in b]
    assert len({a[0].tobytes() for a in first}) == 5


@pytest.mark.parametrize("network", NETWORKS)
def test_shapes_and_ranges_are_those_of_the_contract(network: str) -> None:
    recipe = tiny_recipe(network)
    stack, target, known = arrays(Sampler([CASE], recipe).draw(0))
    assert stack.shape == (recipe.stack_depth, *recipe.matrix)
    assert target.shape == ({"lungs": 3, "infection": 1}[network], *recipe.matrix)
    assert known.shape == recipe.matrix
    assert {array.dtype for array in (stack, target, known)} == {np.dtype(np.float32)}
    assert 0.0 <= stack.min() < stack.max() <= 1.0
    assert -1e-5 <= target.min() < target.max() <= 1.0 + 1e-5


@pytest.mark.parametrize("network", NETWORKS)
def test_a_sample_without_augmentation_is_what_the_runtime_would_show_the_network(network: str) -> None:
    sampler, planes = Sampler([CASE], tiny_recipe(network)), planes_of(CASE, network)
    found = []
    for number in range(12):
        stack = sampler.draw(number).stack
        found.append(found_in(stack[len(stack) // 2], planes))
    assert {flipped for _, flipped in found} == {False, True}
    assert len({slab for slab, _ in found}) > 3


def test_a_thin_series_is_averaged_as_the_runtime_averages_it() -> None:
    thin = replace(CASE, spacing_mm=(2.0, *CASE.spacing_mm[1:]))
    sampler = Sampler([thin], tiny_recipe("lungs", slab_mm=(5.0,)))
    views = [planes_of(thin, "lungs", first_slice) for first_slice in range(2)]
    for number in range(4):
        plane = sampler.draw(number).stack[0]
        assert any(is_in(plane, planes) for planes in views)


def test_neighbours_are_the_slabs_beside_or_repeat_the_middle_one() -> None:
    sampler, planes = Sampler([CASE], tiny_recipe("infection")), planes_of(CASE, "infection")
    steps = set()
    for number in range(30):
        (below, _), (here, _), (above, _) = (found_in(plane, planes) for plane in sampler.draw(number).stack)
        steps.add((below - here, above - here))
    assert (-1, 1) in steps
    assert (0, 0) in steps
    assert steps <= {(-1, 1), (0, 0), (0, 1), (-1, 0)}


def test_the_right_lung_stays_the_right_one_when_a_view_is_flipped() -> None:
    """A flipped patient has his right lung where the left one was: on the picture's left, in both kinds of view."""
    sampler, planes = Sampler([CASE], tiny_recipe("lungs")), planes_of(CASE, "lungs")
    seen = set()
    for number in range(12):
        sample = sampler.draw(number)
        right, left = sample.target[1:].sum(axis=1)  # (columns,) each
        if min(right.sum(), left.sum()) < 50:
            continue
        assert np.average(np.arange(64), weights=right) < np.average(np.arange(64), weights=left)
        seen.add(found_in(sample.stack[0], planes)[1])
    assert seen == {False, True}


def test_the_target_is_the_lesion_under_the_plane() -> None:
    sampler = Sampler([CASE], tiny_recipe("infection"))
    samples = [sampler.draw(number) for number in range(20)]
    infected = np.concatenate([s.stack[1][s.target[0] > 0.9] for s in samples])
    other = np.concatenate([s.stack[1][(s.target[0] < 0.1) & (s.stack[1] < 0.5)] for s in samples])
    assert np.median(infected) > np.median(other) + 0.05


def test_where_lungs_are_not_known_nothing_is_asked() -> None:
    lungs = CASE.lungs.copy()
    lungs[:, :, 32:] = UNKNOWN
    case = replace(CASE, lungs=lungs)
    sampler, planes = Sampler([case], tiny_recipe("lungs")), planes_of(CASE, "lungs")
    for number in range(6):
        sample = sampler.draw(number)
        _, flipped = found_in(sample.stack[0], planes)
        known = sample.known[:, ::-1] if flipped else sample.known
        assert known[:, :24].all()
        assert not known[16:48, 40:44].any()


def test_series_without_a_known_lung_or_without_readers_are_never_drawn() -> None:
    unknown = replace(CASE, lungs=np.full_like(CASE.lungs, UNKNOWN))
    unread = replace(CASE, infection=())
    assert Sampler([unknown, CASE], tiny_recipe("lungs")).by_source == {"phantom": [CASE]}
    assert Sampler([unread, CASE], tiny_recipe("infection")).by_source == {"phantom": [CASE]}


def test_sources_are_drawn_by_their_shares_and_absent_ones_leave_theirs_to_the_others() -> None:
    recipe = tiny_recipe("lungs", shares={"phantom": 0.25, "real": 0.25, "lung-2d": 0.5})
    assert Sampler([CASE, replace(CASE, source="real")], recipe).chances.tolist() == [0.5, 0.5, 0.0]


def test_calibration_shows_real_slabs_as_they_are() -> None:
    real = replace(CASE, source="real", hu=CASE.hu)
    recipe = tiny_recipe("lungs", shares={"real": 0.5, "phantom": 0.5}, augment={"noise_hu": 60.0, "kernel": 1.0})
    stacks, planes = calibration_stacks([real, phantom_case(8)], recipe, 6), planes_of(CASE, "lungs")
    assert all(stack.shape == (1, 1, 64, 64) for stack in stacks)
    assert all(is_in(stack[0, 0], planes) for stack in stacks)


def with_fresh_lesions(network: str, source: str) -> tuple[Sampler, Sampler]:
    """A sampler without and one with fresh lesions in every sample, over the same case of that source."""
    recipe = tiny_recipe(network, shares={source: 1.0})
    healthy = replace(CASE, source=source, infection=(np.zeros(CASE.hu.shape, dtype=np.bool_),))
    return Sampler([healthy], recipe), Sampler([healthy], replace(recipe, fresh_lesions=1.0))


def test_a_fresh_lesion_is_seen_and_labelled_and_never_the_same_twice() -> None:
    plain, fresh = with_fresh_lesions("infection", "real")
    pairs = [(plain.draw(number), fresh.draw(number)) for number in range(12)]
    assert not any(before.target.any() for before, _ in pairs)
    drawn = [after.target.tobytes() for _, after in pairs if after.target.any()]
    assert len(set(drawn)) == len(drawn) > 3
    # What was dense before is changed by no lesion, and a faint one by little.
    changed = [np.abs(after.stack[1] - before.stack[1])[after.target[0] > 0.5] > 0.02 for before, after in pairs]
    assert np.concatenate(changed).mean() > 0.5


def test_a_fresh_lesion_is_drawn_before_its_slices_are_averaged() -> None:
    healthy = replace(CASE, source="real", spacing_mm=(2.5, *CASE.spacing_mm[1:]))
    empty = replace(healthy, infection=(np.zeros(CASE.hu.shape, dtype=np.bool_),))
    recipe = tiny_recipe("infection", shares={"real": 1.0}, slab_mm=(10.0,), fresh_lesions=1.0)
    sampler = Sampler([empty], recipe)
    shares = np.unique(np.concatenate([sampler.draw(number).target.ravel() for number in range(8)]).round(4))
    # Four slices to a slab: a pixel may be infected in any number of them.
    assert set(np.linspace(0.0, 1.0, 5)) <= set(shares)


def test_large_consolidations_come_as_often_as_the_recipe_says() -> None:
    _, fresh = with_fresh_lesions("lungs", "real")
    many = Sampler(fresh.by_source["real"], replace(fresh.recipe, large_consolidations=1.0))
    with_lung = [n for n in range(12) if fresh.draw(n).target[1:].sum() > 500]
    assert len(with_lung) >= 3
    assert all(np.abs(many.draw(n).stack - fresh.draw(n).stack).max() > 0.1 for n in with_lung)
    none_more = Sampler(fresh.by_source["real"], replace(fresh.recipe, large_consolidations=0.0))
    assert all(np.array_equal(none_more.draw(n).stack, fresh.draw(n).stack) for n in range(4))


def test_a_fresh_lesion_leaves_the_lung_label_as_it_was() -> None:
    plain, fresh = with_fresh_lesions("lungs", "real")
    pairs = [(plain.draw(number), fresh.draw(number)) for number in range(8)]
    assert any(not np.array_equal(before.stack, after.stack) for before, after in pairs)
    assert all(np.array_equal(before.target, after.target) for before, after in pairs)


def test_only_real_backgrounds_get_fresh_lesions() -> None:
    plain, fresh = with_fresh_lesions("infection", "phantom")
    assert all(np.array_equal(plain.draw(n).stack, fresh.draw(n).stack) for n in range(4))
