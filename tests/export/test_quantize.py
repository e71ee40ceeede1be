"""What is done to a network before and while it becomes INT8: it stays itself, and its errors do not add up."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from kit.export_samples import Exported
from scanside_export.convert.equalize import equalized
from scanside_export.convert.quantize import quantize


def answers(model: onnx.ModelProto, stacks: np.ndarray, *tensors: str) -> list[np.ndarray]:
    """What a network says, or some of its tensors."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    asked.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors)
    session = onnxruntime.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
    names = tensors or [asked.graph.output[0].name]
    return list(session.run(names, {asked.graph.input[0].name: stacks}))


def smooth(depth: int, stacks: int = 4) -> np.ndarray:
    """Nearly flat pictures of several greys, (n, depth, 64, 64) float32 in 0..1, as slices are."""
    rng = np.random.default_rng(5)
    grey = rng.uniform(0.1, 0.9, (stacks, 1, 1, 1))
    return np.clip(grey + rng.normal(0.0, 0.02, (stacks, depth, 64, 64)), 0.0, 1.0).astype(np.float32)


def uneven(channels: int = 16) -> onnx.ModelProto:
    """A filter of 7 × 7, whose channels differ in size by a factor of a hundred, and one that reads them evenly."""
    rng = np.random.default_rng(3)
    sizes = np.geomspace(0.01, 1.0, channels)
    tensors = {
        "first": rng.normal(0.0, 0.1, (channels, 3, 7, 7)) * sizes[:, None, None, None],
        "first_bias": 0.1 * sizes,
        "second": rng.normal(0.0, 0.2, (1, channels, 3, 3)) / sizes[None, :, None, None],
        "second_bias": np.zeros(1),
    }
    nodes = [
        helper.make_node("Conv", ["stack", "first", "first_bias"], ["made"], kernel_shape=[7, 7], pads=[3] * 4),
        helper.make_node("Relu", ["made"], ["on"]),
        helper.make_node("Conv", ["on", "second", "second_bias"], ["logits"], kernel_shape=[3, 3], pads=[1] * 4),
    ]
    return of_nodes(nodes, tensors)


def joined(bias: float = 0.0, parts: int = 1) -> onnx.ModelProto:
    """A convolution that reads the stack itself, one made with ReLU and one made without it, joined."""
    rng = np.random.default_rng(4)
    tensors = {
        "first": rng.normal(0.0, 0.2, (6, 3 // parts, 3, 3)),
        "first_bias": np.full(6, bias),
        "bare": rng.normal(0.0, 0.2, (4, 3, 3, 3)),
        "last": rng.normal(0.0, 0.2, (1, 13, 3, 3)),
    }
    nodes = [
        helper.make_node("Conv", ["stack", "first", "first_bias"], ["made"], pads=[1] * 4, group=parts),
        helper.make_node("Relu", ["made"], ["on"]),
        helper.make_node("Conv", ["stack", "bare"], ["unmeasured"], pads=[1] * 4),
        helper.make_node("Concat", ["stack", "on", "unmeasured"], ["all"], axis=1),
        helper.make_node("Conv", ["all", "last"], ["logits"], pads=[1] * 4),
    ]
    return of_nodes(nodes, tensors)


def of_nodes(nodes: list[onnx.NodeProto], tensors: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("stack", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 1, 64, 64])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize(("network", "depth"), [("lungs", 1), ("infection", 3)])
def test_a_network_with_even_channels_answers_as_before(exported: Exported, network: str, depth: int) -> None:
    model = onnx.load(exported.work / f"{network}.fp32.onnx")
    stacks = smooth(depth)
    (before,), (after,) = (answers(one, stacks) for one in (model, equalized(model, [s[None] for s in stacks])))
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())


def test_channels_come_nearer_to_each_other() -> None:
    stacks = smooth(3)
    sizes = [answers(one, stacks, "on")[0].max(axis=(0, 2, 3)) for one in (uneven(), equalized(uneven(), [stacks]))]
    before, after = (size.max() / size.min() for size in sizes)
    assert after < before**0.5


def test_small_channels_are_not_lost_in_int8_and_flat_pictures_keep_their_level() -> None:
    stacks = smooth(3)
    (wanted,) = answers(uneven(), stacks)
    (found,) = answers(quantize(uneven(), [stack[None] for stack in stacks]), stacks)
    error = (found - wanted)[:, :, 8:-8, 8:-8]
    assert np.sqrt((error**2).mean()) < 0.01 * np.ptp(wanted)
    assert np.abs(error.mean(axis=(1, 2, 3))).max() < 0.005 * np.ptp(wanted)


def test_a_node_that_no_factor_passes_is_refused() -> None:
    model = uneven()
    model.graph.node[1].op_type = "Sigmoid"
    with pytest.raises(ValueError, match="can't pass Sigmoid"):
        equalized(model, [smooth(3)])


def test_what_was_not_measured_is_joined_as_it_is() -> None:
    stacks = smooth(3)
    even = equalized(joined(), [stacks])
    assert even != joined()
    np.testing.assert_allclose(answers(even, stacks), answers(joined(), stacks), atol=1e-4)


def test_channels_that_were_never_on_are_left_alone() -> None:
    assert equalized(joined(bias=-100.0), [smooth(3)]) == joined(bias=-100.0)


def test_what_comes_out_is_left_alone() -> None:
    model = uneven()
    model.graph.node[2].output[0] = "sum"
    model.graph.node.append(helper.make_node("Relu", ["sum"], ["logits"]))
    stacks = smooth(3)
    np.testing.assert_allclose(answers(equalized(model, [stacks]), stacks), answers(model, stacks), atol=1e-4)


def test_a_convolution_that_divides_its_inputs_is_refused() -> None:
    with pytest.raises(ValueError, match="can't pass Conv"):
        equalized(joined(parts=3), [smooth(3)])
