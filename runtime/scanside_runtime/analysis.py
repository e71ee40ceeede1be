"""The one verb: a path with a chest CT in, an analysis out. Read `_measure`, and you have read the product."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.rescale import check_rescale
from scanside_runtime.dicom.series import Series, Study, choose_series, study_in
from scanside_runtime.errors import Held, ScansideError
from scanside_runtime.findings import Finding
from scanside_runtime.followup.measurement_error import MeasurementError, measurement_error
from scanside_runtime.followup.patient_record import EarlierLookup, Record, record_of
from scanside_runtime.followup.progression import Progression, progression
from scanside_runtime.followup.scan import RESULT_SCHEMA, Person, Scan
from scanside_runtime.measures.biomarkers import Biomarkers, measure, withheld
from scanside_runtime.measures.severity import Severity, assess, assess_extent
from scanside_runtime.measures.severity_model import SeverityModel, bundled_severity_model, read_severity_model
from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.model.engine import EngineChoice, choose_engine
from scanside_runtime.model.segment import Networks, load_networks, segment
from scanside_runtime.provenance import Provenance, bundle_facts, engine_facts
from scanside_runtime.quality.gate import explain_withheld, judge
from scanside_runtime.quality.patient import check_age
from scanside_runtime.settings import Settings, settings_digest
from scanside_runtime.volume import Masks, Volume

SCHEMA = RESULT_SCHEMA
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
    """What is asked for, beside the settings; None and "auto" leave the choice to Scanside.

    earlier: where the patient's earlier results are looked up. site_model: the severity model of this box.
    """

    path: Path
    study_uid: str | None = None
    series_uid: str | None = None
    engine: str = "auto"
    precision: str = "auto"
    bundle: Path | None = None
    earlier: EarlierLookup | None = None
    site_model: SeverityModel | None = None


@dataclass(frozen=True, slots=True)
class Yardsticks:
    """What the measures are held against: the fitted severity model, if any, and the error of a change."""

    severity_model: SeverityModel | None
    error: MeasurementError


@dataclass(slots=True)
class Analysis:
    """What one study came to; filled step by step, so that a refusal keeps what was known before it."""

    provenance: Provenance
    verdict: Verdict = "refused"
    exit_code: int = 3
    reason: Reason | None = None
    flags: list[Finding] = field(default_factory=list)
    study: Study | None = None
    series: Series | None = None
    volume: Volume | None = None
    masks: Masks | None = None
    biomarkers: Biomarkers | None = None
    severity: Severity = NOT_ASSESSED
    progression: Progression | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The result document, schema scanside.result/1; `artefacts` is filled by who writes them."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "reason": None if self.reason is None else asdict(self.reason),
            "flags": [asdict(flag) for flag in self.flags],
            "study": None if self.study is None else asdict(self.study),
            "series": None if self.series is None else _series_block(self.series, self.volume),
            "biomarkers": None if self.biomarkers is None else self.biomarkers.to_document(),
            "severity": self.severity.to_document(),
            "progression": None if self.progression is None else self.progression.to_document(),
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
    earlier: EarlierLookup | None = None,
    site_model: SeverityModel | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Measure one study: a folder, a zip or a DICOM file.

    Bad input is no exception: the analysis comes back refused (exit code 3), held (6), or with what is wrong with the
    bundle (4) or the box (5), and says why. `earlier` finds the patient's earlier results by ID and issuer; without it
    there is no progression. `site_model` is the severity model of this box; one that the settings name goes before it,
    the bundle's comes after it. `progress` is called with (stage, done, total).
    """
    settings = settings or Settings()
    request = Request(path, study_uid, series_uid, engine, precision, bundle, earlier, site_model)
    analysis = Analysis(Provenance(settings_digest(settings)))
    began = time.perf_counter()
    try:
        _measure(analysis, request, settings, progress)
    except ScansideError as error:
        _refuse(analysis, error)
    analysis.timing_ms["total"] = _milliseconds(began)
    return analysis


def _measure(analysis: Analysis, request: Request, settings: Settings, progress: Progress | None) -> None:
    with StudyReader(settings.reading) as reader, ThreadPoolExecutor(max_workers=1) as beside:
        with _timed(analysis, "headers"):
            series = _choose(analysis, reader, request, settings)
            record = _past(analysis, series.study, request)
        loading = beside.submit(_load, request, settings)
        with _timed(analysis, "decode"):
            analysis.volume = volume = reader.read_volume(series, _stage("decode", progress))
            analysis.provenance = replace(analysis.provenance, input_sha256=volume.input_sha256)
        analysis.flags.extend(check_rescale(series.slices, volume.hu))
        with _timed(analysis, "load"):
            bundle, choice, networks = loading.result()
            yardsticks = _yardsticks(bundle, request, settings)
            analysis.provenance = replace(
                analysis.provenance, bundle=bundle_facts(bundle), engine=engine_facts(choice, networks)
            )
    with _timed(analysis, "segment"):
        masks = segment(volume, networks, progress)
    with _timed(analysis, "quality"):
        analysis.flags.extend(judge(volume, masks, series.kernel, settings))
        analysis.masks = masks
    with _timed(analysis, "measure"):
        analysis.biomarkers = measure(volume, masks, settings.measures)
    _conclude(analysis, settings, yardsticks, record)


def _choose(analysis: Analysis, reader: StudyReader, request: Request, settings: Settings) -> Series:
    """The series to measure, and what its headers give reason to say."""
    found = reader.find(request.path)
    analysis.study = study_in(found, request.study_uid)
    analysis.series = series = choose_series(
        found,
        study_uid=request.study_uid,
        series_uid=request.series_uid,
        limits=settings.reading,
    )
    analysis.study = series.study
    analysis.flags.extend(series.notes)
    analysis.flags.extend(check_age(series.study.age_years, settings.patient))
    return series


def _past(analysis: Analysis, study: Study, request: Request) -> Record:
    """The patient's earlier scans; those that can't be used are named."""
    record = record_of(_person(study), study.study_uid, request.earlier)
    analysis.flags.extend(Finding("BOX_EARLIER_RESULT", "caution", _left_out(name)) for name in record.unusable)
    return record


def _load(request: Request, settings: Settings) -> tuple[Bundle, EngineChoice, Networks]:
    """The networks on their engine; runs while the reader decodes."""
    bundle = open_bundle(request.bundle)
    choice = choose_engine(request.engine, request.precision, settings.inference.threads)
    return bundle, choice, load_networks(bundle, choice)


def _yardsticks(bundle: Bundle, request: Request, settings: Settings) -> Yardsticks:
    named, own = settings.severity.model, request.site_model
    model = read_severity_model(Path(named)) if named else own or bundled_severity_model(bundle.severity_document)
    return Yardsticks(model, measurement_error(bundle.limits_of_agreement, settings.progression, bundle.title))


def _conclude(analysis: Analysis, settings: Settings, yardsticks: Yardsticks, record: Record) -> None:
    """Analysed, unless a finding withholds what rests on infection; then what changed, and how severe it is."""
    if analysis.biomarkers is None:
        raise ValueError("nothing was measured")
    withholding = next((flag for flag in analysis.flags if flag.level == "withhold"), None)
    if withholding is None:
        analysis.verdict, analysis.exit_code = "analysed", 0
    else:
        analysis.reason = Reason(withholding.code, withholding.message, explain_withheld(withholding.code))
        analysis.biomarkers = withheld(analysis.biomarkers)
    present = Scan.from_document(analysis.document())
    analysis.progression = progression(present, record.scans, yardsticks.error)
    recent = () if analysis.progression is None else analysis.progression.recent
    analysis.severity = assess(analysis.biomarkers, settings.severity, yardsticks.severity_model, recent)


def _person(study: Study) -> Person:
    return Person(study.patient_id, study.issuer, study.birth_date, study.sex)


def _left_out(name: str) -> str:
    return f"An earlier result of the patient can't be used, the trend leaves it out: {name}."


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
        "contrast_bolus_agent": series.contrast_bolus_agent,
        "manufacturer": series.manufacturer,
        "model": series.model,
        "transfer_syntax": series.transfer_syntax,
        "hu_mean": None if volume is None else volume.hu_mean,
        "chosen_because": series.chosen_because,
        "passed_over": [asdict(one) for one in series.passed_over],
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
