"""Is this patient severe, to be watched, or neither? First form: from the extent grade alone.

This is a published visual rule applied to a measured extent. It is not a model fitted to patients' outcomes, and no
probability comes with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from scanside_runtime.biomarkers import Biomarkers
from scanside_runtime.settings import SeveritySettings

Flag = Literal["none", "watch", "severe", "not_assessed"]
Basis = Literal["extent", "model", "progress"]

SOURCE = "Extent grades of Morozov et al. 2020, arXiv:2005.06465: a rule by extent, not the paper's fitted model"
DEFAULT_RULE = SeveritySettings()


@dataclass(frozen=True, slots=True)
class SeverityModel:
    """Where the flag comes from; fitted_on is None for a rule that was fitted on nothing."""

    name: str
    source: str
    fitted_on: str | None


@dataclass(frozen=True, slots=True)
class Severity:
    """The flag and what it rests on; probability and cut-off only where a model gives them."""

    flag: Flag
    basis: Basis
    probability: float | None
    cut_off: float | None
    model: SeverityModel

    def to_document(self) -> dict[str, Any]:
        """The block `severity` of the result document."""
        return asdict(self)


def assess_extent(biomarkers: Biomarkers | None, rule: SeveritySettings = DEFAULT_RULE) -> Severity:
    """The flag by extent grade: "not_assessed" where nothing was measured, the grade withheld, or there is no lung."""
    return Severity(
        flag=_flag(None if biomarkers is None else biomarkers.ct_extent_grade, rule),
        basis="extent",
        probability=None,
        cut_off=None,
        model=SeverityModel(
            name=f"CT extent grade: severe from {rule.severe_from}, watch from {rule.watch_from}",
            source=SOURCE,
            fitted_on=None,
        ),
    )


def _flag(grade: str | None, rule: SeveritySettings) -> Flag:
    """Grades are compared as text: "CT-0" < ... < "CT-4"."""
    if grade is None:
        return "not_assessed"
    if grade >= rule.severe_from:
        return "severe"
    return "watch" if grade >= rule.watch_from else "none"
