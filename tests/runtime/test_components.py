"""Components against a brute-force search, morphology against its definition."""

from __future__ import annotations

import itertools
from collections import deque

import cv2
import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scanside_runtime.model.components import (
    Pieces,
    close_at,
    close_in_plane,
    drop_small,
    fill_holes,
    fill_holes_in_plane,
    largest,
    open_in_plane,
)

Bools = npt.NDArray[np.bool_]

shapes = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 8))
masks = shapes.flatmap(lambda shape: arrays(np.bool_, shape))

IN_PLANE = [(0, dy, dx) for dy, dx in itertools.product((-1, 0, 1), repeat=2) if (dy, dx) != (0, 0)]
NEIGHBOURS = [*IN_PLANE, (-1, 0, 0), (1, 0, 0)]


def flood(mask: Bools) -> list[set[tuple[int, ...]]]:
    """Components by walking from voxel to voxel."""
    left = {tuple(int(i) for i in voxel) for voxel in np.argwhere(mask)}
    found = []
    while left:
        queue = deque([left.pop()])
        component = set(queue)
        while queue:
            z, y, x = queue.popleft()
            near = {(z + dz, y + dy, x + dx) for dz, dy, dx in NEIGHBOURS} & left
            left -= near
            component |= near
            queue.extend(near)
        found.append(component)
    return found


def numbered(mask: Bools) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The number of each voxel's component, (z, y, x), and the components' sizes."""
    pieces = Pieces(mask)
    return np.stack([pieces.plane(z) for z in range(len(mask))]), pieces.sizes


@given(masks)
def test_labels_are_the_components_of_a_walk_from_voxel_to_voxel(mask: Bools) -> None:
    labels, sizes = numbered(mask)
    named = [{tuple(int(i) for i in v) for v in np.argwhere(labels == name)} for name in range(1, len(sizes))]
    expected = flood(mask)
    assert len(named) == len(expected)
    assert all(component in expected for component in named)


@given(masks)
def test_sizes_count_the_voxels_of_each_label_and_of_the_background(mask: Bools) -> None:
    labels, sizes = numbered(mask)
    assert (labels.dtype, sizes.dtype) == (np.dtype(np.int32), np.dtype(np.int64))
    assert sizes.tolist() == np.bincount(labels.ravel(), minlength=len(sizes)).tolist()


two_masks = shapes.flatmap(lambda shape: st.tuples(arrays(np.bool_, shape), arrays(np.bool_, shape)))


@given(two_masks)
def test_what_of_a_component_lies_in_another_mask_is_counted_and_the_rest_is_background(
    pair: tuple[Bools, Bools],
) -> None:
    mask, other = pair
    labels, sizes = numbered(mask)
    assert Pieces(mask).inside(other).tolist() == np.bincount(labels[other], minlength=len(sizes)).tolist()


@given(two_masks)
def test_a_component_is_beside_another_mask_where_a_voxel_of_it_has_a_neighbour_there(
    pair: tuple[Bools, Bools],
) -> None:
    mask, other = pair
    labels, sizes = numbered(mask)
    moved = np.zeros_like(other)
    for axis in range(3):
        moved |= (
            np.roll(np.pad(other, 1), 1, axis)[1:-1, 1:-1, 1:-1] | np.roll(np.pad(other, 1), -1, axis)[1:-1, 1:-1, 1:-1]
        )
    expected = set(np.unique(labels[moved | (other & mask)]).tolist()) - {0}
    found = Pieces(mask).beside(other, np.ones(len(sizes), dtype=np.bool_))
    assert set(np.flatnonzero(found).tolist()) == expected


@given(two_masks, st.integers(0, 3))
def test_closing_where_it_is_asked_for_is_closing_everywhere_and_looking_there(
    pair: tuple[Bools, Bools], radius_px: int
) -> None:
    mask, where = pair
    taken = np.zeros_like(mask)
    for z, box, part in close_at(mask, where, radius_px):
        taken[z][box] |= part
    assert np.array_equal(taken, close_in_plane(mask, radius_px) & where)


@given(masks, st.integers(1, 3), st.integers(1, 5))
def test_opening_looks_no_farther_than_its_disc(mask: Bools, radius_px: int, margin: int) -> None:
    """A mask in the middle of a larger plane opens alike, however far the plane's border is."""
    grown = np.pad(mask, ((0, 0), *(2 * [(radius_px + margin,) * 2])))
    near = grown[:, margin:-margin, margin:-margin]
    assert np.array_equal(
        open_in_plane(grown, radius_px)[:, margin:-margin, margin:-margin], open_in_plane(near, radius_px)
    )


@given(masks, st.integers(1, 12))
def test_drop_small_keeps_exactly_the_components_that_are_large_enough(mask: Bools, min_voxels: int) -> None:
    expected = np.zeros_like(mask)
    for component in flood(mask):
        if len(component) >= min_voxels:
            expected[tuple(np.transpose(list(component)))] = True
    kept = mask.copy()
    drop_small(kept, min_voxels)
    assert np.array_equal(kept, expected)


@given(masks)
def test_largest_keeps_one_whole_component_and_no_larger_one_is_left_out(mask: Bools) -> None:
    kept = largest(mask)
    components = flood(mask)
    inside = [c for c in components if kept[next(iter(c))]]
    outside = [c for c in components if not kept[next(iter(c))]]
    assert len(inside) == min(1, len(components))
    assert kept.sum() == sum(map(len, inside))
    assert min(map(len, inside), default=0) >= max(map(len, outside), default=0) or not inside


@given(masks)
def test_filled_holes_are_the_background_that_can_not_walk_out_of_its_plane(mask: Bools) -> None:
    filled = fill_holes_in_plane(mask)
    for plane, result in zip(mask, filled, strict=True):
        outside = np.pad(~plane, 1, constant_values=True)
        reached = np.zeros_like(outside)
        reached[0, 0] = True
        for _ in range(outside.size):  # grow by the four edges until nothing moves
            grown = reached.copy()
            grown[1:] |= reached[:-1]
            grown[:-1] |= reached[1:]
            grown[:, 1:] |= reached[:, :-1]
            grown[:, :-1] |= reached[:, 1:]
            reached = grown & outside
        assert np.array_equal(result, ~reached[1:-1, 1:-1])


@given(shapes.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 2))))
def test_holes_of_a_label_are_filled_where_no_other_label_lies(labels: npt.NDArray[np.uint8]) -> None:
    filled = labels.copy()
    fill_holes(filled, 1)
    expected = np.where(fill_holes_in_plane(labels == 1) & (labels == 0), 1, labels)
    assert np.array_equal(filled, expected)


@given(masks, st.integers(0, 3))
def test_closing_never_loses_a_voxel_and_closing_twice_changes_nothing_more(mask: Bools, radius_px: int) -> None:
    closed = close_in_plane(mask, radius_px)
    assert closed[mask].all()
    assert np.array_equal(close_in_plane(closed, radius_px), closed)


@given(arrays(np.bool_, (1, 40, 50)), st.integers(1, 70))
def test_closing_is_what_opencv_makes_of_it(noise: Bools, radius_px: int) -> None:
    """Thinned noise: islands with gaps of all sizes between them."""
    mask = noise & np.roll(noise, 1, 1) & np.roll(noise, 3, 2)
    size = 2 * radius_px + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    padded = np.pad(mask[0].astype(np.uint8), radius_px)
    expected = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[radius_px:-radius_px, radius_px:-radius_px] > 0
    assert np.array_equal(close_in_plane(mask, radius_px)[0], expected)


def test_closing_bridges_a_gap_narrower_than_the_disc_and_leaves_a_wider_one() -> None:
    mask = np.zeros((1, 41, 61), dtype=np.bool_)
    mask[0, 5:36, 5:20] = mask[0, 5:36, 23:35] = mask[0, 5:36, 50:58] = True
    closed = close_in_plane(mask, 2)
    assert closed[0, 20, 20:23].all()
    assert not closed[0, :, 36:49].any()


def test_closing_does_not_grow_towards_the_border_of_the_plane() -> None:
    mask = np.zeros((1, 10, 11), dtype=np.bool_)
    mask[0, 4:7, 1:4] = True
    assert np.array_equal(close_in_plane(mask, 3), mask)


def test_two_lungs_that_touch_in_no_plane_but_lie_on_each_other_are_one() -> None:
    mask = np.zeros((2, 10, 11), dtype=np.bool_)
    mask[0, 2:4, 2:5] = mask[1, 3:6, 4:8] = True
    assert Pieces(mask).sizes.tolist() == [202, 18]


def test_a_corner_between_slices_is_no_contact() -> None:
    mask = np.zeros((2, 10, 11), dtype=np.bool_)
    mask[0, 2, 2] = mask[1, 3, 3] = True
    assert Pieces(mask).sizes.tolist() == [218, 1, 1]


def test_results_do_not_depend_on_the_memory_layout() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((9, 10, 11)) > 0.6
    turned = np.asfortranarray(mask)
    assert np.array_equal(numbered(mask)[0], numbered(turned)[0])
    assert np.array_equal(fill_holes_in_plane(mask), fill_holes_in_plane(turned))
    assert np.array_equal(close_in_plane(mask, 1), close_in_plane(turned, 1))


def test_an_empty_mask_has_no_component() -> None:
    nothing = Pieces(np.zeros((2, 10, 11), dtype=np.bool_))
    assert len(nothing) == 0
    assert nothing.sizes.tolist() == [220]
    assert not nothing.plane(0).any()


def test_opening_keeps_what_a_disc_fits_into_and_drops_what_is_thinner() -> None:
    mask = np.zeros((2, 30, 31), np.bool_)
    mask[0, 5:16, 5:16] = True
    mask[1, 5:8, 5:25] = True
    opened = open_in_plane(mask, 3)
    assert opened[0, 10, 10]
    assert not (opened & ~mask).any()
    assert not opened[1].any()
