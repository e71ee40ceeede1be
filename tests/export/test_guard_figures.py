"""What the guards measure: every limit has its figure, and chests as sick as wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.bundle_samples import write_bundle
from kit.export_samples import command, phantom_case
from scanside_export.data.cases import known_lungs
from scanside_export.evaluation import guard_figures
from scanside_export.evaluation.guard_figures import LIMITS, Judged, as_sick_as, judged, limit_table
from scanside_runtime.phantom.make import demo_spec, make_phantom
from scanside_runtime.volume import Masks

WHERE_IT_IS_SEEN = {
    "COVERAGE_FIELD_OF_VIEW.outline_percent",
    "QUALITY_AIR_OUTSIDE.air_ml",
    "QUALITY_METAL.metal_ml",
    "QUALITY_METAL.lungs_percent",
    "QUALITY_POSSIBLE_EFFUSION.beside_ml",
    "QUALITY_POSSIBLE_EFFUSION.outlined_ml",
    "QUALITY_PART_MISSING.apex_mm",
    "QUALITY_MOTION.lung_slices_percent",
}
"""These guards have nothing to say of a phantom, whatever their limit."""


def test_every_limit_is_held_against_a_figure_of_its_guard() -> None:
    phantom = make_phantom(demo_spec())
    volume = phantom.volume()
    right, left, infection = (
        volume.with_mask(mask) for mask in (phantom.right_lung, phantom.left_lung, phantom.infection)
    )
    unseen = infection.areas.copy()
    masks = replace(Masks(right, left, infection, (10.0, 700.0)), unseen_areas=unseen)
    one = judged("phantom", "sick", volume, masks)
    assert {limit.figure for limit in LIMITS} - set(one.figures) <= WHERE_IT_IS_SEEN
    assert one.poi_percent == pytest.approx(phantom.truth.poi_percent, abs=0.1)
    assert {"QUALITY_UNCERTAIN", "QUALITY_PARTLY_SEEN"} == set(one.said)
    assert one.figures["uncertain_points"] == pytest.approx(100 * 690 / (right.volume_ml + left.volume_ml), abs=0.1)


@pytest.mark.parametrize("share", [0.2, 0.85])
def test_disease_is_drawn_until_it_fills_the_share(share: float) -> None:
    clean = phantom_case()
    sick = as_sick_as(clean, share, np.random.default_rng(3))
    lungs = known_lungs(clean.lungs)
    filled = np.count_nonzero(sick.infection[0]) / np.count_nonzero(lungs)
    assert share <= filled < share + 0.15
    assert not sick.infection[0][~lungs].any()


def test_the_table_counts_who_is_beyond_a_limit_and_names_who_is_refused() -> None:
    chests = [
        Judged("well", "near-healthy", 0.1, {}, {"QUALITY_PART_MISSING.apex_mm": 10.0, "fill": 0.3}),
        Judged("short", "sick", 9.0, {"QUALITY_PART_MISSING": "caution"}, {"QUALITY_PART_MISSING.apex_mm": 26.0}),
        Judged("solid", "sick", 0.0, {"SERIES_NOT_CHEST": "withhold"}, {}),
    ]
    table = limit_table(chests)
    apex = next(line for line in table if "apex_mm" in line)
    assert " ".join(apex.split()) == "missing_lung.apex_mm 25 10 to 10, 0 of 1 26 to 26, 1 of 2"
    assert table[-1] == "withheld: 1 of 3: solid"


@pytest.mark.parametrize(("setting", "counts"), [("quality.noise_hu", False), ("motion.caution_share", True)])
def test_a_figure_that_is_the_limit_itself_counts_where_the_guard_speaks_of_it(setting: str, *, counts: bool) -> None:
    limit = next(one for one in LIMITS if one.setting == setting)
    assert limit.beyond(limit.value) is counts
    assert limit.beyond(1.01 * limit.value)
    assert not limit.beyond(0.99 * limit.value)


def test_a_folder_of_chests_is_judged_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_figures, "DRAWN_SHARES", (0.3,))
    case = phantom_case()
    (tmp_path / "ct" / "extra").mkdir(parents=True)
    file = tmp_path / "ct" / "extra" / "lidc-idri-0001_2.5mm.npz"
    np.savez(file, hu=case.hu, spacing_mm=np.array(case.spacing_mm))
    write_bundle(tmp_path / "bundle")
    rows = command("guards", "--data", str(tmp_path), "--bundle", str(tmp_path / "bundle")).splitlines()
    assert [row.split()[:2] for row in rows[1:3]] == [
        ["lidc-idri-0001_2.5mm", "near-healthy"],
        ["lidc-idri-0001_2.5mm_30", "drawn"],
    ]
    assert any(row.startswith("motion.caution_share") for row in rows)
