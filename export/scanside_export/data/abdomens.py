"""Stomachs, colons and spleens with contents below a diaphragm, so that a network knows them as no lung.

Food with bubbles looks like consolidated lung with air bronchograms, and few volumes at hand show a full stomach. What
may lie below a dome is drawn on the network's plane, only where lung stands above and none is here: it touches the
lungs and never covers them, however dense these are.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from scanside_export.data.augment import grains
from scanside_runtime.volume import Bools, Floats

Rng = np.random.Generator

LEAST_ROOM_MM2 = 500.0
"""A room below a dome smaller than this stays as it is."""
GAS_HU = (-1010.0, -900.0)
FAT_HU = (-120.0, -80.0)
WALL_HU = (15.0, 110.0)
FLUID_HU = (-5.0, 60.0)
SOLID_HU = (30.0, 140.0)
"""Spleen and liver, without contrast and with."""


def with_abdomen(hu: Floats, room: Bools, pixel_mm: float, rng: Rng) -> tuple[Floats, Bools]:
    """A stack with an organ in one of its rooms, hu (depth, rows, columns) float32; and where something was drawn.

    room: (rows, columns) bool, below a dome, surely no lung in any plane of the stack. The second is (rows, columns)
    bool. A stack without a room of some size comes back as it is.
    """
    place = _one_room(room, pixel_mm, rng)
    if place is None:
        return hu, np.zeros(room.shape, np.bool_)
    inner = _behind_diaphragm(place, pixel_mm, rng)
    surroundings = np.full(room.shape, rng.uniform(*FAT_HU), np.float32) if rng.random() < 0.4 else hu[len(hu) // 2]
    organ = _blob(inner, pixel_mm, rng)
    contents = _KINDS[int(rng.choice(len(_KINDS), p=_CHANCES))](organ, pixel_mm, rng)
    picture = _walled(np.where(organ, contents, surroundings), organ, pixel_mm, rng)
    drawn = inner if rng.random() < 0.5 else inner & (cv2.dilate(organ.astype(np.uint8), np.ones((3, 3))) > 0)
    blurred = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 0.9)))
    return np.where(drawn, blurred, hu).astype(np.float32), drawn


def _one_room(room: Bools, pixel_mm: float, rng: Rng) -> Bools | None:
    """One of the rooms that are large enough; each as likely as another."""
    opened = cv2.morphologyEx(room.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    large = [n for n in range(1, len(stats)) if stats[n, cv2.CC_STAT_AREA] * pixel_mm**2 >= LEAST_ROOM_MM2]
    return np.asarray(labels == large[rng.integers(len(large))]) if large else None


def _behind_diaphragm(room: Bools, pixel_mm: float, rng: Rng) -> Bools:
    """What a muscle of up to 4 mm leaves; in one of four nothing is seen of it."""
    thick_mm = 0.0 if rng.random() < 0.25 else float(rng.uniform(1.0, 4.0))
    inside_mm = cv2.distanceTransform(room.astype(np.uint8), cv2.DIST_L2, 5) * pixel_mm
    return np.asarray((inside_mm > thick_mm) & room)


def _blob(inner: Bools, pixel_mm: float, rng: Rng) -> Bools:
    """A rounded organ somewhere in the room, now and then all of it."""
    if rng.random() < 0.3 or not inner.any():
        return inner
    rows, columns = np.nonzero(inner)
    at = rng.integers(len(rows))
    y, x = np.mgrid[: inner.shape[0], : inner.shape[1]].astype(np.float32)
    long_px, wide_px = rng.uniform(18.0, 70.0) / pixel_mm, rng.uniform(14.0, 45.0) / pixel_mm
    turn = rng.uniform(0.0, np.pi)
    along = (x - columns[at]) * np.cos(turn) + (y - rows[at]) * np.sin(turn)
    across = (y - rows[at]) * np.cos(turn) - (x - columns[at]) * np.sin(turn)
    bent = 0.35 * grains(inner.shape, 12.0 / pixel_mm, rng)
    return np.asarray(np.hypot(along / long_px, across / wide_px) + bent < 1.0) & inner


def _even(organ: Bools, pixel_mm: float, rng: Rng, between: tuple[float, float] = SOLID_HU) -> Floats:
    """Spleen, liver or fluid: one density, hardly any texture."""
    texture = float(rng.uniform(0.0, 14.0)) * grains(organ.shape, float(rng.uniform(0.5, 4.0)) / pixel_mm, rng)
    return np.asarray(rng.uniform(*between) + texture, dtype=np.float32)


def _food(organ: Bools, pixel_mm: float, rng: Rng, bubbles: tuple[float, float] = (0.02, 0.35)) -> Floats:
    """Food: lumps of fluid's density, and bubbles in a part of it."""
    lumps = float(rng.uniform(3.0, 28.0)) * grains(organ.shape, float(rng.uniform(1.0, 7.0)) / pixel_mm, rng)
    where = grains(organ.shape, float(rng.uniform(6.0, 20.0)) / pixel_mm, rng)
    fine = grains(organ.shape, float(rng.uniform(0.7, 3.5)) / pixel_mm, rng) + float(rng.uniform(0.0, 1.5)) * where
    edge = float(np.quantile(fine[organ], 1.0 - rng.uniform(*bubbles))) if organ.any() else 0.0
    share = 1.0 / (1.0 + np.exp(-(fine - edge) * float(rng.uniform(2.0, 9.0))))
    return np.asarray(rng.uniform(*FLUID_HU) + lumps - share * rng.uniform(150.0, 1000.0), dtype=np.float32)


def _stool(organ: Bools, pixel_mm: float, rng: Rng) -> Floats:
    """Stool: more gas than food has, as fine or as coarse."""
    return _food(organ, pixel_mm, rng, (0.2, 0.7))


def _level(organ: Bools, pixel_mm: float, rng: Rng) -> Floats:
    """Gas in front of a level, fluid or food behind it."""
    below = _food(organ, pixel_mm, rng) if rng.random() < 0.6 else _even(organ, pixel_mm, rng, FLUID_HU)
    rows = np.flatnonzero(organ.any(axis=1))
    if len(rows):
        below[: int(rows[0] + (rows[-1] - rows[0]) * rng.uniform(0.05, 0.95))] = rng.uniform(*GAS_HU)
    return below


def _gas(organ: Bools, _pixel_mm: float, rng: Rng) -> Floats:
    """Gas alone, as in a colon in front of the liver."""
    return np.full(organ.shape, rng.uniform(*GAS_HU), np.float32)


_KINDS: tuple[Callable[[Bools, float, Rng], Floats], ...] = (_food, _level, _stool, _even, _gas)
_CHANCES = (0.34, 0.22, 0.16, 0.2, 0.08)


def _walled(picture: Floats, organ: Bools, pixel_mm: float, rng: Rng) -> Floats:
    """A wall around what is hollow; a fifth has none to be seen."""
    if rng.random() < 0.8:
        outlines, _ = cv2.findContours(organ.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        thick_px = max(1, round(float(rng.uniform(1.0, 5.0)) / pixel_mm))
        cv2.drawContours(picture, outlines, -1, float(rng.uniform(*WALL_HU)), thick_px)
    return picture
