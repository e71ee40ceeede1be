"""Agreement of two yes-or-no readings beyond chance: Cohen's kappa with both of its standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.stats.inter_rater import cohens_kappa

from scanside_appliance.statistics.auc import Z_95

STRENGTHS = ((0.2, "poor"), (0.4, "fair"), (0.6, "moderate"), (0.8, "good"), (1.0, "very good"))
"""Up to which kappa an agreement is called what. Source: Altman DG, Practical Statistics for Medical Research, 1991."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kappa of a 2 x 2 table; what chance alone would explain or leave undefined is None.

    standard_error: Cohen's simple one, sqrt(po (1 - po) / n) / (1 - pe) (Educ Psychol Meas 1960; 20: 37-46).
    standard_error_asymptotic: the large-sample one of Fleiss, Cohen and Everitt (Psychol Bull 1969; 72: 323-327).
    ci95 rests on the simple, ci95_asymptotic on the asymptotic one.
    """

    n: int
    counts: tuple[tuple[int, int], tuple[int, int]]
    observed_agreement: float | None
    kappa: float | None
    standard_error: float | None
    standard_error_asymptotic: float | None
    ci95: tuple[float, float] | None
    ci95_asymptotic: tuple[float, float] | None
    strength: str | None


def agreement(counts: npt.ArrayLike) -> Agreement:
    """Agreement of a table [[a, b], [c, d]]: rows one reader, columns the other, a and d where both say the same.

    Raises ValueError for anything but a 2 x 2 table of counts.
    """
    table = np.asarray(counts)
    if table.shape != (2, 2) or not np.issubdtype(table.dtype, np.integer) or np.any(table < 0):
        raise ValueError(f"a 2 x 2 table of counts is needed, not {table.tolist()}")
    n = int(table.sum())
    kept = ((int(table[0, 0]), int(table[0, 1])), (int(table[1, 0]), int(table[1, 1])))
    observed = float(np.trace(table) / n) if n else None
    if observed is None or _expected(table) >= 1.0:
        return Agreement(n, kept, observed, None, None, None, None, None, None)
    with np.errstate(divide="ignore", invalid="ignore"):  # tests that nobody asked for, on tables with an empty margin
        found = cohens_kappa(table)
    kappa, simple = float(found.kappa), simple_standard_error(observed, _expected(table), n)
    asymptotic = math.sqrt(max(0.0, float(found.var_kappa)))
    around = [(kappa - Z_95 * error, kappa + Z_95 * error) for error in (simple, asymptotic)]
    return Agreement(n, kept, observed, kappa, simple, asymptotic, around[0], around[1], strength(kappa))


def simple_standard_error(observed: float, expected: float, n: int) -> float:
    """Cohen's first formula, which many papers and MedCalc-like programs print."""
    return math.sqrt(observed * (1.0 - observed) / n) / (1.0 - expected)


def strength(kappa: float) -> str:
    """Altman's word for a kappa: "poor" up to 0.20, "fair", "moderate", "good", "very good" from 0.81."""
    return next((word for limit, word in STRENGTHS if round(kappa, 2) <= limit), STRENGTHS[-1][1])


def _expected(table: npt.NDArray[np.int64]) -> float:
    """Agreement by chance from the margins."""
    return float(table.sum(axis=1) @ table.sum(axis=0)) / float(table.sum()) ** 2
