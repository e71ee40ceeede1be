"""Logistic regression by maximum likelihood, with odds ratios per standard deviation."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationError, PerfectSeparationWarning
from statsmodels.tools.tools import add_constant

from scanside_appliance.statistics.auc import Bools, Floats


class Separated(ValueError):
    """A value splits the two groups without overlap: the likelihood has no maximum, odds ratios are not finite."""


@dataclass(frozen=True, slots=True)
class Term:
    """One feature of a model. coefficient: log odds per unit of the feature; sd: of the feature, n - 1."""

    feature: str
    coefficient: float
    sd: float
    odds_ratio_per_sd: float
    odds_ratio_ci95: tuple[float, float]
    p_value: float


@dataclass(frozen=True, slots=True, eq=False)
class Logistic:
    """A fitted model. intercept and the terms' coefficients are in the features' own units.

    probability: (n,) of the exams that it was fitted on.
    """

    intercept: float
    terms: tuple[Term, ...]
    aic: float
    probability: Floats


def fit_logistic(positive: Bools, features: dict[str, Floats]) -> Logistic:
    """Fit log odds of `positive` (n,) to the features, each (n,) without NaN and not constant.

    Intervals and p are Wald's. Raises Separated where the groups do not overlap.
    """
    values = np.column_stack(list(features.values()))  # (n, k) float64
    means, sds = values.mean(axis=0), values.std(axis=0, ddof=1)
    fitted = _fit(positive.astype(np.float64), add_constant((values - means) / sds, has_constant="add"))
    per_sd, ci95 = fitted.params[1:], fitted.conf_int(0.05)[1:]
    terms = tuple(
        Term(
            name, float(per_sd[i] / sds[i]), float(sds[i]), _exp(per_sd[i]),
            (_exp(ci95[i, 0]), _exp(ci95[i, 1])), float(fitted.pvalues[i + 1]),
        )
        for i, name in enumerate(features)
    )  # fmt: skip
    intercept = float(fitted.params[0] - np.sum(per_sd * means / sds))
    return Logistic(intercept, terms, float(fitted.aic), np.asarray(fitted.predict()))


def _fit(outcome: Floats, design: Floats) -> Logit:
    with warnings.catch_warnings():
        for signal in (PerfectSeparationWarning, ConvergenceWarning, RuntimeWarning):
            warnings.simplefilter("error", signal)
        try:
            return Logit(outcome, design).fit(disp=0, method="newton", tol=1e-10, maxiter=100)
        except (PerfectSeparationWarning, PerfectSeparationError, ConvergenceWarning, RuntimeWarning) as sign:
            raise Separated("the groups do not overlap") from sign
        except np.linalg.LinAlgError as singular:
            raise Separated("the features can't be told apart") from singular


def _exp(log_odds: float) -> float:
    """Never infinity: the document holds finite numbers only."""
    return math.exp(min(float(log_odds), 700.0))
