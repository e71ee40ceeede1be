"""Names that others gave, as they may be shown."""

from __future__ import annotations

from typing import Any

from scanside_runtime.errors import shown

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet may calculate (OWASP, CSV injection), in full width too."""


def harmless(name: str) -> str:
    """The name with whatever a terminal or an editor would obey escaped, so that it can be told what it was."""
    return shown(name.replace("\\", "\\\\"))


def shortened(name: str) -> str:
    """Its beginning and its end, where it is longer than a line holds."""
    return name if len(name) <= 120 else f"{name[:60]} ... {name[-60:]}"


def plain_cell(value: Any) -> Any:
    """A cell of a CSV table: a text that a spreadsheet would calculate gets an apostrophe before it, numbers stay.

    What a terminal or an editor would obey is escaped, the end of a line too: each row is one line.
    """
    if not isinstance(value, str):
        return value
    return ("'" if value.startswith(FORMULA) else "") + shown(value)
