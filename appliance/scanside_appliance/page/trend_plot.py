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

WIDTH, HEIGHT = 420, 180
LEFT, RIGHT, TOP, BOTTOM = 46.0, 16.0, 22.0, 26.0
EDGE = 22.0
DATE_WIDTH, VALUE_WIDTH, GAP = 68.0, 34.0, 6.0
LABEL_HEIGHT = 16.0
TICKS = 4
_DAY_S = 86_400.0


Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A scan: its point, its value in words. alone: it could not be compared with the one before.

    top, base: how far the measurement error reaches above and below. label_y: of its value's baseline, above the point,
    or below where the course leads up from there.
    """

    x: float
    y: float
    label: str
    anchor: Anchor
    alone: bool
    last: bool
    top: float
    base: float
    label_y: float


@dataclass(frozen=True, slots=True)
class Line:
    """Between two scans that may be compared. band: the corners of the measurement error around it, as SVG points."""

    x1: float
    y1: float
    x2: float
    y2: float
    band: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis with what stands there."""

    at: float
    label: str
    anchor: Anchor = "end"


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
    """What a panel shows. lowest: the axis begins there at the latest; error: the key of its measurement error."""

    title: str
    key: str
    error: str
    trend: Literal["trend", "density_trend"]
    digits: int
    lowest: float | None


MEASURES = (
    _Measure("POI, %", "poi_percent", "poi_points", "trend", 1, 0.0),
    _Measure("iHU, HU", "ihu_hu", "ihu_hu", "density_trend", 0, None),
)


def draw_trend(rows: Sequence[Mapping[str, Any]], error: Mapping[str, Any] | None = None) -> tuple[Panel, ...]:
    """A panel for POI and one for iHU; one that would hold fewer than two points is left out.

    rows: the block `progression.scans` of a result document, or the `scans` of a history. error: the block
    `measurement_error` beside it.
    """
    errors = error or {}
    panels = (
        _panel(measure, [row for row in rows if row[measure.key] is not None], float(errors.get(measure.error, 0.0)))
        for measure in MEASURES
    )
    return tuple(panel for panel in panels if panel is not None)


def _panel(measure: _Measure, rows: Sequence[Mapping[str, Any]], error: float) -> Panel | None:
    if len(rows) < 2:
        return None
    days = _days([row["acquired_at"] for row in rows])
    values = [float(row[measure.key]) for row in rows]
    levels = _levels(min(values), max(values), error, measure.lowest)
    xs = [_scaled(day, (days[0], days[-1]), (LEFT + EDGE, WIDTH - RIGHT - EDGE / 2)) for day in days]
    heights = [[_height(value + off, levels) for off in (0.0, error, -error)] for value in values]
    joined = [row[measure.trend] in ("rising", "falling", "stable") for row in rows]
    marks = _marks(xs, heights, [number(value, measure.digits) for value in values], joined)
    lines = [_line(marks[i - 1], marks[i]) for i in range(1, len(rows)) if joined[i]]
    ticks = [Tick(_height(level, levels), number(level, 0)) for level in levels]
    dates = _with_room(xs, _each_once([str(row["acquired_at"])[:10] for row in rows]), DATE_WIDTH)
    return Panel(measure.title, marks, tuple(lines), tuple(ticks), tuple(Tick(xs[i], *dates[i]) for i in sorted(dates)))


def _marks(
    xs: Sequence[float], heights: Sequence[Sequence[float]], texts: Sequence[str], joined: Sequence[bool]
) -> tuple[Mark, ...]:
    named = _with_room(xs, texts, VALUE_WIDTH)
    nothing: tuple[str, Anchor] = ("", "middle")
    last = len(xs) - 1
    return tuple(
        Mark(x, y, *named.get(i, nothing), i > 0 and not joined[i], i == last, top, base, _label_y(heights, i))
        for i, (x, (y, top, base)) in enumerate(zip(xs, heights, strict=True))
    )


def _label_y(heights: Sequence[Sequence[float]], i: int) -> float:
    """Below a point whose neighbours stand higher, if there is room above the axis; else above it."""
    y, top, base = heights[i]
    below = base + LABEL_HEIGHT
    is_low = all(beside[0] < y for beside in (*heights[max(i - 1, 0) : i], *heights[i + 1 : i + 2]))
    return round(below if is_low and below <= HEIGHT - BOTTOM + 2 else top - 7, 1)


def _line(a: Mark, b: Mark) -> Line:
    band = f"{a.x},{a.top} {b.x},{b.top} {b.x},{b.base} {a.x},{a.base}"
    return Line(a.x, a.y, b.x, b.y, band)


def _height(value: float, levels: Sequence[float]) -> float:
    """Where a value stands; what lies beyond the axis stands at its end."""
    inside = min(max(value, levels[0]), levels[-1])
    return _scaled(inside, (levels[0], levels[-1]), (HEIGHT - BOTTOM, TOP))


def _days(moments: Sequence[str]) -> list[float]:
    """Days since the first, by the wall clock: the eye needs no time zones."""
    times = [datetime.fromisoformat(text).replace(tzinfo=None) for text in moments]
    return [(time - times[0]).total_seconds() / _DAY_S for time in times]


def _scaled(value: float, of: tuple[float, float], to: tuple[float, float]) -> float:
    """`value` carried linearly from one range to another; the middle where the first range is empty."""
    share = (value - of[0]) / (of[1] - of[0]) if of[1] != of[0] else 0.5
    return round(to[0] + share * (to[1] - to[0]), 1)


def _levels(low: float, high: float, error: float, lowest: float | None) -> list[float]:
    """Round numbers that enclose both values with their error, some four of them."""
    low, high = low - error, high + error
    low = low if lowest is None else max(min(low, lowest), lowest)
    rough = max(high - low, 1.0) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough), 1.0)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def _each_once(days: Sequence[str]) -> list[str]:
    """Of several scans on one day only the last is named."""
    return ["" if day in days[i + 1 :] else day for i, day in enumerate(days)]


def _with_room(xs: Sequence[float], texts: Sequence[str], width: float) -> dict[int, tuple[str, Anchor]]:
    """Which labels stand, and how: the last, the first, and of those between, from the last on, what has room."""
    kept: dict[int, tuple[str, Anchor]] = {}
    starts: list[float] = []
    last = len(xs) - 1
    for i in (last, 0, *range(last - 1, 0, -1)):
        start, anchor = _placed(xs[i], width)
        if texts[i] and i not in kept and all(abs(start - taken) >= width + GAP for taken in starts):
            kept[i] = (texts[i], anchor)
            starts.append(start)
    return kept


def _placed(x: float, width: float) -> tuple[float, Anchor]:
    """Where a label of a point begins: under it, or as far inside as keeps it within the axes."""
    if x + width / 2 > WIDTH - RIGHT:
        return x - width, "end"
    return (x, "start") if x - width / 2 < LEFT else (x - width / 2, "middle")
