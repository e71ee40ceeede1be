"""`scanside-export guards`: the figures behind the limits of the guards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def guards(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with ct, infection-3d, infection-8mm.")],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="DIR", help="A bundle other than the default one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Print what the guards measure in healthy and in sick chests.

    Real ones, and near-healthy ones with disease drawn into 20 to 85 % of the lungs; beside the limits of the settings,
    with who would be cautioned or refused. Each row is printed as it comes, with --json on stderr.
    """
    from scanside_export.evaluation.guard_figures import CHEST_HEAD, chest_row, chests_at, guarded_chests, limit_table
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.engine import choose_engine
    from scanside_runtime.model.networks import load_networks

    chests_at(data)  # before the networks: an empty folder is refused at once
    networks = load_networks(open_bundle(bundle), choose_engine("auto", "auto", 0))
    chests = []
    typer.echo(CHEST_HEAD, err=as_json)
    for chest in guarded_chests(data, networks):
        typer.echo(chest_row(chest), err=as_json)
        chests.append(chest)
    typer.echo("\n".join(limit_table(chests)), err=as_json)
    if as_json:
        typer.echo(json.dumps([chest.document() for chest in chests], indent=2))
