"""How good are the networks on expert labels, through the deployed runtime and beside a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scanside_export.volumes import Labelled
from scanside_runtime.components import drop_small
from scanside_runtime.metrics import dice
from scanside_runtime.segment import Networks, segment
from scanside_runtime.volume import Bools, Masks, Volume

BASELINE_HU = (-700, 150)
"""Denser than aerated lung, thinner than bone or contrast: what a threshold would call infection."""


@dataclass(frozen=True, slots=True)
class CaseScore:
    """One series against each of its readers."""

    name: str
    infection_dice: tuple[float, ...]
    baseline_dice: tuple[float, ...]
    lungs_dice: float
    poi_percent: float
    poi_percent_readers: tuple[float, ...]


def evaluate(cases: Sequence[Labelled], networks: Networks) -> list[CaseScore]:
    """Score each series. Infection counts over the whole series, lungs and POI where the lungs are known."""
    return [_score(case, segment(case.volume, networks)) for case in cases]


def summary(scores: Sequence[CaseScore]) -> dict[str, Any]:
    """Means over series (a series with two readers counts by the mean of both) and the rows."""
    return {
        "n": len(scores),
        "infection_dice_mean": float(np.mean([np.mean(score.infection_dice) for score in scores])),
        "baseline_dice_mean": float(np.mean([np.mean(score.baseline_dice) for score in scores])),
        "lungs_dice_mean": float(np.mean([score.lungs_dice for score in scores])),
        "cases": [asdict(score) for score in scores],
    }


def _score(case: Labelled, masks: Masks) -> CaseScore:
    known = case.lungs_known
    infection, lungs = masks.infection.array, masks.lungs
    baseline = threshold_baseline(case.volume, lungs)
    return CaseScore(
        name=case.name,
        infection_dice=tuple(dice(infection, reader) for reader in case.infection),
        baseline_dice=tuple(dice(baseline, reader) for reader in case.infection),
        lungs_dice=dice(lungs[known], case.lungs[known]),
        poi_percent=_share(infection[known], lungs[known]),
        poi_percent_readers=tuple(_share(reader[known], case.lungs[known]) for reader in case.infection),
    )


def threshold_baseline(volume: Volume, lungs: Bools) -> Bools:
    """Infection by HU alone, inside the product's own lungs, vessels thinned out by size."""
    low, high = BASELINE_HU
    dense = lungs & (volume.hu > low) & (volume.hu < high)
    return drop_small(dense, max(1, round(0.5 / volume.voxel_ml)))


def _share(part: Bools, whole: Bools) -> float:
    return 100.0 * int(np.count_nonzero(part & whole)) / max(1, int(np.count_nonzero(whole)))
