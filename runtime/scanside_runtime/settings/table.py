"""What every table of settings is: numbers within their bounds, or no table."""

from __future__ import annotations

from functools import cache
from typing import Any, get_type_hints

from scanside_runtime.settings.bounds import check

_NAMES: dict[type[Any], str] = {}
"""By class; a process that reads no file has none of them."""


class Table:
    """A table of the file. Made only of numbers within their bounds that fit each other; raises SettingsUnusable."""

    __slots__ = ()

    def __post_init__(self) -> None:
        table: Any = type(self)
        for name, kind in _annotated(table).items():
            for bounds in getattr(kind, "__metadata__", ()):
                check(getattr(self, name) in bounds, f"{_NAMES.get(table, table.__name__)}.{name}", str(bounds))
        self._check_together()

    def _check_together(self) -> None:
        """What one value demands of another."""


def name_tables(settings: type[Any]) -> None:
    """What the file calls each table: as the field of all settings that holds it."""
    _NAMES.update((kind, name) for name, kind in get_type_hints(settings).items())


@cache
def _annotated(table: Any) -> dict[str, Any]:
    """The types of its values with the bounds in them."""
    return get_type_hints(table, include_extras=True)
