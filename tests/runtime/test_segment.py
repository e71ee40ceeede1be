"""Lungs and infection on the native grid: whole lungs, no crumbs, infection in lungs only, each slice its answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from scanside_runtime.model.contract import ModelContract
from scanside_runtime.model.lung_field import (
    CLOSING_MM,
    LEFT,
    RIGHT,
    Sides,
    add_whole_consolidations,
    close_over,
    drop_airless_pieces,
    drop_unhurt_pieces,
    tidy_lungs,
)
from scanside_runtime.model.networks import Network, Networks
from scanside_runtime.model.segment import ask_for_infection, ask_for_lungs, segment
from scanside_runtime.volume import Bools, Hu, Volume, whole_of

Floats = npt.NDArray[np.float32]
SIDE = 96
WINDOW = (-1000.0, 1000.0)
LUNG, INFECTED, TISSUE = -800, -500, 40
CONTRACT = ModelContract("lungs", ("none", "right", "left"), WINDOW, 1.0, (SIDE, SIDE))
RIGHT_BOX = np.s_[:, 20:76, 8:40]
LEFT_BOX = np.s_[:, 20:76, 56:88]


@dataclass
class FakeEngine:
    """An engine that answers by a rule; it counts how often it was asked."""

    rule: Callable[[Floats], Floats]
    computed_in: str = "fp32"
    version: str = "0"
    asked: int = 0

    def infer(self, batch: Floats) -> Floats:
        self.asked += len(batch)
        return self.rule(batch)


def hu_of(batch: Floats) -> Floats:
    """The middle slabs in HU again, (n, rows, columns)."""
    middle = batch[:, batch.shape[1] // 2]
    return np.asarray(WINDOW[0] + middle * (WINDOW[1] - WINDOW[0]), dtype=np.float32)


def lungs_by_density(batch: Floats) -> Floats:
    """Lung is what is lighter than -300 HU, right in the left half of the picture."""
    sure = np.where(hu_of(batch) < -300, 10.0, -10.0)
    right_half = np.arange(SIDE) < SIDE // 2
    right, left = np.where(right_half, sure, -10.0), np.where(right_half, -10.0, sure)
    return np.stack([np.zeros_like(sure), right, left], axis=1).astype(np.float32)


def infection_by_density(batch: Floats) -> Floats:
    hu = hu_of(batch)
    return np.where((hu > -600) & (hu < -300), 10.0, -10.0).astype(np.float32)[:, None]


def always(logit: float) -> Callable[[Floats], Floats]:
    return lambda batch: np.full((len(batch), 1, SIDE, SIDE), logit, np.float32)


def networks(
    lungs: Callable[[Floats], Floats] = lungs_by_density, infection: Callable[[Floats], Floats] = infection_by_density
) -> Networks:
    infection_contract = replace(CONTRACT, network="infection", classes=("infection",), stack_depth=3)
    return Networks(Network(FakeEngine(lungs), CONTRACT), Network(FakeEngine(infection), infection_contract))


def chest(slices: int = 6) -> Hu:
    """(slices, 96, 96): tissue with two lungs, symmetric about the middle of the picture."""
    hu = np.full((slices, SIDE, SIDE), TISSUE, np.int16)
    hu[RIGHT_BOX] = LUNG
    hu[LEFT_BOX] = LUNG
    return hu


def volume_of(hu: Hu, increment_mm: float = 5.0) -> Volume:
    return Volume(hu.copy(), np.eye(4), (increment_mm, 1.0, 1.0))


def boxed(box: tuple[slice, ...], slices: int = 6) -> Bools:
    mask = np.zeros((slices, SIDE, SIDE), bool)
    mask[box] = True
    return mask


def sides_of(right: Bools, left: Bools) -> npt.NDArray[np.uint8]:
    return np.where(right, RIGHT, np.where(left, LEFT, 0)).astype(np.uint8)


def tidied(sides: Sides) -> Sides:
    tidy = sides.copy()
    tidy_lungs(tidy, volume_of(chest()))
    return tidy


def closed_over(sides: Sides, suspected: Bools) -> Sides:
    closed = sides.copy()
    close_over(closed, suspected, volume_of(chest()))
    return closed


def consolidations(hu: Hu, lungs: Bools, seen: Bools) -> Bools:
    suspected = seen.copy()
    add_whole_consolidations(suspected, volume_of(hu), lungs.astype(np.uint8))
    return suspected & ~seen


@pytest.mark.parametrize(
    ("columns", "seen", "beside", "stays"),
    [(8, False, False, False), (8, True, False, True), (8, False, True, True), (10, False, False, True)],
    ids=["gas of the gut", "lung parted by disease", "touches the other lung", "large"],
)
def test_a_small_piece_apart_in_which_nothing_is_suspected_is_no_lung(
    columns: int, seen: bool, beside: bool, stays: bool
) -> None:
    """Pieces of 1.8 and 2.3 percent, two slices below a lung of 10,500 voxels."""
    sides = np.zeros((12, SIDE, SIDE), np.uint8)
    sides[6:, 10:60, 5:40] = LEFT
    sides[1:4, 4:12, 8 : 8 + columns] = LEFT
    sides[1:4, 12:60, 8:40] = RIGHT if beside else 0
    piece = sides == LEFT
    piece[6:] = False
    suspected = np.zeros(sides.shape, bool)
    suspected[3, 5:9, 9:13] = seen
    expected = sides.copy() if stays else np.where(piece, 0, sides)
    drop_unhurt_pieces(sides, suspected)
    np.testing.assert_array_equal(sides, expected)


def test_what_is_left_of_a_lung_is_no_small_piece_of_it() -> None:
    """Four islands of one lung, beside another that is whole."""
    sides = np.zeros((12, SIDE, SIDE), np.uint8)
    sides[:, 10:80, 50:90] = RIGHT
    for island, columns in enumerate((10, 9, 8, 11)):
        sides[3 * island : 3 * island + 2, 20:40, 10 : 10 + columns] = LEFT
    before = sides.copy()
    drop_unhurt_pieces(sides, np.zeros(sides.shape, bool))
    np.testing.assert_array_equal(sides, before)


def airless(hu: Hu, lungs: Bools, seen: Bools) -> Bools:
    """What is taken out of the lungs; the infection loses the same."""
    sides, suspected = lungs.astype(np.uint8), seen.copy()
    drop_airless_pieces(sides, suspected, volume_of(hu))
    gone = lungs & (sides == 0)
    np.testing.assert_array_equal(suspected, seen & ~gone)
    return gone


# From networks to masks


def test_lungs_and_infection_are_found_where_they_are() -> None:
    hu = chest()
    hu[2:4, 30:40, 12:20] = INFECTED
    masks = segment(volume_of(hu), networks())
    np.testing.assert_array_equal(masks.right_lung.array, boxed(RIGHT_BOX))
    np.testing.assert_array_equal(masks.left_lung.array, boxed(LEFT_BOX))
    np.testing.assert_array_equal(masks.infection.array, hu == INFECTED)


def test_infection_counts_only_within_the_lungs() -> None:
    masks = segment(volume_of(chest()), networks(infection=always(10.0)))
    np.testing.assert_array_equal(masks.infection.array, masks.lungs)
    np.testing.assert_array_equal(masks.lungs, boxed(RIGHT_BOX) | boxed(LEFT_BOX))


def test_nothing_outside_of_the_body_is_lung_or_infected() -> None:
    """A network that takes the air below a back for lung, and foam for infection."""
    hu = chest()
    hu[:, :16] = hu[:, 80:] = -1000
    hu[:, 84:92] = INFECTED
    masks = segment(volume_of(hu), networks())
    np.testing.assert_array_equal(masks.lungs, boxed(RIGHT_BOX) | boxed(LEFT_BOX))
    assert not masks.infection.array.any()


def test_a_mirrored_patient_has_mirrored_masks() -> None:
    hu = chest()
    hu[2:4, 30:40, 12:20] = INFECTED
    one, other = (segment(volume_of(array), networks()) for array in (hu, hu[:, :, ::-1]))
    np.testing.assert_array_equal(one.right_lung.array, other.left_lung.array[:, :, ::-1])
    np.testing.assert_array_equal(one.infection.array, other.infection.array[:, :, ::-1])


def test_without_lungs_the_masks_are_empty_and_infection_is_not_asked_for() -> None:
    asked = networks()
    masks = segment(volume_of(np.full((5, SIDE, SIDE), TISSUE, np.int16)), asked)
    assert not masks.lungs.any()
    assert not masks.infection.array.any()
    assert isinstance(asked.infection.engine, FakeEngine)
    assert asked.infection.engine.asked == 0


@pytest.mark.parametrize(("slices_of_lung", "answered"), [(8, 10), (6, 5), (5, 5), (20, 20)])
def test_each_slice_of_a_thin_series_takes_the_mask_of_its_slab(slices_of_lung: int, answered: int) -> None:
    """Slabs of 5 mm from slices of 1 mm: a slab with three of five slices of lung is lung, one with one is not."""
    hu = chest(20)
    hu[slices_of_lung:] = TISSUE
    sides = ask_for_lungs(volume_of(hu, increment_mm=1.0), networks().lungs).within(whole_of(hu.shape))
    np.testing.assert_array_equal((sides > 0).any(axis=(1, 2)), np.arange(20) < answered)
    for z in range(1, answered):
        np.testing.assert_array_equal(sides[z], sides[0])


@pytest.mark.parametrize(("logit", "found"), [(2.19, False), (2.20, True)])
def test_the_contracts_threshold_is_a_probability(logit: float, found: bool) -> None:
    """0.9 is a logit of 2.197."""
    network = networks(infection=always(logit)).infection
    strict = Network(network.engine, replace(network.contract, threshold=0.9))
    lungs = boxed(RIGHT_BOX) | boxed(LEFT_BOX)
    assert ask_for_infection(volume_of(chest()), lungs, whole_of(lungs.shape), strict).suspected[lungs].all() == found


def test_infection_is_looked_for_in_the_middle_slab_of_its_stack() -> None:
    hu = chest()
    hu[3, 30:40, 12:20] = INFECTED
    masks = segment(volume_of(hu), networks())
    np.testing.assert_array_equal(np.flatnonzero(masks.infection.array.any(axis=(1, 2))), [3])


def test_progress_counts_slabs_of_both_stages_to_the_end() -> None:
    seen: list[tuple[str, int, int]] = []
    segment(volume_of(chest()), networks(), lambda *step: seen.append(step))
    assert seen == [("lungs", 4, 6), ("lungs", 6, 6), ("infection", 4, 6), ("infection", 6, 6)]


@pytest.mark.parametrize("lowest", range(20, 40))
def test_a_lung_as_high_as_the_steps_in_which_lungs_are_looked_for_is_found_whole(lowest: int) -> None:
    """20 mm of lung in 300 mm of series: whichever slabs it lies in, one of those looked at shows it."""
    hu = np.full((60, SIDE, SIDE), TISSUE, np.int16)
    hu[lowest : lowest + 4, 20:76, 8:40] = LUNG
    np.testing.assert_array_equal(segment(volume_of(hu), networks()).right_lung.array, hu == LUNG)


def test_what_lies_far_from_all_lung_is_not_asked_for() -> None:
    """30 slabs with lung of 100: the lungs' network sees those, 4 on both sides, and each fourth of the rest."""
    hu = np.full((100, SIDE, SIDE), TISSUE, np.int16)
    hu[40:70, 20:76, 8:40] = LUNG
    asked = networks()
    masks = segment(volume_of(hu), asked)
    np.testing.assert_array_equal(masks.lungs, hu == LUNG)
    lungs, infection = asked.lungs.engine, asked.infection.engine
    assert isinstance(lungs, FakeEngine)
    assert isinstance(infection, FakeEngine)
    assert lungs.asked <= 30 + 2 * 4 + 70 // 4 + 1
    assert infection.asked == 30


@pytest.mark.parametrize(("pixels", "kept"), [(5, False), (6, True)])
def test_islands_of_infection_below_0_03_ml_are_noise(pixels: int, kept: bool) -> None:
    hu = chest()
    hu[2, 30, 12 : 12 + pixels] = INFECTED  # 0.005 ml each
    assert segment(volume_of(hu), networks()).infection.array.any() == kept


# Tidy lungs: a voxel has 0.005 ml, 8 ml are 1600 voxels


def test_crumbs_apart_from_the_lungs_go_and_larger_parts_stay() -> None:
    crumb, part = boxed(np.s_[0:2, 2:12, 44:50]), boxed(np.s_[:, 2:16, 60:80])
    assert crumb.sum() < 1600 < part.sum()
    tidy = tidied(sides_of(boxed(RIGHT_BOX) | crumb, boxed(LEFT_BOX) | part))
    np.testing.assert_array_equal(tidy, sides_of(boxed(RIGHT_BOX), boxed(LEFT_BOX) | part))


@pytest.mark.parametrize(("wrong", "inside"), [(RIGHT, LEFT_BOX), (LEFT, RIGHT_BOX)])
def test_a_piece_that_hangs_on_the_other_lung_is_handed_over(wrong: int, inside: tuple[slice, ...]) -> None:
    sides = sides_of(boxed(RIGHT_BOX), boxed(LEFT_BOX))
    expected = sides.copy()
    sides[2:4, 20:50, inside[2]] = wrong  # half of two slabs, far from its own side
    np.testing.assert_array_equal(tidied(sides), expected)


def test_a_lung_in_two_large_parts_keeps_both() -> None:
    upper, lower = boxed(np.s_[4:, 20:76, 8:40]), boxed(np.s_[:3, 20:76, 8:40])
    tidy = tidied(sides_of(upper | lower, boxed(LEFT_BOX)))
    np.testing.assert_array_equal(tidy == RIGHT, upper | lower)


def test_a_large_part_of_a_lung_stays_its_own_where_it_touches_the_other_lung() -> None:
    upper, lower = boxed(np.s_[4:, 20:76, 8:40]), boxed(np.s_[:3, 20:76, 8:40])
    bridge = boxed(np.s_[1:2, 20:24, 40 : LEFT_BOX[2].start])
    sides = sides_of(upper | lower | bridge, boxed(LEFT_BOX))
    np.testing.assert_array_equal(tidied(sides), sides)


def test_holes_in_a_lung_are_filled_with_that_lung() -> None:
    sides = sides_of(boxed(RIGHT_BOX), boxed(LEFT_BOX))
    expected = sides.copy()
    sides[3, 40:50, 20:30] = 0
    sides[1:5, 60:64, 70:72] = 0
    np.testing.assert_array_equal(tidied(sides), expected)


def test_what_is_open_to_the_outside_is_no_hole() -> None:
    sides = sides_of(boxed(RIGHT_BOX), boxed(LEFT_BOX))
    sides[:, 40:50, 8:30] = 0
    np.testing.assert_array_equal(tidied(sides), sides)


# Domes: what has lung all around it in its slice, and none below


ABDOMEN = np.s_[0:4, 30:56, 12:32]
"""26 by 20 mm in the right lung, from the lowest slice up: the top of a liver."""


def with_dome(inside: int = TISSUE, box: tuple[slice, ...] = ABDOMEN) -> Hu:
    hu = chest()
    hu[box] = inside
    return hu


def infected_in(hu: Hu, box: tuple[slice, ...]) -> Bools:
    """The infection that is found by a network that sees it in a part of the plane, whatever lies there."""
    seen = np.full((SIDE, SIDE), -10.0, np.float32)
    seen[box[1:]] = 10.0
    return segment(volume_of(hu), networks(infection=lambda batch: np.repeat(seen[None, None], len(batch), 0))).lungs


def test_the_top_of_a_liver_is_no_lung_though_it_has_lung_all_around_it() -> None:
    masks = segment(volume_of(with_dome()), networks())
    np.testing.assert_array_equal(masks.right_lung.array, boxed(RIGHT_BOX) & ~boxed(ABDOMEN))
    np.testing.assert_array_equal(masks.left_lung.array, boxed(LEFT_BOX))


def test_a_consolidated_base_that_the_network_suspects_stays_lung_and_infected() -> None:
    np.testing.assert_array_equal(infected_in(with_dome(), ABDOMEN)[RIGHT_BOX], True)


def test_a_consolidated_base_is_infected_as_a_whole_though_its_rim_alone_is_suspected() -> None:
    seen = np.full((SIDE, SIDE), -10.0, np.float32)
    rows, columns = ABDOMEN[1:]
    seen[rows, columns] = 10.0
    seen[rows.start + 4 : rows.stop - 4, columns.start + 4 : columns.stop - 4] = -10.0
    rim = networks(infection=lambda batch: np.repeat(seen[None, None], len(batch), 0))
    found = segment(volume_of(with_dome()), rim)
    np.testing.assert_array_equal(found.lungs[RIGHT_BOX], True)
    np.testing.assert_array_equal(found.infection.array[ABDOMEN], True)


def test_beside_a_dome_what_is_suspected_stays_and_the_dome_goes() -> None:
    sick = np.s_[0:4, 30:35, 12:32]
    lungs = infected_in(with_dome(), sick)
    np.testing.assert_array_equal(lungs, (boxed(RIGHT_BOX) | boxed(LEFT_BOX)) & ~(boxed(ABDOMEN) & ~boxed(sick)))


@pytest.mark.parametrize(
    "hu",
    [
        with_dome(box=np.s_[2:4, 30:56, 12:32]),
        with_dome(box=np.s_[0:4, 30:56, 12:18]),
        with_dome(inside=-200),
    ],
    ids=["a mass with lung below it", "a vessel that runs downwards", "half air: the edge of a dome, or dense lung"],
)
def test_what_may_be_lung_stays_a_filled_hole(hu: Hu) -> None:
    np.testing.assert_array_equal(segment(volume_of(hu), networks()).lungs, boxed(RIGHT_BOX) | boxed(LEFT_BOX))


@pytest.mark.parametrize("seen", [0, 3], ids=["not suspected", "a seventh suspected"])
@pytest.mark.parametrize(
    "dense", [np.s_[0:4, 56:76, 12:32], np.s_[3:5, 30:56, 12:32]], ids=["beside a dome", "on a dome"]
)
def test_dense_lung_that_the_network_outlined_stays_where_it_touches_a_dome(
    dense: tuple[slice, ...], seen: int
) -> None:
    hu = with_dome()
    hu[dense] = 100
    hu[dense][:, :, :seen] = 120
    found = segment(
        volume_of(hu),
        networks(
            lungs=lambda batch: lungs_by_density(np.where(hu_of(batch)[:, None] > 90, 0.0, batch)),
            infection=lambda batch: np.where(hu_of(batch) > 110, 10.0, -10.0).astype(np.float32)[:, None],
        ),
    )
    gone = boxed(ABDOMEN) & ~boxed(dense)
    np.testing.assert_array_equal(found.lungs, (boxed(RIGHT_BOX) | boxed(LEFT_BOX)) & ~gone)
    np.testing.assert_array_equal(found.infection.array, hu == 120)


# Closed over infection


def with_bay(rows: slice) -> npt.NDArray[np.uint8]:
    """Both lungs, the right one open to the chest wall for 16 mm of depth."""
    sides = sides_of(boxed(RIGHT_BOX), boxed(LEFT_BOX))
    sides[2:4, rows, 8:24] = 0
    return sides


def test_infection_in_a_bay_is_lung_but_not_beyond_the_lungs_outline() -> None:
    sides = with_bay(slice(40, 60))  # 20 mm wide
    suspected = boxed(np.s_[2:4, 40:60, 0:24])
    closed = closed_over(sides, suspected)
    assert (closed[2:4, 40:60, 14:24] == RIGHT).all()
    assert not closed[:, :, :8].any()
    changed = closed != sides
    assert not (changed & ~suspected).any()


def test_a_bay_without_infection_stays_open() -> None:
    sides = with_bay(slice(40, 60))
    np.testing.assert_array_equal(closed_over(sides, boxed(np.s_[0:0, :, :])), sides)


def test_a_bay_wider_than_the_closing_stays_open_in_its_middle() -> None:
    sides = with_bay(slice(25, 71))  # 46 mm wide, twice CLOSING_MM are 40
    assert 2 * CLOSING_MM < 46
    closed = closed_over(sides, boxed(np.s_[2:4, 25:71, 8:24]))
    assert not closed[2:4, 40:56, 8:18].any()


def test_what_lies_behind_infection_in_a_bay_is_lung_once_it_is_enclosed() -> None:
    sides = with_bay(slice(40, 60))
    suspected = boxed(np.s_[2:4, 40:60, 14:20])  # a lid; the pocket behind it is not suspected
    closed = closed_over(sides, suspected)
    assert (closed[2:4, 40:60, 20:24] == RIGHT).all()


def test_infection_between_the_lungs_never_changes_a_voxels_side() -> None:
    sides = sides_of(boxed(RIGHT_BOX), boxed(LEFT_BOX))
    closed = closed_over(sides, np.ones(sides.shape, bool))
    np.testing.assert_array_equal(closed[sides > 0], sides[sides > 0])
    assert not closed[:, :, 42:54].any()


def test_a_consolidation_is_infected_as_a_whole_once_a_quarter_of_it_was_seen() -> None:
    hu = chest()
    dense = np.s_[2:5, 30:60, 12:36]
    hu[dense] = 40
    lungs, seen = boxed(RIGHT_BOX), np.zeros(hu.shape, np.bool_)
    seen[2:5, 30:40, 12:36] = True
    whole = consolidations(hu, lungs, seen)
    assert whole[3, 45, 24]
    assert not (whole & ~boxed(dense)).any()
    seen[2:4] = False
    assert not consolidations(hu, lungs, seen).any()


@pytest.mark.parametrize(("rows_seen", "told"), [(10, True), (21, True), (25, False)])
def test_what_was_added_to_a_piece_is_told_where_less_than_three_quarters_of_it_were_seen(
    rows_seen: int, told: bool
) -> None:
    """A piece of 30 rows in the slices 2, 3 and 4; what is told are the voxels that were added, slice by slice."""
    hu = chest()
    hu[2:5, 30:60, 12:36] = 40
    seen = np.zeros(hu.shape, np.bool_)
    seen[2:5, 30 : 30 + rows_seen, 12:36] = True
    suspected = seen.copy()
    added = add_whole_consolidations(suspected, volume_of(hu), boxed(RIGHT_BOX).astype(np.uint8))
    expected = (suspected & ~seen).sum(axis=(1, 2)) if told else np.zeros(len(hu))
    np.testing.assert_array_equal(added, expected)
    assert (suspected & ~seen).any()


def test_the_masks_say_how_much_of_the_infection_in_each_slice_was_not_seen() -> None:
    half = np.full((SIDE, SIDE), -10.0, np.float32)
    rows, columns = ABDOMEN[1:]
    half[rows.start : (rows.start + rows.stop) // 2, columns] = 10.0
    partly = networks(infection=lambda batch: np.repeat(half[None, None], len(batch), 0))
    found = segment(volume_of(with_dome()), partly)
    assert found.unseen_areas is not None
    slices = np.flatnonzero(boxed(ABDOMEN).any(axis=(1, 2)))
    np.testing.assert_array_equal(np.flatnonzero(found.unseen_areas), slices)
    assert found.unseen_areas[slices].max() <= found.infection.areas[slices].max() / 2 * 1.1


def left_healthy(patch: Bools, seen: Bools) -> float:
    """The share of a dense patch in a lung that is not infected in the end."""
    hu = chest()
    hu[patch] = TISSUE
    infected = seen | consolidations(hu, boxed(RIGHT_BOX), seen)
    return np.count_nonzero(patch & ~infected) / np.count_nonzero(patch)


def test_a_consolidation_at_the_pleura_is_infected_as_a_whole_where_slabs_or_its_back_were_not_seen() -> None:
    patch = boxed(np.s_[1:6, 36:76, 16:28])  # 12 ml at the back wall, far from the mediastinum, in aerated lung
    two_of_five_slabs, front_65_percent = boxed(np.s_[1:3]), boxed(np.s_[:, :62])
    assert left_healthy(patch, patch & two_of_five_slabs) < 0.05  # the opening rounds its corners
    assert left_healthy(patch, patch & front_65_percent) < 0.05


def test_a_consolidation_at_the_hilum_is_infected_as_a_whole_where_its_rim_or_most_of_it_was_seen() -> None:
    patch = boxed(np.s_[2:5, 30:50, 16:40])
    rim = boxed(np.s_[2:5, 28:52, 13:40]) & ~boxed(np.s_[2:5, 33:47, 19:40])
    assert left_healthy(patch, rim) == 0
    assert left_healthy(patch, patch & boxed(np.s_[:, :46])) < 0.05


def test_a_piece_without_air_is_no_lung_unless_it_is_infected_or_hangs_on_lung_in_its_slab() -> None:
    hu = chest()
    apart, hanging = np.s_[1:4, 80:90, 20:40], np.s_[1:4, 60:80, 20:40]
    hu[apart] = hu[hanging] = TISSUE
    hu[2, 80:82, 20:40] = LUNG  # a ninth of the piece in one slab
    lungs = boxed(RIGHT_BOX) | boxed(np.s_[1:4, 81:90, 20:40]) | boxed(hanging)
    lungs[:, 80] = False
    seen = np.zeros(hu.shape, np.bool_)
    np.testing.assert_array_equal(
        airless(hu, lungs, seen), boxed(np.s_[1, 81:90, 20:40]) | boxed(np.s_[3, 81:90, 20:40])
    )
    seen[1, 81:84, 20:40] = True  # a third
    np.testing.assert_array_equal(airless(hu, lungs, seen), boxed(np.s_[3, 81:90, 20:40]))


def test_dropped_tissue_is_neither_lung_nor_infection_where_a_bay_would_take_it_back() -> None:
    hu = chest()
    hu[:, 40:60, 8:24] = TISSUE
    piece, suspected = np.s_[:, 41:59, 8:23], np.s_[:, 41:44, 8:23]  # a sixth of the piece
    hu[piece], hu[suspected] = 100, 120
    found = segment(
        volume_of(hu),
        networks(
            lungs=lambda batch: lungs_by_density(np.where(hu_of(batch)[:, None] > 90, 0.0, batch)),
            infection=lambda batch: np.where(hu_of(batch) > 110, 10.0, -10.0).astype(np.float32)[:, None],
        ),
    )
    np.testing.assert_array_equal(found.lungs, hu == LUNG)
    assert not found.infection.array.any()
