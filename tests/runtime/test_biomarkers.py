"""Biomarkers of thoraxes by construction: boxes of lung with known infection."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scanside_runtime.measures.biomarkers import Biomarkers, extent_grade, measure, withheld, zone_score
from scanside_runtime.settings.tables import MeasureSettings
from scanside_runtime.volume import Masks, Volume

Bools = npt.NDArray[np.bool_]

NO_FLOOR = MeasureSettings(floor_percent=0.0, floor_ml=0.0)
SHAPE = (9, 10, 22)  # right lung in columns 1-10, left lung in columns 12-21


def thorax(shape: tuple[int, int, int] = SHAPE, spacing_mm: tuple[float, float, float] = (10.0, 5.0, 5.0)) -> Volume:
    return Volume(np.full(shape, -850, dtype=np.int16), np.eye(4), spacing_mm)


def boxes(first: int = 0, last: int = 8) -> tuple[Bools, Bools]:
    right, left = np.zeros(SHAPE, dtype=np.bool_), np.zeros(SHAPE, dtype=np.bool_)
    right[first : last + 1, :, 1:11] = left[:, :, 12:22] = True
    return right, left


def masks_of(volume: Volume, right: Bools, left: Bools, infection: Bools) -> Masks:
    return Masks(volume.with_mask(right), volume.with_mask(left), volume.with_mask(infection))


def measured(infection: Bools, floor: MeasureSettings = NO_FLOOR, hu: Any = None, first: int = 0) -> Biomarkers:
    volume = thorax() if hu is None else replace(thorax(), hu=hu)
    return measure(volume, masks_of(volume, *boxes(first), infection), floor)


def rows(lung_columns: slice, slices: slice, n: int) -> Bools:
    """Infection of n of the ten rows: n * 10 % of what the slices hold of that lung."""
    infection = np.zeros(SHAPE, dtype=np.bool_)
    infection[slices, :n, lung_columns] = True
    return infection


RIGHT, LEFT = slice(1, 11), slice(12, 22)


def test_volumes_are_physical_and_poi_is_the_infected_share() -> None:
    found = measured(rows(RIGHT, slice(0, 9), 4))
    assert found.right.lung_volume_ml == pytest.approx(900 * 0.25)
    assert found.right.infection_volume_ml == pytest.approx(360 * 0.25)
    assert found.right.poi_percent == pytest.approx(40.0)
    assert (found.left.poi_percent, found.left.ihu_hu) == (0.0, None)
    assert found.whole.poi_percent == pytest.approx(20.0)


def test_ihu_is_the_mean_density_of_the_infection_alone() -> None:
    hu = np.full(SHAPE, -850, dtype=np.int16)
    hu[:, 0, RIGHT], hu[:, 1, RIGHT] = -600, -101
    found = measured(rows(RIGHT, slice(0, 9), 2), hu=hu)
    assert found.whole.ihu_hu == found.right.ihu_hu == pytest.approx(-350.5)


def test_infection_at_minus_200_hu_and_denser_is_consolidation() -> None:
    hu = np.full(SHAPE, -600, dtype=np.int16)  # ground glass
    hu[0:3, :2, RIGHT] = -200
    hu[3, :2, RIGHT] = -201
    found = measured(rows(RIGHT, slice(0, 9), 4), hu=hu)
    assert found.right.consolidation_ml == pytest.approx(3 * 20 * 0.25)
    assert found.right.high_opacity_percent == pytest.approx(100.0 * 60 / 900)
    assert (found.left.consolidation_ml, found.left.high_opacity_percent) == (0.0, 0.0)
    assert found.whole.high_opacity_percent == pytest.approx(100.0 * 60 / 1800)
    assert found.zones.right_lower.consolidation_ml == pytest.approx(3 * 20 * 0.25)


def test_dense_vessels_outside_the_infection_are_no_consolidation() -> None:
    found = measured(np.zeros(SHAPE, dtype=np.bool_), hu=np.full(SHAPE, 40, dtype=np.int16))
    assert (found.whole.consolidation_ml, found.whole.high_opacity_percent) == (0.0, 0.0)


def test_infection_outside_the_lungs_is_not_measured() -> None:
    infection = np.zeros(SHAPE, dtype=np.bool_)
    infection[:, :, 0] = infection[:, :, 11] = True
    assert measured(infection).whole.infection_volume_ml == 0.0


def test_without_infection_density_is_null_and_percent_zero() -> None:
    found = measured(np.zeros(SHAPE, dtype=np.bool_))
    assert (found.whole.poi_percent, found.whole.ihu_hu) == (0.0, None)
    assert (found.six_zone_score, found.ct_extent_grade) == (0, "CT-0")


def test_without_a_lung_nothing_that_divides_by_it_is_measured() -> None:
    volume, nothing = thorax(), np.zeros(SHAPE, dtype=np.bool_)
    found = measure(volume, masks_of(volume, nothing, nothing, nothing))
    assert found.whole == found.left == found.right
    assert (found.whole.poi_percent, found.whole.lung_volume_ml) == (None, 0.0)
    assert (found.six_zone_score, found.ct_extent_grade, found.zones.left_upper.score) == (None, None, None)


def test_one_lung_alone_is_measured_and_graded() -> None:
    volume, nothing = thorax(), np.zeros(SHAPE, dtype=np.bool_)
    found = measure(volume, masks_of(volume, boxes()[0], nothing, rows(RIGHT, slice(0, 9), 6)), NO_FLOOR)
    assert (found.left.poi_percent, found.zones.left_lower.score) == (None, None)
    assert (found.six_zone_score, found.ct_extent_grade) == (9, "CT-3")


def test_zones_are_thirds_from_the_feet_up() -> None:
    found = measured(rows(LEFT, slice(0, 3), 10) | rows(RIGHT, slice(6, 9), 5))
    scores = {name: getattr(found.zones, name).score for name in type(found.zones).__slots__}
    assert scores == {
        "right_upper": 3, "right_middle": 0, "right_lower": 0, "left_upper": 0, "left_middle": 0, "left_lower": 4,
    }  # fmt: skip
    assert found.six_zone_score == 7


def test_each_lung_is_cut_by_its_own_height() -> None:
    found = measured(np.zeros(SHAPE, dtype=np.bool_), first=3)
    assert [found.zones.right_lower.lung_volume_ml, found.zones.left_lower.lung_volume_ml] == [50.0, 75.0]


@pytest.mark.parametrize(
    ("slices", "lower_middle_upper"),
    [(1, (0, 1, 0)), (2, (1, 0, 1)), (4, (1, 2, 1)), (5, (2, 1, 2)), (7, (2, 3, 2)), (8, (3, 2, 3))],
)
def test_a_slice_belongs_to_the_third_that_holds_its_centre(
    slices: int, lower_middle_upper: tuple[int, int, int]
) -> None:
    volume, nothing = thorax(), np.zeros(SHAPE, dtype=np.bool_)
    right = nothing.copy()
    right[1 : 1 + slices, 0, 1] = True
    zones = measure(volume, masks_of(volume, right, nothing, nothing)).zones
    ml = [zone.lung_volume_ml / 0.25 for zone in (zones.right_lower, zones.right_middle, zones.right_upper)]
    assert ml == pytest.approx(lower_middle_upper)


@pytest.mark.parametrize(
    ("percent", "score"),
    [(0.0, 0), (0.01, 1), (24.99, 1), (25.0, 2), (49.99, 2), (50.0, 3), (74.99, 3), (75.0, 4), (100.0, 4)],
)
def test_zone_scores_change_at_the_quarters(percent: float, score: int) -> None:
    assert zone_score(percent) == score


@pytest.mark.parametrize(
    ("percent", "grade"),
    [(0.0, "CT-0"), (0.01, "CT-1"), (24.99, "CT-1"), (25.0, "CT-2"), (49.99, "CT-2"), (50.0, "CT-3"), (75.0, "CT-3"),
     (75.01, "CT-4"), (100.0, "CT-4")],
)  # fmt: skip
def test_extent_grades_change_as_published(percent: float, grade: str) -> None:
    assert extent_grade(percent) == grade


@pytest.mark.parametrize("worse", [RIGHT, LEFT])
def test_the_grade_is_that_of_the_worse_lung(worse: slice) -> None:
    found = measured(rows(worse, slice(0, 9), 6))
    assert found.whole.poi_percent == pytest.approx(30.0)
    assert (found.ct_extent_grade, found.ct_extent_basis) == ("CT-3", "worse_lung")


@pytest.mark.parametrize(
    ("floor", "grade", "score"),
    [
        (MeasureSettings(floor_percent=10.0, floor_ml=7.5), "CT-1", 3),  # exactly reached, in each zone too
        (MeasureSettings(floor_percent=10.1, floor_ml=0.0), "CT-0", 0),
        (MeasureSettings(floor_percent=0.0, floor_ml=22.6), "CT-0", 0),
        (MeasureSettings(floor_percent=0.0, floor_ml=7.6), "CT-1", 0),  # enough for the lung, too little for a zone
    ],
)
def test_infection_counts_only_when_it_reaches_both_floors(floor: MeasureSettings, grade: str, score: int) -> None:
    found = measured(rows(RIGHT, slice(0, 9), 1), floor)
    assert (found.ct_extent_grade, found.six_zone_score) == (grade, score)
    assert found.right.poi_percent == pytest.approx(10.0)
    assert found.whole.infection_volume_ml == pytest.approx(22.5)


any_lungs = st.tuples(
    arrays(np.int16, (5, 4, 6), elements=st.integers(-1024, 3071)),
    arrays(np.int8, (5, 4, 6), elements=st.integers(0, 2)),
    arrays(np.bool_, (5, 4, 6)),
)


@given(any_lungs)
def test_zones_add_up_to_their_lung_and_lungs_to_the_whole(parts: tuple[Any, Any, Any]) -> None:
    hu, sides, infection = parts
    volume = Volume(hu, np.eye(4), (3.3, 0.7, 0.7))
    found = measure(volume, masks_of(volume, sides == 1, sides == 2, infection))
    for side in ("right", "left"):
        zones = [getattr(found.zones, f"{side}_{third}") for third in ("upper", "middle", "lower")]
        lung = getattr(found, side)
        assert sum(zone.lung_volume_ml for zone in zones) == pytest.approx(lung.lung_volume_ml)
        assert sum(zone.infection_volume_ml for zone in zones) == pytest.approx(lung.infection_volume_ml)
        assert sum(zone.consolidation_ml for zone in zones) == pytest.approx(lung.consolidation_ml)
    assert found.left.lung_volume_ml + found.right.lung_volume_ml == pytest.approx(found.whole.lung_volume_ml)
    both = (found.left.infection_volume_ml or 0.0) + (found.right.infection_volume_ml or 0.0)
    assert both == pytest.approx(found.whole.infection_volume_ml)


@given(any_lungs)
def test_numbers_stay_in_their_ranges_and_are_never_nan(parts: tuple[Any, Any, Any]) -> None:
    hu, sides, infection = parts
    volume = Volume(hu, np.eye(4), (3.3, 0.7, 0.7))
    found = measure(volume, masks_of(volume, sides == 1, sides == 2, infection))
    json.dumps(found.to_document(), allow_nan=False)
    regions = [found.whole, found.left, found.right, *(getattr(found.zones, n) for n in type(found.zones).__slots__)]
    assert all(r.poi_percent is None or 0.0 <= r.poi_percent <= 100.0 for r in regions)
    assert all((r.consolidation_ml or 0.0) <= (r.infection_volume_ml or 0.0) for r in regions)
    assert all((r.ihu_hu is None) == (r.infection_volume_ml == 0.0) for r in regions)
    inside = hu[(sides > 0) & infection]
    assert found.whole.ihu_hu == (pytest.approx(float(inside.mean(dtype=np.float64))) if inside.size else None)


REGION = {
    "poi_percent", "ihu_hu", "lung_volume_ml", "infection_volume_ml", "high_opacity_percent", "consolidation_ml",
}  # fmt: skip


def test_the_document_has_exactly_the_fields_of_the_contract() -> None:
    document = measured(rows(RIGHT, slice(0, 9), 3)).to_document()
    assert set(document) == REGION | {
        "left", "right", "zones", "six_zone_score", "ct_extent_grade", "ct_extent_basis", "lung_width_mm",
        "fluid_ml", "poi_with_fluid_percent",
    }  # fmt: skip
    assert set(document["left"]) == set(document["right"]) == REGION
    assert set(document["zones"]) == {f"{s}_{t}" for s in ("right", "left") for t in ("upper", "middle", "lower")}
    assert all(set(zone) == REGION | {"score"} for zone in document["zones"].values())


def leaves(document: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in document.items():
        found |= leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


def test_withheld_keeps_the_size_of_the_lungs_and_nothing_that_rests_on_infection() -> None:
    found = measured(rows(RIGHT, slice(0, 9), 3))
    before, after = leaves(found.to_document()), leaves(withheld(found).to_document())
    assert set(before) == set(after)
    kept = {path: value for path, value in after.items() if value is not None}
    stays = ("lung_volume_ml", "lung_width_mm", "fluid_ml")
    assert kept == {path: value for path, value in before.items() if path.endswith(stays)}


def test_the_width_of_the_lungs_reaches_from_edge_to_edge_and_counts_no_specks() -> None:
    assert measured(np.zeros(SHAPE, dtype=np.bool_)).lung_width_mm == 21 * 5.0
    right, left = boxes()
    right[:, :, 1:11] = False
    right[4, 3:5, 0], right[:, :, 3:11] = True, True  # a speck of 0.5 ml at the edge
    volume = thorax()
    assert measure(volume, masks_of(volume, right, left, np.zeros(SHAPE, dtype=np.bool_))).lung_width_mm == 19 * 5.0
