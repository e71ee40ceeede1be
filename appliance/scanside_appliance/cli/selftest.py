"""`scanside selftest`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from scanside_appliance.cli.options import BundleOption, EngineName, EngineOption, PrecisionName, PrecisionOption


def selftest(
    context: typer.Context,
    engine: EngineOption = EngineName.auto,
    precision: PrecisionOption = PrecisionName.auto,
    bundle: BundleOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Compare what this box computes on the bundle's sample with what the exporter computed.

    Exit code: 0 the masks agree, 4 they do not, or the bundle can't be used.
    """
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.engine import choose_engine
    from scanside_runtime.model.networks import load_networks
    from scanside_runtime.model.selftest import run_selftest

    choice = choose_engine(engine.value, precision.value, context.obj.settings().inference.threads)
    found = run_selftest(load_networks(open_bundle(context.obj.bundle(bundle)), choice))
    if as_json:
        typer.echo(json.dumps({"engine": choice.name, **asdict(found)}))
    else:
        typer.echo(f"lungs {found.lungs_dice:.4f}, infection {found.infection_dice:.4f} (Dice; 1 is the same)")
        typer.echo(f"{choice.name}, {found.precision}: this box computes what the exporter computed")
