"""Fluid is set apart and said in ml; dense lung, and whatever leaves a doubt, is counted as it was drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.analysis_samples import SPACING_MM, chest_hu, chest_series
from scanside_runtime.measures.biomarkers import Biomarkers, measure, withheld
from scanside_runtime.measures.severity import assess_extent
from scanside_runtime.quality.effusion import set_fluid_apart
from scanside_runtime.quality.gate import judge
from scanside_runtime.quality.noise import without_noise
from scanside_runtime.quality.orientation import check_orientation
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.settings.tables import MissingLungSettings, Settings
from scanside_runtime.volume import Hu, Masks, Volume

DEFAULT = Settings()
LAYER = np.zeros(chest_hu().shape, np.bool_)
LAYER[2:8, 20:32, 4:19] = True  # the back of the right lung, over most of its height
NOISE = np.random.default_rng(5).normal(0.0, 6.0, LAYER.shape)

Chest = tuple[Volume, Masks]


def chest(layer_hu: float | np.ndarray, everywhere_hu: int = 0) -> Chest:
    """Healthy lungs with a layer of some HU behind the right one, which the networks took for infected lung."""
    hu = chest_hu()
    hu[3:7, 24:31, 28:39] = -850
    hu = np.where(LAYER, layer_hu + NOISE, hu) + everywhere_hu
    right, left = np.zeros(hu.shape, np.bool_), np.zeros(hu.shape, np.bool_)
    right[2:12, 8:32, 4:19] = True
    left[2:12, 8:32, 26:41] = True
    dz, dy, dx = SPACING_MM
    rounded: Hu = np.rint(hu).astype(np.int16)
    volume = Volume(rounded, np.diag([dx, dy, dz, 1.0]), SPACING_MM)
    bounds = (0.9 * LAYER.sum() * volume.voxel_ml, 1.1 * LAYER.sum() * volume.voxel_ml)
    return volume, Masks(volume.with_mask(right), volume.with_mask(left), volume.with_mask(LAYER), bounds)


def without_fluid(case: Chest, limits: MissingLungSettings = DEFAULT.missing_lung) -> Masks:
    volume, masks = case
    return set_fluid_apart(volume, masks, make_overview(volume, masks), limits)


def measured(case: Chest) -> Biomarkers:
    return measure(case[0], without_fluid(case))


@pytest.mark.parametrize("hu", [2, 12, 20])
def test_fluid_behind_a_lung_is_neither_lung_nor_infection_and_told_in_ml(hu: int) -> None:
    volume, masks = chest(hu)
    apart = without_fluid((volume, masks))
    assert apart.fluid is not None
    layer_ml = LAYER.sum() * volume.voxel_ml
    assert apart.fluid.volume_ml == pytest.approx(layer_ml, rel=0.02)
    assert apart.fluid.left.voxels == 0
    assert apart.infection.volume_ml < 0.02 * layer_ml
    assert apart.right_lung.volume_ml == pytest.approx(masks.right_lung.volume_ml - apart.fluid.volume_ml)
    assert apart.infection_bounds_ml is not None
    assert apart.infection_bounds_ml[1] < 0.2 * layer_ml
    np.testing.assert_array_equal(apart.left_lung.array, masks.left_lung.array)


TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "HFS": lambda array: array,
    "FFP": lambda array: array[:, ::-1],
    "HFDL": lambda array: array.swapaxes(1, 2),
    "HFDR": lambda array: array.swapaxes(1, 2)[:, :, ::-1],
}


def lying(drawn: str, position: str | None) -> Chest:
    """The chest with a layer where it lies in one position, in a scan whose header says another."""
    volume, masks = chest(12)
    turn = TURNS[drawn]
    dz, dy, dx = SPACING_MM
    spacing_mm = (dz, dx, dy) if "D" in drawn else SPACING_MM
    affine = np.diag([spacing_mm[2], spacing_mm[1], dz, 1.0])
    turned = Volume(np.ascontiguousarray(turn(volume.hu)), affine, spacing_mm, position=position)
    arrays = (turn(mask.array) for mask in (masks.right_lung, masks.left_lung, masks.infection))
    return turned, Masks(*(turned.with_mask(np.ascontiguousarray(array)) for array in arrays))


@pytest.mark.parametrize(("drawn", "opposite"), [("HFS", "HFP"), ("FFP", "FFS"), ("HFDL", "HFDR"), ("HFDR", "FFDL")])
def test_fluid_is_what_the_position_of_the_patient_lets_sink_and_the_same_above_stays_lung(
    drawn: str, opposite: str
) -> None:
    volume, masks = lying(drawn, drawn)
    apart = without_fluid((volume, masks))
    assert apart.fluid is not None
    assert apart.fluid.volume_ml == pytest.approx(masks.infection.volume_ml, rel=0.02)
    against = lying(drawn, opposite)
    assert without_fluid(against) is against[1]


@pytest.mark.parametrize("position", [None, "", "P", "hfs", "HFX"])
def test_where_the_header_says_nothing_known_the_patient_lies_on_the_back(position: str | None) -> None:
    assert without_fluid(lying("HFS", position)).fluid is not None


def test_the_position_of_a_series_reaches_the_volume_and_a_part_of_it(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path, orientation="HFP")
    assert volume.position == volume.part((slice(0, 4), slice(None), slice(None))).position == "HFP"


def test_the_finding_says_how_much_it_is_and_what_poi_would_be_as_consolidation() -> None:
    volume, masks = chest(12)
    apart = without_fluid((volume, masks))
    (finding,) = (one for one in judge(volume, apart, None, DEFAULT) if one.code == "QUALITY_POSSIBLE_EFFUSION")
    before, after = measure(volume, masks).whole.poi_percent, measure(volume, apart)
    assert before is not None and after.fluid_ml
    assert f"{after.fluid_ml:.0f} ml" in finding.message
    assert f"POI would be {before:.1f} %" in finding.message
    assert after.poi_with_fluid_percent == pytest.approx(before, abs=0.3)


def in_noise(layer_hu: float, noise_hu: float = 18.0) -> Chest:
    """The chest in noise that leaves no piece of one density."""
    volume, masks = chest(layer_hu)
    hu = volume.hu + np.random.default_rng(8).normal(0.0, noise_hu, volume.hu.shape)
    return replace(volume, hu=np.rint(hu).astype(np.int16)), masks


@pytest.mark.parametrize(("layer_hu", "said"), [(8, True), (18, True), (50, False), (-60, False)])
def test_fluid_that_noise_hides_is_counted_as_it_was_drawn_and_said(layer_hu: float, said: bool) -> None:
    volume, masks = in_noise(layer_hu)
    assert without_fluid((volume, masks)) is masks
    found = [one for one in judge(volume, masks, None, DEFAULT) if one.code == "QUALITY_POSSIBLE_EFFUSION"]
    assert bool(found) == said
    if said:
        assert found[0].values["outlined_ml"] > 0.5 * masks.infection.volume_ml


def test_a_scan_without_noise_is_left_as_it_is_and_one_that_is_all_noise_too() -> None:
    for case in (chest(12), in_noise(12, 120.0)):
        overview = make_overview(*case)
        assert without_noise(overview, overview.lungs) is overview.smooth


def test_noise_is_averaged_away_in_the_tissue_that_is_asked_about_and_nowhere_else() -> None:
    overview = make_overview(*in_noise(12))
    place = overview.dependent & overview.lungs
    quiet, layer = without_noise(overview, place), (slice(2, 6), slice(38, 54), slice(14, 43))
    assert place[layer].all()
    assert quiet[layer].std() < 0.6 * overview.smooth[layer].std()
    assert quiet[layer].mean() == pytest.approx(12.0, abs=2.0)
    np.testing.assert_array_equal(quiet[~place], overview.smooth[~place])


def with_bronchi() -> Chest:
    layer = np.full(LAYER.shape, 12.0)
    layer[2:8, 22:31:3, 6:18:4] = -700.0
    return chest(layer)


def patchy() -> Chest:
    return chest(15.0 + 12.0 * np.sin(np.arange(LAYER.shape[2]) / 2.0))


def mostly_dense() -> Chest:
    """An even patch of fluid's density in a large consolidation."""
    layer = np.full(LAYER.shape, 55.0)
    layer[3:5, 26:31, 6:13] = 12.0
    return chest(layer)


def lowest_part() -> Chest:
    """An even consolidation of most of a lung; behind it, but for the two lowest slices, lies aerated lung."""
    volume, masks = chest(8)
    ill = np.zeros_like(LAYER)
    ill[2:12, 8:28, 4:19] = ill[2:4, 28:32, 4:19] = True
    hu = np.where(masks.right_lung.array & ~ill, -850, volume.hu)
    hu[ill] = np.rint(8.0 + np.random.default_rng(6).normal(0.0, 6.0, np.count_nonzero(ill)))
    return replace(volume, hu=hu.astype(np.int16)), replace(masks, infection=volume.with_mask(ill))


@pytest.mark.parametrize(
    "case",
    [
        lambda: chest(35),
        lambda: chest(45),
        lambda: chest(-60),
        lambda: chest(36, everywhere_hu=-18),
        with_bronchi,
        patchy,
        mostly_dense,
        lowest_part,
    ],
    ids=["30s", "muscle", "fat", "all too low", "bronchi", "patchy", "mostly dense", "lowest part"],
)
def test_what_may_be_dense_lung_is_counted_as_it_was_drawn(case: Callable[[], Chest]) -> None:
    volume, masks = case()
    assert without_fluid((volume, masks)) is masks


def test_less_fluid_than_the_setting_stays_as_it_was_drawn() -> None:
    volume, masks = chest(12)
    assert without_fluid((volume, masks), MissingLungSettings(fluid_taken_ml=9000.0)) is masks


def test_dense_lung_in_front_of_fluid_stays_lung_and_infected() -> None:
    layer = np.full(LAYER.shape, 12.0)
    layer[:, 20:24] = 60.0
    volume, masks = chest(layer)
    apart = without_fluid((volume, masks))
    assert apart.fluid is not None
    front = LAYER & (np.indices(LAYER.shape)[1] < 23)
    for mask in (apart.infection, apart.right_lung):
        assert mask.array[front].mean() > 0.9


def test_a_study_without_fluid_says_none_and_no_internal_figure_reaches_the_document() -> None:
    dry, wet = measured(chest(45)).to_document(), measured(chest(12)).to_document()
    assert (dry["fluid_ml"], dry["poi_with_fluid_percent"]) == (0.0, None)
    assert wet["fluid_ml"] > 100.0 and wet["poi_with_fluid_percent"] > wet["poi_percent"]
    assert "worse_lung_with_fluid_percent" not in wet
    kept = withheld(measured(chest(12)))
    assert kept.fluid_ml and kept.poi_with_fluid_percent is None


def test_fluid_raises_no_flag_and_where_it_would_the_severity_says_so() -> None:
    wet = measured(chest(6))
    found = assess_extent(wet)
    assert found.flag == "none"
    assert found.why is not None and f"{wet.worse_lung_with_fluid_percent:.1f} %, CT-2" in found.why
    assert assess_extent(replace(wet, worse_lung_with_fluid_percent=20.0)).why is None


@pytest.mark.parametrize("hu", [15, 20])
def test_what_may_be_an_even_consolidation_raises_no_grade_but_keeps_the_graver_flag_and_says_why(hu: int) -> None:
    wet = measured(chest(hu))
    found = assess_extent(wet)
    assert (wet.ct_extent_grade, found.flag) == ("CT-0", "watch")
    assert wet.fluid_hu == pytest.approx(hu, abs=2.0)
    assert found.why is not None and f"{wet.fluid_hu:.0f} HU may be consolidation" in found.why
    edge = replace(wet, worse_lung_with_fluid_percent=24.9)
    assert (assess_extent(edge).flag, assess_extent(edge, error_points=1.3).flag) == ("none", "watch")


def test_a_sick_lung_keeps_its_own_grade_beside_fluid() -> None:
    wet = replace(measured(chest(6)), worse_lung_percent=24.9)
    assert assess_extent(wet, error_points=1.3).flag == "watch"


def test_fluid_on_one_side_does_not_make_the_chest_look_mirrored() -> None:
    volume, masks = chest(12)
    hu = volume.hu.copy()
    hu[2:12, 30:36, 20:25] = 400  # the spine, midway between the lungs
    volume = replace(volume, hu=hu)
    apart = without_fluid((volume, masks))
    assert apart.fluid is not None
    dry = check_orientation(make_overview(volume, masks), masks, cut=False)
    assert check_orientation(make_overview(volume, apart), apart, cut=False) == dry == ()
    forgotten = replace(apart, fluid=None)
    assert check_orientation(make_overview(volume, forgotten), forgotten, cut=False) != ()
