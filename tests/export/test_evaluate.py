"""`scanside-export evaluate`: on pictures and volumes whose truth is known, through a deployed bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kit.bundle_samples import write_bundle
from kit.export_samples import command, phantom
from scanside_export.cli.main import app
from scanside_export.data.cases import ELSEWHERE, RIGHT, UNKNOWN, Case
from scanside_export.data.volumes import labelled_case
from scanside_export.data.windowed_slices import grey_to_hu
from scanside_export.evaluation.evaluate import VolumeScore, score
from scanside_export.evaluation.examples import best_median_worst
from scanside_export.evaluation.score_summary import bootstrap_ci95, slice_figures, volumes_document
from scanside_export.evaluation.score_table import table
from scanside_runtime.metrics import dice
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.segment import segment
from scanside_runtime.volume import Bools, Masks

SLICE_KEYS = [
    *("n", "dice_mean", "dice_sd", "dice_median", "sensitivity_mean", "precision_mean"),
    *("slices", "precision", "bundle"),
]


def in_window(hu: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip(np.rint((hu - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def slice_hu(seed: int = 0) -> tuple[np.ndarray, Bools]:
    """A tight crop of two lungs around a heart, ground glass at the back of one."""
    rng = np.random.default_rng(seed)
    hu = np.full((180, 260), 45.0)
    hu[10:170, 8:110] = hu[10:170, 150:252] = -860.0
    infection = np.zeros(hu.shape, np.bool_)
    infection[110:165, 20:90] = True
    hu[infection] = -450.0
    return hu + 15.0 * rng.standard_normal(hu.shape), infection


def folders(folder: Path, pictures: dict[str, tuple[np.ndarray, Bools]]) -> list[str]:
    for name, (grey, mask) in pictures.items():
        for kind, array in (("images", grey), ("masks", mask * np.uint8(255))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / kind / f"{name}.png"), array)
    return ["--images", str(folder / "images"), "--masks", str(folder / "masks")]


@given(low=st.floats(-1250, -1000), high=st.floats(120, 500))
def test_hu_come_back_from_a_picture_in_an_unknown_window(low: float, high: float) -> None:
    hu, infection = slice_hu()
    grey = in_window(hu, low, high)
    slope, intercept = grey_to_hu(grey)
    assert np.median(grey[infection]) * slope + intercept == pytest.approx(-450.0, abs=40.0)


@pytest.mark.parametrize("grey", [np.zeros((9, 9), np.uint8), np.full((9, 9), 200, np.uint8)])
def test_a_picture_without_lung_beside_soft_tissue_is_taken_to_be_in_the_usual_window(grey: np.ndarray) -> None:
    slope, intercept = grey_to_hu(grey)
    assert (intercept, 255 * slope + intercept) == pytest.approx((-1150.0, 250.0))


def test_slices_are_scored_on_their_own_grid_with_the_keys_that_are_promised(tmp_path: Path) -> None:
    hu, infection = slice_hu()
    small = cv2.resize(in_window(hu, -1200.0, 300.0), (200, 140), interpolation=cv2.INTER_AREA)
    pictures = {
        "one": (in_window(hu, -1000.0, 200.0), infection),
        "two": (small, cv2.resize(infection.astype(np.uint8), (200, 140), interpolation=cv2.INTER_NEAREST) > 0),
    }
    write_bundle(tmp_path / "bundle")
    options = [*folders(tmp_path, pictures), "--bundle", str(tmp_path / "bundle"), "--picture", str(tmp_path / "x.png")]
    found = json.loads(command("evaluate", "slices", *options, "--json"))
    assert list(found) == SLICE_KEYS
    assert (found["n"], found["bundle"], found["precision"]) == (2, "tiny 1", "int8+fp32")
    assert [list(row) for row in found["slices"]] == [["name", "dice"]] * 2
    assert all(row["dice"] > 0.9 for row in found["slices"])
    assert cv2.imread(str(tmp_path / "x.png")).shape[1] == 3 * 360
    assert "mean" in command("evaluate", "slices", *options)


def test_an_empty_reference_and_an_empty_answer_agree(tmp_path: Path) -> None:
    hu, infection = slice_hu()
    hu[infection] = -860.0
    write_bundle(tmp_path / "bundle")
    options = folders(tmp_path, {"clear": (in_window(hu, -1000.0, 200.0), np.zeros_like(infection))})
    found = json.loads(command("evaluate", "slices", *options, "--bundle", str(tmp_path / "bundle"), "--json"))
    assert found["slices"] == [{"name": "clear", "dice": 1.0}]


def refused(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exception is not None
    return str(done.exception)


def test_pictures_and_masks_that_do_not_fit_are_refused_with_a_sentence(tmp_path: Path) -> None:
    hu, infection = slice_hu()
    options = folders(tmp_path, {"a": (in_window(hu, -1000.0, 200.0), infection)})
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.zeros((9, 9), np.uint8))
    assert "its picture" in refused("evaluate", "slices", *options)
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "b.png")
    assert "no partner" in refused("evaluate", "slices", *options)
    assert "no such folder" in refused("evaluate", "slices", "--images", "nowhere", "--masks", "nowhere")


def test_volumes_are_scored_with_volume_and_poi_error(tmp_path: Path) -> None:
    drawn = phantom(9)
    dz, dy, dx = drawn.spacing_mm
    for kind, array in (("images", drawn.hu), ("masks", drawn.infection), ("lungs", drawn.lungs)):
        (tmp_path / kind).mkdir()
        data = np.ascontiguousarray(array.transpose(2, 1, 0)).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(data, np.diag([-dx, -dy, dz, 1.0])), tmp_path / kind / "p.nii.gz")
    bundle = write_bundle(tmp_path / "bundle")
    folders_ = [text for kind in ("images", "masks", "lungs") for text in (f"--{kind}", str(tmp_path / kind))]
    options = [*folders_, "--bundle", str(tmp_path / "bundle"), "--picture", str(tmp_path / "x.png")]
    found = json.loads(command("evaluate", "volumes", *options, "--json"))
    (row,) = found["volumes"]
    assert (found["n"], found["patients"], found["precision"], found["bundle"]) == (1, 1, "int8+fp32", "tiny 1")
    assert row["poi_percent_readers"] == pytest.approx([drawn.truth.poi_percent], abs=0.01)
    assert row["reference_ml"] == pytest.approx([drawn.truth.infection_volume_ml], rel=0.001)
    assert row["poi_error_points"][0] == pytest.approx(row["poi_percent"] - row["poi_percent_readers"][0])
    masks = segment(drawn.volume(), load_networks(bundle, choose_engine("auto", "auto", 0)))
    assert row["dice"] == pytest.approx([dice(masks.infection.array, drawn.infection)])
    assert row["lungs_dice"] == pytest.approx(dice(masks.lungs, drawn.lungs))
    assert 0.0 < row["dice"][0] < row["lungs_dice"] < 1.0
    assert (tmp_path / "x.png").stat().st_size > 1000
    assert "| p |" in table(found)
    of_all = f"infection of all series {row['found_ml']:.0f} ml, drawn by readers {row['reference_ml'][0]:.0f} ml"
    assert of_all in command("evaluate", "volumes", *options)


def drawn_on_slices(slices: int = 12, seed: int = 0) -> Case:
    """Lungs all over, and infection that has other pixels in each slice, as an expert's hand has."""
    infection = np.random.default_rng(seed).random((slices, 16, 16)) < 0.3
    hu = np.where(infection, -500, -850).astype(np.int16)
    return Case("drawn", "infection-3d", hu, (2.5, 1.0, 1.0), np.full(hu.shape, RIGHT, np.uint8), (infection,))


@given(thick_mm=st.sampled_from([None, 5.0, 7.5, 10.0, 15.0, 30.0]), seed=st.integers(0, 99))
def test_what_experts_drew_has_one_volume_and_one_poi_in_slabs_of_any_thickness(
    thick_mm: float | None, seed: int
) -> None:
    drawn = drawn_on_slices(seed=seed)
    one = labelled_case(drawn, thick_mm)
    nothing = np.zeros(one.volume.hu.shape, np.bool_)
    masks = Masks(*(one.volume.with_mask(mask) for mask in (~nothing, nothing, nothing)), (0.0, 0.0))
    found = score(one, masks)
    assert one.volume.spacing_mm[0] == (thick_mm or 2.5)
    assert found.reference_ml == pytest.approx((drawn.infection[0].sum() * 0.0025,))
    assert found.poi_percent_readers == pytest.approx((100.0 * drawn.infection[0].mean(),))
    assert found.lungs_dice == 1.0


def test_a_slab_is_held_against_each_of_its_slices() -> None:
    """Drawn in every other slice, found in the slab of two: half of what was found is right."""
    drawn = drawn_on_slices()
    infection = np.zeros_like(drawn.infection[0])
    infection[::2, 4:8] = True
    one = labelled_case(replace(drawn, infection=(infection,)), 5.0)
    found = one.in_slabs(infection)
    nothing = np.zeros_like(found)
    reached = score(one, Masks(*(one.volume.with_mask(mask) for mask in (~nothing, nothing, found)), (0.0, 0.0)))
    assert (reached.sensitivity, reached.precision, reached.volume_error_percent) == ((1.0,), (0.5,), (100.0,))


def test_lung_is_not_scored_where_nobody_drew_but_for_what_is_surely_none() -> None:
    drawn = drawn_on_slices()
    lungs = drawn.lungs.copy()
    lungs[:4] = UNKNOWN
    lungs[:4, :, :8] = ELSEWHERE
    one = labelled_case(replace(drawn, lungs=lungs), 5.0)
    found = np.zeros(one.volume.hu.shape, np.bool_)
    found[1:, :, 4:] = True  # (5, 16, 12) voxels of 5 mm³, one slab of them where nobody drew
    nothing = np.zeros_like(found)
    reached = score(one, Masks(*(one.volume.with_mask(mask) for mask in (found, nothing, nothing)), (0.0, 0.0)))
    assert reached.lungs_dice == pytest.approx(2 * 0.75 / 1.75)
    assert reached.lung_elsewhere_ml == pytest.approx(16 * 4 * 0.005)
    all_drawn = replace(scored("a", 0.5), lung_elsewhere_ml=None)
    assert volumes_document([all_drawn, reached])["lung_elsewhere_ml_max"] == reached.lung_elsewhere_ml
    assert volumes_document([all_drawn])["lung_elsewhere_ml_max"] is None


def scored(name: str, reached: float, poi_error: float | None = 0.0, found_ml: float = 100.0) -> VolumeScore:
    """One reader of 100 ml."""
    share = reached * (found_ml + 100.0) / 200.0
    return VolumeScore(
        name, name[:1], "infection-3d", 5.0, found_ml, (100.0,), (reached,), (share,), (share,), (found_ml - 100.0,),
        (0.5,), 0.9, 1.0, 10.0, (10.0,), (poi_error,),
    )  # fmt: skip


def test_limits_of_agreement_and_pooled_dice_are_those_of_the_books() -> None:
    found = volumes_document([scored("a", 0.5, -1.0), scored("b", 1.0, 1.0), scored("c", 0.75, None)])
    assert (found["poi"]["n"], found["poi"]["bias_points"], found["poi"]["absolute_error_points"]) == (2, 0.0, 1.0)
    assert found["poi"]["upper_points"] == pytest.approx(1.96 * np.sqrt(2.0))
    assert found["dice_pooled"] == pytest.approx(0.75)
    assert found["by_slab_mm"]["below 6"]["n"] == 3


def test_infection_of_all_series_is_added_up_and_two_readers_count_by_their_mean() -> None:
    of_one = scored("b", 0.5, found_ml=50.0)
    of_two = replace(of_one, reference_ml=(60.0, 100.0), sensitivity=of_one.sensitivity * 2, dice=of_one.dice * 2)
    found = volumes_document([scored("a", 0.5, found_ml=120.0), of_two])
    assert (found["found_ml"], found["reference_ml"]) == (170.0, 180.0)
    assert "| infection of all series in ml: found, drawn by readers | 170, 180 |" in table(found)


def test_two_series_of_one_patient_count_as_one_when_patients_are_drawn_again() -> None:
    assert bootstrap_ci95({"a": [0.5, 0.7]}) is None
    wide, narrow = bootstrap_ci95({"a": [0.4] * 3, "b": [0.8] * 3}), bootstrap_ci95({str(n): [0.6] for n in range(9)})
    assert wide is not None
    assert narrow == pytest.approx((0.6, 0.6))
    assert wide == (0.0, 1.0)
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        low, high = bootstrap_ci95({str(n): [one] for n, one in enumerate(rng.beta(6.0, 2.5, 4))}) or (0.0, 0.0)
        held += low <= 6.0 / 8.5 <= high
    assert held >= 0.9 * 300  # 79 % by the percentiles of the draws


def test_the_best_the_median_and_the_worst_are_named_once_each() -> None:
    assert best_median_worst([0.1, 0.9, 0.5]) == [("best", 1), ("median", 2), ("worst", 0)]
    assert best_median_worst([0.4]) == [("best", 0)]


def test_one_slice_has_no_spread() -> None:
    rows = [{"name": "a", "dice": 0.5, "sensitivity": 1.0, "precision": 0.3}]
    assert slice_figures(rows)["dice_sd"] == 0.0


def test_volumes_need_to_be_told_where_they_are() -> None:
    done = CliRunner().invoke(app, ["evaluate", "volumes"])
    assert done.exit_code == 2
    assert "give --images and --masks, or --from FORM=DIR" in done.stderr
    done = CliRunner().invoke(app, ["evaluate", "volumes", "--from", "brats=x"])
    assert done.exit_code == 2
    assert "one of pairs, mosmed" in done.stderr
