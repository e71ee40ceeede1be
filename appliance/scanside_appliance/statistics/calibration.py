"""Severity from POI, iHU and both, fitted to a hospital's own exams (the paper's Table 2).

exams = read_exams(path, label)
models = calibrate(exams)      refused where there are too few events
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from scanside_appliance.statistics.auc import Auc, Bools, Floats, auc
from scanside_appliance.statistics.cut_off import CutOff, youden
from scanside_appliance.statistics.errors import CohortTable, CohortTooFewEvents
from scanside_appliance.statistics.logistic import Logistic, Separated, fit_logistic
from scanside_appliance.statistics.patient_bootstrap import ByPatient, Clustered, bootstrap_by_patient
from scanside_appliance.statistics.tables import labels, nobodys, numbers, patients, read_table
from scanside_runtime.progress import Progress

POI, IHU = "poi_percent", "ihu_hu"
FEATURE_SETS = ((POI,), (IHU,), (POI, IHU))
EVENTS_PER_FEATURE = 10
"""So many exams of the rarer group a coefficient needs (Peduzzi P et al., J Clin Epidemiol 1996; 49: 1373-1379)."""


@dataclass(frozen=True, slots=True, eq=False)
class Exams:
    """Exams that were measured and labelled.

    patient: (n,) whole numbers from 0. positive: (n,). measures: POI and iHU, each (n,) with NaN where not measured.
    left_out: how many rows of the table are not here, by what they lack. nobodys: how many are here whose patient_id is
    empty or given to many; each counts as a patient of its own.
    """

    label: str
    patient: npt.NDArray[np.int64]
    positive: Bools
    measures: dict[str, Floats]
    left_out: dict[str, int]
    nobodys: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """One fitted model with what it is worth on the exams that it was fitted on.

    cut_off: in the feature's own unit for one feature, a probability for two. severe_when: the side of the cut-off that
    is called severe. positive, score: (n,) what the ROC curve is drawn of. logistic is None where the groups do not
    overlap. by_patient: None where it was not asked for, each patient has one exam, or one patient has all
    of a group. optimism: by how much
    sensitivity and specificity look too high because the cut-off was chosen on these exams; None without draws.
    """

    features: tuple[str, ...]
    n: int
    events: int
    patients: int
    patients_with_events: int
    area: Auc
    cut: CutOff
    severe_when: str
    positive: Bools
    score: Floats
    logistic: Logistic | None
    by_patient: ByPatient | None
    optimism: tuple[float, float] | None

    @property
    def cut_off(self) -> float:
        """The cut-off as a person reads it: the score of a feature that falls with severity is its negative."""
        return self.cut.value if self.severe_when == ">=" else -self.cut.value

    def to_document(self) -> dict[str, Any]:
        """One entry of `models`: single numbers for one feature, lists in the order of `features` for two."""
        sensitivity, specificity, terms = self.cut.sensitivity, self.cut.specificity, _terms(self.logistic)
        return {
            "features": list(self.features),
            "n": self.n,
            "events": self.events,
            "auc": self.area.value,
            "auc_ci95": list(self.area.ci95),
            "cut_off": self.cut_off,
            "sensitivity": sensitivity.share,
            "specificity": specificity.share,
            "sensitivity_ci95": _listed(sensitivity.ci95),
            "specificity_ci95": _listed(specificity.ci95),
            **{key: _one_or_all([term[key] for term in terms], self) for key in _OF_A_TERM},
            "aic": None if self.logistic is None else self.logistic.aic,
            "auc_standard_error": self.area.standard_error,
            "auc_ci95_delong": list(self.area.ci95_delong),
            "auc_p_value": self.area.p_value,
            "cut_off_unit": _UNITS.get(self.features, "probability"),
            "severe_when": self.severe_when,
            "sensitivity_counts": [sensitivity.count, sensitivity.n],
            "specificity_counts": [specificity.count, specificity.n],
            "sensitivity_optimism": None if self.optimism is None else self.optimism[0],
            "specificity_optimism": None if self.optimism is None else self.optimism[1],
            "sd": _one_or_all([term["sd"] for term in terms], self),
            "patients": self.patients,
            "patients_with_events": self.patients_with_events,
            "by_patient": None if self.by_patient is None else asdict(self.by_patient),
        }


_UNITS: dict[tuple[str, ...], str] = {(POI,): "percent", (IHU,): "HU"}
_OF_A_TERM = ("odds_ratio_per_sd", "odds_ratio_ci95", "p_value")


def read_exams(path: Path, label: str, placeholder_ids: Collection[str] = ()) -> Exams:
    """The exams of a table with patient_id, poi_percent, ihu_hu and the label's column. Raises CohortTable."""
    table = read_table(path, ("patient_id", POI, IHU, label))
    severe, poi, ihu = labels(table, label, path.name), *(numbers(table, name, path.name) for name in (POI, IHU))
    lacks_label = np.isnan(severe)
    lacks_poi = np.isnan(poi) & ~lacks_label
    kept = ~lacks_label & ~lacks_poi
    left_out = {"no_label": int(lacks_label.sum()), "no_poi": int(lacks_poi.sum())}
    _require_each_once(table, kept, path.name)
    _, patient = np.unique(patients(table, placeholder_ids)[kept], return_inverse=True)
    measures = {POI: poi[kept], IHU: ihu[kept]}
    unnamed = int(nobodys(table, placeholder_ids)[kept].sum())
    return Exams(label, patient, severe[kept] == 1.0, measures, left_out, unnamed)


def _require_each_once(table: pd.DataFrame, kept: Bools, name: str) -> None:
    """A study that stands in two rows would count as two exams: every interval too short, every p too small."""
    if "study_uid" not in table.columns:
        return
    studies = table["study_uid"][kept]
    twice = (studies.notna() & studies.duplicated()).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(kept)[np.argmax(twice)])
        raise CohortTable(name=name, why=f"row {row + 1} has the same study_uid as a row before it")


def calibrate(exams: Exams, resamples: int = 1000, progress: Progress | None = None) -> tuple[list[Model], list[str]]:
    """The models for POI, iHU and both, and in words which could not be fitted.

    Exams without iHU (nothing infected) are left out where iHU is a feature. Intervals by patients are made where a
    patient has more than one exam and `resamples` is not 0. Raises CohortTooFewEvents where no model can be fitted.
    """
    models: list[Model] = []
    refusals: list[CohortTooFewEvents] = []
    not_fitted: list[str] = []
    for done, features in enumerate(FEATURE_SETS):
        if progress is not None:
            progress("+".join(features), done, len(FEATURE_SETS))
        try:
            models.append(_model(exams, features, resamples))
        except CohortTooFewEvents as few:
            refusals.append(few)
        except Separated as apart:
            not_fitted.append(f"{' and '.join(features)}: {apart}.")
    if not models:
        raise refusals[0]
    return models, [*(refusal.in_words for refusal in refusals), *not_fitted]


def _model(exams: Exams, features: tuple[str, ...], resamples: int) -> Model:
    values = np.column_stack([exams.measures[name] for name in features])  # (n, k) float64
    kept = ~np.isnan(values).any(axis=1)
    values, positive = values[kept], exams.positive[kept]
    _, patient = np.unique(exams.patient[kept], return_inverse=True)
    _require_events(exams.label, features, positive)
    _require_spread(features, values)
    logistic = _fit(positive, features, values)
    score, severe_when = _score(positive, values, logistic)
    cut = youden(positive, score)
    clustered = Clustered(patient, positive, values, score, cut.value)
    can_draw = resamples > 1 and min(clustered.patients_by_group) > 1
    drawn = bootstrap_by_patient(clustered, resamples) if can_draw else None
    several = patient.max() + 1 < len(patient)
    return Model(
        features=features,
        n=len(positive),
        events=int(positive.sum()),
        patients=int(patient.max()) + 1,
        patients_with_events=len(np.unique(patient[positive])),
        area=auc(positive, score),
        cut=cut,
        severe_when=severe_when,
        positive=positive,
        score=score,
        logistic=logistic,
        by_patient=drawn if several else None,
        optimism=None if drawn is None else (drawn.sensitivity_optimism, drawn.specificity_optimism),
    )


def _require_events(label: str, features: tuple[str, ...], positive: Bools) -> None:
    """Events are the rarer of both groups: where almost all are severe, the others are few."""
    needed = EVENTS_PER_FEATURE * len(features)
    with_label, without = int(positive.sum()), int((~positive).sum())
    if min(with_label, without) < needed:
        raise CohortTooFewEvents(
            features=" and ".join(features), label=label, with_label=with_label, without=without, needed=needed
        )


def _require_spread(features: tuple[str, ...], values: Floats) -> None:
    for name, column in zip(features, values.T, strict=True):
        if np.ptp(column) == 0.0:
            raise CohortTable(name=name, why="it is the same in all exams")


def _fit(positive: Bools, features: tuple[str, ...], values: Floats) -> Logistic | None:
    """None where one feature splits the groups: it is its own score. Raises Separated where two do: they have none."""
    try:
        return fit_logistic(positive, dict(zip(features, values.T, strict=True)))
    except Separated:
        if len(features) > 1:
            raise
        return None


def _score(positive: Bools, values: Floats, logistic: Logistic | None) -> tuple[Floats, str]:
    """What the cut-off is laid on: the feature itself (or its negative), the probability for two features."""
    if logistic is not None and values.shape[1] > 1:
        return logistic.probability, ">="
    slope = _difference_of_means(positive, values) if logistic is None else logistic.terms[0].coefficient
    rises = slope >= 0.0
    return (values[:, 0], ">=") if rises else (-values[:, 0], "<=")


def _difference_of_means(positive: Bools, values: Floats) -> float:
    return float(values[positive].mean() - values[~positive].mean())


def _terms(logistic: Logistic | None) -> list[dict[str, Any]]:
    return [] if logistic is None else [asdict(term) for term in logistic.terms]


def _one_or_all(values: list[Any], model: Model) -> Any:
    if not values:
        return None
    return values[0] if len(model.features) == 1 else values


def _listed(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else list(interval)
