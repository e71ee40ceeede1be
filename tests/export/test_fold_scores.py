"""Folds at several thresholds: the fold itself has no say in its own, and nothing is computed twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scanside_export.evaluation.fold_scores import THRESHOLDS, Remembered, best_threshold, folds_document
from scanside_export.evaluation.score_table import table


def series(name: str, dice: float) -> dict[str, Any]:
    one = {key: [dice] for key in ("dice", "sensitivity", "precision", "baseline_dice")}
    return one | {
        "name": name,
        "patient": name,
        "source": "infection-3d",
        "slab_mm": 5.0,
        "found_ml": 10.0,
        "reference_ml": [10.0],
        "volume_error_percent": [0.0],
        "lungs_dice": 0.97,
        "lung_volume_error_percent": 1.0,
        "poi_percent": 5.0,
        "poi_percent_readers": [5.0],
        "poi_error_points": [0.0],
        "readers_dice": None,
    }


def fold(name: str, best: float, *, slices: bool = False) -> dict[str, Any]:
    """Dice falls with the distance from the best threshold."""
    rows = {}
    for one in THRESHOLDS:
        dice = 0.9 - abs(one - best)
        pictures = [{"name": name, "dice": dice, "sensitivity": 0.5, "precision": 0.5}] if slices else []
        rows[str(one)] = {"volumes": [series(name, dice)], "slices": pictures}
    return {"by_threshold": rows, "parity": {"form": name, "holds": True}}


def test_each_fold_is_scored_at_the_threshold_that_the_others_choose() -> None:
    found = folds_document([fold("a", 0.3), fold("b", 0.6), fold("c", 0.6)])
    assert found["thresholds"] == [0.6, 0.5, 0.5]
    assert found["threshold"] == 0.6
    assert [row["dice"][0] for row in found["volumes"]] == pytest.approx([0.6, 0.8, 0.8])
    assert [one["form"] for one in found["parity"]] == ["a", "b", "c"]
    assert "single_slices" not in found
    assert "| thresholds, each chosen on the other folds | 0.6, 0.5, 0.5 |" in table(found)


def test_pictures_weigh_as_much_as_series_and_have_figures_of_their_own() -> None:
    found = folds_document([fold("a", 0.4, slices=True), fold("b", 0.4, slices=True)])
    assert found["single_slices"]["n"] == 2
    assert found["single_slices"]["dice_mean"] == pytest.approx(0.9)


def test_of_thresholds_that_do_alike_the_one_nearest_to_a_half_is_taken() -> None:
    flat = fold("a", 0.5)
    for rows in flat["by_threshold"].values():
        rows["volumes"] = [series("a", 0.7)]
    assert best_threshold([flat]) == "0.5"


def test_a_fold_that_is_alone_has_no_say_in_its_threshold_either() -> None:
    assert folds_document([fold("a", 0.3)])["thresholds"] == [0.5]


class Counting:
    """Counts what it is asked."""

    computed_in, version = "fp32", "0"

    def __init__(self) -> None:
        self.asked = 0

    def infer(self, batch: np.ndarray) -> np.ndarray:
        self.asked += 1
        return batch + 1.0


def test_a_batch_is_computed_once() -> None:
    engine = Counting()
    remembered = Remembered(engine)
    one, other = np.zeros((1, 1, 2, 2), np.float32), np.ones((1, 1, 2, 2), np.float32)
    answers = [remembered.infer(batch)[0, 0, 0, 0] for batch in (one, other, one)]
    assert answers == [1.0, 2.0, 1.0]
    assert engine.asked == 2
    assert (remembered.computed_in, remembered.version) == ("fp32", "0")
