"""The area under the ROC curve with DeLong's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import norm
from statsmodels.stats.nonparametric import rank_compare_2indep

from scanside_appliance.statistics.proportions import proportion
from scanside_appliance.statistics.studentised import studentised_interval

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

Z_95 = float(norm.ppf(0.975))
LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class Auc:
    """The area, DeLong's standard error, and two 95 % intervals from it.

    ci95: studentised bootstrap with DeLong's error (`studentised_interval`), which holds what it says near 1 too; at 0
    and 1 `exact_at_the_end`.
    ci95_delong: area -/+ 1.96 standard errors, cut at 0 and 1, as DeLong's interval is mostly printed.
    p_value: of the test against an area of 0.5.
    """

    value: float
    standard_error: float
    ci95: Interval
    ci95_delong: Interval
    p_value: float


def auc(positive: Bools, score: Floats, seed: int = 0) -> Auc:
    """The area for telling `positive` (n,) by a higher `score` (n,); a tie counts half.

    The variance of placements that statsmodels takes for Brunner and Munzel's test is DeLong's (DeLong ER et al.,
    Biometrics 1988; 44: 837-845). seed: where the bootstrap's random numbers begin. Raises ValueError with fewer than
    two exams in either group.
    """
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        raise ValueError("an interval of the AUC needs two exams in either group")
    with np.errstate(divide="ignore", invalid="ignore"):  # no variance at all where no pair is out of order
        compared = rank_compare_2indep(score[positive], score[~positive], use_t=True)
        p_value = float(compared.pvalue)
    area, error = float(compared.prob1), math.sqrt(compared.var_prob)
    plain = (max(0.0, area - Z_95 * error), min(1.0, area + Z_95 * error))
    if not 0.0 < area < 1.0:
        fewest = int(min(np.count_nonzero(positive), np.count_nonzero(~positive)))
        end = exact_at_the_end(area, fewest)
        return Auc(area, error, end, plain, 0.0 if math.isnan(p_value) else p_value)
    return Auc(area, error, studentised_interval(positive, score, area, error, seed), plain, p_value)


def exact_at_the_end(share: float, n: int) -> Interval:
    """The interval of a share or an area of 0 or 1, where no draw differs from another: Clopper and Pearson's for n.

    n: independent patients; of an area the pairs that can be made of both groups, no exam twice: all of them are in
    order with at most the area's n-th power.
    """
    return proportion(n if share > 0.5 else 0, n).ci95 or (share, share)


def logit_interval(area: float, error: float) -> Interval:
    """Symmetric on the logit scale, as Pepe MS (The Statistical Evaluation of Medical Tests, 2003) has it.

    Not what `calibrate` shows: `simulate` holds it against what is. area: within 0 and 1, both left out.
    """
    reach = Z_95 * error / (area * (1.0 - area))
    return float(expit(logit(area) - reach)), float(expit(logit(area) + reach))


def score_interval(area: float, logit_error: float, quantile: float = Z_95) -> Interval:
    """All t with |area - t| <= quantile * logit_error * t (1 - t): the error of an area shrinks towards 0 and 1.

    logit_error: standard error of the area's logit. For the bootstrap of patients: what plain intervals lose near 1,
    where the estimated error is small just when the area came out too high, this one keeps. Neither side is longer than
    `LONGEST` times the plain interval's, which matters where next to no pair is out of order.
    """
    c = quantile * logit_error
    reach = LONGEST * c * area * (1.0 - area)
    low = 2.0 * area / (1.0 + c + math.sqrt((1.0 + c) ** 2 - 4.0 * c * area))
    high = 2.0 * area / (1.0 - c + math.sqrt((1.0 - c) ** 2 + 4.0 * c * area))
    return max(low, area - reach), min(high, area + reach)
