"""`scanside-export lesions`: what the lesion synthesiser makes, beside real lesions, in numbers and in pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from scanside_export.lesion_figures import LesionFigures

lesion_app = typer.Typer(
    help="The lesion synthesiser: held against real lesions, and shown.", no_args_is_help=True, rich_markup_mode=None
)
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with infection-3d and ct.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the lesions.")]


@lesion_app.command("table")
def compare_with_real(
    data: Data,
    variants: Annotated[int, typer.Option(min=1, help="Synthetic patients from each background.")] = 3,
    seed: Seed = 4000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Compare density, size, place and edge of inserted lesions with those of infection-3d, in sections of 5 mm."""
    from dataclasses import asdict

    from scanside_export.lesion_figures import comparison, spreads

    real, synthetic = list(_real(data)), list(_synthetic(data, variants, seed))
    if as_json:
        sides = {"real": real, "synthetic": synthetic}
        document = {name: {key: asdict(one) for key, one in spreads(some).items()} for name, some in sides.items()}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo(comparison(real, synthetic))


@lesion_app.command()
def picture(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The PNG to write.")],
    volume: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A near-healthy volume (.npz of ct); without it, a phantom.")
    ] = None,
    seed: Seed = 4000,
) -> None:
    """Draw one lesion of each pattern into the same section."""
    from scanside_export.lesion_pictures import draw_patterns

    draw_patterns(volume, seed, out)


def _real(data: Path) -> Iterator[LesionFigures]:
    """The series whose lungs are known in some sections; those sections, first reader."""
    from scanside_export.cases import infection_volumes
    from scanside_export.lesion_figures import lesion_figures
    from scanside_export.volumes import labelled_case

    for case in infection_volumes(data / "infection-3d"):
        one = labelled_case(case)
        known = one.lungs_known
        found = lesion_figures(
            one.volume.hu[known], one.lungs[known], one.infection[0][known], one.volume.spacing_mm
        )
        if found is not None:
            yield found


def _synthetic(data: Path, variants: int, seed: int) -> Iterator[LesionFigures]:
    """Lesions as `prepare` inserts them, into its backgrounds."""
    import numpy as np

    from scanside_export.lesion_figures import lesion_figures
    from scanside_export.prepare import BACKGROUNDS, with_lesions
    from scanside_export.volumes import labelled_case

    for number, background in enumerate(BACKGROUNDS):
        rng = np.random.default_rng([seed, number])
        for case in with_lesions(data / "ct" / background.path, background, variants, rng):
            one = labelled_case(case)
            found = lesion_figures(one.volume.hu, one.lungs, one.infection[0], one.volume.spacing_mm)
            if found is not None:
                yield found
