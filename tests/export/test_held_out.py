"""Held-out patients with disease drawn in: scored where it is known, through a bundle of networks made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.bundle_samples import write_bundle
from kit.export_samples import phantom_case
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case
from scanside_export.data.prepare import BACKGROUNDS, near_healthy
from scanside_export.evaluation.evaluate import Plane
from scanside_export.evaluation.held_out import (
    PATIENTS,
    HeldOutScore,
    HeldOutScores,
    score_held_out,
    with_consolidation,
    with_lesions,
)
from scanside_export.evaluation.held_out_table import held_out_document, held_out_table
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks


@pytest.fixture(scope="module")
def clean() -> Case:
    """A phantom without its own infection."""
    case = phantom_case(9, source="real")
    hu = case.hu.copy()
    hu[case.infection[0]] = -850
    return replace(case, name="someone_clean", hu=hu, infection=(np.zeros(hu.shape, np.bool_),))


def test_lesions_lie_in_known_lungs_only_and_differ_from_draw_to_draw(clean: Case) -> None:
    lungs = np.where(clean.lungs == LEFT, UNKNOWN, clean.lungs).astype(np.uint8)
    one, other = (with_lesions(replace(clean, lungs=lungs), variant, 2) for variant in (0, 1))
    assert one.infection[0].any()
    assert not one.infection[0][clean.lungs != RIGHT].any()
    assert (one.hu != other.hu).any()


def test_a_consolidation_fills_a_good_part_of_the_one_lung_that_is_scored(clean: Case) -> None:
    sick = with_consolidation(clean)
    share = sick.infection[0].sum() / (clean.lungs == RIGHT).sum()
    assert 0.25 < share < 0.55
    assert not (sick.lungs == LEFT).any()
    assert (sick.lungs[clean.lungs == LEFT] == UNKNOWN).all()


def test_what_is_not_known_counts_nowhere(clean: Case, tmp_path: Path) -> None:
    write_bundle(tmp_path)
    networks = load_networks(open_bundle(tmp_path), choose_engine("auto", "auto", 1))
    both = score_held_out(with_lesions(clean, 0, 1), None, networks)[0]
    lungs = clean.lungs.copy()
    lungs[:, :, lungs.shape[2] // 2 :] = UNKNOWN
    half = score_held_out(replace(with_lesions(clean, 0, 1), lungs=lungs), None, networks)[0]
    assert both.slab_mm == half.slab_mm == 10.0
    assert both.lungs_dice > 0.8
    assert half.true_poi_percent != both.true_poi_percent
    assert score_held_out(clean, 20.0, networks)[0].slab_mm == 20.0


def test_what_was_drawn_is_the_truth_in_slabs_of_any_thickness(clean: Case, tmp_path: Path) -> None:
    write_bundle(tmp_path)
    networks = load_networks(open_bundle(tmp_path), choose_engine("auto", "auto", 1))
    slices = len(clean.hu) // 2 * 2
    whole = replace(clean, hu=clean.hu[:slices], lungs=clean.lungs[:slices], infection=(clean.infection[0][:slices],))
    sick = with_lesions(whole, 1, 2)
    thin, thick = (score_held_out(sick, slab_mm, networks)[0] for slab_mm in (10.0, 20.0))
    assert thin.true_poi_percent == thick.true_poi_percent > 0.0
    assert thin.slab_mm < thick.slab_mm


def row(slab_mm: float, dice: float, poi: float, true: float, volume: float) -> HeldOutScore:
    return HeldOutScore("someone", slab_mm, dice, poi, true, 0.97, volume)


def test_the_document_holds_means_worst_ones_and_signed_errors() -> None:
    lesions = (row(5.0, 0.9, 12.0, 10.0, 0.0), row(5.0, 0.8, 9.0, 10.0, 0.0), row(10.0, 0.7, 5.0, 5.0, 0.0))
    scores = HeldOutScores((row(2.5, 1.0, 0.4, 0.0, 0.0),), lesions, (row(5.0, 1, 1, 1, -4.0), row(10.0, 1, 1, 1, 3.0)))
    found = held_out_document(scores)
    thick = found["lesions"][0]
    assert (thick["slab_mm"], thick["n"], thick["dice_min"]) == (5, 2, 0.8)
    assert thick["dice_mean"] == pytest.approx(0.85)
    assert (thick["poi_bias_points"], thick["poi_absolute_error_points"]) == (0.5, 1.5)
    assert found["near_healthy"]["poi_percent_max"] == 0.4
    assert found["consolidation"]["lung_volume_error_percent_worst"] == -4.0
    text = held_out_table(found)
    assert "| the same: POI error in points, bias and absolute | +0.50, 1.50 |" in text
    assert "-4.0" in text


def test_the_worst_series_are_of_different_patients_whose_pictures_may_be_shown() -> None:
    names = ("lidc-idri-0002_2.5mm_0", "lidc-idri-0002_2.5mm_1", "pyradiomics-lung2_5mm_0", "tcga-thca-de-a4ma_2.5mm_1")
    scores = tuple(replace(row(5.0, 0.1 * n, 1, 1, 0), name=name) for n, name in enumerate(names, start=1))
    plane = Plane(np.zeros((2, 2), np.int16), np.zeros((2, 2), np.bool_), np.zeros((2, 2), np.bool_))
    found = HeldOutScores((), scores, (), (plane,) * 4).worst(3)
    assert [score.name for score, _ in found] == [names[0], names[3]]


def test_the_sick_lung_of_a_patient_is_marked_as_not_known(shared_data: Path) -> None:
    patient = next(one for one in PATIENTS if one.path == "pyradiomics-lung2_5mm.npz")
    case = near_healthy(shared_data / "ct" / patient.path, patient)
    assert (case.lungs == UNKNOWN).any()
    assert (case.lungs == RIGHT).any()
    assert not (case.lungs == LEFT).any()
    assert not {Path(one.path).stem for one in PATIENTS} & {Path(one.path).stem for one in BACKGROUNDS}
