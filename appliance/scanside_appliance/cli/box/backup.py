"""`scanside backup` and `scanside restore`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.language import say
from scanside_appliance.cli.options import AsJson, for_its_owner_alone, for_the_box, path_argument
from scanside_appliance.languages.words import Written


def backup(
    context: typer.Context,
    folder: Annotated[Path, path_argument(metavar="DIR", help="A folder on the stick; made if it is not there.")],
    check: Annotated[bool, typer.Option("--check", help="Read a backup through instead, and compare it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy all that the box knows onto a stick, while it works.

    Studies, results, the book, bundles, settings. The same folder again copies only what is new.

    Example: scanside backup /media/stick/clinic-box

    Exit code: 0 whole, 5 something is missing or can't be written.
    """
    from scanside_appliance.backup.make import back_up
    from scanside_appliance.cli.progress import long_progress
    from scanside_appliance.files.layout import BoxLayout

    if check:
        _check(folder, as_json)
        return
    for_its_owner_alone(context)
    with long_progress() as progress:
        done = back_up(BoxLayout(context.obj.root), context.obj.settings_in_use(), folder, progress)
    if as_json:
        typer.echo(json.dumps(asdict(done)))
    else:
        sums = {"files": done.files, "copied": done.copied, "size": done.copied_mb}
        say("{files} file(s), {copied} of them copied now ({size} MB)", **sums)
        for path in done.missing:
            say("missing: {path}", path=path)
        for path in done.altered:
            say("altered on the box, the copy of before stays: {path}", path=path)
        if done.on_own_disk:
            say("it lies on the box's own disk and is lost with it: is the stick mounted?")
    raise typer.Exit(5 if done.missing or done.altered else 0)


def _check(folder: Path, as_json: bool) -> None:
    from scanside_appliance.backup.restore import check_backup
    from scanside_appliance.cli.progress import long_progress

    with long_progress() as progress:
        stock, wrong = check_backup(folder, progress)
    if as_json:
        listed = [f"{path}: {why}" for path, why in wrong.items()]
        typer.echo(json.dumps({"at": stock.at, "host": stock.host, "files": len(stock.files), "wrong": listed}))
    else:
        for path, why in wrong.items():
            say("{path}: {why}", path=path, why=Written(why))
        say("{files} file(s) of {moment}: {wrong} wrong", files=len(stock.files), moment=stock.at, wrong=len(wrong))
    raise typer.Exit(5 if wrong else 0)


def restore(
    context: typer.Context,
    folder: Annotated[Path, path_argument(metavar="DIR", help="What `scanside backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty box.

    Interrupted, the same command goes on.

    Exit code: 0 whole, 5 it can't be put there.
    """
    from scanside_appliance.backup.restore import restore as run
    from scanside_appliance.backup.restore import settings_in
    from scanside_appliance.cli.progress import long_progress
    from scanside_appliance.files.layout import BoxLayout

    for_the_box(context)
    with long_progress() as progress:
        stock = run(folder, BoxLayout(context.obj.root), progress)
    settings = settings_in(folder, stock)
    if as_json:
        typer.echo(json.dumps({"at": stock.at, "files": len(stock.files), "settings": settings and str(settings)}))
        return
    say("{files} file(s) of {moment} are in {root}", files=len(stock.files), moment=stock.at, root=context.obj.root)
    if settings:
        say("its settings were {path}: put them in force by hand where they fit this box", path=settings)
