"""Scores of cross-validated folds at several thresholds, and which threshold counts: one chosen without the fold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from scanside_export.data.volumes import Labelled
from scanside_export.data.windowed_slices import WindowedSlice
from scanside_export.evaluation.evaluate import VolumeScore, evaluate
from scanside_export.evaluation.evaluate_slices import evaluate_slices
from scanside_export.evaluation.score_summary import slice_figures, volumes_document
from scanside_runtime.model.engine import Engine, Floats
from scanside_runtime.model.networks import Network, Networks

THRESHOLDS = (0.3, 0.4, 0.5, 0.6)


@dataclass(slots=True, eq=False)
class Remembered:
    """An engine that computes each batch once, so that another threshold costs no second inference."""

    engine: Engine
    answers: dict[bytes, Floats] = field(default_factory=dict)

    @property
    def computed_in(self) -> str:
        """See `scanside_runtime.model.engine.Engine`."""
        return self.engine.computed_in

    @property
    def version(self) -> str:
        """See `scanside_runtime.model.engine.Engine`."""
        return self.engine.version

    def infer(self, batch: Floats) -> Floats:
        """See `scanside_runtime.model.engine.Engine`."""
        key = batch.tobytes()
        if key not in self.answers:
            self.answers[key] = self.engine.infer(batch)
        return self.answers[key]


def scores_by_threshold(
    volumes: Iterable[Labelled], slices: Sequence[WindowedSlice], networks: Networks
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Rows of series and of pictures for each of `THRESHOLDS`, under its text."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {str(one): {"volumes": [], "slices": []} for one in THRESHOLDS}
    for volume in volumes:
        for text, at in _at_thresholds(networks).items():
            found[text]["volumes"] += [asdict(score) for score, _ in evaluate([volume], at)]
    for text, at in _at_thresholds(networks).items():
        found[text]["slices"] = [one.row() for one in evaluate_slices(slices, at.infection)]
    return found


def _at_thresholds(networks: Networks) -> dict[str, Networks]:
    lungs = Network(Remembered(networks.lungs.engine), networks.lungs.contract)
    engine, contract = Remembered(networks.infection.engine), networks.infection.contract
    return {str(one): Networks(lungs, Network(engine, replace(contract, threshold=one))) for one in THRESHOLDS}


def folds_document(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of `volumes_document` over all folds, each at the threshold that the other folds chose.

    folds: what `scores_by_threshold` gave as "by_threshold", and the document of INT8 against FP32 as "parity".
    "thresholds": by fold; "threshold": what all folds together choose, the one for a network trained on everybody.
    "single_slices": those of `slice_figures`, where pictures were scored.
    """
    chosen = [best_threshold([other for other in folds if other is not one]) for one in folds]
    rows = [one["by_threshold"][text] for one, text in zip(folds, chosen, strict=True)]
    figures = volumes_document([_score(row) for one in rows for row in one["volumes"]])
    figures |= {
        "thresholds": [float(text) for text in chosen],
        "threshold": float(best_threshold(folds)),
        "parity": [one["parity"] for one in folds],
    }
    slices = [row for one in rows for row in one["slices"]]
    return {**figures, "single_slices": slice_figures(slices)} if slices else figures


def best_threshold(folds: Sequence[Mapping[str, Any]]) -> str:
    """The threshold with the best Dice, series and pictures weighing the same; of equals the one nearest to 0.5."""
    return max(map(str, THRESHOLDS), key=lambda text: (_dice_at(folds, text), -abs(float(text) - 0.5)))


def _dice_at(folds: Sequence[Mapping[str, Any]], text: str) -> float:
    rows = [one["by_threshold"][text] for one in folds]
    series = [float(np.mean(row["dice"])) for one in rows for row in one["volumes"]]
    pictures = [row["dice"] for one in rows for row in one["slices"]]
    means = [np.mean(values) for values in (series, pictures) if values]
    return round(float(np.mean(means)), 3) if means else 0.0


def _score(row: Mapping[str, Any]) -> VolumeScore:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return VolumeScore(**values)
