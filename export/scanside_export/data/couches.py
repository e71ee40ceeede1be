"""Couches, cushions, clothes and leads for pictures that have none, so that a network knows them as no lung.

Most volumes at hand were cropped to the body. What a scanner shows around it is drawn on the network's plane, outside
of the body: air between couch and back is as dark as lung, foam is as dark as lung, and a shell looks like a chest
wall. Shapes are of no maker in particular: flat, curved and cradle-like ones, full, hollow or padded, at the back or
below it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import HU_MIN, Bools, Floats

Points = npt.NDArray[np.int32]
Rng = np.random.Generator

TISSUE_HU = -500
FOAM_HU = (-960.0, -700.0)
SHELL_HU = (-150.0, 350.0)
RAIL_HU = (100.0, 1500.0)
CLOTH_HU = (-930.0, -450.0)
PRONE = 0.06
"""How often the couch lies in front of the body: the patient lies on the face."""


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where a couch is drawn.

    canvas: (rows, columns) float32 HU, -1024 where nothing is drawn yet. body: (rows, columns) bool, upright: the couch
    goes below it. pixel_mm: of both.
    """

    canvas: Floats
    body: Bools
    pixel_mm: float

    def px(self, mm: float) -> float:
        """A length in pixels."""
        return mm / self.pixel_mm


def with_couch(hu: Floats, pixel_mm: float, rng: Rng) -> tuple[Floats, Bools]:
    """A stack with one couch around its body, hu (depth, rows, columns) float32; and where something was drawn.

    The second is (rows, columns) bool, for the middle plane: no lung, whatever is known of the rest. A stack without a
    body comes back as it is.
    """
    bodies = np.stack([find_body(plane) for plane in hu])
    middle = bodies[len(bodies) // 2]
    if not middle.any():
        return hu, np.zeros(middle.shape, np.bool_)
    down = -1 if rng.random() < PRONE else 1
    ground = Ground(np.full(middle.shape, HU_MIN, np.float32), middle[::down], pixel_mm)
    surroundings = _surroundings(ground, rng)[::down]
    drawn = (surroundings > HU_MIN) & ~middle
    return np.where(bodies, hu, np.maximum(hu, surroundings)).astype(np.float32), drawn


def find_body(plane: Floats) -> Bools:
    """The largest thing that is no air, with what it surrounds; (rows, columns) bool."""
    tissue = cv2.morphologyEx((plane > TISSUE_HU).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(tissue)
    body = np.zeros(plane.shape, np.uint8)
    if count > 1:
        largest = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
        outlines, _ = cv2.findContours(largest, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(body, outlines, -1, 1, cv2.FILLED)
    return body > 0


def _surroundings(ground: Ground, rng: Rng) -> Floats:
    """All that lies around one body, (rows, columns) float32 HU, blurred as a scanner does."""
    _draw_couch(ground, rng)
    for draw, chance in ((_draw_clothes, 0.35), (_draw_blanket, 0.35), (_draw_strap, 0.2), (_draw_leads, 0.25)):
        if rng.random() < chance:
            draw(ground, rng)
    if rng.random() < 0.25:
        _draw_cushion(ground, rng)
    blurred = cv2.GaussianBlur(ground.canvas, (0, 0), float(rng.uniform(0.4, 0.9)))
    return np.asarray(blurred, dtype=np.float32)


def _draw_couch(ground: Ground, rng: Rng) -> None:
    """Core, shells, a pad above, rails inside; of each only some couches have it."""
    top, bottom = _couch_edges(ground, rng)
    outline = np.concatenate([top, bottom[::-1]])
    if rng.random() < 0.7:
        cv2.fillPoly(ground.canvas, [outline], _some(FOAM_HU, rng))
        _speckle(ground, outline, rng)
    shell_px = max(1, round(ground.px(float(rng.uniform(1.0, 5.0)))))
    cv2.polylines(ground.canvas, [top], False, _some(SHELL_HU, rng), shell_px)
    if rng.random() < 0.85:
        cv2.polylines(ground.canvas, [bottom], False, _some(SHELL_HU, rng), shell_px)
    if rng.random() < 0.5:
        _draw_pad(ground, top, rng)
    if rng.random() < 0.4:
        _draw_rails(ground, top, bottom, rng)


def _couch_edges(ground: Ground, rng: Rng) -> tuple[Points, Points]:
    """Upper and lower edge of a couch as (n, 2) int32 points (x, y), left to right."""
    columns = np.flatnonzero(ground.body.any(axis=0))
    middle = float(columns.mean()) + ground.px(float(rng.uniform(-20.0, 20.0)))
    half = ground.px(float(rng.uniform(170.0, 270.0)))
    x = np.linspace(-1.0, 1.0, 61)
    sag = ground.px(float(rng.choice([0.0, rng.uniform(5.0, 40.0), rng.uniform(40.0, 120.0)])))
    top = -sag * np.abs(x) ** float(rng.uniform(1.8, 4.0))
    top += _resting(ground, middle + half * x, top) + ground.px(_gap_mm(rng))
    deep = ground.px(float(rng.uniform(12.0, 75.0)))
    bottom = np.maximum(top + 1, _flat_or_round(x, float(top.max()), deep, sag, rng))
    return _points(middle + half * x, top), _points(middle + half * x, bottom)


def _gap_mm(rng: Rng) -> float:
    """From a back that sinks into the couch to one that lies on something else."""
    return float(rng.choice([rng.uniform(-6.0, 0.0), rng.uniform(0.0, 8.0), rng.uniform(8.0, 35.0)]))


def _flat_or_round(x: npt.NDArray[np.float64], lowest: float, deep: float, sag: float, rng: Rng) -> Floats:
    bend = float(rng.choice([0.0, rng.uniform(0.3, 1.2), 1.0])) * (sag + deep)
    return np.asarray(lowest + deep - bend * np.abs(x) ** float(rng.uniform(1.5, 3.0)), dtype=np.float32)


def _resting(ground: Ground, columns: npt.NDArray[np.float64], top: npt.NDArray[np.float64]) -> float:
    """How far down a couch of this shape lies when the body rests on it."""
    inside = np.clip(columns.round().astype(int), 0, ground.body.shape[1] - 1)
    backs = ground.body.shape[0] - 1 - np.argmax(ground.body[::-1], axis=0)  # (columns,)
    there = np.asarray(ground.body.any(axis=0))[inside]
    reached = backs[inside] - top
    return float(reached[there].max()) if there.any() else float(backs.max())


def _points(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Points:
    return np.rint(np.stack([x, y], axis=1)).astype(np.int32)


def _some(between: tuple[float, float], rng: Rng) -> float:
    return float(rng.uniform(*between))


def _speckle(ground: Ground, outline: Points, rng: Rng) -> None:
    """Foam is no even grey."""
    inside = np.zeros(ground.canvas.shape, np.uint8)
    cv2.fillPoly(inside, [outline], 1)
    grain = cv2.GaussianBlur(rng.standard_normal(inside.shape, dtype=np.float32), (0, 0), float(rng.uniform(0.5, 4.0)))
    ground.canvas[inside > 0] += grain[inside > 0] * float(rng.uniform(0.0, 60.0)) / max(float(grain.std()), 1e-3)


def _draw_pad(ground: Ground, top: Points, rng: Rng) -> None:
    """A mattress on the couch, up to the back, with a cover or without."""
    thick = round(ground.px(float(rng.uniform(4.0, 40.0))))
    upper = top - np.array([0, thick], np.int32)
    cv2.fillPoly(ground.canvas, [np.concatenate([upper, top[::-1]])], _some(FOAM_HU, rng))
    if rng.random() < 0.5:
        cv2.polylines(ground.canvas, [upper], False, _some((-600.0, 0.0), rng), 1)


def _draw_rails(ground: Ground, top: Points, bottom: Points, rng: Rng) -> None:
    """Rails, joints and cables within the couch."""
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(top)))
        centre = (top[at] + (bottom[at] - top[at]) * rng.random()).astype(int)
        half = (rng.uniform((1.0, 1.0), (25.0, 6.0)) / ground.pixel_mm).astype(int)
        corners = tuple(int(value) for value in (*(centre - half), *(centre + half)))
        cv2.rectangle(ground.canvas, corners[:2], corners[2:], _some(RAIL_HU, rng), cv2.FILLED)


def _around(ground: Ground, far_mm: float) -> list[Points]:
    """Outlines of the body, so far away."""
    radius = max(1, round(ground.px(far_mm)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown = cv2.dilate(ground.body.astype(np.uint8), disc)
    return [np.asarray(one, np.int32) for one in cv2.findContours(grown, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]]


def _draw_clothes(ground: Ground, rng: Rng) -> None:
    """A layer on the skin."""
    outlines = _around(ground, float(rng.uniform(2.0, 12.0)))
    cv2.drawContours(ground.canvas, outlines, -1, _some((-980.0, -800.0), rng), cv2.FILLED)
    cv2.drawContours(ground.canvas, outlines, -1, _some(CLOTH_HU, rng), 1)


def _draw_blanket(ground: Ground, rng: Rng) -> None:
    """Folds above the body: the front half of its outline, wavy, once or some times."""
    for _ in range(int(rng.integers(1, 4))):
        outline = max(_around(ground, float(rng.uniform(4.0, 45.0))), key=len)[:, 0]
        front = outline[outline[:, 1] < outline[:, 1].mean() + ground.px(float(rng.uniform(-40.0, 60.0)))]
        order = front[np.argsort(front[:, 0])][:: int(rng.integers(3, 9))]
        wave = ground.px(float(rng.uniform(0.0, 9.0))) * rng.standard_normal(order.shape)
        cv2.polylines(ground.canvas, [(order + wave).astype(np.int32)], False, _some(CLOTH_HU, rng), 1)


def _draw_strap(ground: Ground, rng: Rng) -> None:
    """A belt around body and couch, or a part of one."""
    outline = max(_around(ground, float(rng.uniform(1.0, 15.0))), key=len)[:, 0]
    start, length = int(rng.integers(len(outline))), int(len(outline) * rng.uniform(0.2, 0.7))
    part = np.roll(outline, -start, axis=0)[:length]
    thick = max(1, round(ground.px(float(rng.uniform(1.0, 4.0)))))
    cv2.polylines(ground.canvas, [part], False, _some((-600.0, 50.0), rng), thick)


def _draw_leads(ground: Ground, rng: Rng) -> None:
    """Electrodes on the skin and their wires."""
    outline = max(_around(ground, float(rng.uniform(1.0, 4.0))), key=len)[:, 0]
    for place in outline[rng.integers(len(outline), size=int(rng.integers(1, 7)))]:
        radius = max(1, round(ground.px(float(rng.uniform(0.8, 5.0)))))
        cv2.circle(ground.canvas, tuple(int(value) for value in place), radius, _some((0.0, 2500.0), rng), cv2.FILLED)
        away = place + (ground.px(60.0) * rng.standard_normal((3, 2))).cumsum(axis=0)
        cv2.polylines(ground.canvas, [np.vstack([place, away]).astype(np.int32)], False, _some((-700.0, 800.0), rng), 1)


def _draw_cushion(ground: Ground, rng: Rng) -> None:
    """A head-rest, a wedge or a pillow under an arm: foam in a cover beside or below the body."""
    outline = max(_around(ground, float(rng.uniform(2.0, 30.0))), key=len)[:, 0]
    lower = outline[outline[:, 1] > np.median(outline[:, 1])]
    centre = tuple(int(value) for value in lower[rng.integers(len(lower))])
    axes = (int(ground.px(float(rng.uniform(15.0, 110.0)))), int(ground.px(float(rng.uniform(8.0, 40.0)))))
    angle_deg = float(rng.uniform(-40.0, 40.0))
    cv2.ellipse(ground.canvas, centre, axes, angle_deg, 0, 360, _some(FOAM_HU, rng), cv2.FILLED)
    if rng.random() < 0.7:
        cv2.ellipse(ground.canvas, centre, axes, angle_deg, 0, 360, _some((-700.0, 50.0), rng), 1)
