"""Within which numbers a setting may lie; NaN and infinity lie in none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scanside_runtime.errors import SettingsUnusable


@dataclass(frozen=True, slots=True)
class Within:
    """Bounds of a number, both allowed; with `above`, the lower one is not."""

    low: float
    high: float
    above: bool = False

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high and not (self.above and number == self.low)

    def __str__(self) -> str:
        low, high = f"{self.low:.10g}", f"{self.high:.10g}"
        return f"it must be above {low} and at most {high}" if self.above else f"it must lie between {low} and {high}"


Share = Annotated[float, Within(0, 1)]
Percent = Annotated[float, Within(0, 100)]
SomePercent = Annotated[float, Within(0, 100, above=True)]
AnyHu = Annotated[float, Within(-1024, 3071)]
SomeMl = Annotated[float, Within(0, 100_000, above=True)]
SomeMm = Annotated[float, Within(0, 100, above=True)]
Seconds = Annotated[float, Within(0, 604_800)]  # a week
SomeSeconds = Annotated[float, Within(0, 604_800, above=True)]
Megabytes = Annotated[int, Within(1, 1_048_576)]  # a TB
ProcessMegabytes = Annotated[int, Within(256, 1_048_576)]  # Python and its libraries take some 160


def check(holds: bool, key: str, why: str) -> None:
    """Raises SettingsUnusable, naming the key, unless the condition holds."""
    if not holds:
        raise SettingsUnusable(key=key, why=why)
