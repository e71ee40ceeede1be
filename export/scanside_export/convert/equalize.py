"""Channels that share one INT8 scale brought nearer to one size, before quantisation: the same function in FP32.

An activation has one scale for all of its channels, its weights have one for each output. A channel that never goes
beyond a tenth of the largest one is left with 25 steps of 255. Between two convolutions only ReLU, pooling, enlarging,
adding and joining lie, and a positive factor passes through all of them: so each channel is divided by a power of its
largest value where it is made, and multiplied by it in the weights of the convolution that reads it (Nagel et al.,
arXiv 1906.04721; Xiao et al., arXiv 2211.10438).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from scanside_runtime.model.engine import Floats

PASSED_ON = ("Relu", "MaxPool", "Resize")
POWER = 0.75
"""Of a channel's largest value. With 1 all channels were alike, but not the columns of the weights that read them."""

SMALLEST_SHARE = 0.02
"""Channels below this share of their group's largest are hardly ever on: what is unseen of them must not be cut off."""

NEVER_ON = 1e-9
"""A group whose largest value is no more was not seen at work: nothing is known of its channels' sizes."""

Values = Mapping[str, npt.NDArray[np.float64]]


def equalized(model: onnx.ModelProto, stacks: Sequence[Floats]) -> onnx.ModelProto:
    """The same network with channels of a like size, on these stacks.

    stacks: each (1, depth, rows, columns) float32 in 0..1. Raises ValueError for a node that this can't pass.
    """
    made_by = _made_by(model.graph)
    factors = {group: np.ones(count) for group, count in _channels(model.graph, stacks[0]).items()}
    factors |= _factors(_largest(model, _measured(model.graph), stacks), made_by, _as_they_are(model.graph, made_by))
    same = onnx.ModelProto()
    same.CopyFrom(model)
    for node in same.graph.node:
        if node.op_type == "Conv":
            _rescale(node, same.graph, made_by, factors)
    return same


def _made_by(graph: onnx.GraphProto) -> dict[str, tuple[str, ...]]:
    """For each tensor the groups of channels that it is joined of; a group bears the name of a convolution's output.

    What is added to each other is one group.
    """
    made_by: dict[str, tuple[str, ...]] = {graph.input[0].name: (graph.input[0].name,)}
    for node in graph.node:
        given = [made_by[name] for name in node.input if name in made_by]
        made: tuple[str, ...]
        if node.op_type == "Conv" and _parts(node) == 1:
            made = (node.output[0],)
        elif node.op_type == "Concat":
            made = tuple(group for groups in given for group in groups)
        elif node.op_type == "Add":
            made = given[0]
            made_by = {name: _renamed(groups, given[1], made) for name, groups in made_by.items()}
        elif node.op_type in PASSED_ON:
            made = given[0]
        else:
            raise ValueError(f"a factor can't pass {node.op_type}")
        made_by[node.output[0]] = made
    return made_by


def _parts(convolution: onnx.NodeProto) -> int:
    """Into how many parts its inputs are divided, each read by some of its outputs alone."""
    return next((attribute.i for attribute in convolution.attribute if attribute.name == "group"), 1)


def _channels(graph: onnx.GraphProto, stack: Floats) -> dict[str, int]:
    """How many channels each group has, the input's as well."""
    outputs = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    made = {node.output[0]: outputs[node.input[1]] for node in graph.node if node.op_type == "Conv"}
    return {graph.input[0].name: stack.shape[1]} | made


def _as_they_are(graph: onnx.GraphProto, made_by: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Groups that nothing may be divided in: what goes in is given, and what comes out is read as it is."""
    return {group for tensor in (graph.input[0], *graph.output) for group in made_by[tensor.name]}


def _measured(graph: onnx.GraphProto) -> list[str]:
    """Tensors that are going to be quantised: what a ReLU makes, and what is added."""
    added = {name for node in graph.node if node.op_type == "Add" for name in node.input}
    return [node.output[0] for node in graph.node if node.op_type == "Relu" or node.output[0] in added]


def _renamed(groups: tuple[str, ...], old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    names = dict(zip(old, new, strict=True))
    return tuple(names.get(group, group) for group in groups)


def _largest(model: onnx.ModelProto, names: Sequence[str], stacks: Sequence[Floats]) -> Values:
    """The largest value of each channel of some tensors, without its sign, over all stacks."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    del asked.graph.output[:]
    asked.graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 3]), "all_but_channels"))
    for name in names:
        size, largest = f"{name}_size", f"{name}_largest"
        asked.graph.node.append(helper.make_node("Abs", [name], [size]))
        asked.graph.node.append(helper.make_node("ReduceMax", [size, "all_but_channels"], [largest], keepdims=0))
        asked.graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = [session.run(None, {model.graph.input[0].name: stack}) for stack in stacks]
    over_all = (np.max(one, axis=0).astype(np.float64) for one in zip(*seen, strict=True))
    return dict(zip(names, over_all, strict=True))


def _factors(largest: Values, made_by: Mapping[str, tuple[str, ...]], left: set[str]) -> Values:
    """What the channels of each group that was measured are divided by, but for those that are left as they are."""
    sizes: dict[str, npt.NDArray[np.float64]] = {}
    for name, size in largest.items():
        (group,) = made_by[name]
        sizes[group] = np.maximum(size, sizes.get(group, 0.0))
    return {
        group: np.maximum(size, SMALLEST_SHARE * size.max()) ** POWER
        for group, size in sizes.items()
        if group not in left and size.max() > NEVER_ON
    }


def _rescale(
    node: onnx.NodeProto, graph: onnx.GraphProto, made_by: Mapping[str, tuple[str, ...]], factors: Values
) -> None:
    """A convolution's weights, (outputs, inputs, k, k), and its bias, for channels divided by their factors."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    read = np.concatenate([factors[group] for group in made_by[node.input[0]]])
    (group,) = made_by[node.output[0]]
    made = factors[group]
    for number, name in enumerate(node.input[1:]):
        values = numpy_helper.to_array(tensors[name]).astype(np.float64)
        values = values / made.reshape(-1, *[1] * (values.ndim - 1))
        if number == 0:
            values = values * read[None, :, None, None]
        tensors[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
