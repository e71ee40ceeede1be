"""`scanside redo`, `rebuild`, `verify`: a study measured again, the book made anew, the box held against its book."""

from __future__ import annotations

import json
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, as_its_owner, disk_errors, for_the_box, open_store


def redo(
    context: typer.Context,
    wanted: Annotated[str, typer.Argument(metavar="STUDY|PATIENT", help="A study's name or UID, or a patient's ID.")],
    issuer: Annotated[str | None, typer.Option(metavar="TEXT", help="Who gave the ID, where that is stated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure archived studies again, as new revisions.

    After an upgrade, or where a result was lost. What is there stays; the newest revision counts. scanside watch
    does the work.

    Exit code: 0 queued, 5 nothing under this name that came to a result, or files are missing, 6 files were cleaned
    from the archive: send the study again.
    """
    from scanside_appliance.clock import Clock
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.upkeep.redo import redo as measure_again

    with open_store(context) as store:
        jobs = measure_again(BoxLayout(context.obj.root), store, Clock(), wanted, issuer)
    facts = [{"study": job.study, "state": job.state.value} for job in jobs]
    typer.echo(json.dumps(facts) if as_json else "\n".join(_queued(one["study"]) for one in facts))


def _queued(study: str) -> str:
    return spoken()("{study}  queued again", study=study)


def rebuild(
    context: typer.Context,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Though the book that lies there is whole; without what can't be read.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make the book anew where it is lost or damaged.

    The book is the box's record of every study and file. It is made anew from archive, results and quarantine; the
    old one is kept beside it. Stop the service first. Every file is read and held against its name. Archived
    studies without a result are measured at the next start.

    Exit code: 0 rebuilt, 5 the book is whole, or is one that must not be replaced, or a daemon is at work, or files
    can't be read: they are named, and nothing is changed; with --anyway they are left out of the new book.
    """
    from scanside_appliance.cli.progress import long_progress
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.inbox.facts import Facts, Prober
    from scanside_appliance.jobs.book.database_errors import database_errors
    from scanside_appliance.jobs.book.errors import BoxDatabase
    from scanside_appliance.service.root_lock import only_one
    from scanside_appliance.service.status import forget_trouble
    from scanside_appliance.upkeep.rebuild import rebuild as make_anew

    layout, reading = BoxLayout(context.obj.root), context.obj.settings().reading
    for_the_box(context)
    as_its_owner(context)
    layout.check()
    errors = disk_errors(layout.root), database_errors(layout.database)
    with errors[0], errors[1], only_one(layout), closing(Prober(time.monotonic)) as prober, long_progress() as report:

        def probe(path: Path) -> Facts:
            with disk_errors(layout.root):  # no file is to blame where no child can be started
                return prober.probe(path, reading)

        found = make_anew(layout, probe, report, anyway=anyway)
        forget_trouble(layout, BoxDatabase.code)
    typer.echo(json.dumps(found.to_document()) if as_json else "\n".join(found.lines(spoken())))
    raise typer.Exit(5 if found.unread else 0)


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Compare the book and all stored files with what was written.

    The networks, too. No file of them is changed. When it was done is noted for `doctor` and `status`; a timer does
    it each week.

    Exit code: 0 all is as it was written, 5 something differs: it is named, with the study.
    """
    from scanside_appliance.cli.progress import long_progress
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.upkeep.verify import note_verified
    from scanside_appliance.upkeep.verify import verify as look_at_all

    layout = BoxLayout(context.obj.root)
    as_its_owner(context)
    with disk_errors(layout.root), long_progress() as report:
        found = look_at_all(layout, report, Path(context.obj.settings().bundles.keys))
    note_verified(layout, found)
    typer.echo(json.dumps(found.to_document()) if as_json else "\n".join(found.lines(spoken())))
    raise typer.Exit(5 if found.differences else 0)
