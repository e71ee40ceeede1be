"""How good is a mask, and how far are two ways of measuring apart? On numpy alone.

Masks are bool arrays of one shape; comparing masks of different shapes raises ValueError.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools

Z_95 = 1.96  # two-sided 95 % of a normal distribution, as Bland and Altman use it


@dataclass(frozen=True, slots=True)
class LimitsOfAgreement:
    """Mean difference and the limits between which 95 % of the differences are expected, in the measure's own unit."""

    bias: float
    lower: float
    upper: float


def dice(a: Bools, b: Bools) -> float:
    """2 |a and b| / (|a| + |b|), from 0 to 1; two empty masks agree: 1."""
    return _share(2 * _overlap(a, b), _size(a) + _size(b))


def sensitivity(found: Bools, truth: Bools) -> float:
    """Share of the truth that was found; 1 where there was nothing to find."""
    return _share(_overlap(found, truth), _size(truth))


def precision(found: Bools, truth: Bools) -> float:
    """Share of what was found that is true; 1 where nothing was found."""
    return _share(_overlap(found, truth), _size(found))


def volume_error_percent(found: Bools, truth: Bools) -> float | None:
    """100 * (found - truth) / truth, signed, on one grid; None where the truth is empty."""
    _same_shape(found, truth)
    return 100.0 * (_size(found) - _size(truth)) / _size(truth) if truth.any() else None


def poi_percent(infection: Bools, lung: Bools) -> float | None:
    """Share of the lung that is infected, infection within lung, in percent; None without lung."""
    return 100.0 * _overlap(infection, lung) / _size(lung) if lung.any() else None


def poi_error_points(infection: Bools, lung: Bools, true_infection: Bools, true_lung: Bools) -> float | None:
    """Measured minus true POI in percentage points, signed; None where either has no lung."""
    measured, true = poi_percent(infection, lung), poi_percent(true_infection, true_lung)
    return None if measured is None or true is None else measured - true


def limits_of_agreement(measured: npt.ArrayLike, reference: npt.ArrayLike) -> LimitsOfAgreement:
    """Bland-Altman limits: mean difference -/+ 1.96 standard deviations (n - 1) of the differences.

    measured, reference: (n,) numbers of the same n >= 2 subjects. Raises ValueError for anything else.
    Source: Bland JM, Altman DG, Lancet 1986; 327: 307-310.
    """
    a, b = np.asarray(measured, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or a.size < 2:
        raise ValueError(f"limits of agreement need two lists of the same length, 2 or more: {a.shape} and {b.shape}")
    differences = a - b  # (n,) float64
    bias, spread = float(differences.mean()), Z_95 * float(differences.std(ddof=1))
    return LimitsOfAgreement(bias, bias - spread, bias + spread)


def _share(part: int, total: int) -> float:
    return part / total if total else 1.0


def _overlap(a: Bools, b: Bools) -> int:
    _same_shape(a, b)
    return int(np.count_nonzero(a & b))


def _size(mask: Bools) -> int:
    return int(np.count_nonzero(mask))


def _same_shape(a: Bools, b: Bools) -> None:
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape} can't be compared: bring them to one grid")
