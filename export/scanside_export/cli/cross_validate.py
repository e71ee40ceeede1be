"""`scanside-export cross-validate`: every fold from training to score, in one resumable command."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scanside_export.data.recipe import Recipe


def cross_validate(
    cases: Annotated[Path, typer.Option(metavar="DIR", help="What `prepare` wrote.")],
    work: Annotated[Path, typer.Option(metavar="DIR", help="A folder for each fold, and the table, go here.")],
    infection_recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recipe of the infection network, if not the shipped one.")
    ] = None,
    lungs_recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recipe of the lung network, if not the shipped one.")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="Samples to draw instead of the recipes'.")] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Runs of a shared pre-training; refused if it saw a patient of the fold."),
    ] = None,
    lungs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint of one lung network for all folds: none is trained.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Score single slices too: pictures of infection-2d ...")
    ] = None,
    masks: Annotated[Path | None, typer.Option(metavar="DIR", help="... and their masks.")] = None,
    fold: Annotated[list[int] | None, typer.Option(help="Only these folds.")] = None,
    slabs: Annotated[int, typer.Option(help="Calibration slabs.")] = 300,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Train and score each fold by patient.

    Each fold is trained, exported, quantised and scored; run again after an interruption, and it goes on. Ctrl-C and
    SIGTERM let a training end its step and write a checkpoint, and end what else is at work at once.

    Exit code: 0 all folds are scored, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    from scanside_export.bundling.cross_validate import CrossValidation
    from scanside_export.bundling.cross_validate import cross_validate as run_folds
    from scanside_export.cli.stopping import ended_at_once
    from scanside_export.data.folds import FOLDS
    from scanside_export.data.windowed_slices import read_slices
    from scanside_export.evaluation.score_table import table

    if (images is None) != (masks is None):
        raise typer.BadParameter("give --images and --masks together")
    recipes = _recipes({"infection": infection_recipe} | ({"lungs": lungs_recipe} if lungs is None else {}), samples)
    pictures = read_slices(images, masks) if images is not None and masks is not None else []
    threads = threads or len(os.sched_getaffinity(0))
    plan = CrossValidation(
        cases, work, recipes, start_from, pictures, lungs, slabs, threads=threads, stoppable=_training
    )
    chosen = sorted(set(fold)) if fold else range(len(FOLDS))
    if not set(chosen) <= set(range(len(FOLDS))):
        raise typer.BadParameter(f"there are folds 0 to {len(FOLDS) - 1}")
    with ended_at_once(f"stopped: the same command goes on with what is finished in {work}"):
        figures = run_folds(plan, chosen)
    _write(figures, work, table(figures))
    typer.echo(json.dumps(figures, indent=2) if as_json else table(figures))


@contextmanager
def _training() -> Iterator[Callable[[], bool]]:
    """It ends its step first; one that was at its last is done, and what comes after it ends at once."""
    from scanside_export.cli.stopping import asked_to_stop

    with asked_to_stop() as asked:
        yield asked
    if asked.by is not None:
        signal.raise_signal(asked.by)


def _recipes(files: dict[str, Path | None], samples: int | None) -> dict[str, Recipe]:
    """Each network's own recipe, or the shipped one."""
    from dataclasses import replace

    from scanside_export.data.recipe import read_recipe

    shipped = Path(__file__).parents[1] / "recipes"
    recipes = {network: read_recipe(file or shipped / f"{network}.toml") for network, file in files.items()}
    if samples is None:
        return recipes
    return {network: replace(recipe, samples=samples) for network, recipe in recipes.items()}


def _write(figures: dict[str, Any], work: Path, text: str) -> None:
    (work / "cross_validation.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    (work / "cross_validation.md").write_text(text + "\n", encoding="utf-8")
