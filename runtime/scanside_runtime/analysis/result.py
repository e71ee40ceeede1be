"""What one study came to, and the document that says it (schema scanside.result/1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from scanside_runtime.analysis.provenance import Provenance
from scanside_runtime.dicom.contents import ListedStudy
from scanside_runtime.dicom.series import Series, Study
from scanside_runtime.findings import Finding
from scanside_runtime.followup.document import RESULT_SCHEMA
from scanside_runtime.followup.progression import Progression
from scanside_runtime.measures.biomarkers import Biomarkers
from scanside_runtime.measures.severity import Severity, assess_extent
from scanside_runtime.volume import Masks, Volume

SCHEMA = RESULT_SCHEMA
NOT_ASSESSED = assess_extent(None)

Verdict = Literal["analysed", "refused", "held"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is no measurement: a stable code, what happened, what to do next."""

    code: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What one study came to. Of a refusal: what was known before it; the rest is None.

    contents: the studies that lie at the path, with their CT series and the numbers to choose by.
    """

    provenance: Provenance
    verdict: Verdict = "refused"
    exit_code: int = 3
    reason: Reason | None = None
    flags: tuple[Finding, ...] = ()
    study: Study | None = None
    series: Series | None = None
    volume: Volume | None = None
    masks: Masks | None = None
    biomarkers: Biomarkers | None = None
    severity: Severity = NOT_ASSESSED
    progression: Progression | None = None
    contents: tuple[ListedStudy, ...] = ()
    timing_ms: Mapping[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The result document, schema scanside.result/1; `artefacts` is filled by who writes them."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "reason": None if self.reason is None else asdict(self.reason),
            "flags": [asdict(flag) for flag in self.flags],
            "study": None if self.study is None else asdict(self.study),
            "series": None if self.series is None else _series_block(self.series, self.volume),
            "contents": [asdict(one) for one in self.contents],
            "biomarkers": None if self.biomarkers is None else self.biomarkers.to_document(),
            "severity": self.severity.to_document(),
            "progression": None if self.progression is None else _progression_block(self.progression, self.severity),
            "provenance": self.provenance.to_document(),
            "timing_ms": dict(self.timing_ms),
            "artefacts": [],
        }


def _progression_block(progression: Progression, severity: Severity) -> dict[str, Any]:
    """With the flag of this scan in the last row of the course: it rests on the change, and was not known before."""
    block = progression.to_document()
    block["scans"][-1]["severity_flag"] = severity.flag
    return block


def _series_block(series: Series, volume: Volume | None) -> dict[str, Any]:
    return {
        "uid": series.uid,
        "description": series.description,
        "slices": len(series.slices),
        "spacing_mm": list(series.spacing_mm),
        "slice_thickness_mm": series.slice_thickness_mm,
        "kernel": series.kernel,
        "contrast_bolus_agent": series.contrast_bolus_agent,
        "manufacturer": series.manufacturer,
        "model": series.model,
        "transfer_syntax": series.transfer_syntax,
        "hu_mean": None if volume is None else volume.hu_mean,
        "chosen_because": series.chosen_because,
        "passed_over": [asdict(one) for one in series.passed_over],
    }
