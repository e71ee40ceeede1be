"""Where the points and lines of a patient's course lie: POI and iHU over time, for the template to draw.

Lengths are units of the drawing's own view box. A line joins two scans only where they may be compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from scanside_appliance.page.formatting import number

WIDTH, HEIGHT = 440, 170
LEFT, RIGHT, TOP, BOTTOM = 46.0, 22.0, 18.0, 26.0
EDGE = 20.0
DATE_WIDTH, VALUE_WIDTH = 62.0, 30.0
TICKS = 4
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A scan: its point, its value in words. alone: it could not be compared with the one before."""

    x: float
    y: float
    label: str
    alone: bool
    last: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Between two scans that may be compared."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis with what stands there."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One measure over time. values: ticks of the vertical axis; dates: of the horizontal one."""

    title: str
    marks: tuple[Mark, ...]
    lines: tuple[Line, ...]
    values: tuple[Tick, ...]
    dates: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    base: float = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a panel shows. lowest: the axis begins there at the latest."""

    title: str
    key: str
    trend: Literal["trend", "density_trend"]
    digits: int
    lowest: float | None


MEASURES = (
    _Measure("POI, %", "poi_percent", "trend", 1, 0.0),
    _Measure("iHU, HU", "ihu_hu", "density_trend", 0, None),
)


def draw_trend(rows: Sequence[Mapping[str, Any]]) -> tuple[Panel, ...]:
    """A panel for POI and one for iHU; one that would hold fewer than two points is left out.

    rows: the block `progression.scans` of a result document, or the `scans` of a history.
    """
    panels = (_panel(measure, [row for row in rows if row[measure.key] is not None]) for measure in MEASURES)
    return tuple(panel for panel in panels if panel is not None)


def _panel(measure: _Measure, rows: Sequence[Mapping[str, Any]]) -> Panel | None:
    if len(rows) < 2:
        return None
    days = _days([row["acquired_at"] for row in rows])
    values = [float(row[measure.key]) for row in rows]
    levels = _levels(min(values), max(values), measure.lowest)
    xs = [_scaled(day, (days[0], days[-1]), (LEFT + EDGE, WIDTH - RIGHT - EDGE / 2)) for day in days]
    ys = [_scaled(value, (levels[0], levels[-1]), (HEIGHT - BOTTOM, TOP)) for value in values]
    joined = [row[measure.trend] in ("rising", "falling", "stable") for row in rows]
    named = _with_room(xs, VALUE_WIDTH)
    labels = [number(value, measure.digits) if i in named else "" for i, value in enumerate(values)]
    marks = [
        Mark(x, y, label, alone=i > 0 and not joined[i], last=i == len(rows) - 1)
        for i, (x, y, label) in enumerate(zip(xs, ys, labels, strict=True))
    ]
    lines = [Line(xs[i - 1], ys[i - 1], xs[i], ys[i]) for i in range(1, len(rows)) if joined[i]]
    ticks = [Tick(_scaled(v, (levels[0], levels[-1]), (HEIGHT - BOTTOM, TOP)), number(v, 0)) for v in levels]
    return Panel(measure.title, tuple(marks), tuple(lines), tuple(ticks), _dates(rows, xs))


def _days(moments: Sequence[str]) -> list[float]:
    """Days since the first, by the wall clock: the eye needs no time zones."""
    times = [datetime.fromisoformat(text).replace(tzinfo=None) for text in moments]
    return [(time - times[0]).total_seconds() / _DAY_S for time in times]


def _scaled(value: float, of: tuple[float, float], to: tuple[float, float]) -> float:
    """`value` carried linearly from one range to another; the middle where the first range is empty."""
    share = (value - of[0]) / (of[1] - of[0]) if of[1] != of[0] else 0.5
    return round(to[0] + share * (to[1] - to[0]), 1)


def _levels(low: float, high: float, lowest: float | None) -> list[float]:
    """Round numbers that enclose both values, some four of them."""
    low = low if lowest is None else min(low, lowest)
    rough = max(high - low, 1.0) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough), 1.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def _dates(rows: Sequence[Mapping[str, Any]], xs: Sequence[float]) -> tuple[Tick, ...]:
    named = _with_room(xs, DATE_WIDTH)
    return tuple(Tick(xs[i], str(rows[i]["acquired_at"])[:10]) for i in sorted(named))


def _with_room(xs: Sequence[float], width: float) -> set[int]:
    """Which labels stand: the last, and before it those that leave each other room."""
    kept: list[int] = []
    for i in reversed(range(len(xs))):
        if not kept or xs[kept[-1]] - xs[i] >= width:
            kept.append(i)
    return set(kept)
