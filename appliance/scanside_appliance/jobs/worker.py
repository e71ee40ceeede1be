"""The child that analyses. It stays warm between studies; a crash is its own.

`python -m scanside_appliance.jobs.worker`.

`SelfTestOrder` is answered by `SelfTested`, a `BundleOrder` by `WayTried`; an `Order` by `StageReached` as it goes on,
then by `Ended`.
Either may end in `Failed`, an error of ours, or in `Defect`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from scanside_appliance.bundles.record import bundle_in_force
from scanside_appliance.defects import of_the_disk, raised_at
from scanside_appliance.files.layout import RESULT, BoxLayout, patient_key
from scanside_appliance.files.owner import stay_owner
from scanside_appliance.jobs.messages import (
    NOT_COMPLETE,
    QUESTIONS,
    BundleOrder,
    Defect,
    Ended,
    Order,
    Question,
    SelfTested,
    SelfTestOrder,
    StageReached,
)
from scanside_appliance.jobs.priority import EXTENSIVE
from scanside_appliance.languages.catalogue import ENGLISH
from scanside_appliance.languages.words import words
from scanside_runtime.errors import BoxFailed, ScansideError
from scanside_runtime.findings import Finding
from scanside_runtime.model.networks import KeptNetworks
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.messages import Failed
from scanside_runtime.progress import Progress

if TYPE_CHECKING:
    from scanside_runtime.analysis.options import Options
    from scanside_runtime.analysis.result import Analysis
    from scanside_runtime.dicom.series import Series
    from scanside_runtime.model.proof import WayTried


def main() -> None:
    """Answer until the daemon closes the pipe."""
    stay_owner()
    channel = Channel.open()
    os.umask(0o027)
    networks = KeptNetworks()
    for question in channel.questions(QUESTIONS):
        channel.send(_answered(question, channel, networks))


def _answered(
    question: Question, channel: Channel, networks: KeptNetworks
) -> SelfTested | WayTried | Ended | Failed | Defect:
    """The answer, whatever happens."""
    try:
        if isinstance(question, BundleOrder):
            return _proved(question, networks)
        if isinstance(question, SelfTestOrder):
            return _selftest(question, networks)
        return analyze_study(question, networks, lambda *stage: channel.send(StageReached(*stage)))
    except ScansideError as error:
        return Failed.of(error)
    except Exception as error:  # noqa: BLE001  # the worker's outermost: the study is to blame or we are, not the daemon
        disk = of_the_disk(error)
        return Defect(raised_at(error)) if disk is None else Failed.of(disk)


def _selftest(question: SelfTestOrder, networks: KeptNetworks) -> SelfTested:
    """The box computes what the exporter computed. All that an analysis needs is imported and loaded on the way."""
    import scanside_appliance.results.output  # noqa: F401  # this and the next: the first study needs them
    import scanside_runtime.analysis.analyze  # noqa: F401
    from scanside_appliance.proved import prove_box
    from scanside_runtime.model.bundle import open_bundle

    bundle = open_bundle(_bundle(question))
    proof = prove_box(question.root, bundle, question.settings.inference.threads, networks=networks, keep=True)
    way = proof.way()
    return SelfTested(f"{way.engine} {way.computed_in}", proof.why or None, proof.used_was_wrong)


def _proved(question: BundleOrder, networks: KeptNetworks) -> WayTried:
    """The way in which this box computes with a bundle, or the next one that is right."""
    from scanside_appliance.proved import prove_box
    from scanside_runtime.model.bundle import open_bundle

    return prove_box(question.root, open_bundle(question.folder), question.threads, networks=networks).way()


def analyze_study(order: Order, networks: KeptNetworks, progress: Progress) -> Ended:
    """Measure a study and write its result. Refused and held are answers too; the box's and the model's troubles raise.

    Raises BoxFailed, ModelUnusable, SeverityModelUnusable.
    """
    from scanside_appliance.proved import read_proof
    from scanside_appliance.results.archive import folder_among, results_in
    from scanside_appliance.results.output import write_output
    from scanside_appliance.results.page_options import PageOptions
    from scanside_appliance.site_model import model_in_force
    from scanside_appliance.tuned import read_tuning
    from scanside_runtime.analysis.analyze import analyze
    from scanside_runtime.analysis.options import Options

    everyone = None if order.alone else BoxLayout(order.root).results
    sums = {} if order.alone else {one.folder: one.sha256 for one in order.earlier}
    past, model = cache(results_in(sums, everyone)), model_in_force(order.root)
    tuning, proof = read_tuning(order.root), read_proof(order.root)
    options = Options(order.settings, bundle=_bundle(order), earlier=past, site_model=model, tuning=tuning, proof=proof)
    analysis = analyze(order.files, options, series_uid=order.series_uid, networks=networks, progress=progress)
    if analysis.exit_code in (4, 5):
        return _trouble(analysis)
    progress("write", 0, 1)
    page = PageOptions(order.settings.site, folder_among(sums))
    document = write_output(_as_ordered(analysis, order), order.output, page=page)
    return Ended(
        analysis.exit_code,
        code=None if analysis.reason is None else analysis.reason.code,
        verdict=analysis.verdict,
        severity=_how_severe(analysis),
        trend=(document["progression"] or {}).get("trend"),
        outdated=_outdated(order, analysis, options),
    )


def _outdated(order: Order, analysis: Analysis, options: Options) -> tuple[str, ...]:
    """The studies under the same patient whose results do not know this scan as it is now, or as whose it is now."""
    from scanside_appliance.results.archive import read_result, read_results
    from scanside_appliance.results.outdated import outdated_by
    from scanside_runtime.analysis.course import past_of
    from scanside_runtime.followup.patient_record import counted_by

    study = None if analysis.series is None else analysis.series.study
    if analysis.verdict == "refused" or study is None:
        return ()
    others = {one.folder / RESULT: one.sha256 for one in order.earlier}
    try:
        now = read_result(order.output / RESULT)
        known = [one.document for one in read_results(others, others)[0]]
        if order.alone or analysis.verdict == "held":
            persons = counted_by(known, now, order.settings.patient.placeholder_ids)
        else:
            persons = past_of(study, options)[0].scans
        return outdated_by(now, persons, known)
    except ValueError:  # what can't be believed stands in no course
        return ()


def _bundle(question: SelfTestOrder | Order) -> Path | None:
    """The bundle that was named to the daemon, else the one in force: one that was installed meanwhile is taken."""
    return question.bundle or bundle_in_force(question.root, Path(question.settings.bundles.keys))


def _how_severe(analysis: Analysis) -> str:
    """The severity flag, by which the queue is ordered; of a withheld result whether it looks extensive."""
    from scanside_runtime.analysis.analyze import EXTENSIVE as LOOKS_EXTENSIVE

    looks = any(flag.code == LOOKS_EXTENSIVE for flag in analysis.flags)
    return EXTENSIVE if looks else analysis.severity.flag


def _as_ordered(analysis: Analysis, order: Order) -> Analysis:
    """With the box's own count of results, and what it knows of the study beside its pictures."""
    provenance = replace(
        analysis.provenance,
        revision=order.revision,
        supersedes=order.supersedes,
        for_earlier_scan=order.for_earlier_scan,
    )
    flags = _flags(order, analysis.series)
    return replace(analysis, provenance=provenance, flags=(*analysis.flags, *flags))


def _trouble(analysis: Analysis) -> Ended:
    """What ails the bundle or the box; there is no result."""
    reason = analysis.reason
    if reason is None:
        return Ended(analysis.exit_code, BoxFailed.code, f"{BoxFailed()} {BoxFailed.advice}")
    return Ended(analysis.exit_code, reason.code, f"{reason.message} {reason.advice}")


def _flags(order: Order, series: Series | None) -> list[Finding]:
    """What the box knows of a study beside its pictures."""
    flags = []
    study_date = series.study.study_date if series else None
    if series is not None and not _is_filed_as_read(order, series):
        message = "The pictures are of another study or patient than the one under which the result lies."
        flags.append(Finding("INPUT_OTHER_STUDY", "caution", message))
    if order.incomplete:
        message = f"{NOT_COMPLETE}{words(ENGLISH).phrase(order.incomplete)}."
        flags.append(Finding("INPUT_INCOMPLETE", "caution", message))
    if order.alone:
        message = "The study was held and released by a person: it stands by itself, without this ID's other results."
        flags.append(Finding("PATIENT_RELEASED", "caution", message))
    if study_date is not None and study_date > order.today:
        message = f"The study is dated {study_date}, the box's clock says {order.today}."
        flags.append(Finding("INPUT_DATE_FUTURE", "caution", message))
    if order.clock_trouble:
        flags.append(Finding("BOX_CLOCK", "note", f"{order.clock_trouble[0].upper()}{order.clock_trouble[1:]}."))
    return flags


def _is_filed_as_read(order: Order, series: Series) -> bool:
    """Whether what read the study, and nothing else, found whose it is as the child did that reads what comes.

    That one has read foreign bytes before. The first file that came says whose a study is: a localizer or a report,
    which may state an ID or an issuer that the measured series leaves out, or leave out what that one states.
    """
    uid = series.study.study_uid
    stated = {patient_key(one, issuer, uid) for one, known in series.patients for issuer in (known, None)}
    return uid == order.study_uid and order.patient in {patient_key(None, None, uid), *stated}


if __name__ == "__main__":
    main()
