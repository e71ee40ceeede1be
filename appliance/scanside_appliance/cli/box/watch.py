"""`scanside watch` and the commands that look into the box while it works: status, queue, retry, release."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, BundleOption, as_its_owner, open_store
from scanside_appliance.languages.catalogue import to_translate

if TYPE_CHECKING:
    from scanside_appliance.jobs.book.store import Store

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="The study's name as `scanside queue` shows it, or its UID.")
]


def watch(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Work off what lies in the inbox, and end.")] = False,
    bundle: BundleOption = None,
) -> None:
    """Watch the inbox, and measure each study that is complete.

    Its result is published, its files are archived. Ends on SIGTERM or Ctrl-C; SIGHUP reads the settings again.
    What was begun is finished at the next start. With --once nothing that is missing is waited for, but what is still
    being copied is, within the patience of the settings.

    Exit code: 0 ended, 5 it can't work: the message says why.
    """
    from scanside_appliance.service.plan import Plan
    from scanside_appliance.service.service import log_to_stderr
    from scanside_appliance.service.service import watch as run

    log_to_stderr()
    as_its_owner(context)
    file = context.obj.settings_in_use()
    run(Plan(context.obj.root, context.obj.settings, once=once, settings_file=file, bundle=bundle))


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say how the box is, and what keeps it from working.

    Exit code: 0 it runs or has nothing to do, 5 something is wrong: root or settings can't be used, results are
    gone from the disk or put in doubt by a failed self-test, files in the inbox can't be read, inbox or quarantine are
    over their quota, or the box's clock stands before Scanside was made.
    """
    from scanside_appliance.clock import Clock
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.service.queue_view import box_facts
    from scanside_appliance.service.queue_words import box_lines

    clock = Clock()
    facts = box_facts(BoxLayout(context.obj.root), context.obj.settings, clock)
    typer.echo(json.dumps(facts) if as_json else "\n".join(box_lines(facts, spoken())))
    wrong = any(facts[one] for one in ("trouble", "unreadable", "missing", "doubted", "over_quota"))
    raise typer.Exit(5 if wrong or clock.stands_too_early() else 0)


def queue(
    context: typer.Context,
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Studies that are done, too.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Keep showing it until Ctrl-C, with what arrives.")] = False,
    no_names: Annotated[bool, typer.Option("--no-names", help="For screens that others see: hashes alone.")] = False,
) -> None:
    """List studies that wait, are held or were put aside.

    They stand in the order of their turn.

    Exit code: 0 listed, 5 the box.
    """
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.service.queue_view import queue_facts
    from scanside_appliance.service.queue_words import queue_lines, show_live
    from scanside_appliance.service.status import last_said

    layout = BoxLayout(context.obj.root)
    if live and not as_json:
        show_live(layout, spoken(), every=every, names=not no_names)
        return
    facts = queue_facts(layout, every=every, names=not no_names)
    arriving = bool(last_said(layout)["waiting"])
    typer.echo(json.dumps(facts) if as_json else "\n".join(queue_lines(facts, spoken(), arriving=arriving)))


def retry(context: typer.Context, study: StudyName, as_json: AsJson = False) -> None:
    """Analyse a study again whose analysis failed.

    What a person decided stays: a content that `release` took the place of is never analysed again.

    Exit code: 0 queued, 5 there is no such study.
    """
    from scanside_appliance.jobs.book.audit import note
    from scanside_appliance.jobs.book.rows import State
    from scanside_appliance.jobs.errors import BoxAnalysisDied

    with open_store(context) as store, store.transaction():
        study = _named(store, study)
        job = _job_at_rest(store, study, State.quarantined, BoxAnalysisDied.code)
        store.change(job, state=State.claiming, attempts=0, interruptions=0, code=None, reason=None)
        note(store, "retried", study)
    _say(study, to_translate("{study}  queued again"), as_json)


def release(
    context: typer.Context,
    study: StudyName,
    series: Annotated[
        str | None,
        typer.Option(metavar="NUMBER|UID", help="Measure this series; `auto`: the one that Scanside chooses."),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Though the result that there is was measured with more of the study.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Accept what is held, or choose another series of a study.

    INPUT_CONFLICT: of slices with one UID and two contents the one that came last counts. INPUT_DUPLICATE_UID:
    slices under one UID are told apart by their positions. PATIENT_MIXED: late slices go with the study.
    INPUT_FILES_GONE: it is measured without the slices that are gone; one of which nothing is left goes off the list.
    Where there are numbers that were measured with more of the study, they stay, unless --anyway is given.
    PATIENT_CONFLICT: the study is measured again as a new revision, by itself: never compared with the results on
    record under its ID.

    Of a study that is not held, its series are listed; with --series one is measured as a new revision.

    Example: scanside release 206620a657f1ccc8

    Exit code: 0 done, 5 it is not held, or there is no such study or series, 6 slices are missing: send it again.
    """
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.jobs.errors import BoxNotHeld
    from scanside_appliance.jobs.release import Decisions
    from scanside_appliance.page.contents import series_lines

    with open_store(context) as store:
        study = _named(store, study)
        decisions = Decisions(BoxLayout(context.obj.root), store)
        try:
            any_left = decisions.release(study, series, anyway=anyway)
        except BoxNotHeld:
            listed = decisions.series_of(study)
            facts = {"study": study, "state": "done", "series": listed}
            typer.echo(json.dumps(facts) if as_json else "\n".join(series_lines(listed, spoken())))
            raise
    if any_left:
        _say(study, to_translate("{study}  released, queued"), as_json)
    elif as_json:
        typer.echo(json.dumps({"study": study, "state": None}))
    else:
        typer.echo(spoken()("{study}  nothing of it is left on the box: off the list", study=study))


def _named(store: Store, study: str) -> str:
    """The study's name on the box; of a UID, as the page has it, the one that it has here."""
    from scanside_appliance.files.layout import study_key

    return study_key(study) if not store.jobs_of_study(study) and store.jobs_of_study(study_key(study)) else study


def _job_at_rest(store: Store, study: str, state: str, code: str | None = None) -> int:
    """The newest job of the study in this state, and for this reason where one is given, while it rests.

    Raises BoxNoSuchStudy.
    """
    from scanside_appliance.jobs.book.rows import ACTIVE
    from scanside_appliance.jobs.errors import BoxNoSuchStudy

    jobs = store.jobs_of_study(study)
    found = [job.id for job in jobs if job.state == state and job.study_uid and code in (None, job.code)]
    if not study or not found or any(job.state in ACTIVE for job in jobs):
        raise BoxNoSuchStudy(study=study)
    return found[-1]


def _say(study: str, what: str, as_json: bool) -> None:
    typer.echo(json.dumps({"study": study, "state": "claiming"}) if as_json else spoken()(what, study=study))
    if not as_json and sys.stderr.isatty():
        typer.echo(spoken()("scanside watch takes it from here"), err=True)
