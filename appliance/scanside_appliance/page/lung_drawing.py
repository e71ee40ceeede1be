"""The six zones as a drawing of the lungs: where they lie, how they are shaded, what stands in them.

Lengths are units of the drawing's own view box. The patient's right is on the left, as in the pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 360, 318
TOP, BOTTOM = 14.0, 304.0
BAR_WIDTH = 76.0
OUTLINES = {
    "right": "M150 58C140 20 112 10 92 18C52 36 22 118 16 204C12 252 18 284 30 300C52 284 98 276 150 292C160 262 156 "
    "214 150 178C144 140 158 96 150 58Z",
    "left": "M210 58C220 20 248 10 268 18C308 36 338 118 344 204C348 252 342 284 330 300C310 286 276 276 226 288C214 "
    "270 226 244 222 220C218 196 204 186 208 158C212 128 204 92 210 58Z",
}
"""Schematic, with the notch of the heart in the left lung."""
MIDDLES = {
    "right": {"upper": 108.0, "middle": 90.0, "lower": 88.0},
    "left": {"upper": 252.0, "middle": 274.0, "lower": 282.0},
}
THIRDS = ("upper", "middle", "lower")
NAMES = tuple(f"{side}_{third}" for side in OUTLINES for third in THIRDS)


@dataclass(frozen=True, slots=True)
class ZoneDrawing:
    """One zone. shade: 0 to 4, its score, or None where it was not measured; x: middle of its words.

    glass, dense: lengths of a bar that stands for the zone's volume, of `BAR_WIDTH`.
    """

    name: str
    side: str
    top: float
    height: float
    x: float
    poi_percent: float | None
    lung_volume_ml: float | None
    shade: int | None
    glass: float
    dense: float


def draw_zones(zones: Mapping[str, Any] | None) -> tuple[ZoneDrawing, ...]:
    """All six zones; empty where none has a lung volume, as when it is not certain which side is which.

    zones: the block `biomarkers.zones` of a result document.
    """
    known = {name: (zones or {}).get(name) or {} for name in NAMES}
    if all(zone.get("lung_volume_ml") is None for zone in known.values()):
        return ()
    return tuple(_zone(name, zone) for name, zone in known.items())


def _zone(name: str, zone: Mapping[str, Any]) -> ZoneDrawing:
    side, third = name.split("_")
    height = (BOTTOM - TOP) / len(THIRDS)
    poi, dense = zone.get("poi_percent"), zone.get("high_opacity_percent") or 0.0
    glass = max((poi or 0.0) - dense, 0.0)
    return ZoneDrawing(
        name=name,
        side=side,
        top=round(TOP + THIRDS.index(third) * height, 1),
        height=round(height, 1),
        x=MIDDLES[side][third],
        poi_percent=poi,
        lung_volume_ml=zone.get("lung_volume_ml"),
        shade=zone.get("score"),
        glass=round(BAR_WIDTH * glass / 100.0, 1),
        dense=round(BAR_WIDTH * dense / 100.0, 1),
    )
