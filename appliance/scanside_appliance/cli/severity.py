"""`scanside severity`: which fitted model decides the severity flag on this box, since when, and the way back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, as_its_owner, path_argument

if TYPE_CHECKING:
    from scanside_appliance.site_model import ModelChange

severity = typer.Typer(
    help="The severity model of this box: list, install, go back.", no_args_is_help=True, rich_markup_mode=None
)


@severity.command("list")
def list_changes(context: typer.Context, as_json: AsJson = False) -> None:
    """List every change of the model, the newest last.

    When it was, from what to what, and on which data the model was fitted.

    Exit code: 0 listed, 5 the box.
    """
    from scanside_appliance.site_model import read_changes

    changes = read_changes(context.obj.root)
    if as_json:
        typer.echo(json.dumps([change.to_document() for change in changes]))
    else:
        typer.echo("\n".join(map(_line, changes)) or spoken()("none: the bundle's model decides, or the extent grade"))


@severity.command()
def install(
    context: typer.Context,
    file: Annotated[Path, path_argument(metavar="FILE", help="A model, as `cohort calibrate` writes it.")],
    data: Annotated[str, typer.Option(metavar="TEXT", help="What it was fitted on, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Put a fitted severity model in force on this box.

    Exit code: 0 in force, 5 it can't be used or written.
    """
    from scanside_appliance.site_model import install_site_model
    from scanside_runtime.measures.severity_model import read_severity_model

    model = read_severity_model(file)
    as_its_owner(context)
    _report(install_site_model(context.obj.root, model, data=data or model.fitted_on.in_words()), as_json)


@severity.command()
def rollback(context: typer.Context, as_json: AsJson = False) -> None:
    """Put back what was in force before the last install.

    Exit code: 0 done, 5 there is nothing to take back.
    """
    from scanside_appliance.site_model import rollback_site_model

    as_its_owner(context)
    _report(rollback_site_model(context.obj.root), as_json)


def _report(change: ModelChange, as_json: bool) -> None:
    typer.echo(json.dumps(change.to_document()) if as_json else _line(change))


def _line(change: ModelChange) -> str:
    none = spoken()("none of its own")
    return f"{change.at}  {change.action:<8}  {change.before or none} -> {change.after or none}  ({change.data})"
