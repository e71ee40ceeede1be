"""The command line `scanside-export`, for the model engineer: train, export, quantize, bundle, check, evaluate."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from scanside_export.cli.cross_validate import cross_validate
from scanside_export.cli.cuts import cuts
from scanside_export.cli.deliver import keygen, sign
from scanside_export.cli.evaluate import evaluations
from scanside_export.cli.guards import guards
from scanside_export.cli.lesions import lesion_app
from scanside_export.cli.motion import motion
from scanside_export.cli.packing import pack, unpack
from scanside_runtime.errors import BoxDisk, ScansideError

if TYPE_CHECKING:
    from scanside_export.data.cases import Case
    from scanside_export.data.recipe import Recipe
    from scanside_export.networks.checkpoint import Trained

app = typer.Typer(
    name="scanside-export",
    help="Trains, exports, quantises and proves the networks of Scanside.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(motion, name="motion")
for command in (cuts, guards, keygen, pack, sign, unpack):
    app.command()(command)
app.add_typer(evaluations, name="evaluate")
app.add_typer(lesion_app, name="lesions")
app.command("cross-validate")(cross_validate)

RECIPES = Path(__file__).parents[1] / "recipes"
NETWORKS = ("lungs", "infection")
WRONG_USAGE = 2

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder with infection-3d, infection-2d, lung-2d and ct.")
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of the trainings, one sub-folder a network.")]
Work = Annotated[Path, typer.Option("--work", metavar="DIR", help="Folder of the exported files.")]


def main() -> None:
    """Run the command line; what is refused, is not there or a disk does not take ends in one line and its exit code.

    A defect ends in its traceback: whoever trains networks can read it.
    """
    try:
        app()
    except ScansideError as error:
        _end(error.in_full, error.exit_code)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError) as error:
        if error.filename is None:  # no system said so: a defect
            raise
        _end(f"{error.filename}: {error.strerror}", WRONG_USAGE)
    except OSError as error:
        # NumPy says of a full disk only how much it wrote.
        words = error.strerror or str(error)
        said = BoxDisk(why=f"{error.filename}: {words}" if error.filename else words)
        _end(said.in_full, said.exit_code)


def _end(why: str, exit_code: int) -> NoReturn:
    typer.echo(f"scanside-export: {why}", err=True)
    sys.exit(exit_code)


@app.command()
def prepare(
    cases: Annotated[Path, typer.Option(metavar="DIR", help="Where the training cases go (some gigabytes).")],
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with infection-3d, infection-2d, lung-2d and ct.")
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", metavar="FORM=DIR", help="Another labelled set in its own form; see docs/training.md."),
    ] = None,
    references: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Lungs drawn by eye on series of --data: tests/data/lungs.")
    ] = None,
    variants: Annotated[int, typer.Option(min=0, help="Copies of each real background with other lesions.")] = 5,
    phantoms: Annotated[int, typer.Option(min=0, help="Phantoms to draw, two seconds each; 20 for a first try.")] = 150,
    seed: Annotated[int, typer.Option(help="Seed of lesions and phantoms.")] = 1000,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = 1,
    permissive: Annotated[
        bool, typer.Option("--permissive", help="Of --data only the scans of ct, none under a non-commercial licence.")
    ] = False,
) -> None:
    """Turn labelled CT into training cases.

    It prints the digest of the training data.
    """
    from scanside_export.cli.progress import progress
    from scanside_export.data.adapters.forms import parse_source
    from scanside_export.data.prepare import Material
    from scanside_export.data.prepare import prepare as prepare_cases

    try:
        named = [parse_source(text) for text in sources or []]
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem
    if data is None and not named:
        raise typer.BadParameter("give --data DIR, or --from FORM=DIR")
    if references is not None and data is None:
        raise typer.BadParameter("--references wants the series of --data")
    material = Material(data, named, variants, phantoms, seed, permissive, references)
    with progress() as report:
        digest = prepare_cases(material, cases, jobs, report)
    typer.echo(digest)


@app.command()
def train(
    network: Annotated[str, typer.Argument(help="lungs or infection.")],
    cases: Annotated[Path, typer.Option(metavar="DIR", help="What `prepare` or `pack` wrote.")],
    runs: Runs,
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="A recipe other than the shipped one.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Samples to draw instead of the recipe's.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    start_from: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Checkpoint of an earlier stage, a bundle's folder, or `shipped`: the one in use here."
        ),
    ] = None,
    fold: Annotated[int | None, typer.Option(help="Leave this fold's patients out (0 to 4).")] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A case, or a patient with all cases, to leave out.")
    ] = None,
    validate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A case or patient to leave out and to score now and then: keeps best.pt."),
    ] = None,
    validate_every: Annotated[int, typer.Option(min=1, help="Steps between two such scores.")] = 500,
    validate_samples: Annotated[int, typer.Option(min=1, help="Slabs in such a score.")] = 64,
    device: Annotated[str, typer.Option(help="Where it computes: cpu, or cuda where there is a GPU.")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw samples; a GPU wants several.")] = 0,
) -> None:
    """Train one network by its recipe.

    It says on stderr how long it will take. Ctrl-C and SIGTERM let it end its step and write a checkpoint; a second one
    ends it at once. Run again after an interruption, and it goes on from its last checkpoint, one in 250 steps.

    Exit code: 0 trained, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    from scanside_export.cli.progress import progress
    from scanside_export.cli.stopping import asked_to_stop
    from scanside_export.data.prepare import load, read_digest
    from scanside_export.training.train import Run
    from scanside_export.training.train import train as run_training
    from scanside_export.training.validation import make_validation
    from scanside_runtime.model.bundle import DEFAULT_BUNDLE

    chosen = _recipe(network, recipe, samples)
    known = load(cases)
    watched, left_out = _left_out(known, validate or [], leave_out or [], fold)
    seen = [case for case in known if case.name in watched]
    validation = make_validation(seen, chosen, validate_samples, validate_every) if seen else None
    threads = threads or len(os.sched_getaffinity(0))
    start = DEFAULT_BUNDLE if start_from == Path("shipped") else start_from
    run = Run(runs / network, read_digest(cases, left_out), threads, start, left_out, validation, device, workers)
    with asked_to_stop() as asked, progress() as report:
        checkpoint = run_training(known, chosen, run, report, asked)
    typer.echo(checkpoint)


def _recipe(network: str, file: Path | None, samples: int | None) -> Recipe:
    from dataclasses import replace

    from scanside_export.data.recipe import read_recipe

    recipe = read_recipe(file or RECIPES / f"{_known(network)}.toml")
    if recipe.network != _known(network):
        raise typer.BadParameter(f"--recipe {file}: it is a recipe of {recipe.network}, not of {network}")
    return recipe if samples is None else replace(recipe, samples=samples)


def _left_out(
    cases: Sequence[Case], validate: Sequence[str], leave_out: Sequence[str], fold: int | None
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Names of the cases to score now and then, and of all that the training must not see."""
    from scanside_export.data.folds import SCORED_SOURCES, held_out, named

    names = [case.name for case in cases]
    in_folds = [case.name for case in cases if case.source in SCORED_SOURCES]
    try:
        watched = named(names, validate)
        away = named(names, leave_out) | watched | (held_out(in_folds, fold) if fold is not None else frozenset())
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem
    return watched, tuple(sorted(away))


@app.command()
def threshold(
    value: Annotated[float, typer.Argument(help="Probability from which a voxel is infected.", min=0.01, max=0.99)],
    runs: Runs,
) -> None:
    """Set the infection network's threshold.

    It is chosen on training cases, for volume as well as for Dice.
    """
    from scanside_export.networks.checkpoint import chosen_checkpoint, write_threshold

    write_threshold(chosen_checkpoint(runs / "infection"), value)


@app.command()
def keep(
    network: Annotated[str, typer.Argument(help="lungs or infection.")],
    runs: Runs,
    work: Work,
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The bundle to take it from, if not the one in use here.")
    ] = None,
) -> None:
    """Take a network into the next bundle as it is.

    Byte for byte, when only the other network was trained again.
    """
    from scanside_export.bundling.keep_network import keep_network
    from scanside_runtime.model.bundle import open_bundle

    for path in keep_network(open_bundle(bundle), _known(network), runs / network, work):
        typer.echo(path)


@app.command()
def export(runs: Runs, work: Work) -> None:
    """Write each trained network as ONNX and OpenVINO IR.

    ONNX in FP32 for quantisation, and with FP16-stored weights for the box.
    """
    from scanside_export.convert.export_networks import export_networks

    for path in export_networks(_trained_anew(runs), work):
        typer.echo(path)


@app.command()
def quantize(
    runs: Runs,
    work: Work,
    cases: Annotated[Path, typer.Option(metavar="DIR", help="What `prepare` wrote; calibration draws real slabs.")],
    slabs: Annotated[int, typer.Option(min=1, help="Calibration slabs.")] = 300,
    preset: Annotated[str, typer.Option(help="NNCF preset: mixed or performance.")] = "mixed",
    kept: Annotated[
        bool, typer.Option("--kept", help="Also what `keep` took from a bundle: its weights stay, its INT8 is new.")
    ] = False,
) -> None:
    """Write each network as INT8.

    QDQ ONNX and IR, calibrated on real slabs.
    """
    from scanside_export.convert.export_networks import quantize_networks
    from scanside_export.data.prepare import load

    chosen = _trained(runs) if kept else _trained_anew(runs)
    for path in quantize_networks(chosen, work, load(cases), slabs, preset):
        typer.echo(path)


@app.command()
def check(
    runs: Runs,
    work: Work,
    data: Data,
    bundle: Annotated[Path, typer.Option(metavar="DIR", help="The bundle that `bundle` wrote.")],
) -> None:
    """Hold every deployed form against torch.

    In Dice and POI, on real volumes; exit code 1 when a gate fails, and stderr says which.
    """
    from scanside_export.convert.parity import compare, deployed_forms, ir_forms, torch_networks
    from scanside_export.data.volumes import parity_volumes
    from scanside_runtime.model.bundle import open_bundle

    trained = _trained(runs)
    forms = {**deployed_forms(open_bundle(bundle)), **ir_forms(work, trained)}
    results = compare(parity_volumes(data), torch_networks(trained), forms)
    typer.echo(json.dumps([result.document() for result in results], indent=2))
    for result in results:
        for missed in result.misses():
            typer.echo(f"{result.form} {result.precision} fails: {missed}", err=True)
    raise typer.Exit(int(not all(result.holds for result in results)))


@app.command()
def bundle(
    runs: Runs,
    work: Work,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the bundle goes.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "scanside-chest",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "0.1.0",
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            help="What the checks printed as JSON: volumes.json, slices.json, held_out.json, cross_validation.json, "
            "parity.json, limits_of_agreement.json, and the picture failures.png; what is missing is not measured.",
        ),
    ] = None,
    notes: Annotated[Path | None, typer.Option(metavar="FILE", help="How it was trained, for the card.")] = None,
) -> None:
    """Put both networks and what proves them into a folder.

    A golden sample, model card and manifest stand beside them.
    """
    from scanside_export.bundling.model_card import Release, find_failures, read_figures
    from scanside_export.bundling.write_bundle import build_bundle
    from scanside_export.networks.checkpoint import drawn_from, never_drawn

    networks = _trained(runs)
    try:
        measured = {} if figures is None else read_figures(figures)
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from problem
    release = Release(
        name,
        version,
        "0.1.0",
        measured,
        "" if notes is None else notes.read_text(encoding="utf-8"),
        left_out=never_drawn(networks.values()),
        sources=drawn_from(networks.values()),
        failures=None if figures is None else find_failures(figures),
    )
    built = build_bundle(work, out, release, {network: trained.contract for network, trained in networks.items()})
    typer.echo(f"{built.name} {built.version} {built.sha256}")


def _known(network: str) -> str:
    if network not in NETWORKS:
        raise typer.BadParameter(f"{network!r}: choose one of {', '.join(NETWORKS)}")
    return network


def _trained(runs: Path) -> dict[str, Trained]:
    from scanside_export.networks.checkpoint import chosen_checkpoint, read_checkpoint

    missing = [name for name in NETWORKS if not (runs / name / "checkpoint.pt").exists()]
    if missing:
        typer.echo(f"scanside-export: no checkpoint for {', '.join(missing)} in {runs}: run `train` first", err=True)
        sys.exit(2)
    return {name: read_checkpoint(chosen_checkpoint(runs / name)) for name in NETWORKS}


def _trained_anew(runs: Path) -> dict[str, Trained]:
    """Those that are not kept as they are: these have their files already."""
    return {name: one for name, one in _trained(runs).items() if not one.kept}
