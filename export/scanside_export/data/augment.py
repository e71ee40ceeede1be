"""Random views of a sample: other patients, other scanners, other breath."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from scanside_runtime.model.stacks import PlaneMap
from scanside_runtime.volume import Floats


@dataclass(frozen=True, slots=True)
class Augment:
    """How far a view may differ: shares of size and slope, degrees, mm, HU.

    kernel: how often the view is as another reconstruction kernel would give it, softer or sharper.
    """

    zoom: float = 0.0
    rotation_deg: float = 0.0
    shift_mm: float = 0.0
    slope: float = 0.0
    level_hu: float = 0.0
    kernel: float = 0.0
    noise_hu: float = 0.0


def moved(plane_map: PlaneMap, pixel_mm: float, by: Augment, rng: np.random.Generator) -> tuple[PlaneMap, bool]:
    """The network's plane turned, zoomed, shifted and (every second time) flipped; and whether it was flipped."""
    rows, columns = plane_map.matrix
    centre = ((columns - 1) / 2, (rows - 1) / 2)
    angle_deg = rng.uniform(-by.rotation_deg, by.rotation_deg)
    turn = np.asarray(cv2.getRotationMatrix2D(centre, angle_deg, rng.uniform(1 - by.zoom, 1 + by.zoom)), np.float64)
    turn[:, 2] += rng.uniform(-by.shift_mm, by.shift_mm, 2) / pixel_mm
    flipped = bool(rng.random() < 0.5)
    if flipped:
        turn = turn @ np.array([[-1.0, 0.0, columns - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return replace(plane_map, to_native=plane_map.to_native @ np.vstack([turn, (0.0, 0.0, 1.0)])), flipped


def rescanned(hu: Floats, by: Augment, rng: np.random.Generator) -> Floats:
    """Other calibration, kernel and dose: hu (depth, rows, columns) float32 HU."""
    slope = rng.uniform(1 - by.slope, 1 + by.slope)
    hu = (hu + 850.0) * slope - 850.0 + rng.uniform(-by.level_hu, by.level_hu)
    kernel = rng.random()
    if kernel < by.kernel / 2:
        hu = np.stack([cv2.GaussianBlur(plane, (0, 0), float(rng.uniform(0.4, 1.2))) for plane in hu])
    elif kernel < by.kernel:
        soft = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.0) for plane in hu])
        hu = hu + float(rng.uniform(0.2, 1.0)) * (hu - soft)
    if rng.random() < 0.6:
        hu = hu + _grain(hu.shape, float(rng.uniform(0.0, by.noise_hu)), rng)
    return np.asarray(hu, dtype=np.float32)


def _grain(shape: tuple[int, ...], strength_hu: float, rng: np.random.Generator) -> Floats:
    """Noise with grains as wide as a kernel makes them."""
    white = rng.standard_normal(shape, dtype=np.float32)
    sigma = float(rng.uniform(0.3, 1.2))
    grain = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in white])
    return np.asarray(grain * (strength_hu / max(float(grain.std()), 1e-3)), dtype=np.float32)


def grains(shape: tuple[int, ...], sigma_px: float, rng: np.random.Generator) -> Floats:
    """Noise of one plane, (rows, columns), in grains of a size, with a standard deviation of 1."""
    grain = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), max(sigma_px, 0.2))
    return np.asarray(grain / max(float(grain.std()), 1e-6), dtype=np.float32)
