"""A value of JSON as the dataclass that it is said to be: each field has its type, or nothing of it is believed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")


def typed(kind: type[Kind], value: object) -> Kind:
    """A value of JSON as the type that it was: a frozen dataclass, and in it what `_maker` knows.

    Fields that the class does not have are left out; one that is missing is its default, else null.
    Raises ValueError where a value has another type, or a number is not finite.
    """
    maker: Callable[[Any], Kind] = _maker(cast(Hashable, kind))
    return maker(value)


@cache
def _maker(kind: Any) -> Callable[[Any], Any]:
    """The function that makes a value of this type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        (inner,) = (_maker(argument) for argument in arguments if argument is not NoneType)
        return lambda value: None if value is None else inner(value)
    if origin is Literal:
        return lambda value: value if value in arguments else _refuse(kind, value)
    if origin is tuple:
        return _tuple_maker(arguments)
    if origin is dict:
        return _dict_maker(*arguments)
    if isinstance(kind, type) and is_dataclass(kind):
        return _dataclass_maker(kind)
    return _plain_maker(kind)


def _tuple_maker(arguments: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Of any length where the type says so (`tuple[int, ...]`), else of the length of the type."""
    if arguments[-1] is Ellipsis:
        item = _maker(arguments[0])
        return lambda value: tuple(item(one) for one in _checked(list, value))
    items = [_maker(argument) for argument in arguments]
    return lambda value: tuple(make(one) for make, one in zip(items, _checked(list, value), strict=True))


def _dict_maker(key: Any, item: Any) -> Callable[[Any], Any]:
    make_key, make = _maker(key), _maker(item)
    return lambda value: {make_key(name): make(one) for name, one in _checked(dict, value).items()}


def _dataclass_maker(kind: type[Any]) -> Callable[[Any], Any]:
    makers = {name: _maker(hint) for name, hint in get_type_hints(kind).items()}
    defaults = {name for name, field in kind.__dataclass_fields__.items() if _has_default(field)}

    def make_one(value: Any) -> Any:
        said: Mapping[str, Any] = _checked(dict, value)
        fields = {name: make(said.get(name)) for name, make in makers.items() if name in said or name not in defaults}
        return kind(**fields)

    return make_one


def _has_default(field: Any) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _plain_maker(kind: Any) -> Callable[[Any], Any]:
    if kind is Any:
        return lambda value: value
    if kind is Path:
        return lambda value: Path(_checked(str, value))
    if kind is float:
        return _finite
    return lambda value: value if type(value) is kind else _refuse(kind, value)


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        _refuse(float, value)
    return float(cast(float, value))


def _checked(kind: type, value: Any) -> Any:
    """The value where it is of exactly this type: true is no number."""
    return value if type(value) is kind else _refuse(kind, value)


def _refuse(kind: object, value: object) -> Any:
    raise ValueError(f"{str(value)[:80]!r} is no {kind}")
