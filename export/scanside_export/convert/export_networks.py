"""From trained networks to the files of a bundle: ONNX, INT8 and IR, each with its contract inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from scanside_export.convert.quantize import quantize
from scanside_export.convert.to_ir import write_ir
from scanside_export.data.cases import Case
from scanside_export.data.recipe import Recipe
from scanside_export.data.samples import Sampler
from scanside_export.networks.checkpoint import Trained
from scanside_export.networks.to_onnx import save, store_fp16, to_onnx, with_contract
from scanside_runtime.volume import Floats

CALIBRATION_SEED = 77
REAL_SOURCES = ("infection-3d", "real", "lung-2d", "infection-2d")


def export_networks(trained: Mapping[str, Trained], work: Path) -> Iterator[Path]:
    """Write NETWORK.fp32.onnx (for quantisation), NETWORK.fp16.onnx and its IR; yields each IR's path.

    What an earlier one left for a bundle goes first: it has the contract of these weights, and would pass for theirs.
    """
    work.mkdir(parents=True, exist_ok=True)
    for name, one in trained.items():
        for form in ("int8", "fp16"):
            (work / f"{name}.{form}.onnx").unlink(missing_ok=True)
        model = to_onnx(one.model, one.contract)
        save(model, work / f"{name}.fp32.onnx")
        save(store_fp16(model), work / f"{name}.fp16.onnx")
        yield write_ir(work / f"{name}.fp16.onnx", one.contract, compress_to_fp16=True)


def quantize_networks(
    trained: Mapping[str, Trained], work: Path, cases: Sequence[Case], slabs: int, preset: str
) -> Iterator[Path]:
    """Write NETWORK.int8.onnx and its IR, calibrated on slabs that the training itself could draw; yields paths."""
    for name, one in trained.items():
        seen = [case for case in cases if case.name not in one.left_out]
        stacks = calibration_stacks(seen, one.recipe, slabs)
        quantized = quantize(onnx.load(work / f"{name}.fp32.onnx"), stacks, preset)
        save(with_contract(quantized, one.contract), work / f"{name}.int8.onnx")
        yield write_ir(work / f"{name}.int8.onnx", one.contract, compress_to_fp16=False)


def calibration_stacks(cases: Sequence[Case], recipe: Recipe, count: int) -> list[Floats]:
    """`count` stacks, each (1, depth, rows, columns) float32 in 0..1: from scans only, by the training's own sampler.

    No phantom is among them, and nothing is distorted.
    """
    shares = {source: recipe.shares.get(source, 0.0) for source in REAL_SOURCES}
    sampler = Sampler(cases, replace(recipe, shares=shares, augment={}, seed=CALIBRATION_SEED))
    return [sampler.draw(number).stack[None] for number in range(count)]
