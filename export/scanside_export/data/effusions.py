"""Pleural fluid drawn in place of lung, as what is no lung, and dense lung, which stays lung.

Fluid collects where a patient lies: a layer of one density behind the lung, level or as a crescent, from thin to all
of a side. Dense lung lies there as well, so both are drawn with the same shapes: what tells them apart is that fluid
is of 0 to 30 HU and even, and that dense lung is denser, uneven, or keeps bronchi full of air.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from scanside_export.data.augment import grains
from scanside_runtime.volume import Bools, Floats

Rng = np.random.Generator

LEAST_LUNG_MM2 = 400.0
"""A lung smaller than this in its slice stays as it is."""
FLUID_HU = (-2.0, 28.0)
DENSE_HU = (32.0, 120.0)
"""Dense lung without a bronchus full of air, without contrast medium and with."""
BRONCHI_HU = (5.0, 100.0)
"""Dense lung with bronchi in it: these tell, whatever the density."""
GRAIN_PX = (0.4, 1.6)
"""Sigma of the noise in fluid: kernels are sharp and soft."""
SHARES = ((0.03, 0.2), (0.2, 0.5), (0.5, 1.0))
SHARES_CHANCES = (0.4, 0.4, 0.2)
PRONE = 0.06
RIM_PX = 2
"""How far beyond the outlines a dense layer goes on: the half-dark edge of an aerated lung would give it away."""


CALM_MM, LEAST_CALM_MM2 = 10.0, 300.0
"""Noise is measured in soft tissue so far from its border, in slices that have so much of it."""
COARSE_MM, STRUCTURE_MM = 3.0, 12.0
"""A scan's grain is told by what smoothing leaves of its noise; what is wider than the other is no noise."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise in the plane: its standard deviation, and how coarse it is (sigma of a Gaussian)."""

    sd_hu: float
    grain_px: float


def with_effusion(hu: Floats, lungs: Bools, pixel_mm: float, rng: Rng) -> tuple[Floats, Floats]:
    """A stack with fluid behind one lung or both; hu (depth, rows, columns) float32, lungs (2, rows, columns) bool.

    The second is (rows, columns) float32: how much of each pixel of lung the fluid took. In three of five the lung in
    front of it is dense for some way. Lungs too small to hold any come back as they are.
    """
    gone = np.zeros(hu.shape[1:], np.float32)
    noise_hu, outside = image_noise_hu(hu[len(hu) // 2]), np.asarray(~lungs.any(axis=0))
    density = float(rng.uniform(*FLUID_HU))
    for lung in _chosen(lungs, pixel_mm, rng):
        depth, share = _depth(lung, pixel_mm, rng), _share(rng)
        fluid = _deepest(depth, lung, share)
        if rng.random() < 0.6:
            band = _deepest(depth, lung, min(1.0, share * float(rng.uniform(1.1, 1.8)) + 0.03)) & ~fluid
            hu = _filled(hu, band, outside, _dense(band, pixel_mm, noise_hu, rng), rng)[0]
        noise = float(rng.uniform(0.7, 1.3)) * grains(fluid.shape, float(rng.uniform(*GRAIN_PX)), rng)
        even = density + noise_hu * noise
        hu, taken = _filled(hu, fluid, outside, even, rng)
        gone = np.maximum(gone, taken * lung)
    return hu, gone


def with_dense_lung(hu: Floats, lungs: Bools, pixel_mm: float, rng: Rng) -> Floats:
    """A stack with a part of one lung or both without air; shapes as above. What is lung stays as it is."""
    noise_hu, outside = image_noise_hu(hu[len(hu) // 2]), np.asarray(~lungs.any(axis=0))
    for lung in _chosen(lungs, pixel_mm, rng):
        if rng.random() < 0.6:
            dense = _deepest(_depth(lung, pixel_mm, rng), lung, _share(rng))
        else:
            dense = _deepest(grains(lung.shape, float(rng.uniform(8.0, 35.0)) / pixel_mm, rng), lung, _share(rng))
        hu = _filled(hu, dense, outside, _dense(dense, pixel_mm, noise_hu, rng), rng)[0]
    return hu


def with_level(
    hu: Floats, lungs: Bools, lung: Bools, share: float, fluid_hu: float, noise: Noise, rng: Rng
) -> tuple[Floats, Bools]:
    """A volume with even fluid in place of the share of a lung that lies furthest back, up to one level; all (z, y, x).

    lungs: both, so that none of the other one is taken for a rim. The second says where fluid took lung.
    """
    fluid = lung.copy()
    fluid[:, : int(np.ceil(np.quantile(np.nonzero(lung)[1], 1.0 - share)))] = False
    filled = hu.copy()
    for z in np.flatnonzero(fluid.any(axis=(1, 2))):
        even = fluid_hu + noise.sd_hu * grains(fluid[z].shape, noise.grain_px, rng)
        filled[z] = _filled(hu[z : z + 1], fluid[z], ~lungs[z], even, rng)[0][0]
    return filled, fluid


def image_noise_hu(plane: Floats) -> float:
    """Noise in the soft tissue of a slice (rows, columns), as a standard deviation; 8 HU where there is none."""
    soft = cv2.erode(((plane > -20.0) & (plane < 120.0)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if np.count_nonzero(soft) < 100:
        return 8.0
    fine = plane - cv2.GaussianBlur(plane, (0, 0), 2.0)
    # Edges stand out of the median, not of the mean; 1.48 makes a standard deviation of it.
    return float(np.clip(1.48 * np.median(np.abs(fine[soft])), 2.0, 60.0))


def scan_noise(hu: Floats, lungs: Bools, pixel_mm: float) -> Noise:
    """The noise of a scan, measured where its soft tissue is thick; hu (z, y, x), lungs (z, y, x) bool."""
    planes = (_calm_scatter(*one, pixel_mm) for one in zip(hu, lungs, strict=True))
    measured = [scatter for scatter in planes if scatter is not None]
    if not measured:
        return Noise(8.0, 0.7)
    fine_hu, coarse_hu = (float(value) for value in np.median(measured, axis=0))
    kept = min(0.9, coarse_hu / max(fine_hu, 1e-3))
    return Noise(fine_hu, COARSE_MM * kept / math.sqrt(1.0 - kept**2) / pixel_mm)


def _calm_scatter(plane: Floats, lungs: Bools, pixel_mm: float) -> tuple[float, float] | None:
    """Standard deviations of thick soft tissue in a slice, in HU: as it is, and smoothed by `COARSE_MM`."""

    def smoothed(values: Floats, sigma_mm: float) -> Floats:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_mm / pixel_mm), dtype=np.float32)

    radius_px = max(1, round(CALM_MM / pixel_mm))
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    mean = smoothed(plane, COARSE_MM)
    core = cv2.erode(((mean > 0.0) & (mean < 200.0) & ~lungs).astype(np.uint8), ball)
    if np.count_nonzero(core) * pixel_mm**2 < LEAST_CALM_MM2:
        return None
    weight: Floats = core.astype(np.float32)
    around = smoothed(plane * weight, STRUCTURE_MM) / np.maximum(smoothed(weight, STRUCTURE_MM), 1e-3)
    away = np.asarray((plane - around) * weight, dtype=np.float32)
    coarse = smoothed(away, COARSE_MM) / np.maximum(smoothed(weight, COARSE_MM), 1e-3)
    # Vessels stand out of the median, not of the mean; 1.48 makes a standard deviation of it.
    fine_hu, coarse_hu = (1.48 * float(np.median(np.abs(values[core > 0]))) for values in (away, coarse))
    return fine_hu, coarse_hu


def _chosen(lungs: Bools, pixel_mm: float, rng: Rng) -> list[Bools]:
    """One of the lungs that are large enough, in three of ten both."""
    large = [lung for lung in lungs if np.count_nonzero(lung) * pixel_mm**2 >= LEAST_LUNG_MM2]
    if len(large) == 2 and rng.random() < 0.7:
        return [large[rng.integers(2)]]
    return large


def _share(rng: Rng) -> float:
    """How much of a lung's area: from a thin layer to all of it."""
    return float(rng.uniform(*SHARES[rng.choice(len(SHARES), p=SHARES_CHANCES)]))


def _depth(lung: Bools, pixel_mm: float, rng: Rng) -> Floats:
    """How soon fluid reaches a place, (rows, columns) float32 in mm: a level with a meniscus, or a crescent."""
    way = -1 if rng.random() < PRONE else 1
    lung = lung[::way]
    y, x = (np.asarray(axis, np.float32) * pixel_mm for axis in np.indices(lung.shape))
    behind = y + float(rng.uniform(-0.25, 0.25)) * x
    if rng.random() < 0.5:
        walls = cv2.distanceTransform(lung.astype(np.uint8), cv2.DIST_L2, 5) * pixel_mm
        depth = behind + float(rng.uniform(0.0, 45.0)) * np.exp(-walls / float(rng.uniform(4.0, 18.0)))
    else:
        front = y < np.quantile(y[lung], float(rng.uniform(0.3, 0.6)))
        walls = cv2.distanceTransform((lung | front).astype(np.uint8), cv2.DIST_L2, 5) * pixel_mm
        depth = float(rng.uniform(0.1, 0.5)) * behind - walls
    wavy = depth + float(rng.uniform(0.0, 4.0)) * grains(lung.shape, 15.0 / pixel_mm, rng)
    return np.asarray(wavy[::way], dtype=np.float32)


def _deepest(depth: Floats, lung: Bools, share: float) -> Bools:
    """The share of a lung that lies deepest."""
    return np.asarray(lung & (depth >= np.quantile(depth[lung], 1.0 - share)))


def _dense(place: Bools, pixel_mm: float, noise_hu: float, rng: Rng) -> Floats:
    """Lung without air, (rows, columns) float32 HU; two of three have air in bronchi, and may be as fluid."""
    bronchi = rng.random() < 0.65 and bool(place.any())
    texture = float(rng.uniform(2.0, 25.0)) * grains(place.shape, float(rng.uniform(2.0, 9.0)) / pixel_mm, rng)
    density = float(rng.uniform(*(BRONCHI_HU if bronchi else DENSE_HU)))
    picture = density + texture + noise_hu * float(rng.uniform(0.7, 1.3)) * grains(place.shape, 0.7, rng)
    if bronchi:
        picture = picture * (1.0 - (air := _bronchi(place, pixel_mm, rng))) - 950.0 * air
    return np.asarray(picture, dtype=np.float32)


def _bronchi(place: Bools, pixel_mm: float, rng: Rng) -> Floats:
    """Air in bronchi that are cut along and across, (rows, columns) float32 in 0..1."""
    air = np.zeros(place.shape, np.float32)
    inside = np.argwhere(place)[:, ::-1]  # (n, 2) as x, y
    heading = rng.uniform(0.0, 2.0 * np.pi)
    for _ in range(int(rng.integers(2, 4 + int(len(inside) * pixel_mm**2 / 400)))):
        start = inside[rng.integers(len(inside))]
        length = rng.uniform(3.0, 40.0) / pixel_mm if rng.random() < 0.6 else 0.0
        turns = heading + rng.normal(0.0, 0.7) + np.cumsum(rng.normal(0.0, 0.25, 5))
        steps = np.stack([np.cos(turns), np.sin(turns)], axis=1) * length / 5
        path = np.vstack([start, start + np.cumsum(steps, axis=0)]).round().astype(np.int32)
        cv2.polylines(air, [path], False, float(rng.uniform(0.3, 1.0)), int(rng.integers(1, 3)))
    return np.asarray(cv2.GaussianBlur(air, (0, 0), float(rng.uniform(0.3, 0.7))), dtype=np.float32)


def _filled(hu: Floats, place: Bools, outside: Bools, contents: Floats, rng: Rng) -> tuple[Floats, Floats]:
    """A stack with contents in a place, and how much of each pixel they fill.

    Soft towards the lung, whole up to the wall and over the rim outside: a dark line there would be air.
    """
    wide = cv2.dilate(place.astype(np.uint8), np.ones((2 * RIM_PX + 1, 2 * RIM_PX + 1), np.uint8)) > 0
    edge = float(rng.uniform(0.4, 0.9))
    beyond, within = (cv2.GaussianBlur(mask.astype(np.float32), (0, 0), edge) for mask in (place, place | outside))
    soft = np.where(place, within, beyond).astype(np.float32)
    filled = []
    for plane in hu:
        rim = wide & outside & (plane < 0.0) & (plane > -850.0)
        share = np.maximum(soft, 0.95 * rim)
        filled.append(plane * (1.0 - share) + share * contents)
    return np.asarray(np.stack(filled), dtype=np.float32), soft
