"""`scanside explain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A reason code, for example GEOMETRY_MISSING_SLICES.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Say what a reason code means, how it is found, and what to do now."""
    from scanside_appliance.explain import explanation, known_codes

    found = explanation(code)
    if found is None:
        raise typer.BadParameter(f"no such code; known: {', '.join(known_codes())}")
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"{found.code} ({found.kind})")
        typer.echo(f"{found.message}\n\nhow it is found   {found.measured}\nwhat to do now    {found.advice}")
