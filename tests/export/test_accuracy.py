"""The default bundle against experts and against itself: first accuracy, the denominator, INT8 beside FP32."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from scanside_export.data.volumes import check_cases, parity_volumes, volume_of
from scanside_export.evaluation.evaluate import evaluate
from scanside_runtime.measures.biomarkers import measure
from scanside_runtime.metrics import dice
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import Networks, load_networks
from scanside_runtime.model.segment import segment
from scanside_runtime.model.selftest import run_selftest
from scanside_runtime.phantom.make import make_phantom, pleural_consolidation_spec
from scanside_runtime.volume import Volume


@pytest.fixture(scope="module")
def deployed() -> Networks:
    return load_networks(open_bundle(), choose_engine("auto", "auto", 0))


def test_experts_on_patients_that_training_never_saw_are_met_and_a_threshold_is_beaten(
    deployed: Networks, shared_data: Path
) -> None:
    scores = [score for score, _ in evaluate(check_cases(shared_data), deployed)]
    reached = np.mean([score.mean_dice for score in scores])
    baseline = np.mean([np.mean(score.baseline_dice) for score in scores])
    assert reached >= 0.60, scores
    assert reached > baseline + 0.05, scores
    assert all((score.lungs_dice or 0.0) >= 0.95 for score in scores), scores


def test_a_consolidation_of_30_percent_of_a_lung_stays_in_the_denominator(deployed: Networks) -> None:
    phantom = make_phantom(pleural_consolidation_spec(0.30))
    found = measure(phantom.volume(), segment(phantom.volume(), deployed))
    lung_ml, poi_percent = found.right.lung_volume_ml, found.whole.poi_percent or 0.0
    off_percent = 100.0 * (lung_ml / phantom.truth.right_lung_volume_ml - 1.0)
    sys.stdout.write(f"that lung {off_percent:+.1f} % off, POI {poi_percent - phantom.truth.poi_percent:+.2f} points\n")
    assert found.right.lung_volume_ml == pytest.approx(phantom.truth.right_lung_volume_ml, rel=0.05)
    assert found.whole.poi_percent == pytest.approx(phantom.truth.poi_percent, abs=2.0)


def test_int8_says_what_fp32_says_on_real_scans(deployed: Networks, shared_data: Path) -> None:
    exact = load_networks(open_bundle(), choose_engine("auto", "fp32", 0))
    lungs, infection, difference_points = [], [], []
    for volume in map(lower_part, parity_volumes(shared_data)):
        ours, theirs = segment(volume, deployed), segment(volume, exact)
        lungs.append(dice(ours.lungs, theirs.lungs))
        infection.append(dice(ours.infection.array, theirs.infection.array))
        poi = [measure(volume, masks).whole.poi_percent or 0.0 for masks in (ours, theirs)]
        difference_points.append(abs(poi[0] - poi[1]))
    assert min(lungs) >= 0.98, lungs
    assert np.mean(infection) >= 0.98, infection
    assert np.mean(difference_points) <= 0.3, difference_points


def lower_part(volume: Volume) -> Volume:
    """An eighth from the lower middle of a scan, where most of its lungs and its infection lie."""
    whole = len(volume.hu)
    return volume_of(volume.hu[3 * whole // 8 : whole // 2], volume.spacing_mm, volume.slice_thickness_mm)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_default_bundle_passes_its_self_test(engine: str, precision: str) -> None:
    bundle = open_bundle()
    bundle.verify()
    run_selftest(load_networks(bundle, choose_engine(engine, precision, 0)))
