"""The phantom: its truth holds together, its shapes stay in place, its patients are who they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanside_runtime.phantom.make import (
    Lesion,
    Phantom,
    PhantomSpec,
    Tumour,
    demo_spec,
    make_phantom,
    pleural_consolidation_spec,
    random_spec,
    slice_count,
)
from scanside_runtime.phantom.patients import DEMO_SEED, RANDOM_SQUARENESS

SMALL = PhantomSpec(seed=5, matrix=128, slice_thickness_mm=4.0, increment_mm=12.0, layer_mm=2.0, noise_hu=10.0)
GROUND_GLASS = Lesion("ground_glass", "right", 0.4, 60.0, 0.8, (35.0, 35.0, 35.0), -550.0)
CONSOLIDATION = Lesion("consolidation", "left", 0.3, 80.0, 0.8, (35.0, 30.0, 30.0), 30.0)


@pytest.fixture(scope="module")
def healthy() -> Phantom:
    return make_phantom(SMALL)


@pytest.fixture(scope="module")
def silent() -> Phantom:
    return make_phantom(replace(SMALL, noise_hu=0.0))


@pytest.fixture(scope="module")
def ill() -> Phantom:
    return make_phantom(replace(SMALL, lesions=(GROUND_GLASS, CONSOLIDATION)))


@pytest.fixture(scope="module")
def demo() -> Phantom:
    return make_phantom(replace(demo_spec(), matrix=128, layer_mm=2.0))


@pytest.fixture(scope="module")
def coarse(demo: Phantom) -> Phantom:
    return make_phantom(replace(demo.spec, matrix=64))


def test_same_spec_gives_the_same_bytes(ill: Phantom) -> None:
    again = make_phantom(ill.spec)
    for name in ("hu", "right_lung", "left_lung", "infection"):
        assert getattr(again, name).tobytes() == getattr(ill, name).tobytes()
    assert again.truth == ill.truth


def test_another_seed_is_another_patient(healthy: Phantom) -> None:
    other = make_phantom(replace(SMALL, seed=6))
    assert (other.lungs != healthy.lungs).any()


def test_arrays_are_read_only_and_of_one_shape(ill: Phantom) -> None:
    shape = (slice_count(ill.spec), 128, 128)
    for array in (ill.hu, ill.right_lung, ill.left_lung, ill.infection):
        assert array.shape == shape
        assert not array.flags.writeable
    assert ill.hu.dtype == np.int16


def test_left_and_right_add_up_to_the_whole(ill: Phantom) -> None:
    t = ill.truth
    assert t.lung_volume_ml == pytest.approx(t.right_lung_volume_ml + t.left_lung_volume_ml)
    assert t.infection_volume_ml == pytest.approx(t.right_infection_volume_ml + t.left_infection_volume_ml)
    assert not (ill.right_lung & ill.left_lung).any()


def test_truth_is_what_the_labels_say(ill: Phantom) -> None:
    voxel_ml = np.prod(ill.spacing_mm) / 1000.0
    assert ill.truth.lung_volume_ml == pytest.approx(ill.lungs.sum() * voxel_ml)
    assert ill.truth.poi_percent == pytest.approx(100.0 * ill.infection.sum() / ill.lungs.sum())


def test_mean_of_the_noisy_image_in_the_infection_is_close_to_the_true_ihu(ill: Phantom) -> None:
    assert ill.truth.ihu_hu is not None
    assert float(ill.hu[ill.infection].mean()) == pytest.approx(ill.truth.ihu_hu, abs=3.0)


def test_infection_lies_in_the_lungs_on_the_side_it_was_put(ill: Phantom) -> None:
    assert not (ill.infection & ~ill.lungs).any()
    right_only = make_phantom(replace(SMALL, lesions=(GROUND_GLASS,)))
    assert right_only.truth.right_infection_volume_ml > 50.0
    assert right_only.truth.left_infection_volume_ml == 0.0
    assert right_only.truth.left_ihu_hu is None


def test_healthy_patient_has_no_infection_and_no_ihu(healthy: Phantom) -> None:
    assert healthy.truth.poi_percent == 0.0
    assert healthy.truth.ihu_hu is None
    assert not healthy.infection.any()


def test_infection_changes_no_lung_label(healthy: Phantom, ill: Phantom) -> None:
    assert np.array_equal(healthy.lungs, ill.lungs)


def test_consolidation_is_denser_than_ground_glass(ill: Phantom) -> None:
    assert ill.truth.right_ihu_hu is not None and ill.truth.left_ihu_hu is not None
    assert -650.0 < ill.truth.right_ihu_hu < -400.0
    assert -120.0 < ill.truth.left_ihu_hu < 60.0


def test_lungs_have_the_volume_and_density_of_a_breath_held_in(healthy: Phantom) -> None:
    assert 2500.0 < healthy.truth.lung_volume_ml < 6000.0
    assert healthy.truth.right_lung_volume_ml > healthy.truth.left_lung_volume_ml
    assert -880.0 < float(healthy.hu[healthy.lungs].mean()) < -720.0


def test_right_lung_lies_at_low_x_and_spine_at_high_y(healthy: Phantom) -> None:
    assert np.nonzero(healthy.right_lung)[2].max() < np.nonzero(healthy.left_lung)[2].min() + 2
    middle = healthy.hu[:, :, 60:68]
    assert np.nonzero(middle > 350)[1].mean() > 74


def test_lungs_are_complete_in_the_scan(healthy: Phantom) -> None:
    held = np.flatnonzero(healthy.lungs.any(axis=(1, 2)))
    assert held[0] >= 1
    assert held[-1] <= len(healthy.hu) - 2


def test_trachea_is_no_lung(healthy: Phantom) -> None:
    top = round((0.9 * SMALL.lung_height_mm - SMALL.first_centre_mm) / SMALL.increment_mm)
    middle = (slice(50, 80), slice(58, 68))
    air = healthy.hu[top][middle] < -850
    assert air.sum() > 12
    assert not (air & healthy.lungs[top][middle]).any()


@pytest.mark.parametrize("slice_thickness_mm", [1.5, 10.0])
def test_volumes_and_poi_do_not_hang_on_the_slice_thickness(coarse: Phantom, slice_thickness_mm: float) -> None:
    other = make_phantom(replace(coarse.spec, slice_thickness_mm=slice_thickness_mm, increment_mm=slice_thickness_mm))
    assert coarse.spec.slice_thickness_mm == coarse.spec.increment_mm == 5.0
    assert other.truth.lung_volume_ml == pytest.approx(coarse.truth.lung_volume_ml, rel=0.01)
    assert other.truth.poi_percent == pytest.approx(coarse.truth.poi_percent, abs=0.25)


def test_volumes_do_not_hang_on_the_matrix(demo: Phantom, coarse: Phantom) -> None:
    assert coarse.truth.lung_volume_ml == pytest.approx(demo.truth.lung_volume_ml, rel=0.01)


def test_noise_is_as_loud_as_asked(healthy: Phantom, silent: Phantom) -> None:
    difference = healthy.hu.astype(np.float32) - silent.hu
    soft = silent.hu > -700  # where the lower limit of HU cuts nothing
    assert float(difference[soft].std()) == pytest.approx(SMALL.noise_hu, rel=0.05)


def test_fluid_and_tumour_take_room_from_the_lung_and_are_no_infection(healthy: Phantom) -> None:
    spec = replace(SMALL, effusion_right_mm=30.0, tumours=(Tumour("left", 0.6, 10.0, 1.0, 30.0),))
    crowded = make_phantom(spec)
    assert crowded.truth.right_lung_volume_ml < healthy.truth.right_lung_volume_ml - 100.0
    assert crowded.truth.left_lung_volume_ml < healthy.truth.left_lung_volume_ml - 30.0
    assert crowded.truth.infection_volume_ml == 0.0
    lost = healthy.lungs & ~crowded.lungs
    assert -120.0 < float(np.median(crowded.hu[lost])) < 60.0


def test_a_meal_changes_the_stomach_alone_and_lies_between_fat_and_soft_tissue_with_gas_in_it(silent: Phantom) -> None:
    fed = make_phantom(replace(silent.spec, stomach_food=True))
    assert np.array_equal(fed.lungs, silent.lungs)
    meal = fed.hu[(fed.hu != silent.hu) & (silent.hu > 0)]
    assert np.argwhere(fed.hu != silent.hu)[:, 2].min() > SMALL.matrix // 2  # the patient's left
    assert -100.0 < float(np.median(meal)) < 60.0
    assert float(np.std(meal)) > 40.0
    assert (meal < -200).any()


def test_volume_carries_hu_spacing_and_place(demo: Phantom) -> None:
    volume = demo.volume()
    assert np.array_equal(volume.hu, demo.hu)
    assert volume.spacing_mm == (5.0, 360.0 / 128, 360.0 / 128)
    assert volume.slice_thickness_mm == 5.0
    x, y, z, _ = volume.affine @ [127, 127, 10, 1]
    assert (x, y) == pytest.approx((180.0 - 180.0 / 128, 180.0 - 180.0 / 128))
    assert z == pytest.approx(demo.spec.first_centre_mm + 50.0)


def test_demo_has_about_a_fifth_of_both_lungs_infected(demo: Phantom) -> None:
    assert 15.0 < demo.truth.poi_percent < 30.0
    assert demo.truth.right_poi_percent > 5.0
    assert demo.truth.left_poi_percent > 5.0
    assert demo_spec().matrix == 512
    assert 55 <= slice_count(demo_spec()) <= 65


@pytest.mark.parametrize("fraction", [0.15, 0.45])
def test_pleural_consolidation_makes_its_share_of_the_right_lung(fraction: float) -> None:
    spec = replace(pleural_consolidation_spec(fraction), matrix=128, slice_thickness_mm=2.5, layer_mm=2.5)
    truth = make_phantom(spec).truth
    assert truth.right_poi_percent == pytest.approx(100.0 * fraction, abs=1.0)
    assert truth.left_poi_percent == 0.0


@pytest.mark.parametrize("fraction", [0.0, -0.1, 0.7])
def test_a_share_that_no_base_can_hold_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        pleural_consolidation_spec(fraction)


@settings(max_examples=200)
@given(st.integers(0, DEMO_SEED - 1))
def test_random_patients_are_never_the_demos(seed: int) -> None:
    spec = random_spec(seed)
    assert spec.seed != demo_spec().seed
    assert spec.chest_squareness >= RANDOM_SQUARENESS[0] > demo_spec().chest_squareness


@pytest.mark.parametrize("seed", [DEMO_SEED, -1])
def test_the_demos_seed_and_negative_ones_are_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        random_spec(seed)


def test_random_patients_vary_and_repeat() -> None:
    specs = [random_spec(seed) for seed in range(60)]
    assert specs == [random_spec(seed) for seed in range(60)]
    assert {len(spec.lesions) for spec in specs} >= {0, 1, 12}
    assert {lesion.kind for spec in specs for lesion in spec.lesions} == {
        "ground_glass",
        "consolidation",
        "crazy_paving",
    }
    assert any(spec.tumours for spec in specs)
    assert any(spec.effusion_right_mm for spec in specs)
    assert {spec.arms for spec in specs} == {True, False}


@pytest.mark.parametrize("seed", range(4))
def test_random_patients_can_be_scanned_and_have_two_lungs(seed: int) -> None:
    spec = replace(random_spec(seed, slice_thickness_mm=12.0, matrix=96), slice_thickness_mm=4.0, layer_mm=2.0)
    phantom = make_phantom(spec)
    assert phantom.truth.right_lung_volume_ml > 250.0
    assert phantom.truth.left_lung_volume_ml > 250.0
    assert not (phantom.infection & ~phantom.lungs).any()
    assert 0.0 <= phantom.truth.poi_percent < 95.0
