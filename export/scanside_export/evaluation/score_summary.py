"""From scores of series to the figures of a table: means, spread, bootstrap over patients, limits of agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.stats import t as student_t

from scanside_export.evaluation.evaluate import VolumeScore
from scanside_runtime.metrics import limits_of_agreement

DRAWS = 2000
BOOTSTRAP_SEED = 20200417

Values = Mapping[str, Sequence[float]]
"""Values by patient."""


def volumes_document(scores: Sequence[VolumeScore]) -> dict[str, Any]:
    """All figures of a set of series; one with two readers counts by the mean of both.

    Keys end in their unit. None: nothing to measure it on. Intervals are 95 % by bootstrap over patients.
    """
    return {
        **_block(scores),
        "poi": _poi(scores),
        "readers": _readers(scores),
        "by_source": _groups(scores, lambda score: score.source or "unnamed"),
        "by_slab_mm": _groups(scores, _thickness),
        "by_infection_ml": _groups(scores, _size),
        "volumes": [asdict(score) for score in scores],
    }


def _block(scores: Sequence[VolumeScore]) -> dict[str, Any]:
    reached = np.array([score.mean_dice for score in scores])
    errors = [_mean(score.volume_error_percent) for score in scores]
    elsewhere = [score.lung_elsewhere_ml for score in scores]
    return {
        "n": len(scores),
        "patients": len({score.patient for score in scores}),
        "dice_mean": float(reached.mean()),
        "dice_ci95": bootstrap_ci95(_by_patient(scores, lambda score: score.mean_dice)),
        "dice_sd": float(reached.std(ddof=1)) if len(reached) > 1 else 0.0,
        "dice_median": float(np.median(reached)),
        "dice_pooled": _pooled(scores),
        "sensitivity_mean": float(np.mean([np.mean(score.sensitivity) for score in scores])),
        "precision_mean": float(np.mean([np.mean(score.precision) for score in scores])),
        "found_ml": sum(score.found_ml for score in scores),
        "reference_ml": sum(float(np.mean(score.reference_ml)) for score in scores),
        "volume_error_percent_mean": _mean(errors),
        "volume_error_percent_median": _median(errors),
        "baseline_dice_mean": float(np.mean([np.mean(score.baseline_dice) for score in scores])),
        "lungs_dice_mean": _mean([score.lungs_dice for score in scores]),
        "lung_volume_error_percent_mean": _mean([score.lung_volume_error_percent for score in scores]),
        "lung_elsewhere_ml_max": max((ml for ml in elsewhere if ml is not None), default=None),
    }


def _poi(scores: Sequence[VolumeScore]) -> dict[str, Any]:
    """POI error in points over the series whose lungs are known, with Bland-Altman limits from two series on."""
    errors = {score.name: _mean(score.poi_error_points) for score in scores}
    known = np.array([error for error in errors.values() if error is not None])
    if len(known) == 0:
        return {"n": 0, "bias_points": None, "absolute_error_points": None, "lower_points": None, "upper_points": None}
    limits = limits_of_agreement(known, np.zeros(len(known))) if len(known) > 1 else None
    return {
        "n": len(known),
        "bias_points": float(known.mean()),
        "absolute_error_points": float(np.abs(known).mean()),
        "lower_points": limits and limits.lower,
        "upper_points": limits and limits.upper,
    }


def _readers(scores: Sequence[VolumeScore]) -> dict[str, Any]:
    """Series with two readers: the network against each, and they against each other."""
    two = [score for score in scores if score.readers_dice is not None]
    if not two:
        return {"n": 0, "dice_reader_a": None, "dice_reader_b": None, "dice_between": None}
    return {
        "n": len(two),
        "dice_reader_a": float(np.mean([score.dice[0] for score in two])),
        "dice_reader_b": float(np.mean([score.dice[1] for score in two])),
        "dice_between": _mean([score.readers_dice for score in two]),
    }


def slice_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of single slices from rows with name, dice, sensitivity and precision.

    `dice_sd` is the sample's (n - 1), 0 for one slice.
    """
    reached = np.array([row["dice"] for row in rows])
    return {
        "n": len(rows),
        "dice_mean": float(reached.mean()),
        "dice_sd": float(reached.std(ddof=1)) if len(reached) > 1 else 0.0,
        "dice_median": float(np.median(reached)),
        "sensitivity_mean": float(np.mean([row["sensitivity"] for row in rows])),
        "precision_mean": float(np.mean([row["precision"] for row in rows])),
        "slices": [{"name": row["name"], "dice": row["dice"]} for row in rows],
    }


def bootstrap_ci95(values: Values) -> tuple[float, float] | None:
    """95 % interval of the mean over all values when patients, not series, are drawn again; None for one patient.

    Values from 0 to 1. The draws give the standard error, Student's t how many of them few patients need, and g of them
    (g - 1) / g of the variance (Davison AC, Hinkley DV, Bootstrap Methods and their Application, 1997). The percentiles
    of the draws reach from one patient to the other where there are two, which holds the mean every second time.
    """
    patients = list(values.values())
    if len(patients) < 2:
        return None
    sums = np.array([np.sum(some) for some in patients])
    counts = np.array([len(some) for some in patients])
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(len(patients), size=(DRAWS, len(patients)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    g, mean = len(patients), float(sums.sum() / counts.sum())
    reach = float(student_t.ppf(0.975, g - 1) * np.sqrt(g / (g - 1)) * means.std(ddof=1))
    return max(0.0, mean - reach), min(1.0, mean + reach)


def _by_patient(scores: Sequence[VolumeScore], value: Callable[[VolumeScore], float]) -> Values:
    found: dict[str, list[float]] = {}
    for score in scores:
        found.setdefault(score.patient, []).append(value(score))
    return found


def _pooled(scores: Sequence[VolumeScore]) -> float:
    """Dice over all series as if they were one, by volume; of two readers each counts half."""
    overlap_ml, total_ml = 0.0, 0.0
    for score in scores:
        for share, reference_ml in zip(score.sensitivity, score.reference_ml, strict=True):
            overlap_ml += 2.0 * share * reference_ml / len(score.dice)
            total_ml += (reference_ml + score.found_ml) / len(score.dice)
    return overlap_ml / total_ml if total_ml else 1.0


def _groups(scores: Sequence[VolumeScore], key: Callable[[VolumeScore], str]) -> dict[str, dict[str, Any]]:
    named = sorted({key(score) for score in scores})
    parts = {name: [score for score in scores if key(score) == name] for name in named}
    return {
        name: {
            "n": len(part),
            "dice_mean": float(np.mean([score.mean_dice for score in part])),
            "dice_ci95": bootstrap_ci95(_by_patient(part, lambda score: score.mean_dice)),
        }
        for name, part in parts.items()
    }


def _thickness(score: VolumeScore) -> str:
    edges = (3.0, 6.0, 8.0)
    below = [edge for edge in edges if score.slab_mm < edge]
    return f"below {below[0]:g}" if below else f"{edges[-1]:g} and more"


def _size(score: VolumeScore) -> str:
    mean = float(np.mean(score.reference_ml)) if score.reference_ml else 0.0
    below = [edge for edge in (10.0, 100.0, 500.0) if mean < edge]
    return f"below {below[0]:g}" if below else "500 and more"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
