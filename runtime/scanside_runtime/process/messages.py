"""What passes between a process and its child: lines of JSON, each the name and the fields of one frozen dataclass.

JSON and declared types, never pickle: what comes out of a process that has parsed foreign bytes is data, not code.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from scanside_runtime.errors import ScansideError, registered
from scanside_runtime.process.limits import Limits
from scanside_runtime.process.typed import typed
from scanside_runtime.version import UNINSTALLED, built_from, software_version

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind")


def encode(message: DataclassInstance) -> bytes:
    """One line. Paths become text; NaN and infinity raise ValueError."""
    return _JSON.encode({type(message).__name__: message}).encode("ascii") + b"\n"


def _as_json(value: object) -> object:
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


_JSON = json.JSONEncoder(default=_as_json, allow_nan=False)  # `json.dumps` would make one for each message


def decode(line: bytes | str, kinds: tuple[type[Kind], ...]) -> Kind:
    """The message in a line, made anew by type. Raises ValueError where it is none of these kinds, or no JSON."""
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(message, dict) or len(message) != 1:
        raise ValueError("it is no message")
    ((name, fields),) = message.items()
    kind = next((one for one in kinds if one.__name__ == name), None)
    if kind is None:
        raise ValueError(f"{name[:80]!r} is none of {[one.__name__ for one in kinds]}")
    return typed(kind, fields)


@dataclass(frozen=True, slots=True)
class Birth:
    """What a child is started with, as its last argument: its parent's number, and how much it may use."""

    parent: int
    limits: Limits


@dataclass(frozen=True, slots=True)
class Hello:
    """The first line of a child: of which software it is. build: the commit that the package was built from, or ""."""

    version: str
    build: str

    def is_of_another(self, ours: Hello) -> bool:
        """Whether the files were replaced in between; a version that one of the two does not know says nothing."""
        known = UNINSTALLED not in (self.version, ours.version)
        return self.build != ours.build or (known and self.version != ours.version)

    def __str__(self) -> str:
        return f"Scanside {self.version} ({self.build[:12] or 'a checkout'})"


@cache
def own_hello() -> Hello:
    """What runs here, as it was when this was first asked: the files may be replaced since."""
    return Hello(software_version(), built_from())


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of ours that a child raised.

    code, values: what `error` makes the same error of. exit_code, words: message and advice, for a process in which
    nobody has imported its class.
    """

    code: str
    exit_code: int
    words: str
    values: dict[str, Any]

    @classmethod
    def of(cls, error: ScansideError) -> Failed:
        """What crosses the pipe of an error."""
        values = {name: _plain(value) for name, value in error.values.items()}
        return cls(error.code, error.exit_code, error.in_words, values)

    def error(self) -> ScansideError:
        """The error that the child raised. Raises ValueError where no error has its code, or the values do not fit."""
        kind = next((one for one in registered() if one.code == self.code), None)
        if kind is None:
            raise ValueError(f"no error has the code {self.code}")
        try:
            return kind(**self.values)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"no {self.code} has these values") from error


def _plain(value: object) -> object:
    """As JSON has it; anything else as text."""
    is_plain = value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_plain else str(value)
