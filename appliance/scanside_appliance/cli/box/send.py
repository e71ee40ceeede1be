"""`scanside send`: results to the archive, now; whether it answers; what was sent."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson


def send(
    context: typer.Context,
    result: Annotated[
        str | None,
        typer.Argument(
            metavar="[RESULT]", help="Patient's ID or name, a day, a study's name or UID, `last`, or a result's folder."
        ),
    ] = None,
    echo: Annotated[bool, typer.Option("--echo", help="Only ask whether the archive answers (C-ECHO).")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Only list what was sent, waits or was refused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send results to the archive of the settings (DICOM).

    Without RESULT all that waits is sent. Sent again, nothing is there twice.

    Example: scanside send last

    Exit code: 0 it is there, 3 there is no such result, 5 the archive is not reached or does not take it.
    """
    from scanside_appliance.network import sending

    box = sending.Sending(context.obj.root, context.obj.settings().send)
    if echo:
        done = box.echo()
    elif listed:
        done = box.deliveries()
    else:
        done = box.send_waiting() if result is None else box.send_results(result)
    typer.echo(json.dumps(done) if as_json else "\n".join(sending.lines(done, spoken()) or [spoken()("nothing")]))
    raise typer.Exit(5 if any(one["state"] in sending.TROUBLES for one in done) and not listed else 0)
