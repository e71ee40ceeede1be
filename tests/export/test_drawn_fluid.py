"""Fluid drawn behind real lungs: what it raises is counted, by the outline and with fluid set apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kit.bundle_samples import write_bundle
from kit.export_samples import phantom_case
from scanside_export.evaluation import drawn_fluid
from scanside_export.evaluation.drawn_fluid import FluidScore, Reading, fluid_table, score_fluid
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks


def test_each_drawing_stands_beside_the_series_without_fluid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks by density call none of it lung: nothing is raised, and the lungs shrink by what was drawn."""
    case = phantom_case()
    np.savez(tmp_path / "someone.npz", hu=case.hu, spacing_mm=np.array(case.spacing_mm))
    write_bundle(tmp_path)
    networks = load_networks(open_bundle(tmp_path), choose_engine("auto", "auto", 1))
    monkeypatch.setattr(drawn_fluid, "FLUID_HU", (15.0,))
    scores = list(score_fluid(tmp_path / "someone.npz", networks))
    right, left, both = (one.drawn_ml for one in scores)
    assert [one.sides for one in scores] == ["right", "left", "both"]
    assert both == pytest.approx(right + left)
    assert len({one.dry for one in scores}) == 1
    assert all(one.outlined_ml < 0.1 * one.drawn_ml and one.apart_ml <= one.outlined_ml for one in scores)


def test_the_table_counts_what_rose() -> None:
    dry, watched = Reading(0.1, "CT-0", "none", noted=False), Reading(30.0, "CT-2", "watch", noted=False)
    score = FluidScore("someone", 15.0, "both", 900.0, 800.0, 700.0, 1.0, dry, watched, dry)
    noted = replace(score, apart=replace(watched, grade="CT-1", noted=True))
    counts = (
        "of 3: the flag rises in 3 by the outline, in 2 with fluid set apart (1 under a note, *); the grade in 3, in 2"
    )
    assert fluid_table([score, noted, replace(score, apart=watched)]).endswith(counts)
