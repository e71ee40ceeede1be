"""From trained networks to the files of a bundle: ONNX, INT8 and IR, each with its contract inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx

from scanside_export.convert.calibration import calibration_stacks
from scanside_export.convert.quantize import quantize
from scanside_export.convert.to_ir import write_ir
from scanside_export.data.cases import Case
from scanside_export.networks.checkpoint import Trained
from scanside_export.networks.to_onnx import store_fp16, to_onnx, with_contract


def export_networks(trained: Mapping[str, Trained], work: Path) -> Iterator[Path]:
    """Write NETWORK.fp32.onnx (for quantisation), NETWORK.fp16.onnx and its IR; yields each IR's path."""
    work.mkdir(parents=True, exist_ok=True)
    for name, one in trained.items():
        model = to_onnx(one.model, one.contract)
        onnx.save(model, work / f"{name}.fp32.onnx")
        onnx.save(store_fp16(model), work / f"{name}.fp16.onnx")
        yield write_ir(work / f"{name}.fp16.onnx", one.contract, compress_to_fp16=True)


def quantize_networks(
    trained: Mapping[str, Trained], work: Path, cases: Sequence[Case], slabs: int, preset: str
) -> Iterator[Path]:
    """Write NETWORK.int8.onnx and its IR, calibrated on slabs that the training itself could draw; yields paths."""
    for name, one in trained.items():
        seen = [case for case in cases if case.name not in one.left_out]
        stacks = calibration_stacks(seen, one.recipe, slabs)
        quantized = quantize(onnx.load(work / f"{name}.fp32.onnx"), stacks, preset)
        onnx.save(with_contract(quantized, one.contract), work / f"{name}.int8.onnx")
        yield write_ir(work / f"{name}.int8.onnx", one.contract, compress_to_fp16=False)
