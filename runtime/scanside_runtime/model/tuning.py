"""What was found fastest on this box among the ways to compute that are right, and for what that holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import (
    ENGINES,
    MOST_STREAMS,
    STORED_AS,
    EngineChoice,
    cores,
    processor_flags,
    processor_name,
)
from scanside_runtime.process.typed import typed

TUNING_SCHEMA = "scanside.tuning/1"


@dataclass(frozen=True, slots=True)
class Box:
    """What a tuning holds for: the same processor, engines and bundle.

    engines: versions by name, empty where one is not installed.
    """

    processor: str
    flags: tuple[str, ...]
    cores: int
    engines: dict[str, str]
    bundle_sha256: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One way to compute, measured.

    wall_ms, cpu_ms: one slab through both networks; None where it could not be run. lungs_dice,
    infection_dice, poi_points: against the bundle's golden stacks, which were computed in FP32. why_not: what is wrong
    with it, empty where it is right.
    """

    choice: EngineChoice
    wall_ms: float | None = None
    cpu_ms: float | None = None
    lungs_dice: float | None = None
    infection_dice: float | None = None
    poi_points: float | None = None
    computed_in: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Tuning:
    """The choice, and what it rests on. at: ISO 8601, UTC."""

    at: str
    box: Box
    choice: EngineChoice
    tried: tuple[Tried, ...]

    def holds(self, bundle: Bundle, threads: int) -> bool:
        """Whether it was measured with this bundle on this processor, with these engines and as many threads."""
        return self.box == this_box(bundle) and self.choice.threads == (threads or cores())

    def to_document(self) -> dict[str, Any]:
        """Plain values, read back by `tuning_of`."""
        return {"schema": TUNING_SCHEMA, **asdict(self)}


def tuning_of(text: str | bytes) -> Tuning | None:
    """Read a tuning back; None for what is none of this schema, or names a way to compute that there is not."""
    try:
        document = json.loads(text)
        if document.get("schema") != TUNING_SCHEMA:
            return None
        tuning = typed(Tuning, document)
        for way in (tuning.choice, *(one.choice for one in tuning.tried)):
            _check(way)
        return tuning
    except (ValueError, AttributeError, RecursionError):
        return None


def _check(choice: EngineChoice) -> None:
    """Raises ValueError for what is no way to compute."""
    if choice.name not in ENGINES or choice.precision not in STORED_AS:
        raise ValueError(f"{choice.name} in {choice.precision} is no way to compute")
    for number, most in ((choice.threads, 1024), (choice.streams, MOST_STREAMS)):
        if not 1 <= number <= most:
            raise ValueError(f"{choice.threads} threads in {choice.streams} streams")


ALIKE = 1.05
"""Times that differ by less are taken for the same: then the one that costs less processor time is the better."""


def fastest(tried: Sequence[Tried]) -> Tried | None:
    """The fastest of those that are right; None where none is."""
    right = [one for one in tried if not one.why_not and one.wall_ms is not None]
    least = min((one.wall_ms for one in right if one.wall_ms is not None), default=0.0)
    alike = [one for one in right if one.wall_ms is not None and one.wall_ms <= ALIKE * least]
    return min(alike, key=lambda one: one.cpu_ms or 0.0, default=None)


def this_box(bundle: Bundle) -> Box:
    """What decides here how fast and how exactly a way computes."""
    engines = {name: _version(name) for name in ENGINES}
    return Box(processor_name(), processor_flags(), cores(), engines, bundle.sha256)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
