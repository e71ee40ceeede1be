"""The shape that networks want, and the way back: nothing is lost, nothing shifts, nothing outside is lung."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scanside_runtime.model.contract import ModelContract
from scanside_runtime.model.stacks import (
    OUTSIDE_LOGIT,
    Floats,
    PlaneMap,
    Slabs,
    body_box,
    make_stacks,
    mask_box,
    neighbours,
    plan_slabs,
    plane_map,
    slab_hu,
    windowed,
)
from scanside_runtime.volume import HU_MIN, Volume

CONTRACT = ModelContract("lungs", ("none", "right", "left"), (-1000.0, 200.0), 1.5, (64, 96))
PIXEL_MM = st.floats(0.4, 2.0)
THIN_MM = st.floats(0.3, 2.99)


def centres(count: int, spacing_mm: float) -> npt.NDArray[np.float64]:
    return np.asarray((np.arange(count) + 0.5) * spacing_mm, dtype=np.float64)


def volume_of(hu: npt.NDArray[np.int16], spacing_mm: tuple[float, float, float] = (5.0, 1.0, 1.0)) -> Volume:
    return Volume(hu, np.eye(4), spacing_mm)


# Slabs


@given(st.integers(1, 60), THIN_MM, st.floats(3.0, 8.0))
def test_thin_slices_are_averaged_with_weights_that_add_up(slices: int, increment_mm: float, slab_mm: float) -> None:
    contract = replace(CONTRACT, slab_mm=slab_mm)
    weights = plan_slabs(slices, increment_mm, increment_mm, contract).weights
    assert weights.shape == (int(np.ceil(slices * increment_mm / slab_mm - 1e-6)), slices)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)


@given(st.integers(1, 60), THIN_MM)
def test_the_mean_over_the_real_extent_of_the_slabs_is_that_of_the_slices(slices: int, increment_mm: float) -> None:
    """Each slab weighs what it covers in mm, the last one less: every slice counts the same in the end."""
    plan = plan_slabs(slices, increment_mm, None, CONTRACT)
    extent_mm = slab_extents_mm(plan, slices * increment_mm)
    share = extent_mm @ plan.weights / extent_mm.sum()  # (z,)
    np.testing.assert_allclose(share, 1.0 / slices, atol=1e-5)


def slab_extents_mm(plan: Slabs, height_mm: float) -> npt.NDArray[np.float64]:
    lower = np.arange(len(plan)) * CONTRACT.slab_mm
    return np.asarray(np.minimum(lower + CONTRACT.slab_mm, height_mm) - lower)


@given(st.integers(1, 60), THIN_MM)
def test_a_slab_is_made_of_the_slices_that_it_overlaps_and_no_others(slices: int, increment_mm: float) -> None:
    plan = plan_slabs(slices, increment_mm, None, CONTRACT)
    for number, weights in enumerate(plan.weights):
        used = np.flatnonzero(weights > 1e-5)
        low, high = number * CONTRACT.slab_mm, (number + 1) * CONTRACT.slab_mm
        assert (used + 1).min() * increment_mm > low
        assert used.max() * increment_mm < high
        assert (np.diff(used) == 1).all()


@given(st.integers(1, 60), THIN_MM)
def test_each_slice_is_answered_by_the_slab_that_holds_its_centre(slices: int, increment_mm: float) -> None:
    plan = plan_slabs(slices, increment_mm, None, CONTRACT)
    centre_mm = (np.arange(slices) + 0.5) * increment_mm
    within = centre_mm % CONTRACT.slab_mm
    assume(bool(((within > 1e-6) & (within < CONTRACT.slab_mm - 1e-6)).all()))  # a centre on a cut may go either way
    np.testing.assert_array_equal(plan.owner, (centre_mm // CONTRACT.slab_mm).astype(int))


def test_the_last_partial_slab_is_kept() -> None:
    plan = plan_slabs(7, 2.0, 2.0, CONTRACT)  # 14 mm: 5, 5 and 4
    np.testing.assert_allclose(plan.centres_mm, [2.5, 7.5, 12.0])
    np.testing.assert_allclose(plan.weights[0], [0.4, 0.4, 0.2, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(plan.weights[2], [0, 0, 0, 0, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_array_equal(plan.owner, [0, 0, 1, 1, 1, 2, 2])  # the third slice's centre lies on the cut


THICK = [(3.0, 3.0), (5.0, None), (10.0, 10.0), (2.5, 5.0), (1.0, 3.0), (10.0, 1.0)]


@pytest.mark.parametrize(("increment_mm", "thickness_mm"), THICK)
def test_slabs_of_3_mm_and_more_stay_as_they_are_overlapping_ones_too(
    increment_mm: float, thickness_mm: float | None
) -> None:
    plan = plan_slabs(9, increment_mm, thickness_mm, CONTRACT)
    np.testing.assert_array_equal(plan.weights, np.eye(9))
    np.testing.assert_array_equal(plan.owner, np.arange(9))
    np.testing.assert_allclose(plan.centres_mm, (np.arange(9) + 0.5) * increment_mm)


@pytest.mark.parametrize(("increment_mm", "thickness_mm"), [(2.99, 2.99), (1.0, None), (0.7, 1.0)])
def test_slabs_below_3_mm_are_averaged(increment_mm: float, thickness_mm: float | None) -> None:
    assert len(plan_slabs(20, increment_mm, thickness_mm, CONTRACT)) < 20


def test_a_slab_is_the_weighted_mean_of_its_slices() -> None:
    hu = np.random.default_rng(1).integers(-1000, 1000, (4, 3, 5)).astype(np.int16)
    weights = np.array([0.0, 0.25, 0.5, 0.25], dtype=np.float32)
    np.testing.assert_allclose(slab_hu(hu, weights), (hu * weights[:, None, None]).sum(axis=0), rtol=1e-5, atol=1e-3)


# Neighbours


@given(st.integers(1, 20), st.floats(0.5, 12.0), st.floats(2.0, 12.0), st.sampled_from([1, 3, 5]))
def test_neighbours_are_nearest_to_the_step_and_never_the_slab_itself(
    count: int, spacing_mm: float, step_mm: float, depth: int
) -> None:
    centres_mm = centres(count, spacing_mm)
    stack = neighbours(centres_mm, step_mm, depth)
    assert stack.shape == (count, depth)
    np.testing.assert_array_equal(stack[:, depth // 2], np.arange(count))
    for here in range(count):
        for offset in (*range(-(depth // 2), 0), *range(1, depth // 2 + 1)):
            side = np.arange(here) if offset < 0 else np.arange(here + 1, count)
            chosen = stack[here, offset + depth // 2]
            if not side.size:
                assert chosen == here  # nobody there: the slab repeats
                continue
            assert chosen in side
            wanted_mm = centres_mm[here] + offset * step_mm
            assert abs(centres_mm[chosen] - wanted_mm) == pytest.approx(np.abs(centres_mm[side] - wanted_mm).min())


def test_slabs_of_10_mm_take_the_adjacent_ones_though_the_step_is_5() -> None:
    stack = neighbours(centres(4, 10.0), 5.0, 3)
    np.testing.assert_array_equal(stack, [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]])


def test_slabs_every_2_mm_and_a_half_take_every_second_one() -> None:
    stack = neighbours(centres(5, 2.5), 5.0, 3)
    np.testing.assert_array_equal(stack[2], [0, 2, 4])
    np.testing.assert_array_equal(stack[1], [0, 1, 3])


# The plane and back


@st.composite
def plane_maps(draw: st.DrawFn) -> PlaneMap:
    """Any matrix and pixel size, a box anywhere in the plane."""
    native = draw(st.tuples(st.integers(48, 150), st.integers(48, 150)))
    pixel_mm = draw(st.tuples(PIXEL_MM, PIXEL_MM))
    top, bottom = sorted(draw(st.tuples(*[st.floats(0, native[0] - 1)] * 2)))
    left, right = sorted(draw(st.tuples(*[st.floats(0, native[1] - 1)] * 2)))
    matrix = draw(st.tuples(*[st.integers(1, 4).map(lambda n: 32 * n)] * 2))
    contract = replace(CONTRACT, matrix=matrix, pixel_mm=draw(PIXEL_MM))
    return plane_map(native, pixel_mm, (top, left, bottom, right), contract)


def seen(mapping: PlaneMap, margin_px: float) -> npt.NDArray[np.bool_]:
    """(rows, columns) bool: native pixels that lie in the network's plane and in the native one, away from borders."""
    inverse = np.linalg.inv(np.vstack([mapping.to_native, [0, 0, 1]]))
    y, x = np.mgrid[: mapping.native_shape[0], : mapping.native_shape[1]].astype(float)
    rows, columns = mapping.matrix
    native_rows, native_columns = mapping.native_shape
    u, v = inverse[0, 0] * x + inverse[0, 2], inverse[1, 1] * y + inverse[1, 2]
    net = margin_px / np.sqrt(abs(np.linalg.det(mapping.to_native[:, :2]))) + 1.0
    inside = (u >= net) & (u <= columns - 1 - net) & (v >= net) & (v <= rows - 1 - net)
    away = (x >= margin_px) & (x <= native_columns - 1 - margin_px)
    return np.asarray(inside & away & (y >= margin_px) & (y <= native_rows - 1 - margin_px))


@given(plane_maps())
def test_coordinates_come_back_to_where_they_were(mapping: PlaneMap) -> None:
    """A plane that says where it is goes to the network and back: it still says where it is, to 1/16 pixel."""
    y, x = np.mgrid[: mapping.native_shape[0], : mapping.native_shape[1]].astype(np.float32)
    inner = seen(mapping, margin_px=4.0 * max(1.0, mapping.reduction))
    assume(bool(inner.any()))
    for plane in (x, y):
        back = mapping.back(mapping.forward(plane, 0.0))
        assert np.abs(back - plane)[inner].max(initial=0.0) <= 1 / 16


@given(plane_maps())
def test_the_middle_of_the_networks_plane_is_the_middle_of_the_box(mapping: PlaneMap) -> None:
    rows, columns = mapping.matrix
    middle = mapping.to_native @ np.array([(columns - 1) / 2, (rows - 1) / 2, 1.0])
    assert (middle >= -1e-6).all()
    assert (middle <= np.array(mapping.native_shape[::-1]) - 1 + 1e-6).all()


@given(st.floats(20, 40), st.floats(20, 40), PIXEL_MM)
def test_a_box_is_put_in_the_middle(y: float, x: float, pixel_mm: float) -> None:
    mapping = plane_map((60, 60), (pixel_mm, pixel_mm), (y - 3, x - 5, y + 3, x + 5), CONTRACT)
    rows, columns = CONTRACT.matrix
    np.testing.assert_allclose(mapping.to_native @ [(columns - 1) / 2, (rows - 1) / 2, 1.0], [x, y], atol=1e-9)


@given(st.floats(0.4, 2.0), st.sampled_from([(64, 64), (96, 96), (64, 128)]), st.floats(0.5, 3.0))
def test_a_disc_stays_where_it_is(native_mm: float, matrix: tuple[int, int], pixel_mm: float) -> None:
    y, x = np.mgrid[:80, :80].astype(np.float32)
    disc = np.clip(12.0 - np.hypot(y - 39.5, x - 39.5), 0.0, 1.0).astype(np.float32)
    contract = replace(CONTRACT, matrix=matrix, pixel_mm=pixel_mm)
    mapping = plane_map((80, 80), (native_mm, native_mm), (20.0, 20.0, 59.0, 59.0), contract)
    back = mapping.back(mapping.forward(disc, 0.0), fill=0.0)
    for coordinate in (y, x):
        assert float((back * coordinate).sum() / back.sum()) == pytest.approx(39.5, abs=1 / 16)


@given(st.integers(48, 150), st.integers(48, 150), st.tuples(PIXEL_MM, PIXEL_MM))
def test_a_box_larger_than_the_field_of_view_is_shrunk_so_that_all_of_it_is_seen(
    rows: int, columns: int, pixel_mm: tuple[float, float]
) -> None:
    small = replace(CONTRACT, matrix=(32, 32), pixel_mm=0.5)  # sees 16 mm by itself
    whole = plane_map((rows, columns), pixel_mm, (0.0, 0.0, rows - 1.0, columns - 1.0), small)
    inverse = np.linalg.inv(np.vstack([whole.to_native, [0, 0, 1]]))
    corners = inverse @ np.array([[0, columns - 1], [0, rows - 1], [1, 1]], dtype=float)
    assert corners[:2].min() >= -1e-6
    assert corners[:2].max() <= 31 + 1e-6
    aspect = whole.to_native[0, 0] * pixel_mm[1], whole.to_native[1, 1] * pixel_mm[0]
    assert aspect[0] == pytest.approx(aspect[1])  # shrunk evenly
    assert (whole.back(np.zeros((32, 32), np.float32)) > OUTSIDE_LOGIT / 2).all()


def test_a_box_that_fits_is_seen_in_the_contracts_own_pixels() -> None:
    mapping = plane_map((100, 100), (0.75, 0.75), (40.0, 40.0, 60.0, 60.0), CONTRACT)
    assert mapping.reduction == pytest.approx(CONTRACT.pixel_mm / 0.75)


@given(st.integers(8, 40), st.integers(8, 40))
def test_outside_the_field_of_view_nothing_is_found(y: int, x: int) -> None:
    """The network says "surely" wherever it is asked; where it is not asked, the answer is no."""
    contract = replace(CONTRACT, matrix=(32, 32), pixel_mm=0.5)
    mapping = plane_map((100, 100), (1.0, 1.0), (float(y), float(x), float(y), float(x)), contract)
    sure = np.stack([np.full((32, 32), value, np.float32) for value in (-30.0, 30.0, -30.0)], axis=2)
    back = mapping.back(sure)
    found = back.argmax(axis=2) > 0
    rows, columns = np.nonzero(found)
    assert found[y, x]
    assert max(abs(rows - y).max(), abs(columns - x).max()) <= 8.5
    far = np.ones((100, 100), bool)
    far[max(0, y - 9) : y + 10, max(0, x - 9) : x + 10] = False
    assert (back[far] == OUTSIDE_LOGIT).all()


def test_logits_are_interpolated_before_anything_is_decided() -> None:
    """From +3 to -1 the border lies three quarters of the way, not half."""
    mapping = plane_map((1, 125), (1.0, 1.0), (0.0, 0.0, 0.0, 124.0), replace(CONTRACT, matrix=(32, 32), pixel_mm=4.0))
    logits = np.full((32, 32), 3.0, np.float32)
    logits[:, 16:] = -1.0
    back = mapping.back(logits)[0]
    assert back[60:65] == pytest.approx([3.0, 2.0, 1.0, 0.0, -1.0], abs=0.05)


def test_pixels_that_are_joined_are_all_heard() -> None:
    """Every second native column is bright: the network sees grey, whichever columns it falls on."""
    stripes = np.zeros((128, 128), np.float32)
    stripes[:, ::2] = 100.0
    mapping = plane_map((128, 128), (0.5, 0.5), (0.0, 0.0, 127.0, 127.0), replace(CONTRACT, matrix=(32, 32)))
    seen_plane = mapping.forward(stripes, 0.0)[2:-2, 2:-2]
    assert seen_plane.mean() == pytest.approx(50.0, abs=1.0)
    assert seen_plane.std() < 5.0


# The whole


def chest(rows: int = 60, columns: int = 60) -> npt.NDArray[np.int16]:
    """(6, rows, columns): a body in air with unequal lungs, not in the middle."""
    hu = np.full((6, rows, columns), -1000, np.int16)
    hu[:, 8:50, 4:52] = 40
    hu[:, 14:40, 8:24] = -850
    hu[:, 18:44, 30:48] = -800
    return hu


def both_ways(hu: npt.NDArray[np.int16], contract: ModelContract) -> Floats:
    """The network's view, brought back slab by slab as if it were logits, (z, y, x)."""
    stacks = make_stacks(volume_of(hu), body_box(hu), contract)
    answer = np.zeros(hu.shape, np.float32)
    for slab in range(len(stacks)):
        answer[stacks.slices_of(slab)] = stacks.plane_map.back(stacks.plane(slab))
    return answer


@pytest.mark.parametrize("contract", [replace(CONTRACT, pixel_mm=mm) for mm in (0.6, 1.0, 1.7)])
def test_a_mirrored_volume_gives_the_mirrored_answer(contract: ModelContract) -> None:
    hu = chest()
    mirrored = both_ways(np.ascontiguousarray(hu[:, :, ::-1]), contract)[:, :, ::-1]
    np.testing.assert_allclose(mirrored, both_ways(hu, contract), atol=0.02)


def test_planes_are_windowed_and_stacks_follow_the_neighbours() -> None:
    contract = replace(CONTRACT, stack_depth=3)
    stacks = make_stacks(volume_of(chest()), (20.0, 20.0, 40.0, 40.0), contract)
    planes = np.stack([stacks.plane(slab) for slab in range(len(stacks))])
    assert planes.min() == 0.0
    assert 0.8 < planes.max() <= 1.0
    batches = list(stacks.batches(4))
    assert [numbers for numbers, _ in batches] == [[0, 1, 2, 3], [4, 5]]
    assert [stack.shape for _, stack in batches] == [(4, 3, 64, 96), (2, 3, 64, 96)]
    for numbers, stack in batches:
        for number, one in zip(numbers, stack, strict=True):
            np.testing.assert_array_equal(one, planes[stacks.stack[number]])


def test_some_slabs_come_in_the_order_in_which_they_are_asked_for() -> None:
    stacks = make_stacks(volume_of(chest()), (20.0, 20.0, 40.0, 40.0), replace(CONTRACT, stack_depth=3))
    everything = np.concatenate([stack for _, stack in stacks.batches(4)])
    for numbers, stack in stacks.batches(2, [5, 0, 3]):
        np.testing.assert_array_equal(stack, everything[numbers])
    assert [numbers for numbers, _ in stacks.batches(2, [5, 0, 3])] == [[5, 0], [3]]


@given(st.floats(-1024, 3071, width=32))
def test_the_window_is_linear_and_clipped(hu: float) -> None:
    value = float(windowed(np.full((1, 1), hu, np.float32), (-1000.0, 200.0))[0, 0])
    assert value == pytest.approx(min(1.0, max(0.0, (hu + 1000.0) / 1200.0)), abs=1e-5)


def test_what_lies_outside_the_picture_is_air_to_the_network() -> None:
    bright = volume_of(np.full((3, 20, 20), 200, np.int16))
    stacks = make_stacks(bright, (9.5, 9.5, 9.5, 9.5), CONTRACT)  # sees 96 × 144 mm of 20 × 20
    assert stacks.plane(0)[0, 0] == windowed(np.full((1, 1), HU_MIN, np.float32), CONTRACT.window_hu)[0, 0]
    assert stacks.plane(0)[32, 48] == pytest.approx(1.0)


@settings(max_examples=20)
@given(st.integers(4, 40), THIN_MM)
def test_every_native_slice_is_answered_once(slices: int, increment_mm: float) -> None:
    volume = volume_of(np.zeros((slices, 8, 8), np.int16), (increment_mm, 1.0, 1.0))
    stacks = make_stacks(volume, (3.0, 3.0, 4.0, 4.0), replace(CONTRACT, matrix=(32, 32)))
    answered = np.concatenate([stacks.slices_of(slab) for slab in range(len(stacks))])
    np.testing.assert_array_equal(np.sort(answered), np.arange(slices))


# Boxes


def test_the_body_box_is_the_middle_of_the_body_whatever_else_is_in_the_picture() -> None:
    hu = chest()
    hu[:, 54:56, :] = 40  # a couch
    hu[2] = -1000  # an odd slab
    assert body_box(hu) == (28.5, 27.5, 28.5, 27.5)


def test_without_a_body_the_box_is_the_middle_of_the_picture() -> None:
    assert body_box(np.full((3, 11, 20), -1000, np.int16)) == (5.0, 9.5, 5.0, 9.5)


def test_a_mask_box_holds_the_mask_of_all_slabs() -> None:
    mask = np.zeros((3, 10, 12), bool)
    assert mask_box(mask) is None
    mask[0, 2, 7] = mask[2, 8, 3] = True
    assert mask_box(mask) == (2.0, 3.0, 8.0, 7.0)
