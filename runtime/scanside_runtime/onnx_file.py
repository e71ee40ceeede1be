"""What an ONNX file says about itself, read from its bytes without the onnx package (which the box does not carry).

ONNX is protobuf; the few fields that matter here are walked by hand. Field numbers: onnx.proto3 of ONNX 1.x
(ModelProto 7 graph, 8 opset_import, 14 metadata_props; GraphProto 5 initializer; TensorProto 14 data_location).
"""

from __future__ import annotations

from collections.abc import Iterator

from scanside_runtime.errors import ModelFileUnsafe

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
EXTERNAL = 1  # TensorProto.DataLocation


def metadata(data: bytes, name: str) -> dict[str, str]:
    """The `metadata_props` of a file that is safe to load.

    Raises ModelFileUnsafe for tensors in other files, operator domains other than ONNX's own, and what is no ONNX.
    """
    try:
        props, graph_seen = {}, False
        for number, value in _fields(memoryview(data)):
            if number == 7:
                graph_seen = True
                _check_graph(_view(value), name)
            elif number == 8:
                _check_domain(_text(_view(value), 1), name)
            elif number == 14:
                props[_text(_view(value), 1)] = _text(_view(value), 2)
    except (IndexError, ValueError) as problem:
        raise ModelFileUnsafe(name=name, why=f"it is no ONNX file ({problem})") from problem
    if not graph_seen:
        raise ModelFileUnsafe(name=name, why="it holds no graph")
    return props


def _check_graph(graph: memoryview, name: str) -> None:
    for number, value in _fields(graph):
        if number == 5 and any(field == 14 and inner == EXTERNAL for field, inner in _fields(_view(value))):
            raise ModelFileUnsafe(name=name, why="its weights lie in another file")


def _check_domain(domain: str, name: str) -> None:
    if domain not in STANDARD_DOMAINS:
        raise ModelFileUnsafe(name=name, why=f"it uses operators of {domain!r}")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of one message: a number for varints, a view for anything with a length."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            whole, at = _varint(data, at)
            yield number, whole
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("cut off")
            yield number, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")


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


def _text(message: memoryview, wanted: int) -> str:
    for number, value in _fields(message):
        if number == wanted:
            return bytes(_view(value)).decode("utf-8")
    return ""
