"""A tiny bundle of real networks, made by hand: lungs by density and side, infection by density. No training needed.

Each is what lies between two densities in the middle slice, opened by 3 × 3 pixels so that a thin rim, as between
skin and air, is none. Lungs are right or left by the column.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from scanside_runtime.model.bundle import BUNDLE_SCHEMA, MANIFEST, Bundle, open_bundle
from scanside_runtime.model.contract import CONTRACT_KEY, ModelContract

SIDE = 96
GAIN = 64.0
"""Logits for one whole window; a power of two, so that FP16 holds it."""
WINDOW_HU = (-1000.0, 200.0)
LUNGS = ModelContract("lungs", ("none", "right", "left"), WINDOW_HU, 4.0, (SIDE, SIDE))
INFECTION = ModelContract("infection", ("infection",), WINDOW_HU, 4.0, (SIDE, SIDE), stack_depth=3)
LUNG_HU = (-950.0, -250.0)
INFECTED_HU = (-720.0, -250.0)


def in_window(hu: float) -> float:
    return (hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0])


def lungs_network(form: str = "fp16", contract: ModelContract | None = LUNGS) -> bytes:
    """(n, 1, 96, 96) in 0..1 → logits (n, 3, 96, 96): none, right, left."""
    columns = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    nodes = [
        *_opened_between(),
        helper.make_node("Min", ["opened", "to_the_right"], ["right"]),
        helper.make_node("Min", ["opened", "to_the_left"], ["left"]),
        helper.make_node("Mul", ["opened", "nothing"], ["none"]),
        helper.make_node("Concat", ["none", "right", "left"], ["logits"], axis=1),
    ]
    constants = {
        "to_the_right": (-GAIN * columns).reshape(1, 1, 1, SIDE),
        "to_the_left": (GAIN * columns).reshape(1, 1, 1, SIDE),
        "nothing": np.float32(0.0),
    }
    return _file(nodes, {**constants, **_limits(LUNG_HU)}, (1, 3), form, contract)


def infection_network(
    form: str = "fp16", contract: ModelContract | None = INFECTION, hu: tuple[float, float] = INFECTED_HU
) -> bytes:
    """(n, 3, 96, 96) in 0..1 → logits (n, 1, 96, 96), from the middle slice."""
    nodes = [*_opened_between(), helper.make_node("Identity", ["opened"], ["logits"])]
    return _file(nodes, _limits(hu), (3, 1), form, contract)


def _opened_between() -> list[onnx.NodeProto]:
    """GAIN times the distance to the nearer of two limits, positive between them; then the least, then the largest
    of each 3 × 3 pixels.
    """
    around: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    return [
        helper.make_node("Sub", ["slice", "low"], ["above"]),
        helper.make_node("Sub", ["high", "slice"], ["below"]),
        helper.make_node("Min", ["above", "below"], ["inner"]),
        helper.make_node("Mul", ["inner", "gain"], ["between"]),
        helper.make_node("Neg", ["between"], ["negative"]),
        helper.make_node("MaxPool", ["negative"], ["grown"], **around),
        helper.make_node("Neg", ["grown"], ["eroded"]),
        helper.make_node("MaxPool", ["eroded"], ["opened"], **around),
    ]


def _limits(hu: tuple[float, float]) -> dict[str, Any]:
    low, high = (np.float32(in_window(limit)) for limit in hu)
    return {"low": low, "high": high, "gain": np.float32(GAIN)}


def _middle(form: str, depth: int) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """The middle slice by a 1 × 1 convolution: weights stored as FP16, or pixels through INT8 and back."""
    weights = np.zeros((1, depth, 1, 1), dtype=np.float32)
    weights[0, depth // 2] = 1.0
    if form == "fp16":
        nodes = [
            helper.make_node("Cast", ["stored"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Conv", ["stack", "weights"], ["slice"]),
        ]
        return nodes, {"stored": weights.astype(np.float16)}
    nodes = [
        helper.make_node("QuantizeLinear", ["stack", "step", "zero"], ["small"]),
        helper.make_node("DequantizeLinear", ["small", "step", "zero"], ["stepped"]),
        helper.make_node("Conv", ["stepped", "weights"], ["slice"]),
    ]
    return nodes, {"weights": weights, "step": np.float32(1 / 255), "zero": np.uint8(0)}


def _file(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Any],
    channels: tuple[int, int],
    form: str,
    contract: ModelContract | None,
) -> bytes:
    first, more = _middle(form, channels[0])
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in {**constants, **more}.items()]
    graph = helper.make_graph(
        [*first, *nodes],
        "tiny",
        [helper.make_tensor_value_info("stack", TensorProto.FLOAT, ["n", channels[0], SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", channels[1], SIDE, SIDE])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    if contract is not None:
        helper.set_model_props(model, {CONTRACT_KEY: contract.to_json()})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def bundle_files() -> dict[str, bytes]:
    makers = {"lungs": lungs_network, "infection": infection_network}
    return {f"{name}.{form}.onnx": make(form) for name, make in makers.items() for form in ("int8", "fp16")}


def write_bundle(folder: Path, **changes: Any) -> Bundle:
    """The tiny bundle in a folder. `changes`: `files` in place of or beside its own, other keys of the manifest."""
    files = {**bundle_files(), "golden/note.txt": b"a file in a sub-folder", **changes.pop("files", {})}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    networks = ("lungs", "infection")
    manifest = {
        "schema": BUNDLE_SCHEMA,
        "name": "tiny",
        "version": "1",
        "networks": {name: {form: f"{name}.{form}.onnx" for form in ("int8", "fp16")} for name in networks},
        "files": {name: listed(data) for name, data in files.items()},
        **changes,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return open_bundle(folder)


def listed(data: bytes) -> dict[str, Any]:
    """What a manifest says of a file."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
