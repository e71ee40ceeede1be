"""Vessels and bronchi: trees that grow from the hilum to points spread over the lung."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.phantom.thorax import Field, Thorax

Points = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Tree:
    """Straight pieces, thinnest first. start, end: (n, 3) mm (x, y, z); radius_mm: (n,)."""

    start: Points
    end: Points
    radius_mm: npt.NDArray[np.float32]

    def draw(self, layer: npt.NDArray[np.uint8], z_mm: float, pixel_mm: float, scale: float = 1.0) -> None:
        """Coverage (0-255) of one layer (n, n); what is thinner than a pixel covers a part of it."""
        there = np.flatnonzero((self._low_mm <= z_mm) & (self._high_mm >= z_mm))
        radius = self.radius_mm[there].astype(np.float64) * scale
        ends = _pieces_in_layer(self.start[there], self.end[there], radius, z_mm)
        first, last = (_fixed_points(points, layer.shape[0], pixel_mm).tolist() for points in ends)
        for start, end, width_px in zip(first, last, (2.0 * radius / pixel_mm).tolist(), strict=True):
            share = int(255 * min(1.0, width_px))
            cv2.line(layer, start, end, (share,), max(1, round(width_px)), cv2.LINE_AA, 4)

    @cached_property
    def _low_mm(self) -> npt.NDArray[np.float32]:
        return np.asarray(np.minimum(self.start[:, 2], self.end[:, 2]) - self.radius_mm)

    @cached_property
    def _high_mm(self) -> npt.NDArray[np.float32]:
        return np.asarray(np.maximum(self.start[:, 2], self.end[:, 2]) + self.radius_mm)


def _pieces_in_layer(start: Points, end: Points, radius: npt.NDArray[np.float64], z_mm: float) -> tuple[Points, Points]:
    """The part of each piece whose axis is within a radius of the layer; a level one is kept whole."""
    rise = (end[:, 2] - start[:, 2]).astype(np.float64)
    level = np.abs(rise) < 1e-3
    z = start[:, 2].astype(np.float64)
    cuts = [(z_mm + reach - z) / np.where(level, 1.0, rise) for reach in (-radius, radius)]
    low = np.where(level, 0.0, np.clip(np.minimum(*cuts), 0.0, 1.0)).astype(np.float32)[:, None]
    high = np.where(level, 1.0, np.clip(np.maximum(*cuts), 0.0, 1.0)).astype(np.float32)[:, None]
    return start + (end - start) * low, np.where(level[:, None], end, start + (end - start) * high)


def _fixed_points(p: Points, n: int, pixel_mm: float) -> npt.NDArray[np.int64]:
    """Patient mm to OpenCV's pixel coordinates with four binary places. -> (k, 2)."""
    sixteenths = (p[:, :2] / np.float32(pixel_mm) + np.float32((n - 1) / 2.0)) * np.float32(16.0)
    return np.asarray(np.rint(sixteenths), dtype=np.int64)


def grow_tree(thorax: Thorax, sign: float, hilum_mm: Points, leaves: int, twig_mm: float, key: int) -> Tree:
    """A tree from one hilum; a branch with n leaves has radius twig_mm * n ** 0.37 (near Murray's law)."""
    rng = np.random.default_rng((thorax.spec.seed, 31, key))
    targets = _points_in_lung(thorax, sign, leaves, rng)
    pieces: list[tuple[Points, Points, float]] = []
    waiting = [(hilum_mm, targets)]
    while waiting:
        root, points = waiting.pop()
        if len(points) == 1:
            pieces.append((root, points[0], twig_mm))
            continue
        centre = points.mean(axis=0)
        share = rng.uniform(0.25, 0.5)
        fork = root + (centre - root) * np.float32(share)
        fork = fork + rng.normal(0.0, 0.05, 3).astype(np.float32) * np.float32(np.linalg.norm(centre - root))
        pieces.append((root, fork, twig_mm * len(points) ** 0.37))
        waiting += [(fork, half) for half in _halves(points, fork)]
    pieces.sort(key=lambda piece: piece[2])
    start, end, radius = zip(*pieces, strict=True)
    return Tree(np.stack(start), np.stack(end), np.array(radius, dtype=np.float32))


def _halves(points: Points, fork: Points) -> tuple[Points, Points]:
    """Cut a cloud of points in two where, seen from the fork, it is widest."""
    ray = points - fork
    ray = ray / np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-3)
    _, _, axes = np.linalg.svd(ray - ray.mean(axis=0), full_matrices=False)
    order = np.argsort(ray @ axes[0], kind="stable")
    middle = len(points) // 2
    return points[order[:middle]], points[order[middle:]]


def _points_in_lung(thorax: Thorax, sign: float, count: int, rng: np.random.Generator) -> Points:
    """Points spread evenly over one lung, 4 mm and more from its border."""
    s = thorax.spec
    tries = rng.uniform(size=(count * 12, 3)).astype(np.float32)
    x = sign * s.chest_half_width_mm * tries[:, 0]
    y = s.chest_half_depth_mm * (2.0 * tries[:, 1] - 1.0)
    z = s.lung_height_mm * tries[:, 2]
    inside = thorax.at(x, y, z).clean_lung < -4.0
    points = np.stack([x, y, z], axis=-1)[inside]
    return np.asarray(points[:count], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Everything that branches inside the lungs."""

    vessels: tuple[Tree, ...]
    bronchi: tuple[Tree, ...]

    def coverage(self, n: int, z_mm: float, pixel_mm: float) -> tuple[Field, Field, Field]:
        """Shares (n, n) in [0, 1] of one layer: vessels and bronchial walls, and the air inside the bronchi."""
        vessels, walls, air = (np.zeros((n, n), np.uint8) for _ in range(3))
        for tree in self.vessels:
            tree.draw(vessels, z_mm, pixel_mm)
        for tree in self.bronchi:
            tree.draw(walls, z_mm, pixel_mm, 1.45)
            tree.draw(air, z_mm, pixel_mm)
        scale = np.float32(1 / 255)
        return vessels * scale, walls * scale, air * scale


def grow_trees(thorax: Thorax) -> Trees:
    """Arteries, veins and bronchi of both lungs."""
    s = thorax.spec
    vessels, bronchi = [], []
    for sign, height in ((-1.0, 0.52), (1.0, 0.55)):
        z = height * s.lung_height_mm
        hilum = np.array([sign * 40.0, float(thorax.at(0.0, 0.0, z).hilum_y), z], dtype=np.float32)
        lower = hilum + np.array([0.0, -8.0, -22.0], dtype=np.float32)
        side = 0 if sign < 0 else 10
        vessels.append(grow_tree(thorax, sign, hilum, int(420 * s.vessel_density), 0.62, side))
        vessels.append(grow_tree(thorax, sign, lower, int(300 * s.vessel_density), 0.62, side + 1))
        bronchi.append(grow_tree(thorax, sign, hilum + np.float32(3.0), 60, 0.85, side + 2))
    return Trees(tuple(vessels), tuple(bronchi))
