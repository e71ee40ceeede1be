"""A network of one bundle that goes into the next as it is, because only the other was trained again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx

from scanside_export.bundling.write_bundle import STORED_AS
from scanside_export.convert.to_ir import write_ir
from scanside_export.errors import TrainingUnusable
from scanside_export.networks.checkpoint import KEPT, chosen_checkpoint, read_checkpoint, write_state
from scanside_export.networks.shipped_weights import lineage, read_network
from scanside_export.networks.to_onnx import restore_fp32, save
from scanside_runtime.model.bundle import Bundle


def keep_network(bundle: Bundle, network: str, run: Path, work: Path) -> Iterator[Path]:
    """Put its files into `work` byte for byte, each beside its IR, and a checkpoint of no step into `run`; yields IRs.

    Its weights in FP32 as well, so that its INT8 can be made anew from what a box computes with (`quantize --kept`).
    Raises ModelUnusable and its kinds; TrainingUnusable for another exporter's bundle, or if a training lies in `run`.
    """
    checkpoint = chosen_checkpoint(run)
    if checkpoint.exists() and not read_checkpoint(checkpoint).kept:
        raise TrainingUnusable(folder=run, why="a training lies there, and keeping another network would replace it")
    model, contract = read_network(bundle, network)
    work.mkdir(parents=True, exist_ok=True)
    for form in STORED_AS:
        path = work / f"{network}.{form}.onnx"
        path.write_bytes(bundle.network(network, form)[0])
        yield write_ir(path, contract, compress_to_fp16=form == "fp16")
    save(restore_fp32(onnx.load(work / f"{network}.fp16.onnx")), work / f"{network}.fp32.onnx")
    run.mkdir(parents=True, exist_ok=True)
    weights = {"average": model.state_dict(), "training_digest": contract.training_digest}
    write_state({**weights, **lineage(bundle, contract), KEPT: True}, checkpoint)
