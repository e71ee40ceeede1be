"""`scanside history`: how one patient's POI and iHU went over time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import for_its_owner_alone, path_option

if TYPE_CHECKING:
    from scanside_appliance.results.patient_history import History


def history(
    context: typer.Context,
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="Patient ID.")],
    issuer: Annotated[str | None, typer.Option(metavar="TEXT", help="Who gave the ID, where several did.")] = None,
    results: Annotated[
        Path | None, path_option(metavar="DIR", help="Folder of results. [results below the box's root]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the history as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one row a scan as CSV.")] = False,
    page: Annotated[Path | None, path_option(metavar="FILE", help="Write a page with plot and table here.")] = None,
) -> None:
    """Show all scans of a patient, and what changed.

    POI, iHU and volumes of each scan, and the change from each to the next.

    Example: scanside history P-17 --page course.html

    Exit code: 0 shown, 2 wrong usage, 3 no such patient on record, 5 the box.
    """
    from scanside_appliance.results.patient_history import csv_text, patient_history, terminal_lines
    from scanside_appliance.results.summary import page_line
    from scanside_runtime.followup.measurement_error import measurement_error
    from scanside_runtime.model.bundle import open_bundle

    for_its_owner_alone(context)
    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    bundle, settings = open_bundle(), context.obj.settings()
    error = measurement_error(bundle.limits_of_agreement, settings.progression, bundle.title)
    folder = results or context.obj.root / "results"
    found = patient_history(folder, patient, issuer, error, settings.patient.placeholder_ids)
    if page is not None:
        _write_page(found, page, context.obj.language or settings.site.language)
    if as_json:
        typer.echo(json.dumps(found.to_document(), allow_nan=False))
    elif as_csv:
        typer.echo(csv_text(found), nl=False)
    else:
        typer.echo("\n".join([*terminal_lines(found, spoken()), *([page_line(page, spoken())] if page else [])]))


def _write_page(found: History, page: Path, language: str) -> None:
    """Raises BoxOutput."""
    from scanside_appliance.files.atomic import replace_file, writing
    from scanside_appliance.results.history_page import render_history

    with writing(page.parent):
        replace_file(page, render_history(found, language).encode(errors="replace"))
