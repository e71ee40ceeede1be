"""Model files are read without trust: metadata comes out, whatever reaches out of the file is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from kit.bundle_samples import LUNGS, infection_network, lungs_network
from scanside_runtime.model.contract import CONTRACT_KEY
from scanside_runtime.model.errors import ModelFileUnsafe
from scanside_runtime.model.onnx_file import metadata

GOOD = lungs_network()
FLOAT = TensorProto.FLOAT


def refusal(data: bytes) -> str:
    """The reason, as a person reads it."""
    with pytest.raises(ModelFileUnsafe) as caught:
        metadata(data, "net.onnx")
    assert (caught.value.code, caught.value.exit_code) == ("MODEL_FILE_UNSAFE", 4)
    assert "net.onnx" in caught.value.message
    return caught.value.message


def elsewhere() -> TensorProto:
    """A tensor whose values lie in another file."""
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def graph_of(*nodes: onnx.NodeProto, tensors: tuple[TensorProto, ...] = ()) -> GraphProto:
    out = helper.make_tensor_value_info("y", FLOAT, [4])
    return helper.make_graph(list(nodes), "g", [], [out], list(tensors))


def within_branch(graph: GraphProto) -> GraphProto:
    return graph_of(helper.make_node("If", ["c"], ["y"], then_branch=graph, else_branch=graph_of()))


def file_of(graph: GraphProto) -> bytes:
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


def field(key: int, value: bytes) -> bytes:
    """A field with a length of three bytes."""
    length = len(value)
    return bytes([key, length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14]) + value


def good_model() -> ModelProto:
    return onnx.load_from_string(GOOD)


@pytest.mark.parametrize("network", [lungs_network, infection_network])
@pytest.mark.parametrize("form", ["int8", "fp16"])
def test_metadata_is_what_the_onnx_package_reads(network: Callable[[str], bytes], form: str) -> None:
    data = network(form)
    expected = {prop.key: prop.value for prop in onnx.load_from_string(data).metadata_props}
    assert expected
    assert metadata(data, "net.onnx") == expected


def test_the_contract_is_found_behind_a_graph_and_beside_other_entries() -> None:
    model = good_model()
    model.metadata_props.add(key="author", value="Ümit")
    assert metadata(model.SerializeToString(), "n") == {CONTRACT_KEY: LUNGS.to_json(), "author": "Ümit"}


def test_weights_in_another_file_are_refused() -> None:
    assert "another file" in refusal(file_of(graph_of(tensors=(elsewhere(),))))


def test_weights_in_another_file_are_refused_when_a_large_number_hides_the_location() -> None:
    """Readers cut the number to 32 bits: 2**32 + 1 is EXTERNAL to them."""
    tensor = b"\x70" + bytes([0x81, 0x80, 0x80, 0x80, 0x10])  # field 14, varint 2**32 + 1
    assert "another file" in refusal(field(0x3A, field(0x2A, tensor)))  # model.graph, graph.initializer


@pytest.mark.parametrize("depth", [1, 3])
def test_weights_in_another_file_are_refused_inside_branches(depth: int) -> None:
    graph = graph_of(tensors=(elsewhere(),))
    for _ in range(depth):
        graph = within_branch(graph)
    assert "another file" in refusal(file_of(graph))


def test_a_constant_and_a_sparse_tensor_in_another_file_are_refused() -> None:
    assert "another file" in refusal(file_of(graph_of(helper.make_node("Constant", [], ["y"], value=elsewhere()))))
    sparse = graph_of()
    sparse.sparse_initializer.add().values.CopyFrom(elsewhere())
    assert "another file" in refusal(file_of(sparse))


def test_a_foreign_domain_is_refused_in_the_imports() -> None:
    model = good_model()
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    assert "com.evil" in refusal(model.SerializeToString())


def test_a_foreign_domain_is_refused_in_a_node_that_nothing_imports() -> None:
    node = helper.make_node("Evil", [], ["y"], domain="com.evil")
    assert "com.evil" in refusal(file_of(graph_of(node)))
    assert "com.evil" in refusal(file_of(within_branch(graph_of(node))))


def test_a_foreign_domain_is_refused_in_a_function_and_in_a_training_graph() -> None:
    node = helper.make_node("Evil", [], ["y"], domain="com.evil")
    with_function = good_model()
    with_function.functions.append(helper.make_function("", "f", [], ["y"], [node], [helper.make_opsetid("", 18)]))
    assert "com.evil" in refusal(with_function.SerializeToString())
    with_training = good_model()
    with_training.training_info.add().algorithm.CopyFrom(graph_of(node))
    assert "com.evil" in refusal(with_training.SerializeToString())


def test_the_standard_domain_has_two_names() -> None:
    model = good_model()
    model.opset_import[0].domain = "ai.onnx"
    model.graph.node[0].domain = "ai.onnx"
    assert CONTRACT_KEY in metadata(model.SerializeToString(), "n")


def test_a_file_without_a_graph_is_refused() -> None:
    model = good_model()
    model.ClearField("graph")
    assert "no graph" in refusal(model.SerializeToString())
    assert "no graph" in refusal(b"")


def test_branches_nested_without_end_are_refused() -> None:
    part = b""
    for _ in range(400):
        for key in (0x32, 0x2A, 0x0A):  # attribute.g, node.attribute, graph.node
            part = field(key, part)
    assert "too deep" in refusal(field(0x3A, part))


@given(st.binary(max_size=200))
@example(b"\x0b")  # a group, which ONNX does not use
@example(b"\x08")  # a number that is cut off
@example(b"\x08" + b"\xff" * 11)  # a number without an end
@example(b"\x09\x00")  # eight bytes of which one is there
@example(b"\x3a\x05a")  # a message that is cut off
@example(b"\x38\x01")  # a number where the graph should be
@example(b"\x00\x00")  # field 0
@example(b"\x3a\x00\x72\x03\x0a\x01\xff")  # text that is no UTF-8
def test_bytes_that_are_no_model_end_in_one_error_and_no_other(data: bytes) -> None:
    with pytest.raises(ModelFileUnsafe):
        metadata(data, "n")


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_that_breaks_off_ends_in_the_error_or_without_a_contract(length: int) -> None:
    try:
        assert CONTRACT_KEY not in metadata(GOOD[:length], "n")
    except ModelFileUnsafe as error:
        assert error.message  # refused, which is as good


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_never_ends_in_another_error(at: int, byte: int) -> None:
    data = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    try:
        assert isinstance(metadata(data, "n"), dict)
    except ModelFileUnsafe as error:
        assert error.message
