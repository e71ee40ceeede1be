"""The one verb: a path with a chest CT in, an analysis out. Read `_measure`, and you have read the product."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scanside_runtime.analysis.course import past_of, scan_of
from scanside_runtime.analysis.options import Options
from scanside_runtime.analysis.provenance import Provenance, bundle_facts, engine_facts, selftest_facts, way_taken
from scanside_runtime.analysis.result import NOT_ASSESSED, Analysis, Reason, Verdict
from scanside_runtime.dicom.contents import list_studies
from scanside_runtime.dicom.errors import SeriesNotChest
from scanside_runtime.dicom.index import Found
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.rescale import check_hu, check_rescale
from scanside_runtime.dicom.series import Series, Study, choose_series, study_in
from scanside_runtime.dicom.values.body_parts import BodyPart, body_part
from scanside_runtime.errors import Held, Refused, ScansideError
from scanside_runtime.findings import Finding, without_poi
from scanside_runtime.followup.measurement_error import MeasurementError, measurement_error
from scanside_runtime.followup.patient_record import Record
from scanside_runtime.followup.progression import Progression, progression
from scanside_runtime.followup.same_body import check_same_body
from scanside_runtime.measures.biomarkers import Biomarkers, measure, withheld, without_sides
from scanside_runtime.measures.severity import Severity, assess, assess_extent
from scanside_runtime.measures.severity_model import SeverityModel, read_severity_model
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.errors import ModelBundleDamaged
from scanside_runtime.model.networks import KeptNetworks, LoadedNetworks
from scanside_runtime.model.proof import Proof
from scanside_runtime.model.segment import segment
from scanside_runtime.progress import Progress
from scanside_runtime.quality.gate import explain_withheld, set_apart_and_judge
from scanside_runtime.quality.orientation import ORIENTATION
from scanside_runtime.quality.patient import check_age
from scanside_runtime.settings.load import settings_digest
from scanside_runtime.settings.tables import Settings, SeveritySettings
from scanside_runtime.volume import Masks, Volume

EXTENSIVE = "QUALITY_LOOKS_EXTENSIVE"
MOST_LOOKS = 3
"""So many series of a study are segmented before none of them is a chest."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which study and series of a path.

    found: what `StudyReader.find` found there, where that was asked already. no_chests: series that were looked at.
    """

    path: Path
    study_uid: str | None = None
    series_uid: str | None = None
    found: Found | None = None
    no_chests: Mapping[str, SeriesNotChest] = field(default_factory=dict)

    def choose(self, found: Found, settings: Settings) -> Series:
        """The series to measure. Raises as `choose_series`."""
        return choose_series(
            found,
            study_uid=self.study_uid,
            series_uid=self.series_uid,
            limits=settings.reading,
            no_chests=self.no_chests,
        )


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """What all that was measured comes to."""

    verdict: Verdict
    exit_code: int
    reason: Reason | None = None
    biomarkers: Biomarkers | None = None
    severity: Severity = NOT_ASSESSED
    progression: Progression | None = None


@dataclass(slots=True)
class _Known:
    """What is known of a study so far. Each step notes what it made; a refusal keeps what stands here."""

    found: Found | None = None
    study: Study | None = None
    series: Series | None = None
    volume: Volume | None = None
    networks: LoadedNetworks | None = None
    proof: Proof | None = None
    masks: Masks | None = None
    flags: list[Finding] = field(default_factory=list)
    timing_ms: dict[str, float] = field(default_factory=dict)

    def chosen(self) -> Series:
        """The series; only for steps after it was chosen."""
        if self.series is None:
            raise ValueError("no series was chosen yet")
        return self.series

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Note how long a stage takes in all, also where it ends in an error."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.timing_ms[stage] = self.timing_ms.get(stage, 0.0) + _milliseconds(began)

    def provenance(self, settings: Settings) -> Provenance:
        """What has taken part so far."""
        return Provenance(
            settings_digest(settings),
            bundle=None if self.networks is None else bundle_facts(self.networks.bundle),
            engine=None if self.networks is None else engine_facts(self.networks.choice, self.networks),
            selftest=selftest_facts(self.proof, self.networks),
            input_sha256=None if self.volume is None else self.volume.input_sha256,
        )


def analyze(
    path: Path,
    options: Options | None = None,
    *,
    study_uid: str | None = None,
    series_uid: str | None = None,
    found: Found | None = None,
    networks: LoadedNetworks | KeptNetworks | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Measure one study: a folder, a zip or a DICOM file.

    Bad input is no exception: the analysis comes back refused (exit code 3), held (6), or with what is wrong with the
    bundle (4) or the box (5), and says why.

    options: how to analyse. study_uid, series_uid: one of several, by UID or by number in the document's `contents`.
    found: what lies at the path, where that is known already. networks: loaded ones (then the bundle, engine and
    precision of `options` are not looked at), or where they are kept from study to study; else they are loaded for this
    one. progress: called with (stage, done, total).
    """
    options = options or Options()
    known = _Known(proof=options.proof)
    began = time.perf_counter()
    try:
        end = _measure_a_chest(known, Selection(path, study_uid, series_uid, found), options, networks, progress)
    except ScansideError as error:
        end = _refusal(error)
    known.timing_ms["total"] = _milliseconds(began)
    return _analysis(known, end, options.settings)


def refused(error: ScansideError, settings: Settings | None = None) -> Analysis:
    """What can be said where there was nothing to analyse yet: the reason."""
    provenance = Provenance(None if settings is None else settings_digest(settings))
    end = _refusal(error)
    return Analysis(provenance, end.verdict, end.exit_code, end.reason)


def _measure_a_chest(
    known: _Known,
    selection: Selection,
    options: Options,
    networks: LoadedNetworks | KeptNetworks | None,
    progress: Progress | None,
) -> _Conclusion:
    """The first series that is a chest by its picture; where no text says chest, up to three are looked at."""
    for _ in range(MOST_LOOKS - 1):
        try:
            return _measure(known, selection, options, networks, progress)
        except SeriesNotChest as refusal:
            further = _further_look(known, selection, options.settings, refusal)
            if further is None:
                raise
            selection = further
            known.flags.clear()
    return _measure(known, selection, options, networks, progress)


def _further_look(known: _Known, selection: Selection, settings: Settings, refusal: SeriesNotChest) -> Selection | None:
    """The same study without the series that is no chest; None where it was named or called a chest, or is the last."""
    found, series = known.found, known.series
    if found is None or series is None or selection.series_uid or body_part(series.slices[0]) is BodyPart.CHEST:
        return None
    further = replace(selection, found=found, no_chests={**selection.no_chests, series.uid: refusal})
    try:
        further.choose(found, settings)
    except Refused:
        return None
    return further


def _measure(
    known: _Known,
    selection: Selection,
    options: Options,
    networks: LoadedNetworks | KeptNetworks | None,
    progress: Progress | None,
) -> _Conclusion:
    settings = options.settings
    with StudyReader(settings.reading) as reader, ThreadPoolExecutor(max_workers=1) as beside:
        with known.timed("headers"):
            series = _choose(known, reader, selection, settings)
            record, notes = past_of(series.study, options)
            known.flags += notes
        loading = beside.submit(_load, networks, options)
        with known.timed("decode"):
            volume = known.volume = reader.read_volume(series, _stage("decode", progress))
        known.flags += (*check_rescale(series.slices, volume.hu), *check_hu(series.slices, volume.hu))
        with known.timed("load"):
            loaded = known.networks = loading.result()
            known.flags += way_taken(options.proof, loaded)
            model = _severity_model(loaded.bundle, options)
            error = measurement_error(loaded.bundle.limits_of_agreement, settings.progression, loaded.bundle.title)
    with known.timed("segment"):
        masks = segment(volume, loaded, progress)
    with known.timed("quality"):
        known.masks, found = set_apart_and_judge(volume, masks, series.kernel, settings)
        known.flags += found
    with known.timed("measure"):
        biomarkers = measure(volume, known.masks, settings.measures)
    return _conclude(known, biomarkers, record, loaded.bundle, options, model, error)


def _conclude(
    known: _Known,
    measured: Biomarkers,
    record: Record,
    bundle: Bundle,
    options: Options,
    model: SeverityModel | None,
    error: MeasurementError,
) -> _Conclusion:
    """Analysed, unless a finding withholds what rests on infection; then what changed, and how severe it is."""
    series, settings = known.chosen(), options.settings
    reason = _withheld_because(known.flags)
    if reason is not None:
        known.flags = [*without_poi(known.flags), *_looks_extensive(measured, settings.severity)]
    biomarkers = measured if reason is None else withheld(measured)
    if any(flag.code == ORIENTATION for flag in known.flags):
        biomarkers = without_sides(biomarkers)
    flags = frozenset(flag.code for flag in known.flags)
    present = scan_of(series, biomarkers, flags, bundle, settings.patient, measured=reason is None)
    change = progression(present, record.scans, error)
    known.flags += check_same_body(present, change, settings.progression)
    recent = () if change is None else change.recent
    severity = assess(biomarkers, settings.severity, model, recent, error.poi_points)
    if reason is not None:
        return _Conclusion("refused", 3, reason, biomarkers, severity, change)
    return _Conclusion("analysed", 0, None, biomarkers, severity, change)


def _looks_extensive(measured: Biomarkers, rule: SeveritySettings) -> tuple[Finding, ...]:
    """Numbers that can't be believed may still be those of a very sick patient: who must not come last."""
    if assess_extent(measured, rule).flag not in ("watch", "severe"):
        return ()
    message = "The numbers are withheld, but much of the lungs looks infected: have somebody look at it soon."
    return (Finding(EXTENSIVE, "caution", message),)


def _choose(known: _Known, reader: StudyReader, selection: Selection, settings: Settings) -> Series:
    """The series to measure, and what its headers give reason to say."""
    found = known.found = selection.found or reader.find(selection.path)
    known.study = study_in(found, selection.study_uid)
    known.series = series = selection.choose(found, settings)
    known.flags += series.notes
    known.flags += check_age(series.study.age_years, settings.patient)
    return series


def _load(networks: LoadedNetworks | KeptNetworks | None, options: Options) -> LoadedNetworks:
    """The networks on their engine; runs while the reader decodes."""
    if isinstance(networks, LoadedNetworks):
        return networks
    kept = networks or KeptNetworks()
    threads = options.settings.inference.threads
    return kept.load(options.bundle, options.engine, options.precision, threads, options.tuning, options.proof)


def _severity_model(bundle: Bundle, options: Options) -> SeverityModel | None:
    """The settings' own model, else the box's, else the bundle's."""
    named = options.settings.severity.model
    if named:
        return read_severity_model(Path(named))
    return options.site_model or bundled_severity_model(bundle.severity_document)


def bundled_severity_model(document: Any) -> SeverityModel | None:
    """The model of a bundle, from its `severity_document`; None where it carries none. Raises ModelBundleDamaged."""
    try:
        return None if document is None else SeverityModel.from_document(document)
    except ValueError as problem:
        why = f"its severity model can't be used ({problem})"
        raise ModelBundleDamaged(name="manifest.json", why=why) from problem


def _withheld_because(flags: list[Finding]) -> Reason | None:
    """The first finding that takes back what rests on infection."""
    first = next((flag for flag in flags if flag.level == "withhold"), None)
    return None if first is None else Reason(first.code, first.message, explain_withheld(first.code))


def _refusal(error: ScansideError) -> _Conclusion:
    reason = Reason(error.code, error.message, error.advice)
    return _Conclusion("held" if isinstance(error, Held) else "refused", error.exit_code, reason)


def _analysis(known: _Known, end: _Conclusion, settings: Settings) -> Analysis:
    return Analysis(
        provenance=known.provenance(settings),
        verdict=end.verdict,
        exit_code=end.exit_code,
        reason=end.reason,
        flags=tuple(known.flags),
        study=known.study if known.series is None else known.series.study,
        series=known.series,
        volume=known.volume,
        masks=known.masks,
        biomarkers=end.biomarkers,
        severity=end.severity,
        progression=end.progression,
        contents=() if known.found is None else list_studies(known.found.headers),
        timing_ms=known.timing_ms,
    )


def _milliseconds(began: float) -> float:
    return round(1000.0 * (time.perf_counter() - began), 1)


def _stage(stage: str, progress: Progress | None) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda done, total: progress(stage, done, total)
