"""The one verb: a path with a chest CT in, an analysis out. Read `_measure`, and you have read the product."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from scanside_runtime.biomarkers import Biomarkers, measure, withheld
from scanside_runtime.bundle import open_bundle
from scanside_runtime.decode import read_volume
from scanside_runtime.engine import choose_engine
from scanside_runtime.errors import Held, ScansideError
from scanside_runtime.findings import Finding
from scanside_runtime.patient import check_age
from scanside_runtime.provenance import Provenance, bundle_facts, engine_facts
from scanside_runtime.quality import explain_withheld, judge
from scanside_runtime.segment import load_networks, segment
from scanside_runtime.series import Series, choose_series, find_series
from scanside_runtime.settings import Settings, settings_digest
from scanside_runtime.severity import Severity, assess_extent
from scanside_runtime.volume import Masks, Volume

SCHEMA = "scanside.result/1"
NOT_ASSESSED = assess_extent(None)

Verdict = Literal["analysed", "refused", "held"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is no measurement: a stable code, what happened, what to do next."""

    code: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, beside the settings; None and "auto" leave the choice to Scanside."""

    path: Path
    study_uid: str | None = None
    series_uid: str | None = None
    engine: str = "auto"
    precision: str = "auto"
    bundle: Path | None = None


@dataclass(slots=True)
class Analysis:
    """What one study came to; filled step by step, so that a refusal keeps what was known before it."""

    provenance: Provenance
    verdict: Verdict = "refused"
    exit_code: int = 3
    reason: Reason | None = None
    flags: list[Finding] = field(default_factory=list)
    series: Series | None = None
    volume: Volume | None = None
    masks: Masks | None = None
    biomarkers: Biomarkers | None = None
    severity: Severity = NOT_ASSESSED
    timing_ms: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The result document, schema scanside.result/1; `artefacts` is filled by who writes them."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "reason": None if self.reason is None else asdict(self.reason),
            "flags": [asdict(flag) for flag in self.flags],
            "study": None if self.series is None else asdict(self.series.study),
            "series": None if self.series is None else _series_block(self.series, self.volume),
            "biomarkers": None if self.biomarkers is None else self.biomarkers.to_document(),
            "severity": self.severity.to_document(),
            "progression": None,
            "provenance": self.provenance.to_document(),
            "timing_ms": self.timing_ms,
            "artefacts": [],
        }


def analyze(
    path: Path,
    *,
    study_uid: str | None = None,
    series_uid: str | None = None,
    engine: str = "auto",
    precision: str = "auto",
    bundle: Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Measure one study: a folder, a zip or a DICOM file.

    Bad input is no exception: the analysis comes back refused (exit code 3), held (6), or with what is wrong with the
    bundle (4) or the box (5), and says why. `progress` is called with (stage, done, total).
    """
    settings = settings or Settings()
    request = Request(path, study_uid, series_uid, engine, precision, bundle)
    analysis = Analysis(Provenance(settings_digest(settings)))
    began = time.perf_counter()
    try:
        _measure(analysis, request, settings, progress)
    except ScansideError as error:
        _refuse(analysis, error)
    analysis.timing_ms["total"] = _milliseconds(began)
    return analysis


def _measure(analysis: Analysis, request: Request, settings: Settings, progress: Progress | None) -> None:
    with _timed(analysis, "headers"):
        analysis.series = choose_series(
            find_series(request.path), study_uid=request.study_uid, series_uid=request.series_uid
        )
        analysis.flags.extend(analysis.series.notes)
        analysis.flags.extend(check_age(analysis.series.study.age_years, settings.patient))
    with _timed(analysis, "decode"):
        analysis.volume = volume = read_volume(analysis.series, _stage("decode", progress))
        analysis.provenance = replace(analysis.provenance, input_sha256=volume.input_sha256)
    with _timed(analysis, "load"):
        bundle = open_bundle(request.bundle)
        choice = choose_engine(request.engine, request.precision, settings.inference.threads)
        networks = load_networks(bundle, choice)
        analysis.provenance = replace(
            analysis.provenance, bundle=bundle_facts(bundle), engine=engine_facts(choice, networks)
        )
    with _timed(analysis, "segment"):
        masks = segment(volume, networks, progress)
    with _timed(analysis, "quality"):
        analysis.flags.extend(judge(volume, masks, analysis.series.kernel, settings))
        analysis.masks = masks
    with _timed(analysis, "measure"):
        analysis.biomarkers = measure(volume, masks, settings.measures)
    _conclude(analysis, settings)


def _conclude(analysis: Analysis, settings: Settings) -> None:
    """Analysed, unless a finding withholds what rests on infection."""
    if analysis.biomarkers is None:
        raise ValueError("nothing was measured")
    withholding = next((flag for flag in analysis.flags if flag.level == "withhold"), None)
    if withholding is None:
        analysis.verdict, analysis.exit_code = "analysed", 0
    else:
        analysis.reason = Reason(withholding.code, withholding.message, explain_withheld(withholding.code))
        analysis.biomarkers = withheld(analysis.biomarkers)
    analysis.severity = assess_extent(analysis.biomarkers, settings.severity)


def _refuse(analysis: Analysis, error: ScansideError) -> None:
    analysis.reason = Reason(error.code, error.message, error.advice)
    analysis.exit_code = error.exit_code
    analysis.verdict = "held" if isinstance(error, Held) else "refused"


def _series_block(series: Series, volume: Volume | None) -> dict[str, Any]:
    return {
        "uid": series.uid,
        "description": series.description,
        "slices": len(series.slices),
        "spacing_mm": list(series.spacing_mm),
        "slice_thickness_mm": series.slice_thickness_mm,
        "kernel": series.kernel,
        "manufacturer": series.manufacturer,
        "model": series.model,
        "transfer_syntax": series.transfer_syntax,
        "hu_mean": None if volume is None else volume.hu_mean,
        "chosen_because": series.chosen_because,
    }


@contextmanager
def _timed(analysis: Analysis, stage: str) -> Iterator[None]:
    began = time.perf_counter()
    try:
        yield
    finally:
        analysis.timing_ms[stage] = _milliseconds(began)


def _milliseconds(began: float) -> float:
    return round(1000.0 * (time.perf_counter() - began), 1)


def _stage(stage: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage, done, total)
