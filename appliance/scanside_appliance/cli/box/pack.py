"""`scanside pack`: a study for a colleague elsewhere, without what says whose it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, for_its_owner_alone, path_option
from scanside_runtime.errors import shown


def pack(
    context: typer.Context,
    result: Annotated[
        str,
        typer.Argument(
            metavar="RESULT", help="Patient's ID or name, a day, a study's name or UID, `last`, or a result's folder."
        ),
    ],
    output: Annotated[Path, path_option(metavar="DIR", help="Where the pack goes.")] = Path("."),
    source: Annotated[
        Path | None, path_option(metavar="PATH", help="Where the slices lie. [the box's archive]")
    ] = None,
    limit_mb: Annotated[float, typer.Option(metavar="MB", min=0.1, help="The pack is no larger.")] = 4.0,
    who: Annotated[bool, typer.Option("--who", help="RESULT is a pseudonym: say whose it is on this box.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pack a study without names, as one zip for a colleague.

    Key slices, masks, numbers and page, under a pseudonym that is always the same for a patient on this box. The
    SHA-256 of the zip lies beside it.

    Example: scanside pack last --output /media/usb

    Exit code: 0 packed, 3 there is no such result or it can't be packed, 5 the slices are not here or the box can't
    write.
    """
    from scanside_appliance.referral.packing import Packing

    for_its_owner_alone(context)
    box = Packing(context.obj.root, context.obj.settings())
    done = box.whose(result) if who else list(box.pack(result, output, source, limit_mb))
    if as_json:
        typer.echo(json.dumps(done))
        return
    for one in done:
        typer.echo(_line(one))


def _line(one: dict[str, object]) -> str:
    if "patient_id" in one:
        return shown(f"{one['patient_id'] or spoken()('(no ID)')}  {one['patient_name'] or ''}".rstrip())
    size = float(str(one["size_bytes"])) / 1e6
    said = spoken()("{size:.1f} MB, {seconds} s at 384 kbit/s, {slices} slice(s)", size=size, **_numbers(one))
    return f"{one['path']}  {said}"


def _numbers(one: dict[str, object]) -> dict[str, object]:
    return {"seconds": one["seconds"], "slices": one["slices"]}
