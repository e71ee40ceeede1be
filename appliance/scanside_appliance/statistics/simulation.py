"""Do the intervals cover? Cohorts of the paper's shape are drawn from a known truth and calibrated again and again.

POI is gamma distributed in both groups with one shape (3 if nothing else is said), so that the log odds are a straight
line in POI, and AUC and slope are known exactly. With clusters, a patient's exams share half of their variance, and
each exam keeps the distribution of its group, so that the truth stays the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import f, gamma, norm

from scanside_appliance.statistics.auc import Bools, Floats, auc, logit_interval
from scanside_appliance.statistics.cut_off import at_cut_off, youden
from scanside_appliance.statistics.logistic import fit_logistic
from scanside_appliance.statistics.patient_bootstrap import Clustered, bootstrap_by_patient
from scanside_runtime.progress import Progress

EVENTS, WITHOUT, PATIENTS = 79, 452, 196
SHAPE, MILD_MEAN_PERCENT = 3.0, 4.0
SHARED_VARIANCE = 0.5


@dataclass(frozen=True, slots=True)
class SimulatedTruth:
    """What every simulated cohort is drawn from. Scales of POI in percent; cut_off: the fixed one that is tried."""

    auc: float
    shape: float
    mild_scale: float
    severe_scale: float
    cut_off: float

    @property
    def slope(self) -> float:
        """Log odds per percent of POI."""
        return 1.0 / self.mild_scale - 1.0 / self.severe_scale

    def sensitivity(self, cut_off: float) -> float:
        """Share of severe exams at or above a POI."""
        return float(gamma.sf(cut_off, self.shape, scale=self.severe_scale))

    def specificity(self, cut_off: float) -> float:
        """Share of the others below a POI."""
        return float(gamma.cdf(cut_off, self.shape, scale=self.mild_scale))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Share of the simulations whose 95 % interval holds the truth, and by how much a chosen cut-off flatters itself.

    auc: the interval that `calibrate` shows; auc_delong, auc_logit: what else is made of DeLong's error, the plain
    interval and the one on the logit scale. true_below, true_above: on which side the truth lies where auc misses.
    auc_sd, auc_error: how far the areas scatter, and DeLong's error (root mean square), which should be as large;
    auc_error_correlation: of area and error over the simulations; if not 0, plain intervals lean; None for one.
    optimism: apparent minus true at the Youden cut-off, mean over the simulations, and the bootstrap's mean estimate.
    """

    simulations: int
    clustered: bool
    true_auc: float
    shape: float
    auc: float
    auc_true_below: float
    auc_true_above: float
    auc_width: float
    auc_delong: float
    auc_logit: float
    auc_sd: float
    auc_error: float
    auc_error_correlation: float | None
    odds_ratio_per_sd: float
    sensitivity_at_fixed_cut_off: float
    specificity_at_fixed_cut_off: float
    sensitivity_optimism: float
    specificity_optimism: float
    by_patient: dict[str, float] | None

    def to_document(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def paper_truth(true_auc: float = 0.968, shape: float = SHAPE) -> SimulatedTruth:
    """Scales for which a severe exam has the larger POI with the given probability; the cut-off lies where both meet.

    The ratio of two gamma variables of one shape k is F distributed with 2 k and 2 k degrees of freedom.
    """
    ratio = float(f.ppf(true_auc, 2 * shape, 2 * shape))
    mild = MILD_MEAN_PERCENT / shape
    severe = mild * ratio
    meet = shape * np.log(ratio) / (1.0 / mild - 1.0 / severe)
    return SimulatedTruth(true_auc, shape, mild, severe, float(meet))


def simulate(
    simulations: int,
    *,
    clustered: bool,
    truth: SimulatedTruth | None = None,
    resamples: int = 400,
    seed: int = 0,
    progress: Progress | None = None,
) -> Coverage:
    """Draw and calibrate `simulations` cohorts of 79 severe and 452 other exams; patients are drawn where clustered."""
    truth, rng = truth or paper_truth(), np.random.default_rng(seed)
    hits: list[dict[str, float]] = []
    for done in range(simulations):
        if progress is not None:
            progress("simulated cohorts", done, simulations)
        positive, patient = _who(rng, clustered)
        poi = _poi(truth, positive, patient, rng)
        hits.append(
            _plain(truth, positive, poi, done)
            | (_by_patient(truth, positive, poi, patient, resamples, done) if clustered else {})
        )
    return _coverage(truth, hits, clustered)


def _coverage(truth: SimulatedTruth, hits: list[dict[str, float]], clustered: bool) -> Coverage:
    """Means over the simulations; of areas and errors how they scatter."""
    columns = {name: np.array([hit[name] for hit in hits]) for name in hits[0]}
    areas, errors = columns.pop("area"), columns.pop("error")
    mean = {name: float(column.mean()) for name, column in columns.items()}
    by_patient = {name.removeprefix("patient_"): value for name, value in mean.items() if name.startswith("patient_")}
    return Coverage(
        simulations=len(hits),
        clustered=clustered,
        true_auc=truth.auc,
        shape=truth.shape,
        auc_sd=float(areas.std()),
        auc_error=float(np.sqrt(np.mean(errors**2))),
        auc_error_correlation=float(np.corrcoef(areas, errors)[0, 1]) if len(hits) > 1 else None,
        **{name: value for name, value in mean.items() if not name.startswith("patient_")},
        by_patient=by_patient or None,
    )


def _who(rng: np.random.Generator, clustered: bool) -> tuple[Bools, npt.NDArray[np.int64]]:
    """Who is severe, and whose exam it is: patients have one exam and more, and a few have both kinds."""
    positive = np.arange(EVENTS + WITHOUT) < EVENTS
    if not clustered:
        return positive, np.arange(positive.size)
    owners = np.concatenate([np.arange(PATIENTS), rng.integers(0, PATIENTS, positive.size - PATIENTS)])
    return positive, np.sort(owners)  # severe exams come first, so the first patients are the severe ones


def _poi(truth: SimulatedTruth, positive: Bools, patient: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """POI in percent, (n,) float64."""
    shared, own = rng.standard_normal(int(patient.max()) + 1)[patient], rng.standard_normal(positive.size)
    place = norm.cdf(np.sqrt(SHARED_VARIANCE) * shared + np.sqrt(1.0 - SHARED_VARIANCE) * own)
    scale = np.where(positive, truth.severe_scale, truth.mild_scale)
    return np.asarray(gamma.ppf(place, truth.shape, scale=scale), dtype=np.float64)


def _plain(truth: SimulatedTruth, positive: Bools, poi: Floats, seed: int) -> dict[str, float]:
    term, chosen = fit_logistic(positive, {"poi_percent": poi}).terms[0], youden(positive, poi)
    fixed = at_cut_off(positive, poi, truth.cut_off)
    return _areas(truth, positive, poi, seed) | {
        "odds_ratio_per_sd": _holds(term.odds_ratio_ci95, float(np.exp(truth.slope * term.sd))),
        "sensitivity_at_fixed_cut_off": _holds(fixed.sensitivity.ci95, truth.sensitivity(truth.cut_off)),
        "specificity_at_fixed_cut_off": _holds(fixed.specificity.ci95, truth.specificity(truth.cut_off)),
        "sensitivity_optimism": (chosen.sensitivity.share or 0.0) - truth.sensitivity(chosen.value),
        "specificity_optimism": (chosen.specificity.share or 0.0) - truth.specificity(chosen.value),
    }


def _areas(truth: SimulatedTruth, positive: Bools, poi: Floats, seed: int) -> dict[str, float]:
    area = auc(positive, poi, seed)
    low, high = area.ci95
    inside = 0.0 < area.value < 1.0
    return {
        "area": area.value,
        "error": area.standard_error,
        "auc": _holds(area.ci95, truth.auc),
        "auc_true_below": float(truth.auc < low),
        "auc_true_above": float(truth.auc > high),
        "auc_width": high - low,
        "auc_delong": _holds(area.ci95_delong, truth.auc),
        "auc_logit": _holds(logit_interval(area.value, area.standard_error) if inside else None, truth.auc),
    }


def _by_patient(
    truth: SimulatedTruth, positive: Bools, poi: Floats, patient: npt.NDArray[np.int64], resamples: int, seed: int
) -> dict[str, float]:
    exams = Clustered(patient, positive, poi[:, None], poi, truth.cut_off)
    found = bootstrap_by_patient(exams, resamples, seed)
    slope = float(np.exp(truth.slope * poi.std(ddof=1)))
    return {
        "patient_auc": _holds(found.auc_ci95, truth.auc),
        "patient_odds_ratio_per_sd": _holds(found.odds_ratio_ci95[0], slope),
        "patient_sensitivity": _holds(found.sensitivity_ci95, truth.sensitivity(truth.cut_off)),
        "patient_specificity": _holds(found.specificity_ci95, truth.specificity(truth.cut_off)),
        "patient_sensitivity_optimism": found.sensitivity_optimism,
        "patient_specificity_optimism": found.specificity_optimism,
    }


def _holds(interval: tuple[float, float] | None, truth: float) -> float:
    return float(interval is not None and interval[0] <= truth <= interval[1])
