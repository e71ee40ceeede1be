"""`scanside explain`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from scanside_appliance.cli.language import say, spoken
from scanside_appliance.languages.words import Message


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A reason code, for example GEOMETRY_MISSING_SLICES.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the explanation as JSON.")] = False,
) -> None:
    """Say what a reason code means, and what to do now.

    It says how the code is found, too.

    Exit code: 0 explained, 2 there is no such code.
    """
    from scanside_appliance.explain import explanation, known_codes, message_in_words

    found = explanation(code)
    if found is None:
        raise typer.BadParameter(f"no such code; known: {', '.join(known_codes())}")
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"{found.code} ({found.kind})")
        typer.echo(message_in_words(found, spoken()))
        say("\nhow it is found: {how}\n\nwhat to do now: {advice}", how=found.measured, advice=Message(found.advice))
