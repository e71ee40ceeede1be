"""INT8 by post-training quantisation (NNCF), calibrated on real slices, stored as QDQ ONNX with INT8 weights."""

from __future__ import annotations

from collections.abc import Sequence

import nncf
import numpy as np
import numpy.typing as npt
import onnx
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from onnx import numpy_helper

from scanside_export.convert.equalize import equalized
from scanside_export.convert.first_layer import round_first_together
from scanside_runtime.volume import Floats

AS_MEASURED = nncf.AdvancedQuantizationParameters(
    disable_bias_correction=True,
    activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
)
"""On 40 real slices that calibration had not seen, the infection network's Dice against FP32 was 0.966 with NNCF's
fast bias correction (it lowers every logit near the threshold by 0.45), 0.995 without, 0.996 with full ranges too."""


def quantize(model: onnx.ModelProto, stacks: Sequence[Floats], preset: str = "mixed") -> onnx.ModelProto:
    """Quantise a network.

    stacks: each (1, depth, rows, columns) float32 in 0..1, as `runtime.stacks` makes them.
    preset: "mixed" (asymmetric activations, better where ReLU makes them one-sided) or "performance".
    """
    even = equalized(model, stacks)
    fed = [{model.graph.input[0].name: stack} for stack in stacks]
    quantized = nncf.quantize(
        even,
        nncf.Dataset(fed),
        preset=nncf.QuantizationPreset(preset),
        subset_size=len(fed),
        advanced_parameters=AS_MEASURED,
    )
    stored = store_weights_as_int8(quantized)
    round_first_together(stored, even, stacks)
    onnx.checker.check_model(stored)
    return stored


def store_weights_as_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights that are quantised when the file is loaded are quantised now: a quarter of the size, the same numbers."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in tensors:
            weights, scale, zero = (numpy_helper.to_array(tensors[name]) for name in node.input)
            quantized = _quantized(weights, scale, zero, _axis(node))
            model.graph.initializer.append(numpy_helper.from_array(quantized, node.output[0]))
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return _without_unused(model)


def _axis(node: onnx.NodeProto) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 1)


def _quantized(weights: Floats, scale: Floats, zero: npt.NDArray[np.int8], axis: int) -> npt.NDArray[np.int8]:
    """What QuantizeLinear does (ONNX operator set 18): round half to even, saturate."""
    shape = [1] * weights.ndim
    if scale.size > 1:
        shape[axis] = -1
    limits = np.iinfo(zero.dtype)
    rounded = np.rint(weights / scale.reshape(shape)) + zero.reshape(shape)
    return np.asarray(np.clip(rounded, limits.min, limits.max), dtype=zero.dtype)


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    used = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model
