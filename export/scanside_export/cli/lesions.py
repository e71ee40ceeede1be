"""`scanside-export lesions`: what the lesion synthesiser makes, beside real lesions, in numbers and in pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

if TYPE_CHECKING:
    from scanside_export.data.cases import Case
    from scanside_export.evaluation.lesion_figures import LesionFigures

lesion_app = typer.Typer(
    help="The drawn lesions: beside real ones, and shown.", no_args_is_help=True, rich_markup_mode=None
)
Cases = Annotated[Path, typer.Option("--cases", metavar="DIR", help="What `prepare` wrote.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the lesions.")]


@lesion_app.command("table")
def compare_with_real(
    cases: Cases,
    variants: Annotated[int, typer.Option(min=1, help="Synthetic patients from each background.")] = 2,
    seed: Seed = 4000,
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")] = False,
) -> None:
    """Compare inserted lesions with real ones.

    Density, size, place and edge, against infection-3d in slabs of 5 mm.
    """
    from dataclasses import asdict

    from scanside_export.data.prepare import load
    from scanside_export.evaluation.lesion_figures import comparison, spreads

    known = load(cases)
    real, synthetic = list(_real(known)), list(_synthetic(known, variants, seed))
    if not real or not synthetic:
        raise typer.BadParameter(f"{cases} needs cases of infection-3d and near-healthy ones of ct")
    if as_json:
        sides = {"real": real, "synthetic": synthetic}
        document = {name: {key: asdict(one) for key, one in spreads(some).items()} for name, some in sides.items()}
        typer.echo(json.dumps(document, indent=2))
    else:
        typer.echo(comparison(real, synthetic))


@lesion_app.command()
def picture(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The PNG to write.")],
    cases: Annotated[Path | None, typer.Option(metavar="DIR", help="What `prepare` wrote; a phantom without.")] = None,
    case: Annotated[str, typer.Option(metavar="NAME", help="Its case.")] = "nsclc-r01-001_thorax_2mm_clean",
    seed: Seed = 4000,
) -> None:
    """Draw one lesion of each pattern into the same slab."""
    from scanside_export.data.prepare import load
    from scanside_export.evaluation.lesion_pictures import draw_patterns

    background = None
    if cases is not None:
        background = next((one for one in load(cases) if one.name == case), None)
        if background is None:
            raise typer.BadParameter(f"{cases} holds no case {case!r}")
    draw_patterns(background, seed, out)


def _real(cases: Sequence[Case]) -> Iterator[LesionFigures]:
    """Series of infection-3d, in the slabs whose lungs are known, by the first reader."""
    from scanside_export.data.volumes import labelled_case
    from scanside_export.evaluation.lesion_figures import lesion_figures

    for case in cases:
        if case.source == "infection-3d" and case.infection:
            one = labelled_case(case)
            lungs, infection = one.in_slabs(one.lungs), one.in_slabs(one.infection[0])
            known = one.lungs_known.reshape(-1, one.joined).all(axis=1)
            arrays = one.volume.hu[known], lungs[known], infection[known]
            found = lesion_figures(*arrays, one.volume.spacing_mm) if known.any() else None
            if found is not None:
                yield found


def _synthetic(cases: Sequence[Case], variants: int, seed: int) -> Iterator[LesionFigures]:
    """Lesions inserted into the backgrounds that `prepare` stored as they are, without large consolidations."""
    from scanside_export.data.prepare import sick_copy
    from scanside_export.data.volumes import labelled_case
    from scanside_export.evaluation.lesion_figures import lesion_figures

    for number, case in enumerate(case for case in cases if case.source == "real" and case.name.endswith("_clean")):
        for variant in range(variants):
            rng = np.random.default_rng([seed, number, variant])
            one = labelled_case(sick_copy(case, 2 * variant, rng))
            lungs, infection = one.in_slabs(one.lungs), one.in_slabs(one.infection[0])
            found = lesion_figures(one.volume.hu, lungs, infection, one.volume.spacing_mm)
            if found is not None:
                yield found
