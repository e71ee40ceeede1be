"""What was noticed about a study, for the result document's `flags`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["note", "caution", "withhold"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a reader of the numbers should know.

    code: stable, from the families of reason codes (INPUT_, SERIES_, GEOMETRY_, ...).
    level: a note explains, a caution asks for a look, a withhold takes back what rests on infection.
    """

    code: str
    level: Level
    message: str
