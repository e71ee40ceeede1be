"""`scanside selftest`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import BundleOption, EngineName, EngineOption, PrecisionName, PrecisionOption

if TYPE_CHECKING:
    from scanside_runtime.model.proof import WayTried


def selftest(
    context: typer.Context,
    engine: EngineOption = EngineName.auto,
    precision: PrecisionOption = PrecisionName.auto,
    bundle: BundleOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Prove that this box computes what the exporter computed.

    The sample in the bundle is computed and compared. Without --engine and --precision the way in which the box
    computes is tested, and where it is wrong the next one.

    Exit code: 0 the masks agree, 4 they do not, or the bundle can't be used.
    """
    from scanside_appliance.compiled import compiled_networks
    from scanside_appliance.proved import prove_box
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.engine import choose_engine
    from scanside_runtime.model.networks import KeptNetworks
    from scanside_runtime.model.selftest import prove_way

    opened, threads = open_bundle(context.obj.bundle(bundle)), context.obj.settings().inference.threads
    networks = KeptNetworks(compiled_networks(context.obj.root))  # as `analyze` has them
    if (engine, precision) == (EngineName.auto, PrecisionName.auto):
        proof = prove_box(context.obj.root, opened, threads, networks=networks)
        way, wrong = proof.way(), proof.wrong
    else:
        way, wrong = prove_way(opened, choose_engine(engine.value, precision.value, threads), networks), ()
    if as_json:
        typer.echo(json.dumps(_facts(way, wrong)))
    else:
        typer.echo("\n".join(_lines(way, wrong)))


def _facts(way: WayTried, wrong: Sequence[WayTried]) -> dict[str, Any]:
    return {
        "engine": way.engine,
        "lungs_dice": way.lungs_dice,
        "infection_dice": way.infection_dice,
        "precision": way.computed_in,
        "wrong": [{"engine": one.engine, "precision": one.precision, "why": one.why_not} for one in wrong],
    }


def _lines(way: WayTried, wrong: Sequence[WayTried]) -> list[str]:
    _, dice = spoken(), {"lungs": way.lungs_dice, "infection": way.infection_dice}
    name = f"{way.engine}, {way.computed_in}"
    return [
        *(_("wrong here: {way}: {why}", way=one.name, why=one.why_not) for one in wrong),
        _("lungs {lungs:.4f}, infection {infection:.4f} (Dice; 1 is the same)", **dice),
        _("{way}: this box computes what the exporter computed", way=name),
    ]
