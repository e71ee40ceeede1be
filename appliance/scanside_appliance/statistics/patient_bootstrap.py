"""Intervals that know that exams of one patient are alike: whole patients are drawn again, with all their exams."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logit
from scipy.stats import norm
from scipy.stats import t as student_t
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import auc as area_under
from sklearn.metrics import roc_curve

from scanside_appliance.statistics.auc import Bools, Floats, Interval, exact_at_the_end, score_interval
from scanside_appliance.statistics.cut_off import best_point


@dataclass(frozen=True, slots=True)
class ByPatient:
    """What drawing patients gives. optimism: apparent minus true at a cut-off that was chosen on the same exams.

    auc_ci95, sensitivity_ci95, specificity_ci95: `score_interval` with the bootstrap's standard error; at 0 and 1,
    where all draws are alike, `exact_at_the_end` by patients.
    odds_ratio_ci95: one interval a feature; the unit stays the standard deviation of the whole table.
    """

    resamples: int
    patients: int
    auc_ci95: Interval
    odds_ratio_ci95: tuple[Interval, ...]
    sensitivity_ci95: Interval
    specificity_ci95: Interval
    sensitivity_optimism: float
    specificity_optimism: float


@dataclass(frozen=True, slots=True, eq=False)
class Clustered:
    """Exams with what is known of them. patient: (n,) whole numbers from 0; values: (n, k), one column a feature.

    score: (n,), higher means more likely positive, and its cut-off.
    """

    patient: npt.NDArray[np.int64]
    positive: Bools
    values: Floats
    score: Floats
    cut_off: float

    @property
    def patients_by_group(self) -> tuple[int, int]:
        """How many patients have an exam among the positive ones, and among the others."""
        return np.unique(self.patient[self.positive]).size, np.unique(self.patient[~self.positive]).size


@dataclass(frozen=True, slots=True)
class _Draw:
    area: float
    slopes: tuple[float, ...]
    at_fixed: tuple[float, float]
    at_own: tuple[float, float]
    own_on_all: tuple[float, float]


def bootstrap_by_patient(exams: Clustered, resamples: int = 1000, seed: int = 0) -> ByPatient:
    """Draw patients with replacement `resamples` times; a draw without either group is drawn again.

    Optimism as by Harrell FE et al., Stat Med 1996; 15: 361-387: the cut-off is chosen in each draw and tried on all.
    Raises ValueError where one patient has all exams of a group: no draw says how patients differ.
    """
    groups = exams.patients_by_group
    if min(groups) < 2:
        raise ValueError("drawing patients needs two of them in either group")
    scaled = (exams.values - exams.values.mean(axis=0)) / exams.values.std(axis=0, ddof=1)
    rng = np.random.default_rng(seed)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # the same arrays, checked once is enough
        draws = [_draw(exams, scaled, _weights(exams, rng)) for _ in range(resamples)]
    quantile = _quantile(exams)
    shares = np.array([draw.at_fixed for draw in draws])  # (resamples, 2) float64
    found = _shares(exams, exams.cut_off, np.ones_like(exams.patient))
    optimism = np.mean([np.subtract(draw.at_own, draw.own_on_all) for draw in draws], axis=0)  # (2,) float64
    return ByPatient(
        resamples=resamples,
        patients=int(exams.patient.max()) + 1,
        auc_ci95=_area_interval(exams, np.array([draw.area for draw in draws]), quantile),
        odds_ratio_ci95=_ratio_intervals(
            np.array(_slopes(exams.positive, scaled, np.ones_like(exams.patient))),
            np.array([draw.slopes for draw in draws]),
            quantile,
        ),
        sensitivity_ci95=_share_interval(found[0], shares[:, 0], quantile, groups[0]),
        specificity_ci95=_share_interval(found[1], shares[:, 1], quantile, groups[1]),
        sensitivity_optimism=float(optimism[0]),
        specificity_optimism=float(optimism[1]),
    )


def _weights(exams: Clustered, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """How often each exam is in one draw of patients: (n,) int64."""
    patients = int(exams.patient.max()) + 1
    while True:
        times = rng.multinomial(patients, np.full(patients, 1.0 / patients))[exams.patient]
        if np.any(times[exams.positive]) and np.any(times[~exams.positive]):
            return np.asarray(times, dtype=np.int64)


def _draw(exams: Clustered, scaled: Floats, weights: npt.NDArray[np.int64]) -> _Draw:
    false_positive, true_positive, thresholds = roc_curve(
        exams.positive, exams.score, sample_weight=weights, drop_intermediate=False
    )
    own = float(thresholds[best_point(false_positive, true_positive)])
    return _Draw(
        area=float(area_under(false_positive, true_positive)),
        slopes=_slopes(exams.positive, scaled, weights),
        at_fixed=_shares(exams, exams.cut_off, weights),
        at_own=_shares(exams, own, weights),
        own_on_all=_shares(exams, own, np.ones_like(weights)),
    )


def _slopes(positive: Bools, scaled: Floats, weights: npt.NDArray[np.int64]) -> tuple[float, ...]:
    """Log odds per standard deviation; a draw whose groups do not overlap keeps the steepest slope that was reached."""
    drawn = weights > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8)
        model.fit(scaled[drawn], positive[drawn], sample_weight=weights[drawn])
    return tuple(float(slope) for slope in np.clip(model.coef_[0], -700.0, 700.0))


def _shares(exams: Clustered, cut_off: float, weights: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Sensitivity and specificity of a cut-off among weighted exams."""
    called, sick, well = exams.score >= cut_off, weights[exams.positive], weights[~exams.positive]
    return float(sick @ called[exams.positive] / sick.sum()), float(well @ ~called[~exams.positive] / well.sum())


def _quantile(exams: Clustered) -> float:
    """How many bootstrap standard errors an interval reaches: few patients in the smaller group make it wider.

    Student's t with their number less one degrees of freedom; and a bootstrap of g clusters gives (g - 1) / g of the
    variance (Davison AC, Hinkley DV, Bootstrap Methods and their Application, 1997).
    """
    fewest = min(exams.patients_by_group)
    return float(student_t.ppf(0.975, fewest - 1)) * math.sqrt(fewest / (fewest - 1))


def _ratio_intervals(slopes: Floats, drawn: Floats, quantile: float) -> tuple[Interval, ...]:
    """exp(slope -/+ `quantile` standard errors) for each feature; drawn: (resamples, features).

    The standard error is a quarter range over that of a normal distribution: draws whose groups do not overlap have
    slopes without bound, which would make a standard deviation what the solver stops at.
    """
    low, high = np.quantile(drawn, [0.25, 0.75], axis=0)
    errors = (high - low) / (2.0 * norm.ppf(0.75))
    ends = np.exp(np.clip([slopes - quantile * errors, slopes + quantile * errors], -700.0, 700.0))
    return tuple((float(lower), float(upper)) for lower, upper in ends.T)


def _area_interval(exams: Clustered, areas: Floats, quantile: float) -> Interval:
    false_positive, true_positive, _ = roc_curve(exams.positive, exams.score, drop_intermediate=False)
    area = float(area_under(false_positive, true_positive))
    edge = 0.5 / (np.count_nonzero(exams.positive) * np.count_nonzero(~exams.positive))  # half a pair out of order
    if not edge / 2.0 < area < 1.0 - edge / 2.0:  # a sum, and as such not quite 1
        return exact_at_the_end(area, min(exams.patients_by_group))
    spread = float(np.std(logit(np.clip(areas, edge, 1.0 - edge)), ddof=1))
    return score_interval(area, spread, quantile)


def _share_interval(share: float, drawn: Floats, quantile: float, patients: int) -> Interval:
    """As the area's."""
    if not 0.0 < share < 1.0:
        return exact_at_the_end(share, patients)
    return score_interval(share, float(np.std(drawn, ddof=1)) / (share * (1.0 - share)), quantile)
