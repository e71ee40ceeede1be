"""Fluid drawn behind real lungs: what it raises is counted, by the outline and with fluid set apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kit.bundle_samples import write_bundle
from kit.export_samples import command, phantom_case
from scanside_export.cli.main import app
from scanside_export.errors import LabelsUnusable
from scanside_export.evaluation import drawn_fluid
from scanside_export.evaluation.drawn_fluid import FluidScore, Reading, fluid_sums, score_fluid
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import LoadedNetworks, load_networks
from scanside_runtime.volume import Masks, Volume


def series(folder: Path, *, one_lung: bool = False) -> Path:
    """A drawn chest; one_lung: its left half holds no air."""
    case = phantom_case()
    hu = case.hu.copy()
    if one_lung:
        hu[:, :, hu.shape[2] // 2 :] = 45
    np.savez(folder / "someone.npz", hu=hu, spacing_mm=np.array(case.spacing_mm))
    return folder / "someone.npz"


def drawing(outlined: Reading) -> FluidScore:
    dry = Reading(0.1, "CT-0", "none", noted=False)
    return FluidScore("someone", 15.0, "both", 900.0, 800.0, 700.0, 1.0, dry, outlined, dry, said=False)


def by_density(folder: Path) -> LoadedNetworks:
    write_bundle(folder)
    return load_networks(open_bundle(folder), choose_engine("auto", "auto", 1))


def test_each_drawing_stands_beside_the_series_without_fluid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks by density call none of it lung: nothing is raised, and the lungs shrink by what was drawn."""
    monkeypatch.setattr(drawn_fluid, "FLUID_HU", (15.0,))
    scores = list(score_fluid(series(tmp_path), by_density(tmp_path)))
    right, left, both = (one.drawn_ml for one in scores)
    assert [one.sides for one in scores] == ["right", "left", "both"]
    assert both == pytest.approx(right + left)
    assert len({one.dry for one in scores}) == 1
    assert all(one.outlined_ml < 0.1 * one.drawn_ml and one.apart_ml <= one.outlined_ml for one in scores)


def test_fluid_is_set_apart_without_drawn_fluid_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def all_apart(volume: Volume, masks: Masks, *_rest: object) -> Masks:
        return replace(masks, infection=volume.with_mask(np.zeros(volume.hu.shape, np.bool_)))

    monkeypatch.setattr(drawn_fluid, "set_fluid_apart", all_apart)
    score = next(score_fluid(series(tmp_path), by_density(tmp_path)))
    assert score.outlined.poi_percent > 0.0
    assert score.dry == score.apart


def test_a_series_without_two_lungs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsUnusable, match="fewer than two lungs"):
        next(score_fluid(series(tmp_path, one_lung=True), by_density(tmp_path)))


def test_what_is_not_there_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    asked = ["evaluate", "fluid", "--data", str(tmp_path), "--series", "study_0260"]
    with pytest.raises(LabelsUnusable, match=r"there is no study_0260\.npz"):
        command(*asked)
    command(*asked, "--series", "somebody", exit_code=2)


def test_what_was_drawn_before_a_break_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_off(*_asked: object) -> Iterator[FluidScore]:
        yield drawing(Reading(30.0, "CT-2", "watch", noted=False))
        raise RuntimeError

    monkeypatch.setattr(drawn_fluid, "score_fluid", broken_off)
    write_bundle(tmp_path)
    (tmp_path / "infection-8mm").mkdir()
    (tmp_path / "infection-8mm" / "study_0260.npz").touch()
    asked = ["evaluate", "fluid", "--data", str(tmp_path), "--series", "study_0260", "--bundle", str(tmp_path)]
    assert "someone" in CliRunner().invoke(app, asked).stdout


def test_the_table_counts_what_rose() -> None:
    watched = Reading(30.0, "CT-2", "watch", noted=False)
    score = drawing(watched)
    noted = replace(score, apart=replace(watched, grade="CT-1", noted=True))
    counts = (
        "of 3: the flag rises in 3 by the outline, in 2 with fluid set apart (1 under a note, *); the grade in 3, "
        "in 2; a possible effusion is said in 1"
    )
    assert fluid_sums([score, noted, replace(score, apart=watched, said=True)]) == counts
