"""Shapes of the thorax as level functions in patient mm: negative inside, about a distance near the border.

x points to the patient's left, y to his back, z to his head, 0 at the lowest recess of the lung.
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
    """One patient: his shapes at any place, and where a lesion lies in him."""

    spec: PhantomSpec

    def at(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Shapes:
        """The shapes there, in mm."""
        return Shapes(self, x, y, z)

    @cached_property
    def bumps(self) -> Waves:
        """Of ribs and muscles."""
        return Waves((self.spec.seed, 11), 45.0, 140.0)

    @cached_property
    def tumour_centres(self) -> list[tuple[float, float, float]]:
        """(x, y, z) mm of each."""
        return [self._tumour_centre(one) for one in self.spec.tumours]

    def _tumour_centre(self, one: Tumour) -> tuple[float, float, float]:
        return self.place(one.side == "left", one.height, one.azimuth_deg, one.reach)

    def place(self, left: bool, height: float, azimuth_deg: float, reach: float) -> tuple[float, float, float]:
        """Lung coordinates (see `Lesion`) to (x, y, z) mm."""
        sign = 1.0 if left else -1.0
        z = height * self.spec.lung_height_mm
        x0, y0 = self._middle(sign, z)
        angle = np.deg2rad(azimuth_deg)
        step = np.arange(0.0, 160.0, 1.0, dtype=np.float32)
        x = (x0 + sign * np.cos(angle) * step).astype(np.float32)
        y = (y0 + np.sin(angle) * step).astype(np.float32)
        outside = self.at(x, y, np.full_like(step, z)).clean_lung > 0
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
        lung = self.at(x, y, float(z)).clean_lung
        row, column = np.unravel_index(int(np.argmin(lung)), lung.shape)
        return float(x[0, column]), float(y[row, 0])


class Shapes:
    """The level functions of one patient at given places, each worked out once.

    x, y, z broadcast: a layer is (1, n), (n, 1), a number; points are three (k,) arrays.
    """

    def __init__(self, thorax: Thorax, x: Coordinate, y: Coordinate, z: Coordinate) -> None:
        self.thorax, self.spec = thorax, thorax.spec
        self.x, self.y, self.z = x, y, z

    @cached_property
    def level(self) -> Coordinate:
        """Height as a share of the lung's: 0 lowest recess, 1 apex."""
        return self.z / self.spec.lung_height_mm

    @cached_property
    def midline_y(self) -> Coordinate:
        """The curve of the back."""
        return -self.spec.kyphosis_mm * (2.0 * self.level - 1.0) ** 2

    @cached_property
    def half_width(self) -> Coordinate:
        """Inner half width of the rib cage."""
        s = np.clip((self.level - 0.35) / 0.65, 0.0, 1.05)
        return self.spec.chest_half_width_mm * (1.0 - 0.42 * s**2.2)

    @cached_property
    def half_depth(self) -> Coordinate:
        """Inner half depth of the rib cage."""
        s = np.clip((self.level - 0.35) / 0.65, 0.0, 1.05)
        return self.spec.chest_half_depth_mm * (1.0 - 0.30 * s**2)

    @cached_property
    def spine_y(self) -> Coordinate:
        """Middle of the vertebral body."""
        return self.midline_y + self.half_depth - 31.0

    @cached_property
    def hilum_y(self) -> Coordinate:
        """Depth of the hila."""
        return self.midline_y + 0.12 * self.spec.chest_half_depth_mm

    @cached_property
    def _uneven(self) -> Field:
        """What makes ribs and muscles uneven."""
        return self.thorax.bumps.at(self.x, self.y, self.z)

    @cached_property
    def cavity(self) -> Field:
        """The inside of the rib cage."""
        lopsided = 1.0 - self.spec.asymmetry * np.tanh(self.x / 30.0)
        oval = squared_oval(
            self.x, self.y - self.midline_y, self.half_width * lopsided, self.half_depth, self.spec.chest_squareness
        )
        behind = np.clip((self.y - self.midline_y) / 30.0, 0.0, 1.0)
        dent = 24.0 * np.exp(-((self.x / 27.0) ** 2)) * behind  # ribs bend forward to the spine
        return np.asarray(oval + dent + np.float32(1.6) * self._uneven, dtype=np.float32)

    @cached_property
    def muscle(self) -> Field:
        """The outside of the muscles of the chest wall."""
        m = self.spec.muscle_mm
        shoulders = np.clip((self.level - 0.55) / 0.45, 0.0, 1.0)
        half_width = self.spec.chest_half_width_mm + m + 6.0 * shoulders
        half_depth = self.spec.chest_half_depth_mm * (1.0 - 0.16 * shoulders) + m
        oval = squared_oval(self.x, self.y - self.midline_y - 7.0, half_width, half_depth, 2.5)
        return oval - np.float32(2.0) * self._uneven

    @cached_property
    def body(self) -> Field:
        """The skin."""
        margin = self.spec.muscle_mm + self.spec.fat_mm
        shoulders = np.clip((self.level - 0.6) / 0.4, 0.0, 1.0)
        half_width = self.spec.chest_half_width_mm + margin + 8.0 * shoulders
        half_depth = self.spec.chest_half_depth_mm * (1.0 - 0.12 * shoulders) + margin
        return squared_oval(self.x, self.y - self.midline_y - 8.0, half_width, half_depth, 2.3)

    @cached_property
    def heart(self) -> Field:
        """Heart with its fat, the tip to the patient's left front."""
        s, hs = self.spec, self.spec.heart_scale
        dx = self.x - 0.15 * s.chest_half_width_mm
        dy = self.y - self.midline_y + 0.26 * s.chest_half_depth_mm
        dz = (self.z - 0.40 * s.lung_height_mm) / (56.0 * hs)
        dx = dx + 12.0 * dz  # the tip lies lower and further left than the base
        along, across = 0.82 * dx - 0.57 * dy, 0.57 * dx + 0.82 * dy
        r = np.sqrt((along / (64.0 * hs)) ** 2 + (across / (46.0 * hs)) ** 2 + dz**2)
        return np.asarray((r - 1.0) * 48.0 * hs, dtype=np.float32)

    @cached_property
    def great_vessels(self) -> Field:
        """Descending aorta, arch, pulmonary trunk and the soft tissue around the hila."""
        t, x, dy = self.level, self.x, self.y - self.spine_y
        aorta = np.hypot(x - 25.0, dy + 20.0) - 12.5 + 90.0 * np.clip(t - 0.70, 0.0, 1.0)
        arch = np.sqrt(((x - 12.0 + 0.35 * (dy + 45.0)) / 17.0) ** 2 + ((dy + 45.0) / 36.0) ** 2)
        arch = np.sqrt(arch**2 + ((t - 0.70) / 0.055) ** 2) * 15.0 - 15.0
        field = smooth_min(np.asarray(aorta, np.float32), np.asarray(arch, np.float32), 6.0)
        for hx, hz, r in ((-38.0, 0.52, 18.0), (40.0, 0.55, 16.0)):
            dz = (t - hz) * self.spec.lung_height_mm / 1.4
            hilum = np.sqrt((x - hx) ** 2 + (self.y - self.hilum_y) ** 2 + dz**2) - r
            field = smooth_min(field, np.asarray(hilum, np.float32), 8.0)
        return field

    @cached_property
    def septum(self) -> Field:
        """What parts the lungs between breastbone and spine."""
        front = self.midline_y - self.half_depth
        back = self.spine_y
        along = np.clip((self.y - front) / (back - front), 0.0, 1.0)
        half = 4.0 + (self.spec.mediastinum_half_width_mm - 4.0) * np.sqrt(np.sin(np.pi * along) + 1e-6)
        low = np.clip((0.30 - self.level) / 0.30, 0.0, 1.2)
        half = half + 45.0 * low * np.clip(1.0 - 1.6 * along, 0.0, 1.0)  # the fat pads above the diaphragm
        tilt = 6.0 * np.clip(0.7 - self.level, 0.0, 0.5)
        return np.asarray(np.abs(self.x - tilt) - half, dtype=np.float32)

    @cached_property
    def mediastinum(self) -> Field:
        """All that lies between the lungs, the spine included."""
        dy = self.y - self.spine_y
        spine = np.sqrt((self.x / 23.0) ** 2 + (dy / 22.0) ** 2) * 23.0 - 23.0
        behind = np.where(dy > 0, np.abs(self.x) - 19.0, spine)  # no lung behind the spine
        field = smooth_min(np.asarray(np.minimum(spine, behind), np.float32), self.septum, 6.0)
        field = smooth_min(field, self.heart, 8.0)
        return smooth_min(field, self.great_vessels, 6.0)

    @cached_property
    def domes(self) -> tuple[Field, Field]:
        """What lies under the right half of the diaphragm, and under the left."""
        return self._dome(-1.0), self._dome(1.0)

    def _dome(self, sign: float) -> Field:
        s = self.spec
        peak = (s.right_dome if sign < 0 else s.left_dome) * s.lung_height_mm
        u = (self.x - sign * 0.46 * s.chest_half_width_mm) / (0.68 * s.chest_half_width_mm)
        v = (self.y - self.midline_y + 0.12 * s.chest_half_depth_mm) / (1.08 * s.chest_half_depth_mm)
        rise = np.sign(self.z) * np.abs(self.z / peak) ** 1.6
        return np.asarray((u * u + v * v + rise - 1.0) * 34.0, dtype=np.float32)

    def _apex(self, sign: float) -> Field:
        """The cupola that closes one lung above; sign -1 right, +1 left."""
        s, t = self.spec, self.level
        gain = np.clip((t - 0.35) / 0.3, 0.0, 1.0)
        u = (self.x - sign * 0.40 * s.chest_half_width_mm) / (0.60 * s.chest_half_width_mm) * gain
        v = (self.y - self.midline_y - 0.10 * s.chest_half_depth_mm) / (1.1 * s.chest_half_depth_mm) * gain
        rise = np.clip((t - 0.45) / 0.55, 0.0, 2.0)
        return np.asarray((np.sqrt(u * u + v * v + rise * rise) - 1.0) * 45.0, dtype=np.float32)

    @cached_property
    def effusion(self) -> Field:
        """Fluid in the pleural space of a patient on his back: behind, thicker below."""
        depth = np.where(np.asarray(self.x) < 0, self.spec.effusion_right_mm, self.spec.effusion_left_mm)
        layer = depth * np.clip(1.15 - self.level, 0.0, 1.0)
        behind = np.clip((self.y - self.midline_y) / self.half_depth + 0.35, 0.0, 1.0)
        return np.asarray(-self.cavity - layer * behind, dtype=np.float32)

    @cached_property
    def tumour(self) -> Field:
        """All tumours."""
        field = np.full(np.broadcast(self.x, self.y, self.z).shape, 1e3, dtype=np.float32)
        for one, (cx, cy, cz) in zip(self.spec.tumours, self.thorax.tumour_centres, strict=True):
            ball = np.sqrt((self.x - cx) ** 2 + (self.y - cy) ** 2 + (self.z - cz) ** 2) - one.radius_mm
            field = smooth_min(field, np.asarray(ball, np.float32), 4.0)
        return field

    @cached_property
    def clean_lung(self) -> Field:
        """Both lungs as if there were no fluid and no tumour."""
        lung = self.cavity + np.float32(PLEURA_MM)
        lung = smooth_max(lung, -self.mediastinum, 4.0)
        left = np.asarray(self.x) > 0
        for sign, here, dome in ((-1.0, ~left, self.domes[0]), (1.0, left, self.domes[1])):
            closed = smooth_max(self._apex(sign), -dome, 3.0)
            lung = np.where(here, smooth_max(lung, closed, 4.0), lung)
        return np.asarray(np.maximum(lung, -(self.z + 12.0)), dtype=np.float32)

    @cached_property
    def lung(self) -> Field:
        """Both lungs; x < 0 is the right one, they never touch."""
        lung = self.clean_lung
        if self.spec.effusion_left_mm or self.spec.effusion_right_mm:
            lung = smooth_max(lung, -self.effusion, 3.0)
        if self.spec.tumours:
            lung = np.maximum(lung, -self.tumour)
        return lung


def squared_oval(x: Coordinate, y: Coordinate, a: Coordinate, b: Coordinate, n: float) -> Field:
    """Distance, to first order, from an oval between an ellipse (n = 2) and a box."""
    u, v = np.abs(x / a), np.abs(y / b)
    un, vn = u ** (n - 1.0), v ** (n - 1.0)
    r = np.maximum((un * u + vn * v) ** (1.0 / n), 0.05)
    slope = np.hypot(un / a, vn / b) * r ** (1.0 - n)
    return np.asarray((r - 1.0) / np.maximum(slope, 1e-4), dtype=np.float32)
