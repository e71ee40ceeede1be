"""`scanside-export cuts`: the figures behind the coverage settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

END_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
EDGE_SHARES = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)


def cuts(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with ct.")],
) -> None:
    """Print how much lung is lost where scans are cut.

    Whole scans are cut shorter and narrower; the loss stands beside what the guard would see.
    """
    from scanside_export.evaluation.cutting import ENDS, SIDES, cut_at_the_ends, cut_at_the_sides, losses, thick_lungs

    whole = list(thick_lungs(data))
    ends = [cut for lungs in whole for cut in cut_at_the_ends(lungs)]
    sides = [cut for lungs in whole for cut in cut_at_the_sides(lungs)]
    figures = {"ends": losses(ends, ENDS, END_SHARES), "sides": losses(sides, SIDES, EDGE_SHARES)}
    typer.echo(json.dumps(figures, indent=2))
