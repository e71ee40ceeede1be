"""`scanside tune`."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from scanside_appliance.cli.language import say, spoken
from scanside_appliance.cli.options import BOX_ROOT, AsJson, BundleOption, as_its_owner, disk_errors, for_any_user
from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.columns import padded
from scanside_appliance.languages.words import Written, said

if TYPE_CHECKING:
    from scanside_runtime.model.tuning import Tried


UNIT_CHANGED = to_translate(
    "The service fits that engine from its next start on: systemctl daemon-reload; systemctl restart {unit}"
)


class IsaName(StrEnum):
    """Instructions that older processors end with."""

    avx2 = "avx2"
    avx2_vnni = "avx2_vnni"
    avx512 = "avx512"


def tune(
    context: typer.Context,
    isa: Annotated[
        IsaName | None,
        typer.Option(help="Keep nothing; show what OpenVINO would do on an older processor with these instructions."),
    ] = None,
    bundle: BundleOption = None,
    as_json: AsJson = False,
) -> None:
    """Find the fastest way to compute here that is right.

    Each engine and precision is tried with the bundle's own networks: a minute or two of an idle box. The choice is
    kept for `--engine auto`, as long as processor, engines and bundle stay. Typed as root on an installed box, it lets
    the service write the code that it runs (OpenVINO), or not (ONNX Runtime).

    Exit code: 0 found, 4 no way is right, 5 the choice can't be written.
    """
    from scanside_appliance.service.executable_memory import SERVICE, UNITS, fit_to_engine
    from scanside_appliance.tuned import write_tuning
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.tune import try_older, tune

    opened, threads = open_bundle(context.obj.bundle(bundle)), context.obj.settings().inference.threads
    if isa is not None:
        tried = try_older(opened, isa.value, threads, _say)
        if as_json:
            typer.echo(json.dumps({"isa": isa.value, "tried": [asdict(one) for one in tried]}))
        return
    found = tune(opened, threads, _say)
    document = found.to_document()
    for_any_user(context)
    with disk_errors(UNITS):
        fitted = context.obj.root == BOX_ROOT and fit_to_engine(found.choice.name)
    as_its_owner(context)
    path = write_tuning(context.obj.root, document)
    if as_json:
        typer.echo(json.dumps({**document, "file": str(path)}))
    else:
        choice = _name(found.choice.name, found.choice.precision, found.choice.streams)
        say("{choice}: kept in {path}", choice=choice, path=path)
        if fitted:
            say(UNIT_CHANGED, unit=SERVICE)


def _say(one: Tried) -> None:
    """A line for people while it goes on."""
    choice = one.choice
    times = {"wall": one.wall_ms, "cpu": one.cpu_ms, "lungs": one.lungs_dice, "infection": one.infection_dice}
    figures = said("{wall} ms a slab, {cpu} of processor time, Dice {lungs} and {infection}", **times)
    name = padded(_name(choice.name, choice.precision, choice.streams), 42)
    typer.echo(f"{name}{spoken()(Written(one.why_not) if one.why_not else figures)}", err=True)


def _name(engine: str, precision: str, streams: int) -> str:
    return spoken()("{way}, {slabs} slab(s) at a time", way=f"{engine} {precision}", slabs=streams)
