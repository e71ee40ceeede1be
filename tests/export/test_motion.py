"""Motion: how it is simulated, what the guard makes of it, and a short form of the measurement."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scanside_export.data.cases import hu_volume
from scanside_export.data.motion import Motion, changed_ml, moved, random_motion
from scanside_export.data.motion_cases import MOVED, STILL, motion_case
from scanside_export.data.volumes import volume_of
from scanside_export.evaluation.motion_model import (
    Seen,
    area_under_curve,
    figures,
    fit,
    left_out_scores,
    seen,
    shipped_scores,
)
from scanside_runtime.model.components import close_in_plane, drop_small, fill_holes_in_plane
from scanside_runtime.phantom.make import Phantom, demo_spec, make_phantom
from scanside_runtime.quality.motion import check_motion, motion_probabilities, moved_slices
from scanside_runtime.quality.overview import make_overview
from scanside_runtime.settings.tables import MotionSettings
from scanside_runtime.volume import Hu, Masks, Volume

DEFAULT = MotionSettings()


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(replace(demo_spec(), matrix=192, increment_mm=10.0, stomach_gas=False))


def chest(phantom: Phantom, hu: Hu | None = None) -> tuple[Volume, Masks]:
    volume = replace(phantom.volume(), hu=np.array(phantom.hu if hu is None else hu))
    arrays = (phantom.right_lung, phantom.left_lung, phantom.infection)
    return volume, Masks(*(volume.with_mask(array) for array in arrays))


def in_motion(phantom: Phantom, slices: np.ndarray, kind: str = "respiratory") -> Hu:
    hu, rng = phantom.hu.copy(), np.random.default_rng(3)
    for k in slices:
        motion = random_motion(kind, rng)  # type: ignore[arg-type]
        hu[k] = moved(phantom.hu, phantom.lungs, phantom.spacing_mm, int(k), motion)
    return hu


# The simulation


@pytest.mark.parametrize("kind", ["respiratory", "cardiac"])
def test_who_does_not_move_is_seen_as_he_is(phantom: Phantom, kind: str) -> None:
    still = Motion(kind, 0.0, 30.0, 0.0)  # type: ignore[arg-type]
    np.testing.assert_array_equal(moved(phantom.hu, phantom.lungs, phantom.spacing_mm, 12, still), phantom.hu[12])


def test_breathing_changes_the_lung_and_more_the_further_it_goes(phantom: Phantom) -> None:
    changed = []
    for amplitude_mm in (2.0, 8.0, 16.0):
        motion = Motion("respiratory", amplitude_mm, 20.0, 0.0)
        after = moved(phantom.hu, phantom.lungs, phantom.spacing_mm, 11, motion)
        changed.append(changed_ml(phantom.hu[11], after, phantom.lungs[11], phantom.spacing_mm))
    assert changed == sorted(changed)
    assert changed[-1] > 5.0


def test_the_heart_moves_its_surroundings_and_not_the_ribs(phantom: Phantom) -> None:
    motion = Motion("cardiac", 8.0, 60.0, 0.0)
    change = np.abs(moved(phantom.hu, phantom.lungs, phantom.spacing_mm, 12, motion).astype(int) - phantom.hu[12])
    middle = slice(64, 128)
    assert change[middle, middle].mean() > 5 * change[:, :32].mean()


def test_a_patient_who_sits_elsewhere_all_the_time_is_simply_elsewhere(phantom: Phantom) -> None:
    """The same state in every view is no artefact: filtered backprojection gives back what was projected."""
    from scanside_export.data.motion import VIEWS, _backprojected, _Grid, _ramp_filtered

    still = phantom.hu[12].astype(np.float32)
    grid = _Grid.over(still.shape, phantom.spacing_mm)
    change = grid.onto(np.roll(still, 6, axis=1) - still)
    views = np.stack([grid.projected(change, 180.0 * view / VIEWS) for view in range(VIEWS)])
    back = _backprojected(grid, _ramp_filtered(views), 0.0)
    gain = float((back * change).sum() / (change * change).sum())
    assert gain == pytest.approx(1.0, abs=0.15)
    assert np.corrcoef(back.ravel(), change.ravel())[0, 1] > 0.9


def test_a_case_says_which_slices_moved_and_leaves_the_others_alone(phantom: Phantom) -> None:
    case = motion_case("phantom", phantom.hu, phantom.lungs, phantom.spacing_mm, "respiratory", seed=0)
    assert {STILL, MOVED} <= set(case.marks.tolist())
    for k in np.flatnonzero(case.marks == STILL):
        np.testing.assert_array_equal(case.hu[k], phantom.hu[k])
    for k in np.flatnonzero(case.marks == MOVED):
        assert (case.hu[k] != phantom.hu[k]).any()


# The guard


def test_a_sick_chest_that_held_still_is_no_motion(phantom: Phantom) -> None:
    volume, masks = chest(phantom)
    assert check_motion(make_overview(volume, masks), masks, DEFAULT) == ()


def mostly_sick(phantom: Phantom, share: float) -> tuple[Volume, Masks]:
    """The phantom with the back of its lungs consolidated but for aerated rests, so much of each slice."""
    hu, sick = phantom.hu.copy(), phantom.infection.copy()
    for k in np.flatnonzero(phantom.lungs.any(axis=(1, 2))):
        rows, columns = np.nonzero(phantom.lungs[k])
        dense = (rows >= np.quantile(rows, 1.0 - share)) & ((rows // 6 + columns // 6) % 4 > 0)
        hu[k, rows[dense], columns[dense]] = -250
        sick[k, rows[dense], columns[dense]] = True
    volume, masks = chest(phantom, hu)
    return volume, replace(masks, infection=volume.with_mask(sick))


@pytest.mark.parametrize("share", [0.3, 0.6, 0.85, 0.98])
def test_nobody_is_withheld_for_being_sick(phantom: Phantom, share: float) -> None:
    """Once three tenths of a slab are healthy at most, the darkest of what is left is no streak."""
    volume, masks = mostly_sick(phantom, share)
    assert 100 * masks.infection.volume_ml / float(masks.lungs.sum() * volume.voxel_ml) > 70 * share
    assert "withhold" not in [one.level for one in check_motion(make_overview(volume, masks), masks, DEFAULT)]


def test_motion_in_slices_that_disease_fills_is_a_caution_at_most(phantom: Phantom) -> None:
    """Moved and sick at once can't be told from sick alone."""
    volume, masks = mostly_sick(phantom, 0.98)
    hu, rng = np.array(volume.hu), np.random.default_rng(3)
    for k in np.flatnonzero(masks.lungs.any(axis=(1, 2)))[::3]:
        hu[k] = moved(volume.hu, masks.lungs, volume.spacing_mm, int(k), random_motion("respiratory", rng))
    findings = check_motion(make_overview(replace(volume, hu=hu), masks), masks, replace(DEFAULT, withhold_share=0.05))
    assert "withhold" not in [one.level for one in findings]


@pytest.fixture(scope="module")
def breathing(phantom: Phantom) -> tuple[Volume, Masks]:
    """The same chest, with every second infected slice moved."""
    infected = np.flatnonzero(phantom.infection.any(axis=(1, 2)))
    return chest(phantom, in_motion(phantom, infected[::2]))


def share_of_infected(breathing: tuple[Volume, Masks]) -> float:
    volume, masks = breathing
    infected = masks.infection.array.any(axis=(1, 2))
    moved_ones = moved_slices(make_overview(volume, masks), len(volume.hu), DEFAULT.moved_from)
    return float(moved_ones[infected].mean())


def test_motion_over_more_of_the_infected_slices_than_allowed_withholds(breathing: tuple[Volume, Masks]) -> None:
    share = share_of_infected(breathing)
    assert share > 0.2
    strict = replace(DEFAULT, withhold_share=share - 0.01)
    (finding,) = check_motion(make_overview(*breathing), breathing[1], strict)
    assert (finding.code, finding.level) == ("QUALITY_MOTION", "withhold")
    assert "from the head" in finding.message


def test_motion_over_no_more_than_allowed_is_a_caution_that_names_the_slices(
    breathing: tuple[Volume, Masks],
) -> None:
    lenient = replace(DEFAULT, withhold_share=share_of_infected(breathing), caution_share=0.1)
    (finding,) = check_motion(make_overview(*breathing), breathing[1], lenient)
    assert (finding.code, finding.level) == ("QUALITY_MOTION", "caution")
    assert "slices" in finding.message


def test_without_infection_motion_is_never_more_than_a_caution(breathing: tuple[Volume, Masks]) -> None:
    volume, masks = breathing
    healthy = replace(masks, infection=volume.with_mask(np.zeros(volume.hu.shape, dtype=np.bool_)))
    strict = replace(DEFAULT, withhold_share=0.0, caution_share=0.1)
    assert [one.level for one in check_motion(make_overview(volume, masks), healthy, strict)] == ["caution"]


def test_a_slab_with_hardly_any_lung_is_not_judged(phantom: Phantom) -> None:
    volume, masks = chest(phantom)
    probabilities = motion_probabilities(make_overview(volume, masks))
    assert np.isnan(probabilities[0])
    assert np.isfinite(probabilities).sum() > 15


# The measurement


def test_the_area_under_the_curve_is_the_chance_to_rank_right() -> None:
    moved_ones = np.array([False, False, True, True])
    assert area_under_curve(np.array([1.0, 2.0, 3.0, 4.0]), moved_ones) == 1.0
    assert area_under_curve(np.array([4.0, 3.0, 2.0, 1.0]), moved_ones) == 0.0
    assert area_under_curve(np.array([1.0, 1.0, 1.0, 1.0]), moved_ones) == 0.5


def drawn(series: str, seed: int) -> Seen:
    """Slabs whose first figure tells them apart, and two that tell nothing."""
    rng = np.random.default_rng(seed)
    marks = (np.arange(60) % 2).astype(np.int8)
    features = rng.normal(size=(60, 3))
    features[:, 0] += 3.0 * marks
    return Seen(series, "respiratory", features, marks, np.linspace(0.0, 1.0, 60))


def test_the_fit_finds_what_tells_slabs_apart() -> None:
    cases = [drawn("a", 1), drawn("b", 2), drawn("c", 3)]
    weights, _ = fit(cases)
    assert np.argmax(np.abs(weights)) == 0
    assert weights[0] > 0
    found = figures(cases, left_out_scores(cases), moved_from=0.5)
    assert found["all_auc"] > 0.95
    assert found["untouched_slabs"] == 90


def test_on_a_real_series_that_the_detector_never_saw_motion_stands_out(shared_data: Path) -> None:
    """The short form of `scanside-export motion measure`: some slabs of one series, lungs by a threshold."""
    hu, spacing_mm = hu_volume(shared_data / "ct" / "pyradiomics-lung2_5mm.npz")
    lungs = (hu < -400) & inside_the_body(hu)
    drop_small(lungs, 20000)
    after, rng = hu.copy(), np.random.default_rng(5)
    marks = np.zeros(len(hu), dtype=np.int8)
    for k in range(14, 46, 6):
        after[k] = moved(hu, lungs, spacing_mm, k, random_motion("respiratory", rng))
        marks[k] = MOVED
    volume = volume_of(after, spacing_mm)
    nothing = volume.with_mask(np.zeros(hu.shape, dtype=np.bool_))
    cases = [seen("lung2", "respiratory", volume, Masks(volume.with_mask(lungs), nothing, nothing), marks)]
    found = figures(cases, shipped_scores(cases), DEFAULT.moved_from)
    assert found["respiratory_moved_slabs"] == 6
    assert found["respiratory_auc"] >= 0.9
    assert found["false_alarm_percent"] <= 5.0


def inside_the_body(hu: Hu) -> np.ndarray:
    """What the tissue of each slab encloses, (z, y, x) bool."""
    return fill_holes_in_plane(close_in_plane(hu > -300, 3))
