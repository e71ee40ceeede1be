"""Dataclasses and errors as JSON, for what passes between the reader's process and this one.

JSON and declared types, never pickle: what comes out of a process that has parsed foreign bytes is data, not code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from scanside_runtime.errors import ScansideError, registered

Kind = TypeVar("Kind")
Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, default=_plain).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def typed(kind: type[Kind], value: Any) -> Kind:
    """A value of JSON as the type that it was. Raises ValueError where it is none."""
    maker: Callable[[Any], Kind] = _maker(cast(Hashable, kind))
    return maker(value)


def error_message(error: ScansideError) -> Message:
    """What `raised` makes the same error of."""
    return {"error": error.code, "values": error.values}


def raised(message: Message) -> ScansideError:
    """The error that the other side raised. Raises ValueError where there is no such error."""
    kind = next((one for one in registered() if one.code == message["error"]), None)
    if kind is None:
        raise ValueError(f"no error has the code {message['error']}")
    return kind(**message["values"])


@cache
def _maker(kind: Any) -> Callable[[Any], Any]:
    """The function that makes a value of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        (inner,) = (_maker(argument) for argument in arguments if argument is not type(None))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _maker(arguments[0])
        return lambda value: tuple(item(one) for one in _checked(list, value))
    if origin is Literal:
        return lambda value: value if value in arguments else _refuse(kind, value)
    if isinstance(kind, type) and is_dataclass(kind):
        make_one: Callable[..., Any] = kind
        makers = {name: _maker(hint) for name, hint in get_type_hints(kind).items()}
        return lambda value: make_one(**{name: make(_checked(dict, value).get(name)) for name, make in makers.items()})
    if kind is Path:
        return lambda value: Path(_checked(str, value))
    if kind is float:
        return lambda value: float(_checked((int, float), value))
    return lambda value: _checked(kind, value)


def _checked(kind: type | tuple[type, ...], value: Any) -> Any:
    return value if isinstance(value, kind) else _refuse(kind, value)


def _refuse(kind: object, value: object) -> Any:
    raise ValueError(f"{value!r} is no {kind}")
