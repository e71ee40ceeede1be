"""Shapes of the thorax as level functions in patient mm: negative inside, about a distance near the border.

Each takes x, y, z that broadcast (a layer: (1, n), (n, 1), a number; points: three (k,) arrays), with x towards the
patient's left, y towards the back, z towards the head, 0 at the lowest recess of the lung.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.phantom.spec import PhantomSpec, Tumour

Field = npt.NDArray[np.float32]
Coordinate = npt.NDArray[np.floating[Any]] | float
PLEURA_MM = 2.0


def smooth_min(a: Field, b: Field, k_mm: float) -> Field:
    """The union of two shapes with a fillet of about `k_mm`."""
    h = np.clip(0.5 + 0.5 * (b - a) / k_mm, 0.0, 1.0)
    return np.asarray(b + (a - b) * h - k_mm * h * (1.0 - h), dtype=np.float32)


def smooth_max(a: Field, b: Field, k_mm: float) -> Field:
    """The intersection of two shapes with a rounded edge of about `k_mm`."""
    return -smooth_min(-a, -b, k_mm)


class Waves:
    """Smooth noise of unit variance as a sum of plane waves: the same at every grid, cheap on a layer."""

    def __init__(self, key: tuple[int, ...], shortest_mm: float, longest_mm: float, count: int = 48) -> None:
        rng = np.random.default_rng(key)
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length_mm = np.exp(rng.uniform(np.log(shortest_mm), np.log(longest_mm), count))
        self._k = (direction * (2 * np.pi / length_mm)[:, None]).astype(np.float32)  # (count, 3) per mm, (z, y, x)
        self._phase = rng.uniform(0, 2 * np.pi, count).astype(np.float32)
        self._amplitude = np.float32(np.sqrt(2.0 / count))

    def layer(self, x: Field, y: Field, z_mm: float) -> Field:
        """On a layer: x (1, n), y (m, 1) -> (m, n); a product of two thin matrices, by the rule for cos(a + b)."""
        along_y = y * self._k[None, :, 1] + (self._k[:, 0] * np.float32(z_mm) + self._phase)[None, :]  # (m, count)
        along_x = self._k[:, 2, None] * x  # (count, n)
        columns = np.concatenate([np.cos(along_y), -np.sin(along_y)], axis=1)
        rows = np.concatenate([np.cos(along_x), np.sin(along_x)], axis=0)
        # OpenCV's product: NumPy's would wake a pool of threads for each layer, ten times slower on a busy machine
        product = cv2.gemm(columns, rows, float(self._amplitude), None, 0.0)  # type: ignore[call-overload]  # no third
        return np.asarray(product, dtype=np.float32)

    def points(self, x: Field, y: Field, z: Field) -> Field:
        """At points: three (k,) arrays -> (k,)."""
        angle = np.stack([z, y, x], axis=-1) @ self._k.T + self._phase
        return np.asarray(self._amplitude * np.cos(angle).sum(axis=-1), dtype=np.float32)

    def at(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """On a layer if z is a number, else at points."""
        if isinstance(z, np.ndarray):
            return self.points(np.asarray(x), np.asarray(y), z)
        return self.layer(np.asarray(x), np.asarray(y), z)


@dataclass(frozen=True)
class Thorax:
    """The level functions of one patient."""

    spec: PhantomSpec

    @cached_property
    def _bumps(self) -> Waves:
        return Waves((self.spec.seed, 11), 45.0, 140.0)

    def level(self, z: Coordinate) -> Coordinate:
        """Height as a share of the lung's: 0 lowest recess, 1 apex."""
        return z / self.spec.lung_height_mm

    def midline_y(self, z: Coordinate) -> Coordinate:
        """The curve of the back."""
        return -self.spec.kyphosis_mm * (2.0 * self.level(z) - 1.0) ** 2

    def half_width(self, z: Coordinate) -> Coordinate:
        """Inner half width of the rib cage."""
        s = np.clip((self.level(z) - 0.35) / 0.65, 0.0, 1.05)
        return self.spec.chest_half_width_mm * (1.0 - 0.42 * s**2.2)

    def half_depth(self, z: Coordinate) -> Coordinate:
        """Inner half depth of the rib cage."""
        s = np.clip((self.level(z) - 0.35) / 0.65, 0.0, 1.05)
        return self.spec.chest_half_depth_mm * (1.0 - 0.30 * s**2)

    def spine_y(self, z: Coordinate) -> Coordinate:
        """Middle of the vertebral body."""
        return self.midline_y(z) + self.half_depth(z) - 31.0

    def cavity(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """The inside of the rib cage."""
        lopsided = 1.0 - self.spec.asymmetry * np.tanh(x / 30.0)
        oval = squared_oval(
            x, y - self.midline_y(z), self.half_width(z) * lopsided, self.half_depth(z), self.spec.chest_squareness
        )
        behind = np.clip((y - self.midline_y(z)) / 30.0, 0.0, 1.0)
        dent = 24.0 * np.exp(-((x / 27.0) ** 2)) * behind  # ribs bend forward to the spine
        return np.asarray(oval + dent + np.float32(1.6) * self._bumps.at(x, y, z), dtype=np.float32)

    def muscle(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """The outside of the muscles of the chest wall."""
        m = self.spec.muscle_mm
        shoulders = np.clip((self.level(z) - 0.55) / 0.45, 0.0, 1.0)
        half_width = self.spec.chest_half_width_mm + m + 6.0 * shoulders
        half_depth = self.spec.chest_half_depth_mm * (1.0 - 0.16 * shoulders) + m
        oval = squared_oval(x, y - self.midline_y(z) - 7.0, half_width, half_depth, 2.5)
        return oval - np.float32(2.0) * self._bumps.at(x, y, z)

    def body(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """The skin."""
        margin = self.spec.muscle_mm + self.spec.fat_mm
        shoulders = np.clip((self.level(z) - 0.6) / 0.4, 0.0, 1.0)
        half_width = self.spec.chest_half_width_mm + margin + 8.0 * shoulders
        half_depth = self.spec.chest_half_depth_mm * (1.0 - 0.12 * shoulders) + margin
        return squared_oval(x, y - self.midline_y(z) - 8.0, half_width, half_depth, 2.3)

    def heart(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """Heart with its fat, the tip to the patient's left front."""
        s, hs = self.spec, self.spec.heart_scale
        dx = x - 0.15 * s.chest_half_width_mm
        dy = y - self.midline_y(z) + 0.26 * s.chest_half_depth_mm
        dz = (z - 0.40 * s.lung_height_mm) / (56.0 * hs)
        dx = dx + 12.0 * dz  # the tip lies lower and further left than the base
        along, across = 0.82 * dx - 0.57 * dy, 0.57 * dx + 0.82 * dy
        r = np.sqrt((along / (64.0 * hs)) ** 2 + (across / (46.0 * hs)) ** 2 + dz**2)
        return np.asarray((r - 1.0) * 48.0 * hs, dtype=np.float32)

    def great_vessels(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """Descending aorta, arch, pulmonary trunk and the soft tissue around the hila."""
        t, spine = self.level(z), self.spine_y(z)
        aorta = np.hypot(x - 25.0, y - spine + 20.0) - 12.5 + 90.0 * np.clip(t - 0.70, 0.0, 1.0)
        arch = np.sqrt(((x - 12.0 + 0.35 * (y - spine + 45.0)) / 17.0) ** 2 + ((y - spine + 45.0) / 36.0) ** 2)
        arch = np.sqrt(arch**2 + ((t - 0.70) / 0.055) ** 2) * 15.0 - 15.0
        field = smooth_min(np.asarray(aorta, np.float32), np.asarray(arch, np.float32), 6.0)
        for hx, hz, r in ((-38.0, 0.52, 18.0), (40.0, 0.55, 16.0)):
            dz = (t - hz) * self.spec.lung_height_mm / 1.4
            hilum = np.sqrt((x - hx) ** 2 + (y - self.hilum_y(z)) ** 2 + dz**2) - r
            field = smooth_min(field, np.asarray(hilum, np.float32), 8.0)
        return field

    def hilum_y(self, z: Coordinate) -> Coordinate:
        """Depth of the hila."""
        return self.midline_y(z) + 0.12 * self.spec.chest_half_depth_mm

    def septum(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """What parts the lungs between breastbone and spine."""
        front = self.midline_y(z) - self.half_depth(z)
        back = self.spine_y(z)
        along = np.clip((y - front) / (back - front), 0.0, 1.0)
        half = 4.0 + (self.spec.mediastinum_half_width_mm - 4.0) * np.sqrt(np.sin(np.pi * along) + 1e-6)
        low = np.clip((0.30 - self.level(z)) / 0.30, 0.0, 1.2)
        half = half + 45.0 * low * np.clip(1.0 - 1.6 * along, 0.0, 1.0)  # the fat pads above the diaphragm
        tilt = 6.0 * np.clip(0.7 - self.level(z), 0.0, 0.5)
        return np.asarray(np.abs(x - tilt) - half, dtype=np.float32)

    def mediastinum(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """All that lies between the lungs, the spine included."""
        dy = y - self.spine_y(z)
        spine = np.sqrt((x / 23.0) ** 2 + (dy / 22.0) ** 2) * 23.0 - 23.0
        behind = np.where(dy > 0, np.abs(x) - 19.0, spine)  # no lung behind the spine
        field = smooth_min(np.asarray(np.minimum(spine, behind), np.float32), self.septum(x, y, z), 6.0)
        field = smooth_min(field, self.heart(x, y, z), 8.0)
        return smooth_min(field, self.great_vessels(x, y, z), 6.0)

    def dome(self, x: Coordinate, y: Coordinate, z: Coordinate, sign: float) -> Field:
        """What lies under one half of the diaphragm; sign -1 right, +1 left."""
        s = self.spec
        peak = (s.right_dome if sign < 0 else s.left_dome) * s.lung_height_mm
        u = (x - sign * 0.46 * s.chest_half_width_mm) / (0.68 * s.chest_half_width_mm)
        v = (y - self.midline_y(z) + 0.12 * s.chest_half_depth_mm) / (1.08 * s.chest_half_depth_mm)
        rise = np.sign(z) * np.abs(z / peak) ** 1.6
        return np.asarray((u * u + v * v + rise - 1.0) * 34.0, dtype=np.float32)

    def apex(self, x: Coordinate, y: Coordinate, z: Coordinate, sign: float) -> Field:
        """The cupola that closes one lung above."""
        s, t = self.spec, self.level(z)
        gain = np.clip((t - 0.35) / 0.3, 0.0, 1.0)
        u = (x - sign * 0.40 * s.chest_half_width_mm) / (0.60 * s.chest_half_width_mm) * gain
        v = (y - self.midline_y(z) - 0.10 * s.chest_half_depth_mm) / (1.1 * s.chest_half_depth_mm) * gain
        rise = np.clip((t - 0.45) / 0.55, 0.0, 2.0)
        return np.asarray((np.sqrt(u * u + v * v + rise * rise) - 1.0) * 45.0, dtype=np.float32)

    def effusion(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """Fluid in the pleural space of a patient on his back: behind, thicker below."""
        depth = np.where(np.asarray(x) < 0, self.spec.effusion_right_mm, self.spec.effusion_left_mm)
        layer = depth * np.clip(1.15 - self.level(z), 0.0, 1.0)
        behind = np.clip((y - self.midline_y(z)) / self.half_depth(z) + 0.35, 0.0, 1.0)
        return np.asarray(-self.cavity(x, y, z) - layer * behind, dtype=np.float32)

    def tumour(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """All tumours."""
        field = np.full(np.broadcast(x, y, z).shape, 1e3, dtype=np.float32)
        for one, (cx, cy, cz) in zip(self.spec.tumours, self._tumour_centres, strict=True):
            ball = np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - one.radius_mm
            field = smooth_min(field, np.asarray(ball, np.float32), 4.0)
        return field

    @cached_property
    def _tumour_centres(self) -> list[tuple[float, float, float]]:
        return [self._tumour_centre(one) for one in self.spec.tumours]

    def _tumour_centre(self, one: Tumour) -> tuple[float, float, float]:
        return self.place(one.side == "left", one.height, one.azimuth_deg, one.reach)

    def clean_lung(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """Both lungs as if there were no fluid and no tumour."""
        lung = self.cavity(x, y, z) + np.float32(PLEURA_MM)
        lung = smooth_max(lung, -self.mediastinum(x, y, z), 4.0)
        left = np.asarray(x) > 0
        for sign, here in ((-1.0, ~left), (1.0, left)):
            closed = smooth_max(self.apex(x, y, z, sign), -self.dome(x, y, z, sign), 3.0)
            lung = np.where(here, smooth_max(lung, closed, 4.0), lung)
        return np.asarray(np.maximum(lung, -(z + 12.0)), dtype=np.float32)

    def lung(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """Both lungs; x < 0 is the right one, they never touch."""
        lung = self.clean_lung(x, y, z)
        if self.spec.effusion_left_mm or self.spec.effusion_right_mm:
            lung = smooth_max(lung, -self.effusion(x, y, z), 3.0)
        if self.spec.tumours:
            lung = np.maximum(lung, -self.tumour(x, y, z))
        return lung

    def place(self, left: bool, height: float, azimuth_deg: float, reach: float) -> tuple[float, float, float]:
        """Lung coordinates (see `Lesion`) to (x, y, z) mm."""
        sign = 1.0 if left else -1.0
        z = height * self.spec.lung_height_mm
        x0, y0 = self._middle(sign, z)
        angle = np.deg2rad(azimuth_deg)
        step = np.arange(0.0, 160.0, 1.0, dtype=np.float32)
        x = (x0 + sign * np.cos(angle) * step).astype(np.float32)
        y = (y0 + np.sin(angle) * step).astype(np.float32)
        outside = self.clean_lung(x, y, np.full_like(step, z)) > 0
        border = float(step[np.argmax(outside)]) if outside.any() else float(step[-1])
        return (
            float(x0 + sign * np.cos(angle) * border * reach),
            float(y0 + np.sin(angle) * border * reach),
            float(z),
        )

    def _middle(self, sign: float, z: float) -> tuple[float, float]:
        """The innermost point of one lung at a height."""
        w, d = self.spec.chest_half_width_mm, self.spec.chest_half_depth_mm
        x = (sign * np.arange(10.0, w, 4.0, dtype=np.float32))[None, :]
        y = np.arange(-d, d, 4.0, dtype=np.float32)[:, None]
        lung = self.clean_lung(x, y, float(z))
        row, column = np.unravel_index(int(np.argmin(lung)), lung.shape)
        return float(x[0, column]), float(y[row, 0])


def squared_oval(x: Coordinate, y: Coordinate, a: Coordinate, b: Coordinate, n: float) -> Field:
    """Distance, to first order, from an oval between an ellipse (n = 2) and a box."""
    u, v = np.abs(x / a), np.abs(y / b)
    un, vn = u ** (n - 1.0), v ** (n - 1.0)
    r = np.maximum((un * u + vn * v) ** (1.0 / n), 0.05)
    slope = np.hypot(un / a, vn / b) * r ** (1.0 - n)
    return np.asarray((r - 1.0) / np.maximum(slope, 1e-4), dtype=np.float32)
