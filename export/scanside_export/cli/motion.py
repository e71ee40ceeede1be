"""`scanside-export motion`: fit the motion detector of the runtime, and measure it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scanside_export.evaluation.motion_model import Seen

motion = typer.Typer(help="The motion detector: fit, measure.", no_args_is_help=True, rich_markup_mode=None)

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with ct.")]
Seeds = Annotated[int, typer.Option(help="Draws of motion for each series and kind.")]


@motion.command("fit")
def fit_model(data: Data, seeds: Seeds = 2) -> None:
    """Fit the motion model and print it.

    On the series it is developed on, with what it does on series left out in turn.
    """
    from scanside_export.evaluation.motion_model import DEVELOPED_ON, figures, fit, left_out_scores
    from scanside_runtime.settings.tables import MotionSettings

    cases = _seen(data, DEVELOPED_ON, seeds)
    weights, offset = fit(cases)
    found = figures(cases, left_out_scores(cases), MotionSettings().moved_from)
    typer.echo(json.dumps({"weights": [round(w, 4) for w in weights], "offset": round(offset, 4), **found}, indent=2))


@motion.command()
def measure(data: Data, seeds: Seeds = 2) -> None:
    """Measure the runtime's motion detector.

    On series that it was not made with: AUC, moved slices found, false alarms.
    """
    from scanside_export.evaluation.motion_model import MEASURED_ON, figures, shipped_scores
    from scanside_runtime.settings.tables import MotionSettings

    cases = _seen(data, MEASURED_ON, seeds)
    typer.echo(json.dumps(figures(cases, shipped_scores(cases), MotionSettings().moved_from), indent=2))


def _seen(data: Path, names: Iterable[str], seeds: int) -> list[Seen]:
    from scanside_export.evaluation.motion_model import real_volumes, seen_in
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.engine import choose_engine
    from scanside_runtime.model.networks import load_networks

    networks = load_networks(open_bundle(), choose_engine("auto", "auto", 0))
    cases = []
    for name, volume in real_volumes(data, names):
        typer.echo(name, err=True)
        cases += list(seen_in(name, volume, networks, range(seeds)))
    return cases
