"""The settings of a file, each checked; a name that is not known is an error."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.settings.bounds import check
from scanside_runtime.settings.tables import Settings

Group = TypeVar("Group")


def load_settings(path: Path | None = None) -> Settings:
    """The settings in a TOML file; without a file, the defaults.

    Raises SettingsUnusable when the file can't be read, is no TOML, or holds a key or a value that is not known.
    """
    return Settings() if path is None else settings_of(read_table(path))


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML file states, unchecked. Raises SettingsUnusable when it can't be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsUnusable(key=path.name, why=f"the file can't be read ({error.strerror})") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise SettingsUnusable(key=path.name, why=f"the file is not TOML ({error})") from error
    except (RecursionError, MemoryError) as error:  # the parser calls itself for each bracket
        raise SettingsUnusable(key=path.name, why="the file is nested too deeply, or too large") from error


def settings_of(table: Mapping[str, Any]) -> Settings:
    """The settings in a table of tables, as `dataclasses.asdict` gives it. Raises SettingsUnusable."""
    return _read(Settings, table, "")


def settings_digest(settings: Settings) -> str:
    """SHA-256 (hex) of all values that a result rests on, defaults included: equal digests, equal numbers.

    Tables `[site]` and `[serve]` are left out: what a page is headed with, and to whom it is shown, change no result.
    """
    values = {name: table for name, table in asdict(settings).items() if name not in ("site", "serve")}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(group: type[Group], table: Mapping[str, Any], prefix: str) -> Group:
    """One table of the file as its dataclass, the tables in it included."""
    types = get_type_hints(group)
    for name in table:
        check(name in types, f"{prefix}{name}", f"there is no such setting; known here: {', '.join(types)}")
    values = {name: _value(types[name], value, f"{prefix}{name}") for name, value in table.items()}
    return group(**values)


def _value(kind: type[Any], value: object, key: str) -> Any:
    """A value of the file as the type that the setting has."""
    if is_dataclass(kind):
        check(isinstance(value, dict), key, f"it is a table: write [{key}]")
        return _read(kind, value, f"{key}.")  # type: ignore[arg-type]  # checked in the line above
    if kind is float and type(value) is int:
        return float(value) if abs(value) < 2**53 else math.inf  # whole numbers of TOML have no end
    if kind == tuple[str, ...]:
        texts = value if isinstance(value, (list, tuple)) and all(type(one) is str for one in value) else None
        check(texts is not None, key, "it must be a list of texts")
        return tuple(texts or ())
    check(type(value) is kind, key, f"it must be of type {kind.__name__}")
    return value
