"""Guards after the masks: no lungs is no chest, and lungs that are cut off are said to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from scanside_runtime.dicom.errors import SeriesNotChest
from scanside_runtime.quality.anatomy import require_lungs
from scanside_runtime.quality.coverage import check_coverage
from scanside_runtime.quality.gate import explain_withheld
from scanside_runtime.quality.overview import hull
from scanside_runtime.settings.tables import AnatomySettings, CoverageSettings
from scanside_runtime.volume import Masks, Volume

DEFAULT = CoverageSettings()
GAS_HU = AnatomySettings().gas_hu


def lungs_with_areas(*areas: int) -> tuple[Volume, Masks]:
    """A volume of 1 ml voxels; in each slice the left lung has that many of them, the right one none."""
    hu = np.zeros((len(areas), 1, max(areas) + 1), np.int16)
    volume = Volume(hu, np.eye(4), (10.0, 10.0, 10.0))
    left = np.zeros(hu.shape, bool)
    for z, area in enumerate(areas):
        left[z, 0, :area] = True
    nothing = np.zeros(hu.shape, bool)
    return volume, Masks(volume.with_mask(nothing), volume.with_mask(left), volume.with_mask(nothing))


def levels(*areas: int, settings: CoverageSettings = DEFAULT) -> dict[str, str]:
    return {finding.code: finding.level for finding in check_coverage(*lungs_with_areas(*areas), settings, GAS_HU)}


def test_lungs_that_end_within_the_series_are_whole() -> None:
    assert levels(0, 50, 100, 40, 0) == {}


@pytest.mark.parametrize(("area", "level"), [(1, "caution"), (10, "caution"), (11, "withhold"), (100, "withhold")])
def test_lungs_in_the_first_slice_are_cut_at_the_base(area: int, level: str) -> None:
    assert levels(area, 100, 0) == {"COVERAGE_BASE_CUT": level}


@pytest.mark.parametrize(("area", "level"), [(1, "caution"), (10, "caution"), (11, "withhold"), (100, "withhold")])
def test_lungs_in_the_last_slice_are_cut_at_the_apex(area: int, level: str) -> None:
    assert levels(0, 100, area) == {"COVERAGE_APEX_CUT": level}


def test_both_ends_can_be_cut_each_with_its_own_level() -> None:
    assert levels(60, 100, 3) == {"COVERAGE_BASE_CUT": "withhold", "COVERAGE_APEX_CUT": "caution"}


def test_the_share_is_a_setting() -> None:
    assert levels(40, 100, 0, settings=CoverageSettings(withhold_share=0.5)) == {"COVERAGE_BASE_CUT": "caution"}
    assert levels(1, 100, 0, settings=CoverageSettings(withhold_share=0.0)) == {"COVERAGE_BASE_CUT": "withhold"}


def test_a_message_says_which_slice_and_how_much() -> None:
    (finding,) = check_coverage(*lungs_with_areas(25, 100, 0), DEFAULT, GAS_HU)
    assert "lowest slice" in finding.message
    assert "25 %" in finding.message


def test_less_than_a_hundredth_of_the_largest_area_is_no_cut() -> None:
    assert levels(1, 101, 1) == {}
    assert levels(1, 101, 0, settings=CoverageSettings(caution_share=0.005)) == {"COVERAGE_BASE_CUT": "caution"}


@pytest.mark.parametrize(("gas", "level"), [(3, "caution"), (10, "caution"), (11, "withhold")])
def test_gas_of_the_gut_in_the_lowest_slice_is_no_cut_base_and_is_named(gas: int, level: str) -> None:
    volume, masks = lungs_with_areas(gas, 100, 0)
    hu = np.where(masks.lungs, -850, 40).astype(np.int16)
    hu[0][masks.lungs[0]] = -1000
    (finding,) = check_coverage(Volume(hu, np.eye(4), volume.spacing_mm), masks, DEFAULT, GAS_HU)
    assert (finding.code, finding.level) == ("COVERAGE_GUT_GAS", level)
    assert "cut off" not in finding.message


def test_lung_beside_gas_in_the_lowest_slice_is_still_cut_off() -> None:
    volume, masks = lungs_with_areas(30, 100, 0)
    left = masks.left_lung.array.copy()
    left[0, 0, 20] = False  # ten voxels of gas apart
    hu = np.where(left, -850, 40).astype(np.int16)
    hu[0, 0, 21:30] = -1000
    apart = Masks(volume.with_mask(~left & False), volume.with_mask(left), volume.with_mask(~left & False))
    found = check_coverage(Volume(hu, np.eye(4), volume.spacing_mm), apart, DEFAULT, GAS_HU)
    assert {one.code: one.level for one in found} == {"COVERAGE_BASE_CUT": "withhold", "COVERAGE_GUT_GAS": "caution"}


def test_gas_in_the_highest_slice_may_be_a_bulla_and_is_a_cut_apex() -> None:
    volume, masks = lungs_with_areas(0, 100, 20)
    hu = np.where(masks.lungs, -1000, 40).astype(np.int16)
    (finding,) = check_coverage(Volume(hu, np.eye(4), volume.spacing_mm), masks, DEFAULT, GAS_HU)
    assert (finding.code, finding.level) == ("COVERAGE_APEX_CUT", "withhold")


@pytest.mark.parametrize("code", ["COVERAGE_BASE_CUT", "COVERAGE_APEX_CUT"])
def test_what_is_withheld_comes_with_advice(code: str) -> None:
    assert "Scan again" in explain_withheld(code)


def test_too_little_lung_is_no_chest() -> None:
    with pytest.raises(SeriesNotChest) as caught:
        require_lungs(lungs_with_areas(0, 300, 99)[1], DEFAULT)
    assert (caught.value.code, caught.value.exit_code) == ("SERIES_NOT_CHEST", 3)
    assert "399 ml" in caught.value.message


def test_no_lung_at_all_is_no_chest() -> None:
    with pytest.raises(SeriesNotChest):
        require_lungs(lungs_with_areas(0, 0, 0)[1], DEFAULT)


def test_enough_lung_passes() -> None:
    require_lungs(lungs_with_areas(0, 300, 100)[1], DEFAULT)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5])
def test_the_hull_is_that_of_all_pixels_not_only_of_the_ends_of_rows_it_is_made_of(share: float) -> None:
    for seed in range(20):
        lung = np.random.default_rng(seed).random((40, 57)) < share
        whole = np.zeros(lung.shape, np.uint8)
        if lung.any():
            cv2.fillConvexPoly(whole, cv2.convexHull(np.argwhere(lung)[:, ::-1].astype(np.int32)), 1)
        np.testing.assert_array_equal(hull(lung), whole > 0)
