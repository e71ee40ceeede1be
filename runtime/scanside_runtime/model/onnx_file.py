"""What an ONNX file says about itself, read from its bytes without the onnx package (which the box does not carry).

ONNX is protobuf; the few fields that matter here are walked by hand. Field numbers: onnx.proto3 of ONNX 1.x.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scanside_runtime.model.errors import ModelFileUnsafe

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
DEEPEST = 100
"""Messages within messages, protobuf's own limit."""

# Where tensors and operator domains hide: of each kind of message, the fields that are looked into, and as what.
# Bodies of loops and branches are graphs in attributes.
LOOKED_INTO: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 8: "opset_import", 14: "metadata_props", 20: "training_info", 25: "function"},
    "training_info": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset_import", 10: "domain", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute", 7: "domain"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
    "opset_import": {1: "domain"},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of TensorProto; a location of 0 is this file


def metadata(data: bytes, name: str) -> dict[str, str]:
    """The `metadata_props` of a file that is safe to load.

    Raises ModelFileUnsafe for tensors in other files, operator domains other than ONNX's own (the bodies of loops,
    branches and functions included), and what is no ONNX.
    """
    try:
        found = list(_parts("model", memoryview(data), 0))
        for kind, part in found:
            _check(kind, part, name)
        if not any(kind == "graph" for kind, _ in found):
            raise ModelFileUnsafe(name=name, why="it holds no graph")
        return {_text(part, 1): _text(part, 2) for kind, part in found if kind == "metadata_props"}
    except (IndexError, ValueError) as problem:
        raise ModelFileUnsafe(name=name, why=f"it is no ONNX file ({problem})") from problem


def _parts(kind: str, message: memoryview, depth: int) -> Iterator[tuple[str, memoryview]]:
    """All that is looked into, at any depth, as (kind, bytes)."""
    if depth > DEEPEST:
        raise ValueError("messages lie too deep in each other")
    looked_into = LOOKED_INTO.get(kind, {})
    for number, value in _fields(message) if looked_into else ():
        part = looked_into.get(number)
        if part is not None:
            yield part, _view(value)
            yield from _parts(part, _view(value), depth + 1)


def _check(kind: str, part: memoryview, name: str) -> None:
    if kind == "domain" and _decoded(part) not in STANDARD_DOMAINS:
        raise ModelFileUnsafe(name=name, why=f"it uses operators of {_decoded(part)!r}")
    if kind == "tensor" and any(_is_elsewhere(number, value) for number, value in _fields(part)):
        raise ModelFileUnsafe(name=name, why="its weights lie in another file")


def _is_elsewhere(number: int, value: int | memoryview) -> bool:
    return number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of one message: a number for varints, a view for anything with a length."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise ValueError(f"field number {number}")
        if kind == 0:
            whole, at = _varint(data, at)
            yield number, whole
            continue
        length, at = _length(data, at, kind)
        if at + length > len(data):
            raise ValueError("cut off")
        yield number, data[at : at + length]
        at += length


def _length(data: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Bytes of a value that is no varint, and where they begin."""
    if kind == 2:
        return _varint(data, at)
    if kind not in (1, 5):
        raise ValueError(f"wire type {kind}")
    return (8 if kind == 1 else 4), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
    raise ValueError("number too long")


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a message was expected")
    return value


def _decoded(text: memoryview) -> str:
    return bytes(text).decode("utf-8")


def _text(message: memoryview, wanted: int) -> str:
    """A text field, the last one where it stands twice, as protobuf reads it; "" where there is none."""
    values = [value for number, value in _fields(message) if number == wanted]
    return _decoded(_view(values[-1])) if values else ""
