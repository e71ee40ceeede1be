"""INT8 beside FP32 on real series: what is found and read, and what is counted as near enough."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from kit.bundle_samples import write_bundle
from kit.export_samples import command, phantom_case
from scanside_export.evaluation.precision_agreement import (
    PrecisionAgreement,
    ProductAnswer,
    agreement,
    agreement_sums,
    product_masks,
    real_series,
)
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks

ALIKE = ProductAnswer(12.0, -500.0, 300.0, "none")
SAME = PrecisionAgreement("someone", 0.99, 0.999, ALIKE, ALIKE)


def store_array(path: Path) -> None:
    case = phantom_case()
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, hu=case.hu, spacing_mm=np.array(case.spacing_mm))


def store_pictures(folder: Path, case: str = "someone_covid") -> None:
    """Two slices as infection-3d has them."""
    (folder / case).mkdir(parents=True)
    for z in range(2):
        for suffix in (".jpg", ".png"):
            cv2.imwrite(str(folder / case / f"{z:03d}{suffix}"), np.zeros((8, 8), np.uint8))
    rows = "".join(f"{case},{z},0,0,1\n" for z in range(2))
    (folder / "slices.csv").write_text("case,slice,reader_a_px,reader_b_px,lungs_known\n" + rows)


def test_series_of_every_set_are_found_and_three_are_taken_thicker_too(tmp_path: Path) -> None:
    store_array(tmp_path / "ct" / "lidc-idri-0314_chest_2mm.npz")
    store_array(tmp_path / "ct" / "extra" / "someone.npz")
    store_array(tmp_path / "infection-8mm" / "study_0260.npz")
    store_pictures(tmp_path / "infection-3d")
    (tmp_path / "ct" / "philips_head-study.tar.xz").touch()
    found = {one.name: one.read() for one in real_series(tmp_path)}
    thin, thick = (found.pop(name) for name in ("lidc-idri-0314_chest_2mm", "lidc-idri-0314_chest_2mm_by_3"))
    assert thick.spacing_mm[0] == 3 * thin.spacing_mm[0]
    assert sorted(found) == ["someone", "someone_covid", "study_0260"]


def test_one_and_the_same_precision_agrees_with_itself(tmp_path: Path) -> None:
    store_array(tmp_path / "ct" / "someone.npz")
    write_bundle(tmp_path / "bundle")
    volume = next(real_series(tmp_path)).read()
    masks = product_masks(volume, load_networks(open_bundle(tmp_path / "bundle"), choose_engine("auto", "fp32", 1)))
    assert masks.infection.voxels
    same = agreement("someone", volume, masks, masks)
    assert (same.infection_dice, same.lungs_dice, same.poi_points, same.ihu_off_hu) == (1.0, 1.0, 0.0, 0.0)
    nothing = replace(masks, infection=volume.with_mask(np.zeros(volume.hu.shape, np.bool_)))
    gone = agreement("someone", volume, masks, nothing)
    assert gone.infection_dice == 0.0
    assert gone.poi_points == -same.expected.poi_percent
    assert gone.ihu_off_hu == 0.0


def test_the_command_holds_a_bundle_against_its_own_fp32(tmp_path: Path) -> None:
    store_array(tmp_path / "ct" / "someone.npz")
    write_bundle(tmp_path / "bundle")
    asked = ("evaluate", "precision", "--data", str(tmp_path), "--bundle", str(tmp_path / "bundle"))
    assert "of 1: infection Dice mean 1.0000" in command(*asked, "--precision", "fp32", "--series", "someone")
    (score,) = json.loads(command(*asked, "--json"))["series"]
    assert 0.9 < score["infection_dice"] < 1.0
    command(*asked, "--series", "somebody", exit_code=2)
    command("evaluate", "precision", "--data", str(tmp_path / "bundle"), exit_code=2)


@pytest.mark.parametrize(
    ("one", "counted"),
    [
        (replace(SAME, infection_dice=0.98), "0 reach 0.985"),
        (replace(SAME, lungs_dice=0.98), "0 reach 0.99;"),
        (replace(SAME, found=replace(ALIKE, poi_percent=11.8)), "0 within 0.1;"),
        (replace(SAME, found=replace(ALIKE, ihu_hu=-506.0)), "0 within 5;"),
        (replace(SAME, found=replace(ALIKE, flag="watch")), "the same flag in 0"),
    ],
)
def test_what_is_not_near_enough_is_not_counted(one: PrecisionAgreement, counted: str) -> None:
    assert counted not in agreement_sums([SAME])
    assert counted in agreement_sums([one])
