"""The command line `scanside-export`, for the model engineer: train, export, quantize, bundle, check, evaluate."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scanside_export.gate_commands import cuts
from scanside_export.motion_commands import motion
from scanside_runtime.errors import ScansideError

if TYPE_CHECKING:
    from scanside_export.checkpoint import Trained

app = typer.Typer(
    name="scanside-export",
    help="Trains, exports, quantises and proves the networks of Scanside.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(motion, name="motion")
app.command()(cuts)

RECIPES = Path(__file__).parent / "recipes"
NETWORKS = ("lungs", "infection")

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder with infection-3d, infection-2d, lung-2d and ct.")
]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of the trainings, one sub-folder a network.")]
Work = Annotated[Path, typer.Option("--work", metavar="DIR", help="Folder of the exported files.")]


def main() -> None:
    """Run the command line; what the runtime refuses ends in one line and its exit code."""
    try:
        app()
    except ScansideError as error:
        typer.echo(f"scanside-export: {error.code}: {error.message} {error.advice}", err=True)
        sys.exit(error.exit_code)


@app.command()
def prepare(
    data: Data,
    cases: Annotated[Path, typer.Option(metavar="DIR", help="Where the training cases go (some gigabytes).")],
    variants: Annotated[int, typer.Option(help="Copies of each real background with other lesions.")] = 5,
    phantoms: Annotated[int, typer.Option(help="Phantoms to draw.")] = 150,
    seed: Annotated[int, typer.Option(help="Seed of lesions and phantoms.")] = 1000,
) -> None:
    """Turn the data folders into training cases; prints the digest of the training data."""
    from scanside_export.prepare import prepare as prepare_cases

    typer.echo(prepare_cases(data, cases, variants, phantoms, seed))


@app.command()
def train(
    network: Annotated[str, typer.Argument(help="lungs or infection.")],
    cases: Annotated[Path, typer.Option(metavar="DIR", help="What `prepare` wrote.")],
    runs: Runs,
    recipe: Annotated[Path | None, typer.Option(metavar="FILE", help="A recipe other than the shipped one.")] = None,
    samples: Annotated[int | None, typer.Option(help="Samples to draw instead of the recipe's.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes all.")] = 0,
    start_from: Annotated[Path | None, typer.Option(metavar="FILE", help="Checkpoint of an earlier stage.")] = None,
) -> None:
    """Train one network by its recipe; run again after an interruption, and it goes on."""
    from dataclasses import replace

    from scanside_export.prepare import load, read_digest
    from scanside_export.recipe import read_recipe
    from scanside_export.train import train as run_training

    chosen = read_recipe(recipe or RECIPES / f"{_known(network)}.toml")
    if samples is not None:
        chosen = replace(chosen, samples=samples)
    threads = threads or len(os.sched_getaffinity(0))
    checkpoint = run_training(load(cases), chosen, runs / network, read_digest(cases), threads, start_from)
    typer.echo(checkpoint)


@app.command()
def threshold(
    value: Annotated[float, typer.Argument(help="Probability from which a voxel is infected.", min=0.01, max=0.99)],
    runs: Runs,
) -> None:
    """Set the infection network's threshold, chosen on training cases for volume as well as for Dice."""
    from scanside_export.checkpoint import write_threshold

    write_threshold(runs / "infection" / "checkpoint.pt", value)


@app.command()
def export(runs: Runs, work: Work) -> None:
    """Write each trained network as ONNX (FP32 for quantisation, FP16-stored for the box) and OpenVINO IR."""
    import onnx

    from scanside_export.to_ir import write_ir
    from scanside_export.to_onnx import store_fp16, to_onnx

    work.mkdir(parents=True, exist_ok=True)
    for name, trained in _trained(runs).items():
        model = to_onnx(trained.model, trained.contract)
        onnx.save(model, work / f"{name}.fp32.onnx")
        onnx.save(store_fp16(model), work / f"{name}.fp16.onnx")
        typer.echo(write_ir(work / f"{name}.fp16.onnx", trained.contract, compress_to_fp16=True))


@app.command()
def quantize(
    runs: Runs,
    work: Work,
    cases: Annotated[Path, typer.Option(metavar="DIR", help="What `prepare` wrote; calibration draws real sections.")],
    sections: Annotated[int, typer.Option(help="Calibration sections.")] = 300,
    preset: Annotated[str, typer.Option(help="NNCF preset: mixed or performance.")] = "mixed",
) -> None:
    """Write each network as INT8 QDQ ONNX and IR, calibrated on real sections."""
    import onnx

    from scanside_export.calibration import calibration_stacks
    from scanside_export.prepare import load
    from scanside_export.quantize import quantize as to_int8
    from scanside_export.to_ir import write_ir
    from scanside_export.to_onnx import with_contract

    known = load(cases)
    for name, trained in _trained(runs).items():
        stacks = calibration_stacks(known, trained.recipe, sections)
        quantized = to_int8(onnx.load(work / f"{name}.fp32.onnx"), stacks, preset)
        onnx.save(with_contract(quantized, trained.contract), work / f"{name}.int8.onnx")
        typer.echo(write_ir(work / f"{name}.int8.onnx", trained.contract, compress_to_fp16=False))


@app.command()
def check(
    runs: Runs,
    work: Work,
    data: Data,
    bundle: Annotated[Path, typer.Option(metavar="DIR", help="The bundle that `bundle` wrote.")],
) -> None:
    """Hold every deployed form against torch, in Dice and POI, on real volumes; exit code 1 when a gate fails."""
    from scanside_export.parity import compare, deployed_forms, ir_forms, torch_networks
    from scanside_export.volumes import parity_volumes
    from scanside_runtime.bundle import open_bundle

    trained = _trained(runs)
    forms = {**deployed_forms(open_bundle(bundle)), **ir_forms(work, trained)}
    results = compare(parity_volumes(data), torch_networks(trained), forms)
    typer.echo(json.dumps([result.document() for result in results], indent=2))
    raise typer.Exit(int(not all(result.holds for result in results)))


@app.command()
def bundle(
    runs: Runs,
    work: Work,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the bundle goes.")],
    name: Annotated[str, typer.Option(help="Name of the bundle.")] = "scanside-chest",
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "0.1.0",
    validation: Annotated[Path | None, typer.Option(metavar="FILE", help="What `evaluate --json` printed.")] = None,
    notes: Annotated[Path | None, typer.Option(metavar="FILE", help="How it was trained, for the card.")] = None,
) -> None:
    """Put both networks, a golden sample, model card and manifest into one folder."""
    from scanside_export.release import Release, build_bundle

    figures = {} if validation is None else json.loads(validation.read_text(encoding="utf-8"))
    contracts = {network: trained.contract for network, trained in _trained(runs).items()}
    story = "" if notes is None else notes.read_text(encoding="utf-8")
    built = build_bundle(work, out, Release(name, version, "0.1.0", figures, story), contracts)
    typer.echo(f"{built.name} {built.version} {built.sha256}")


@app.command()
def evaluate(
    data: Data,
    bundle: Annotated[Path | None, typer.Option(metavar="DIR", help="A bundle other than the default one.")] = None,
    engine: Annotated[str, typer.Option(help="auto, openvino or onnxruntime.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, int8, bf16 or fp32.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print all figures.")] = False,
) -> None:
    """Score the deployed networks on the expert labels that training did not see, beside a threshold."""
    from scanside_export.evaluate import evaluate as score
    from scanside_export.evaluate import summary
    from scanside_export.volumes import check_cases
    from scanside_runtime.bundle import open_bundle
    from scanside_runtime.engine import choose_engine
    from scanside_runtime.segment import load_networks

    opened = open_bundle(bundle)
    networks = load_networks(opened, choose_engine(engine, precision, 0))
    figures = summary(score(check_cases(data), networks))
    figures |= {"bundle": f"{opened.name} {opened.version}", "precision": networks.infection.engine.computed_in}
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for key in ("n", "infection_dice_mean", "baseline_dice_mean", "lungs_dice_mean", "precision"):
        typer.echo(f"{key:<22}{figures[key]}")


def _known(network: str) -> str:
    if network not in NETWORKS:
        raise typer.BadParameter(f"{network!r}: choose one of {', '.join(NETWORKS)}")
    return network


def _trained(runs: Path) -> dict[str, Trained]:
    from scanside_export.checkpoint import read_checkpoint

    missing = [name for name in NETWORKS if not (runs / name / "checkpoint.pt").exists()]
    if missing:
        typer.echo(f"scanside-export: no checkpoint for {', '.join(missing)} in {runs}: run `train` first", err=True)
        sys.exit(2)
    return {name: read_checkpoint(runs / name / "checkpoint.pt") for name in NETWORKS}
