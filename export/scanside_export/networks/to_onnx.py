"""From torch to one ONNX file with the contract inside: dynamic batch, weights stored as FP16, computed in FP32."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from scanside_runtime.model.contract import CONTRACT_KEY, ModelContract

OPSET = 18
SMALLEST_FP16 = 256
"""Tensors with fewer values stay FP32: biases and scales cost nothing and suffer most."""

FP16 = "_fp16"
"""Added to the name of a tensor that is stored as FP16."""


def to_onnx(model: nn.Module, contract: ModelContract) -> onnx.ModelProto:
    """One file, weights in FP32: what quantisation starts from."""
    example = torch.zeros(2, contract.stack_depth, *contract.matrix)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # of torch, about its own calls
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["stack"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1, max=64)},),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    return with_contract(program.model_proto, contract)


def with_contract(model: onnx.ModelProto, contract: ModelContract) -> onnx.ModelProto:
    """Write the contract into the file's metadata, in place of any other."""
    del model.metadata_props[:]
    helper.set_model_props(model, {CONTRACT_KEY: contract.to_json()})
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write the file; cut off, there is none of its name, or the one before."""
    part = path.with_suffix(".part")
    onnx.save(model, part)
    part.replace(path)


def store_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with large weights stored as FP16 and cast to FP32 when it is loaded."""
    small = onnx.ModelProto()
    small.CopyFrom(model)
    casts = []
    for tensor in small.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST_FP16:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}{FP16}"))
        casts.append(helper.make_node("Cast", [f"{name}{FP16}"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *small.graph.node]
    del small.graph.node[:]
    small.graph.node.extend(nodes)
    _forget_value_info(small, {cast.output[0] for cast in casts})
    onnx.checker.check_model(small)
    return small


def restore_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network, what `store_fp16` stored as FP16 widened to FP32: a box computes with just these weights."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for tensor in wide.graph.initializer:
        if tensor.name.endswith(FP16):
            name = tensor.name.removesuffix(FP16)
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), name))
    nodes = [node for node in wide.graph.node if not node.input[0].endswith(FP16)]
    del wide.graph.node[:]
    wide.graph.node.extend(nodes)
    onnx.checker.check_model(wide)
    return wide


def _forget_value_info(model: onnx.ModelProto, names: set[str]) -> None:
    kept = [info for info in model.graph.value_info if info.name not in names]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
