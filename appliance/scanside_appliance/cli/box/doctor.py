"""`scanside doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, path_option

if TYPE_CHECKING:
    from scanside_runtime.errors import SettingsUnusable
    from scanside_runtime.settings.tables import Settings


def doctor(
    context: typer.Context,
    support: Annotated[
        Path | None,
        path_option(metavar="FILE", help="Write a zip for whoever helps; nothing of any patient is in it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at all that can ail the box, and say what to do.

    A line each: ok, LOOK (it works; read what it says) or BAD.

    Exit code: 0 all well or something to look at, 5 something is bad.
    """
    from scanside_appliance.doctor.conditions import Examined, Health
    from scanside_appliance.doctor.examine import document, examine, line, worst_of
    from scanside_appliance.doctor.support import write_support_file
    from scanside_appliance.files.layout import BoxLayout

    box = Examined(BoxLayout(context.obj.root), *_settings(context))
    found = []
    for condition in examine(box):
        found.append(condition)
        if not as_json:
            typer.echo(line(condition, spoken()))
    if as_json:
        typer.echo(json.dumps(document(box, found)))
    if support is not None:
        write_support_file(box, found, support)
    raise typer.Exit(5 if worst_of(found) is Health.bad else 0)


def _settings(context: typer.Context) -> tuple[Settings, Path | None, SettingsUnusable | None]:
    """What is in force, where it comes from, and why it is not what the file says."""
    from scanside_runtime.errors import SettingsUnusable
    from scanside_runtime.settings.tables import Settings

    try:
        return context.obj.settings(), context.obj.settings_in_use(), None
    except SettingsUnusable as error:
        return Settings(), context.obj.settings_in_use(), error
