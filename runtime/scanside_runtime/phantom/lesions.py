"""Where infection lies and how dense it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanside_runtime.phantom.spec import Lesion
from scanside_runtime.phantom.thorax import Coordinate, Field, Thorax, Waves


@dataclass(frozen=True)
class PlacedLesion:
    """A lesion at its place in the patient, with its irregular edge."""

    lesion: Lesion
    centre_mm: tuple[float, float, float]
    edge: Waves

    def near(self, z_mm: float) -> bool:
        """Whether a layer can meet it."""
        return abs(z_mm - self.centre_mm[2]) < self.lesion.radii_mm[0] * (1.0 + 4.0 * self.lesion.edge)

    def field(self, x: Coordinate, y: Coordinate, z: Coordinate) -> Field:
        """About the distance in mm to its edge, negative inside, on the lesion's own side only."""
        rz, ry, rx = self.lesion.radii_mm
        cx, cy, cz = self.centre_mm
        r = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
        mm = (r - 1.0 + self.lesion.edge * self.edge.at(x, y, z)) * min(rx, ry, rz)
        other_side = (np.asarray(x) > 0) != (self.lesion.side == "left")
        return np.asarray(np.where(other_side, 1e3, mm), dtype=np.float32)


def place_lesion(thorax: Thorax, lesion: Lesion, number: int) -> PlacedLesion:
    """Put one lesion into its lung; `number` gives it an edge of its own."""
    centre_mm = thorax.place(lesion.side == "left", lesion.height, lesion.azimuth_deg, lesion.reach)
    size_mm = max(min(lesion.radii_mm), 6.0)
    return PlacedLesion(lesion, centre_mm, Waves((thorax.spec.seed, 23, number), 0.5 * size_mm, 2.5 * size_mm))


def place_lesions(thorax: Thorax) -> list[PlacedLesion]:
    """All lesions of a patient; the densest last, so that it is painted over the others."""
    placed = [place_lesion(thorax, one, i) for i, one in enumerate(thorax.spec.lesions)]
    return sorted(placed, key=lambda one: one.lesion.mean_hu)
