"""`scanside results`: where the report of a patient, of a day, or the last one lies."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from scanside_appliance.cli.options import AsJson


def results(
    context: typer.Context,
    wanted: Annotated[str, typer.Argument(metavar="PATIENT|DATE|last", help="Patient's ID or name, a day, or `last`.")],
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Every revision, not only the one that counts.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the reports in the browser, too.")] = False,
) -> None:
    """Print the paths of reports, oldest scan first; a revision that was refused hides none that was measured.

    Exit code: 0 printed, 3 there is none.
    """
    from scanside_appliance.results.finder import found_results

    found = found_results(context.obj.root / "results", wanted, every=every)
    typer.echo(json.dumps(found, allow_nan=False) if as_json else "\n".join(one["report"] for one in found))
    if show:
        for one in found:
            typer.launch(one["report"])
