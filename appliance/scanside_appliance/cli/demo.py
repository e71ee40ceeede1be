"""`scanside demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import path_option
from scanside_appliance.cli.progress import progress


def demo(
    context: typer.Context,
    output: Annotated[Path, path_option(metavar="DIR", help="Where result, truth and page go.")] = Path("demo-out"),
    as_json: Annotated[bool, typer.Option("--json", help="Print found and true values as JSON.")] = False,
) -> None:
    """Analyse a phantom of known truth, and compare.

    Exit code: 0 within 1 percentage point of POI and 15 HU of iHU, else 1; the analysis' own code where it fails.
    """
    from scanside_appliance.demo import comparison_lines, run_demo
    from scanside_appliance.results.output import document_json
    from scanside_appliance.results.summary import summary

    with progress("drawing a phantom") as report:
        shown = run_demo(output, context.obj.settings(), report)
    if as_json:
        typer.echo(document_json(shown.facts()))
    else:
        told = [summary(shown.document, spoken()), "", *comparison_lines(shown.rows, spoken())]
        typer.echo("\n".join([*told, str(shown.page)]))
    raise typer.Exit(shown.exit_code)
