"""The first convolution's weights rounded together: what one loses the others take over, as pictures are smooth.

Neighbouring pixels are nearly equal, so the rounding errors of a filter add up, the same way in every picture, and a
whole series answers too high or too low: in the infection network more than all other layers together. Each weight is
rounded in turn, and its error is carried to those that are not rounded yet, by how their inputs vary together (Frantar
et al., arXiv 2210.17323). Every weight is still the trained one, to a step or two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from scanside_runtime.model.engine import Floats

EVERY_PX = 7
"""So far apart are the patches that are looked at."""

DAMPING = 1e-3
"""Of the inputs' mean square, added to each: what was never seen to vary does not vary without end."""


def round_first_together(quantized: onnx.ModelProto, model: onnx.ModelProto, stacks: Sequence[Floats]) -> None:
    """Round the first convolution of `quantized`, whose weights are stored as INT8, anew from those of `model`.

    stacks: each (1, depth, rows, columns) float32 in 0..1. Scales, and the largest step that they leave, stay.
    """
    first = next(node for node in model.graph.node if node.op_type == "Conv")
    weights = next(numpy_helper.to_array(one) for one in model.graph.initializer if one.name == first.input[1])
    stored, scale = _stored(quantized)
    steps = numpy_helper.to_array(stored)
    limit = int(np.abs(steps).max())
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    scales = np.broadcast_to(scale.astype(np.float64), len(rows))
    rounded = carried(rows, scales, limit, _together(stacks, weights.shape[2]))
    stored.CopyFrom(numpy_helper.from_array(rounded.reshape(steps.shape).astype(np.int8), stored.name))


def carried(
    rows: npt.NDArray[np.float64], scales: npt.NDArray[np.float64], limit: int, together: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Whole steps for filters (outputs, inputs) whose inputs vary `together`, (inputs, inputs)."""
    order = np.argsort(-np.diag(together))
    damped = together + DAMPING * np.trace(together) / len(together) * np.eye(len(together))
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left, steps = rows[:, order], np.zeros_like(rows)
    for number, column in enumerate(order):
        steps[:, column] = np.clip(np.rint(left[:, number] / scales), -limit, limit)
        lost = (left[:, number] - steps[:, column] * scales) / upper[number, number]
        left[:, number:] -= np.outer(lost, upper[number, number:])
    return steps


def _stored(quantized: onnx.ModelProto) -> tuple[onnx.TensorProto, npt.NDArray[np.float32]]:
    """The first convolution's INT8 weights, and the scale of each output."""
    tensors = {tensor.name: tensor for tensor in quantized.graph.initializer}
    first = next(node for node in quantized.graph.node if node.op_type == "Conv")
    unpacked = next(node for node in quantized.graph.node if node.output[0] == first.input[1])
    return tensors[unpacked.input[0]], numpy_helper.to_array(tensors[unpacked.input[1]])


def _together(stacks: Sequence[Floats], side: int) -> npt.NDArray[np.float64]:
    """Mean products of all pixels of a patch, (depth * side * side) of each."""
    total: npt.NDArray[np.float64] | float = 0.0
    for stack in stacks:
        windows = np.lib.stride_tricks.sliding_window_view(stack[0], (side, side), axis=(1, 2))
        patches = windows[:, ::EVERY_PX, ::EVERY_PX].transpose(1, 2, 0, 3, 4).reshape(-1, len(stack[0]) * side**2)
        total = total + patches.T.astype(np.float64) @ patches / len(patches)
    return np.asarray(total) / len(stacks)
