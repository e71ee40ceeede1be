"""How a training went, as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure


def read_log(log: Path, column: str = "loss") -> dict[int, float]:
    """A column by step. After an interruption some steps were done twice: the later row counts."""
    with log.open(newline="") as lines:
        rows = {int(row["step"]): float(row[column]) for row in csv.DictReader(lines)}
    return dict(sorted(rows.items()))


def draw_curves(log: Path, picture: Path, validation: Path | None = None) -> None:
    """Draw the loss of a training's log.csv over its steps as a PNG, and beside it Dice of validation.csv if given."""
    losses = read_log(log)
    figure = Figure(figsize=(8.0, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss, mean since the row before", yscale="log")
    axes.plot(list(losses), list(losses.values()), marker=".")
    axes.grid(which="both", alpha=0.3)
    if validation is not None and validation.exists():
        reached = read_log(validation, "dice")
        beside = axes.twinx()
        beside.set_ylabel("Dice of the validation slices")
        beside.plot(list(reached), list(reached.values()), marker="o", color="tab:orange")
    figure.savefig(picture, format="png")  # a Figure without pyplot is drawn by Agg and needs no display
