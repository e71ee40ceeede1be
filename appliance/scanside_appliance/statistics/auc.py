"""The area under the ROC curve with DeLong's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student_t
from statsmodels.stats.nonparametric import rank_compare_2indep

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

Z_95 = float(norm.ppf(0.975))
LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class Auc:
    """The area, DeLong's standard error, and two 95 % intervals from it.

    ci95: area -/+ 1.96 standard errors, cut at 0 and 1, as DeLong's interval is mostly printed. Near 1 it is too short.
    ci95_score: the areas that the data do not reject when the error is scaled to each of them, as `score_interval`.
    p_value: of the test against an area of 0.5.
    """

    value: float
    standard_error: float
    ci95: Interval
    ci95_score: Interval
    p_value: float


def auc(positive: Bools, score: Floats) -> Auc:
    """The area for telling `positive` (n,) by a higher `score` (n,); a tie counts half.

    The variance of placements that statsmodels takes for Brunner and Munzel's test is DeLong's (DeLong ER et al.,
    Biometrics 1988; 44: 837-845). Raises ValueError with fewer than two exams in either group.
    """
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        raise ValueError("an interval of the AUC needs two exams in either group")
    with np.errstate(divide="ignore", invalid="ignore"):  # no variance at all where no pair is out of order
        compared = rank_compare_2indep(score[positive], score[~positive], use_t=True)
        p_value = float(compared.pvalue)
    area, error = float(compared.prob1), math.sqrt(compared.var_prob)
    plain = (max(0.0, area - Z_95 * error), min(1.0, area + Z_95 * error))
    if not 0.0 < area < 1.0:
        return Auc(area, error, plain, (area, area), 0.0 if math.isnan(p_value) else p_value)
    quantile = float(student_t.ppf(0.975, compared.df))  # Satterthwaite's degrees of freedom
    return Auc(area, error, plain, score_interval(area, error / (area * (1.0 - area)), quantile), p_value)


def score_interval(area: float, logit_error: float, quantile: float = Z_95) -> Interval:
    """All t with |area - t| <= quantile * logit_error * t (1 - t): the error of an area shrinks towards 0 and 1.

    logit_error: standard error of the area's logit. What plain intervals lose near 1, where the estimated error is
    small just when the area came out too high, this one keeps; `scanside cohort simulate` measures both. Neither side
    is longer than `LONGEST` times the plain interval's, which matters where next to no pair is out of order.
    """
    c = quantile * logit_error
    reach = LONGEST * c * area * (1.0 - area)
    low = 2.0 * area / (1.0 + c + math.sqrt((1.0 + c) ** 2 - 4.0 * c * area))
    high = 2.0 * area / (1.0 - c + math.sqrt((1.0 - c) ** 2 + 4.0 * c * area))
    return max(low, area - reach), min(high, area + reach)
