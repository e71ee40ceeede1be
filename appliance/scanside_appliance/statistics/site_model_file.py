"""A calibration as the severity model that `scanside analyze` takes: scanside.severity-model/1."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from scanside_appliance.files.atomic import replace_json, writing
from scanside_appliance.statistics.calibration import IHU, POI, Exams, Model
from scanside_appliance.statistics.errors import CohortTable
from scanside_runtime.measures.severity_model import FittedOn, SeverityModel
from scanside_runtime.version import software_version

USES = {"poi": (POI,), "ihu": (IHU,), "both": (POI, IHU)}
HAIR = 1e-9
"""So much lower is the cut-off written, that the exam it was read from stays on its own side after rounding."""


def severity_model(
    exams: Exams, models: Sequence[Model], use: str, table: Path, cohort: str | None = None
) -> SeverityModel:
    """The site's model out of the fitted ones; the cut-off becomes a probability, whatever its unit.

    Raises CohortTable where that model could not be fitted, or its groups do not overlap.
    """
    chosen = next((one for one in models if one.features == USES[use]), None)
    if chosen is None or chosen.logistic is None:
        raise CohortTable(name=table.name, why=f"a model of {' and '.join(USES[use])} could not be fitted")
    sensitivity, specificity = chosen.cut.sensitivity.share, chosen.cut.specificity.share
    fitted = FittedOn(
        cohort=cohort or f"{table.name}, label {exams.label}",
        n=chosen.n,
        events=chosen.events,
        date=datetime.now(UTC).date().isoformat(),
        patients=chosen.patients,
        table_sha256=hashlib.sha256(table.read_bytes()).hexdigest(),
    )
    return SeverityModel(
        name=f"{'+'.join(_SHORT[name] for name in chosen.features)}, {cohort or table.stem}",
        features=chosen.features,
        coefficients=tuple(term.coefficient for term in chosen.logistic.terms),
        intercept=chosen.logistic.intercept,
        cut_off=_probability(chosen) * (1.0 - HAIR),
        fitted_on=fitted,
        sensitivity=sensitivity or 0.0,
        specificity=specificity or 0.0,
        source=f"scanside cohort calibrate {software_version()}: logistic regression, Youden cut-off",
    )


_SHORT = {POI: "POI", IHU: "iHU"}


def write_model(model: SeverityModel, path: Path) -> None:
    """Write the model, whole or not at all. Raises BoxOutput."""
    with writing(path):
        replace_json(path, model.to_document())


def _probability(model: Model) -> float:
    """The cut-off on the scale of the model's probability."""
    if model.logistic is None:
        raise ValueError("a model that was not fitted has no probabilities")
    if len(model.features) > 1:
        return model.cut_off
    log_odds = model.logistic.intercept + model.logistic.terms[0].coefficient * model.cut_off
    return 1.0 / (1.0 + math.exp(-log_odds))
