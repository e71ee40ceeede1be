"""Is this patient severe, to be watched, or neither?

A fitted model decides where the site or the bundle brings one; until then the published extent grade does, and says
so. A guideline's rule on progress between two scans can make a patient severe whatever the first two say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from scanside_runtime.followup.progression import Change
from scanside_runtime.measures.biomarkers import Biomarkers, extent_grade, points_to_next_grade
from scanside_runtime.measures.severity_model import SeverityModel
from scanside_runtime.plural import told
from scanside_runtime.settings.tables import SeveritySettings

Flag = Literal["none", "watch", "severe", "not_assessed"]
FLAGS: tuple[Flag, ...] = ("not_assessed", "none", "watch", "severe")
Basis = Literal["extent", "model", "progress"]

EXTENT_SOURCE = "Extent grades of Morozov et al. 2020, arXiv:2005.06465: a rule by extent, not the paper's fitted model"
PROGRESS_SOURCE = (
    "Diagnosis and Treatment Protocol for COVID-19 (trial version 7), National Health Commission of China, March 2020: "
    "severe where lesions progress by more than 50 % within 24 to 48 hours; here by infection volume"
)
PROGRESS_PERCENT = 50.0
PROGRESS_WITHIN_DAYS = 2.0
PROGRESS_LEAST_ML = 10.0
"""A rise of less is none, whatever its percentage: 1 ml that becomes 2 ml has doubled."""
FLUID_ALONE_HU = 12.0
"""No lung without air is so thin; from here to 27 HU an even consolidation looks like fluid (measured from 15 on)."""
DEFAULT_RULE = SeveritySettings()


@dataclass(frozen=True, slots=True)
class Grounds:
    """Where the flag comes from; None where a rule was fitted on nobody. sha256: digest (hex) of a fitted model."""

    name: str
    source: str
    fitted_on: str | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Severity:
    """The flag and what it rests on.

    probability, cut_off: only where a model gives them. why: in one sentence. deciding_percent: POI of the worse lung,
    which gives the extent grade. distance_points: how far it is below the next grade from CT-2 on; None in CT-4.
    """

    flag: Flag
    basis: Basis
    probability: float | None
    cut_off: float | None
    model: Grounds
    why: str | None = None
    deciding_percent: float | None = None
    distance_points: float | None = None

    def to_document(self) -> dict[str, Any]:
        """The block `severity` of the result document."""
        return asdict(self)


def assess(
    biomarkers: Biomarkers | None,
    rule: SeveritySettings = DEFAULT_RULE,
    model: SeverityModel | None = None,
    recent: Sequence[Change] = (),
    error_points: float = 0.0,
) -> Severity:
    """The flag: by the rule on progress, by the fitted model, or by extent grade.

    - "not_assessed" where nothing was measured or a guard withheld it: never "none".
    - `recent`, the comparable changes since earlier scans, makes a patient severe by `fast_progress`.
    - A model says severe from its cut-off on; below it, the extent grade may still say watch.
    - A model whose features were not all measured (iHU, where nothing is infected) leaves it to the extent grade.

    recent: changes that end at this scan, against earlier ones. error_points: how far POI may be off, see
    `assess_extent`.
    """
    extent = assess_extent(biomarkers, rule, error_points)
    if biomarkers is None or extent.flag == "not_assessed":
        return extent
    fitted = extent if model is None else _by_model(model, biomarkers, extent)
    fast = None if fitted.flag == "severe" else next(filter(fast_progress, recent), None)
    return fitted if fast is None else _by_progress(fast, extent)


def assess_extent(
    biomarkers: Biomarkers | None, rule: SeveritySettings = DEFAULT_RULE, error_points: float = 0.0
) -> Severity:
    """The flag by extent grade: "not_assessed" where nothing was measured, the grade withheld, or there is no lung.

    Within the measurement error of a graver flag it is the graver one, and says so: another precision or another
    breath must not decide in silence. The grade itself stays as it was measured, and no disease stays none. Pleural
    fluid that was set apart raises no grade. Where it would raise the flag as consolidation, that is said, and where
    its density leaves that open (above `FLUID_ALONE_HU`) the graver flag is given: a sick lung is not made a sound one.
    """
    percent = None if biomarkers is None else biomarkers.worse_lung_percent
    given, why = _given(biomarkers, rule, error_points)
    return Severity(
        flag=given,
        basis="extent",
        probability=None,
        cut_off=None,
        model=Grounds(
            name=f"CT extent grade: severe from {rule.severe_from}, watch from {rule.watch_from}",
            source=EXTENT_SOURCE,
        ),
        why=why,
        deciding_percent=percent,
        distance_points=None if percent is None else points_to_next_grade(percent),
    )


def _given(biomarkers: Biomarkers | None, rule: SeveritySettings, error_points: float) -> tuple[Flag, str | None]:
    """The flag, and what it alone does not say: an edge that is near, or fluid that would raise it."""
    if biomarkers is None or biomarkers.worse_lung_percent is None:
        return "not_assessed", None
    percent, wet = biomarkers.worse_lung_percent, biomarkers.worse_lung_with_fluid_percent
    measured, given = _flag(extent_grade(percent), rule), _within_error(percent, rule, error_points)
    as_lung = raised_for_fluid(biomarkers, rule, error_points)
    if as_lung is not None:
        return as_lung, _may_be_lung(biomarkers)
    if given != measured:
        return given, _near_the_edge(percent, error_points)
    if wet is None or _flag(extent_grade(wet), rule) == given or wet < percent:
        return given, None
    return given, (
        f"{biomarkers.fluid_ml or 0.0:.0f} ml of possible effusion are not counted; were they consolidation, the worse "
        f"lung would be {wet:.1f} %, {extent_grade(wet)}."
    )


def raised_for_fluid(biomarkers: Biomarkers, rule: SeveritySettings, error_points: float) -> Flag | None:
    """The graver flag that what was set apart gives as consolidation, where its density leaves open what it is."""
    percent, wet = biomarkers.worse_lung_percent, biomarkers.worse_lung_with_fluid_percent
    if percent is None or wet is None or (biomarkers.fluid_hu or 0.0) <= FLUID_ALONE_HU:
        return None
    as_lung = _flag(extent_grade(wet + error_points), rule)
    return as_lung if FLAGS.index(as_lung) > FLAGS.index(_within_error(percent, rule, error_points)) else None


def _within_error(percent: float, rule: SeveritySettings, error_points: float) -> Flag:
    """The gravest flag that the measurement error leaves open; no disease stays none."""
    return _flag(extent_grade(percent + error_points if percent else percent), rule)


def _may_be_lung(biomarkers: Biomarkers) -> str:
    percent = biomarkers.worse_lung_with_fluid_percent or 0.0
    return (
        f"{biomarkers.fluid_ml or 0.0:.0f} ml are not counted as a possible effusion, but "
        f"{biomarkers.fluid_hu or 0.0:.0f} HU may be consolidation as well; the worse lung would be {percent:.1f} %: "
        "the graver flag is given."
    )


def _near_the_edge(percent: float, error_points: float) -> str:
    below = points_to_next_grade(percent) or 0.0
    return (
        f"The worse lung, {percent:.1f} %, is {below:.1f} points below {extent_grade(percent + error_points)}, within "
        f"the measurement error of {error_points:.1f} points: the graver flag is given."
    )


def fast_progress(change: Change) -> bool:
    """The rule on progress of the guideline (`PROGRESS_SOURCE`), made safe against noise.

    - both scans are comparable and at most 48 hours apart, by the time of day of both;
    - the infection volume rose by more than 50 %, and by more than 10 ml;
    - POI rose by more than the measurement error.
    """
    before_ml, rise_ml = change.previous.whole.infection_volume_ml, change.whole.infection_volume_change_ml
    if before_ml is None or rise_ml is None or not change.timed:
        return False
    soon = 0.0 < change.interval_days <= PROGRESS_WITHIN_DAYS
    large = rise_ml > PROGRESS_LEAST_ML and rise_ml > PROGRESS_PERCENT / 100.0 * before_ml
    return soon and large and change.trend == "rising"


def _by_progress(change: Change, extent: Severity) -> Severity:
    before_ml = change.previous.whole.infection_volume_ml or 0.0
    after_ml = before_ml + (change.whole.infection_volume_change_ml or 0.0)
    return replace(
        extent,
        flag="severe",
        basis="progress",
        model=Grounds(name="Progress of more than 50 % within 48 hours", source=PROGRESS_SOURCE),
        why=told(
            "Infection grew from {before:.0f} to {after:.0f} ml in {hours:.0f} hour(s).",
            before=before_ml,
            after=after_ml,
            hours=24.0 * change.interval_days,
        ),
    )


def _by_model(model: SeverityModel, biomarkers: Biomarkers, extent: Severity) -> Severity:
    measured = {name: getattr(biomarkers.whole, name) for name in model.features}
    missing = [name for name, value in measured.items() if value is None]
    if missing:
        why = f"The model {model.name} was not used: {', '.join(missing)} was not measured."
        return replace(extent, why=why)
    probability = model.probability(measured)
    flag: Flag = "severe" if probability >= model.cut_off else "watch" if extent.flag != "none" else "none"
    note = "Below the model's cut-off, but the extent grade asks to watch." if flag == "watch" else None
    return replace(
        extent,
        flag=flag,
        basis="model",
        probability=probability,
        cut_off=model.cut_off,
        model=_grounds(model),
        why=note if extent.why is None or flag != "watch" else f"{note} {extent.why}",
    )


def _grounds(model: SeverityModel) -> Grounds:
    canonical = json.dumps(model.to_document(), sort_keys=True, separators=(",", ":"))
    return Grounds(
        name=model.name,
        source=model.source,
        fitted_on=model.fitted_on.in_words(),
        sensitivity=model.sensitivity,
        specificity=model.specificity,
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
    )


def _flag(grade: str | None, rule: SeveritySettings) -> Flag:
    """Grades are compared as text: "CT-0" < ... < "CT-4"."""
    if grade is None:
        return "not_assessed"
    if grade >= rule.severe_from:
        return "severe"
    return "watch" if grade >= rule.watch_from else "none"
