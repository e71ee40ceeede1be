"""`scanside-export evaluate`: how good is a bundle on experts' labels, through the deployed runtime and precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from scanside_export.data.volumes import Labelled
    from scanside_export.evaluation.evaluate import Plane, VolumeScore
    from scanside_export.evaluation.evaluate_slices import SliceScore
    from scanside_export.evaluation.precision_agreement import RealSeries
    from scanside_runtime.model.bundle import Bundle
    from scanside_runtime.model.networks import LoadedNetworks

evaluations = typer.Typer(
    help="Score a bundle on experts' labels, by the box's runtime.", no_args_is_help=True, rich_markup_mode=None
)
_Score = TypeVar("_Score")
_Series = TypeVar("_Series")
BundleFolder = Annotated[
    Path | None, typer.Option("--bundle", metavar="DIR", help="A bundle other than the default one.")
]
EngineName = Annotated[str, typer.Option("--engine", help="auto, openvino or onnxruntime.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, int8, bf16 or fp32.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print all figures as JSON.")]
Picture = Annotated[
    Path | None, typer.Option("--picture", metavar="FILE", help="Draw best, median and worst case into this PNG.")
]


@evaluations.command()
def slices(
    images: Annotated[Path, typer.Option(metavar="DIR", help="8-bit pictures in a lung window, cropped to the lungs.")],
    masks: Annotated[Path, typer.Option(metavar="DIR", help="Infection masks of the same names, 0 and 255.")],
    bundle: BundleFolder = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    """Score the infection network alone on single slices.

    HU are estimated from each picture.
    """
    from scanside_export.data.windowed_slices import read_slices
    from scanside_export.evaluation.evaluate_slices import evaluate_slices, slices_document

    drawn = read_slices(images, masks)  # before the networks: what does not fit is refused at once
    opened, networks = _deployed(bundle, engine, precision)
    scores = evaluate_slices(drawn, networks.infection)
    figures = slices_document(scores, networks.infection, _called(opened))
    if picture is not None:
        _draw_slices(scores, picture)
    typer.echo(json.dumps(figures, indent=2) if as_json else "\n".join(_slice_lines(figures, scores)))


@evaluations.command()
def volumes(
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="NIfTI files, or folders of DICOM files, one a series.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Infection under the same names: NIfTI or DICOM SEG.")
    ] = None,
    lungs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Lungs under the same names, NIfTI; POI is scored where given.")
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--from", metavar="FORM=DIR", help="A public set instead; see docs/training.md.")
    ] = None,
    case: Annotated[list[str] | None, typer.Option("--case", metavar="NAME", help="Only these cases.")] = None,
    slab_mm: Annotated[
        float | None, typer.Option(help="Average thinner slices to about this first (infection-3d: 5).")
    ] = None,
    bundle: BundleFolder = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    picture: Picture = None,
    as_json: AsJson = False,
) -> None:
    """Score the whole product on CT volumes.

    Dice, volume error, POI error with Bland-Altman limits.
    """
    from scanside_export.evaluation.evaluate import evaluate
    from scanside_export.evaluation.score_summary import volumes_document

    cases = _labelled(images, masks, lungs, sources or [], tuple(case or ()), slab_mm)
    opened, networks = _deployed(bundle, engine, precision)
    results = []
    for score, plane in evaluate(cases, networks):
        typer.echo(f"{score.name} scored", err=True)
        results.append((score, plane))
    if not results:
        only = f" called {' or '.join(case)}" if case else ""
        raise typer.BadParameter(f"there is no case with an infection mask{only} to score")
    scores = [score for score, _ in results]
    figures = volumes_document(scores)
    figures |= {"precision": networks.infection.engine.computed_in, "bundle": _called(opened)}
    if picture is not None:
        _draw_volumes(results, picture)
    typer.echo(json.dumps(figures, indent=2) if as_json else "\n".join(_volume_lines(figures, scores)))


@evaluations.command("held-out")
def held_out(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with ct.")],
    variants: Annotated[int, typer.Option(min=1, help="Draws of lesions for each patient.")] = 3,
    bundle: BundleFolder = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Draw the worst slabs of CC BY series.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score real patients whom no training sees.

    As they are, with lesions, and with a consolidation drawn in.
    """
    from scanside_export.evaluation.held_out import score_patients
    from scanside_export.evaluation.held_out_table import held_out_document, held_out_table

    opened, networks = _deployed(bundle, engine, precision)
    scores = score_patients(data, variants, networks)
    figures = held_out_document(scores)
    figures |= {"precision": networks.infection.engine.computed_in, "bundle": _called(opened)}
    if picture is not None:
        _draw_planes([(f"{score.name}, {score.dice:.3f}", plane) for score, plane in scores.worst(3)], picture)
    typer.echo(json.dumps(figures, indent=2) if as_json else held_out_table(figures))


@evaluations.command()
def lungs(
    references: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Drawn lungs, as in tests/data/lungs; with --data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with ct, of whose series they are.")] = None,
    sources: Annotated[
        list[str] | None, typer.Option("--from", metavar="FORM=DIR", help="A set with lungs; see docs/training.md.")
    ] = None,
    bundle: BundleFolder = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with the lungs, in ml by kind.

    Outside of the body, gas, effusion, abdomen, lung missed.
    """
    from dataclasses import asdict

    from scanside_export.data.drawn_lungs import drawn_references
    from scanside_export.evaluation.lung_errors import case_reference, lung_table, score_lungs

    if (references is None) != (data is None) or (references is None and not sources):
        raise typer.BadParameter("give --references and --data, or --from FORM=DIR")
    drawn = [] if references is None or data is None else drawn_references(references, data)
    cases = (case_reference(one) for text in sources or [] for one in _form(text, None)[0] if (one.lungs != 255).any())
    opened, networks = _deployed(bundle, engine, precision)
    scores = [score_lungs(one, networks) for one in chain(drawn, cases)]
    if not scores:
        raise typer.BadParameter("there is no series with lungs to score")
    figures = {"series": [asdict(one) for one in scores], "bundle": _called(opened)}
    typer.echo(json.dumps(figures, indent=2) if as_json else lung_table(scores))


@evaluations.command()
def fluid(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with ct and infection-8mm.")],
    series: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only series so named.")] = None,
    bundle: BundleFolder = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Draw fluid behind real lungs, and say what it raises.

    A third of one lung or of both, 5 to 25 HU, in eight series: 120 drawings. Each row is printed as it comes, with
    --json on stderr.
    """
    from dataclasses import asdict

    from scanside_export.evaluation.drawn_fluid import FLUID_HEAD, fluid_row, fluid_sums, score_fluid

    paths = _fluid_series(data, series or ())  # before the networks: what is not there is refused at once
    opened, networks = _deployed(bundle, engine, precision)
    typer.echo(FLUID_HEAD, err=as_json)
    drawings = chain.from_iterable(score_fluid(path, networks) for path in paths)
    scores = _told_as_they_come(drawings, fluid_row, err=as_json)
    typer.echo(fluid_sums(scores), err=as_json)
    if as_json:
        typer.echo(json.dumps({"drawings": [asdict(one) for one in scores], "bundle": _called(opened)}, indent=2))


@evaluations.command()
def precision(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with ct, infection-3d and infection-8mm.")],
    series: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only series so named.")] = None,
    bundle: BundleFolder = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
) -> None:
    """Hold a precision against FP32 on real series.

    The whole product in both, on OpenVINO: masks, POI, iHU, flag. Each row is printed as it comes, with --json on
    stderr.
    """
    from scanside_export.evaluation.precision_agreement import (
        AGREEMENT_HEAD,
        agreement_row,
        agreement_sums,
        compare_precisions,
    )

    chosen = _real_series(data, series or ())
    opened, networks = _deployed(bundle, engine, precision)
    reference = _deployed(bundle, "openvino", "fp32")[1]
    typer.echo(AGREEMENT_HEAD, err=as_json)
    compared = (compare_precisions(one, reference, networks) for one in chosen)
    scores = _told_as_they_come(compared, agreement_row, err=as_json)
    typer.echo(agreement_sums(scores), err=as_json)
    if as_json:
        figures = {"series": [one.document() for one in scores], "bundle": _called(opened)}
        typer.echo(json.dumps(figures | {"precision": networks.infection.engine.computed_in}, indent=2))


def _told_as_they_come(scores: Iterable[_Score], row: Callable[[_Score], str], *, err: bool) -> list[_Score]:
    """All of them; a row of each is printed as soon as it is known."""
    found = []
    for score in scores:
        typer.echo(row(score), err=err)
        found.append(score)
    return found


def _real_series(data: Path, names: Sequence[str]) -> list[RealSeries]:
    """The named series, all where none is named. Raises typer.BadParameter where there is none, or none so named."""
    from scanside_export.evaluation.precision_agreement import real_series

    known = {one.name: one for one in real_series(data)}
    if not known:
        raise typer.BadParameter(f"--data {data}: no series lies there")
    return _named(known, names)


def _fluid_series(data: Path, names: Sequence[str]) -> list[Path]:
    """The files of the named series, of all where none is named. Raises typer.BadParameter, LabelsUnusable."""
    from scanside_export.errors import LabelsUnusable
    from scanside_export.evaluation.drawn_fluid import SERIES

    paths = _named({Path(one).stem: data / one for one in SERIES}, names)
    for path in paths:
        if not path.is_file():
            raise LabelsUnusable(folder=path.parent, why=f"there is no {path.name}")
    return paths


def _named(known: Mapping[str, _Series], names: Sequence[str]) -> list[_Series]:
    """Those that are named, all where none is. Raises typer.BadParameter for a name that there is not."""
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"--series {', '.join(unknown)}: choose from {', '.join(known)}")
    return [one for name, one in known.items() if not names or name in names]


def _deployed(bundle: Path | None, engine: str, precision: str) -> tuple[Bundle, LoadedNetworks]:
    from scanside_runtime.model.bundle import open_bundle
    from scanside_runtime.model.engine import choose_engine
    from scanside_runtime.model.networks import load_networks

    opened = open_bundle(bundle)
    return opened, load_networks(opened, choose_engine(engine, precision, 0))


def _called(bundle: Bundle) -> str:
    return f"{bundle.name} {bundle.version}"


def _labelled(
    images: Path | None,
    masks: Path | None,
    lungs: Path | None,
    sources: Sequence[str],
    only: tuple[str, ...],
    slab_mm: float | None,
) -> Iterable[Labelled]:
    """The cases that the options name, one after the other. Raises typer.BadParameter where they name none."""
    from scanside_export.data.adapters.pairs import paired
    from scanside_export.data.volumes import labelled_case

    if (images is None) != (masks is None) or (images is None) == (not sources):
        raise typer.BadParameter("give --images and --masks, or --from FORM=DIR")
    readers = [_form(text, slab_mm) for text in sources]
    if images is not None and masks is not None:
        readers = [(paired(images, masks, lungs), slab_mm)]
    return (
        labelled_case(one, thick_mm)
        for cases, thick_mm in readers
        for one in cases
        if one.infection and (not only or one.name in only)
    )


def _form(text: str, slab_mm: float | None) -> tuple[Iterable[Any], float | None]:
    from scanside_export.data.adapters.forms import parse_source, read_form

    try:
        form, folder = parse_source(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem
    return read_form(form, folder), 5.0 if slab_mm is None and form == "infection-3d" else slab_mm


def _slice_lines(figures: Mapping[str, Any], scores: Sequence[SliceScore]) -> list[str]:
    rows = [
        f"{score.picture.name:<24}{score.dice:8.3f}{score.sensitivity:13.3f}{score.precision:11.3f}" for score in scores
    ]
    head = f"{'slice':<24}{'Dice':>8}{'sensitivity':>13}{'precision':>11}"
    means = (figures["dice_mean"], figures["sensitivity_mean"], figures["precision_mean"])
    mean = "{:<24}{:8.3f}{:13.3f}{:11.3f}".format("mean", *means)
    spread = f"n {figures['n']}, Dice SD {figures['dice_sd']:.3f}, median {figures['dice_median']:.3f}"
    return [head, *rows, mean, spread, f"{figures['bundle']}, {figures['precision']}"]


def _volume_lines(figures: Mapping[str, Any], scores: Sequence[VolumeScore]) -> list[str]:
    head = f"{'series':<28}{'Dice':>7}{'sens.':>7}{'prec.':>7}{'volume %':>10}{'lungs':>7}{'POI error':>11}"
    rows = [
        f"{score.name:<28}{_of(score.dice)}{_of(score.sensitivity)}{_of(score.precision)}"
        f"{_of(score.volume_error_percent, 10, '+.1f')}{_of([score.lungs_dice])}"
        f"{_of(score.poi_error_points, 11, '+.2f')}"
        for score in scores
    ]
    interval, poi = figures["dice_ci95"], figures["poi"]
    lines = [
        head,
        *rows,
        f"{'mean':<28}{figures['dice_mean']:7.3f}{figures['sensitivity_mean']:7.3f}{figures['precision_mean']:7.3f}"
        f"{_of([figures['volume_error_percent_mean']], 10, '+.1f')}{_of([figures['lungs_dice_mean']])}"
        f"{_of([poi['bias_points']], 11, '+.2f')}",
        f"n {figures['n']} series of {figures['patients']} patients, Dice SD {figures['dice_sd']:.3f}, "
        f"median {figures['dice_median']:.3f}, pooled {figures['dice_pooled']:.3f}, by a threshold "
        f"{figures['baseline_dice_mean']:.3f}",
        f"infection of all series {figures['found_ml']:.0f} ml, drawn by readers {figures['reference_ml']:.0f} ml",
    ]
    if figures["lung_elsewhere_ml_max"] is not None:
        lines.append(f"called lung far from the lungs, worst series: {figures['lung_elsewhere_ml_max']:.1f} ml")
    if interval is not None:
        lines.append(f"Dice mean, 95 % interval over patients: {interval[0]:.3f} to {interval[1]:.3f}")
    if poi["lower_points"] is not None:
        lines.append(
            f"POI error in points ({poi['n']} series): bias {poi['bias_points']:+.2f}, absolute "
            f"{poi['absolute_error_points']:.2f}, limits of agreement {poi['lower_points']:+.2f} to "
            f"{poi['upper_points']:+.2f}"
        )
    return [*lines, f"{figures['bundle']}, {figures['precision']}"]


def _of(values: Sequence[float | None], width: int = 7, form: str = ".3f") -> str:
    """The mean of what is known, or a dash."""
    known = [value for value in values if value is not None]
    return (f"{sum(known) / len(known):{form}}" if known else "-").rjust(width)


def _draw_slices(scores: Sequence[SliceScore], path: Path) -> None:
    from scanside_export.evaluation.examples import Example, best_median_worst, draw_examples

    chosen = [(place, scores[number]) for place, number in best_median_worst([score.dice for score in scores])]
    draw_examples(
        [
            Example(f"{place}: {one.picture.name}, {one.dice:.3f}", one.picture.grey, one.picture.infection, one.found)
            for place, one in chosen
        ],
        path,
    )


def _draw_volumes(results: Sequence[tuple[VolumeScore, Plane]], path: Path) -> None:
    from scanside_export.evaluation.examples import best_median_worst

    titled = []
    for place, number in best_median_worst([score.mean_dice for score, _ in results]):
        score, plane = results[number]
        titled.append((f"{place}: {score.name}, {score.mean_dice:.3f}", plane))
    _draw_planes(titled, path)


def _draw_planes(titled: Sequence[tuple[str, Plane]], path: Path) -> None:
    from scanside_export.evaluation.examples import Example, draw_examples, in_lung_window

    draw_examples(
        [Example(title, in_lung_window(plane.hu), plane.reference, plane.found) for title, plane in titled], path
    )
