"""Lesions inserted into real lungs, in 3D at native resolution, before any averaging.

Ground glass raises the density of parenchyma and leaves vessels visible; consolidation replaces it and keeps some
bronchi full of air; crazy paving is ground glass with thickened septa in it (Hansell et al., Fleischner glossary,
Radiology 2008, doi 10.1148/radiol.2462070712). COVID-19 lies under the pleura, and along bronchi and vessels (Bernheim
et al., Radiology 2020, doi 10.1148/radiol.2020200463). Thick slices come out of averaging, as on a scanner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from scanside_runtime.volume import Bools, Floats, Hu, Spacing

Pattern = Literal["ground_glass", "crazy_paving", "consolidation"]

INFECTED_FROM = 0.4
"""Share of a lesion's full strength from which a voxel counts as infected."""
VESSEL_HU = -500
"""Denser, inside a lung that holds air: vessel or bronchial wall."""
BORDER_MM = 12.0
"""Within so much of the lung's outline lie the centres of most lesions."""
RIM_MM = 2.2
"""How far beyond the outline of the lungs the half-dark edge of their air reaches."""
RIM_HU = (-850, 0)
"""What is such an edge: thinner is air of a bronchus, denser is the wall itself."""
CUFF_MM = 7.0
"""How far disease along bronchi and vessels reaches from them."""
SEPTA_MM = 9.0
"""Mesh of the septa in crazy paving: parts of secondary lobules, which measure 10 to 25 mm."""
SEPTUM_HU = 220.0
"""How much denser than the ground glass around it a septum is at most."""


@dataclass(frozen=True, slots=True)
class LesionSpec:
    """One lesion: centre as voxel (z, y, x), radii in mm (z, y, x), and the HU it would have at full strength.

    along_vessels: it follows the vessels inside its radii instead of filling them.
    softness: width of its edge, as a share of the radii.
    """

    centre: tuple[int, int, int]
    radii_mm: tuple[float, float, float]
    hu: float
    texture_hu: float
    pattern: Pattern
    along_vessels: bool = False
    softness: float = 0.2

    @property
    def dense(self) -> bool:
        """Consolidation."""
        return self.pattern == "consolidation"


def random_lesions(
    lungs: Bools, spacing_mm: Spacing, rng: np.random.Generator, burden: float, hu: Hu | None = None
) -> list[LesionSpec]:
    """Some lesions for one patient, most of them under the pleura.

    lungs: (z, y, x) bool. burden: 0 (few and small) to 1 (many and large). hu: (z, y, x); with it one in eight follows
    the vessels. Densities, edges and places were set by the table of `lesions table` (docs/lesions.md).
    """
    inside = np.argwhere(lungs[::2, ::4, ::4]) * (2, 4, 4)
    edge = _near_border(lungs, spacing_mm)
    vessels = np.empty((0, 3), np.intp) if hu is None else _vessels(hu, lungs)
    lesions = []
    for _ in range(rng.integers(1, 3 + round(9 * burden))):
        along = len(vessels) > 0 and rng.random() < 0.125
        candidates = vessels if along else edge if len(edge) and rng.random() < 0.8 else inside
        some = candidates[rng.integers(len(candidates), size=3)]
        furthest_back = int(np.argmax(some[:, 1])) if rng.random() < 0.85 else 0
        z, y, x = (int(value) for value in some[furthest_back])
        size_mm = float(rng.uniform(6, 18) if rng.random() < 0.6 else rng.uniform(15, 30 + 30 * burden))
        lesions.append(_random_lesion((z, y, x), size_mm, along, rng))
    return lesions


def _random_lesion(
    centre: tuple[int, int, int], size_mm: float, along_vessels: bool, rng: np.random.Generator
) -> LesionSpec:
    dz, dy, dx = (float(radius) for radius in size_mm * rng.uniform(0.6, 1.4, 3))
    kind = rng.random()
    pattern: Pattern = "consolidation" if kind < 0.25 else "crazy_paving" if kind > 0.85 else "ground_glass"
    if pattern == "consolidation":
        hu, texture, softness = rng.uniform(-150, 70), rng.uniform(5, 60), rng.uniform(0.1, 0.5)
    else:
        hu, texture, softness = rng.uniform(-700, -250), rng.uniform(30, 130), rng.uniform(0.2, 0.9)
    return LesionSpec(centre, (dz, dy, dx), float(hu), float(texture), pattern, along_vessels, float(softness))


def _vessels(hu: Hu, lungs: Bools) -> npt.NDArray[np.intp]:
    """Where vessels lie away from the border of the lungs, on every second slice and fourth row and column."""
    coarse = lungs[::2, ::4, ::4]
    deep = np.stack([cv2.erode(plane.astype(np.uint8), np.ones((3, 3), np.uint8)) for plane in coarse]) > 0
    return np.argwhere(deep & (hu[::2, ::4, ::4] > VESSEL_HU)) * (2, 4, 4)


def pleural_consolidation(lungs: Bools, spacing_mm: Spacing, share: float, rng: np.random.Generator) -> LesionSpec:
    """A dense lesion at the back of the given lung that fills about `share` of it."""
    z, y, x = np.nonzero(lungs)
    low = z <= np.quantile(z, 0.5)
    centre = (int(np.quantile(z[low], 0.5)), int(np.quantile(y[low], 0.85)), int(np.median(x[low])))
    volume_mm3 = share * len(z) * float(np.prod(spacing_mm))
    radius = (1.6 * volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    radii_mm = (radius * 1.3, radius, radius)
    return LesionSpec(centre, radii_mm, float(rng.uniform(10, 60)), 15.0, "consolidation", softness=0.14)


def large_consolidation(lungs: Bools, rng: np.random.Generator) -> LesionSpec:
    """A dense lesion around a place in the back half of the lungs (z, y, x) bool, its radii 16 to 98 mm.

    Unlike `pleural_consolidation` it takes its size from no volume, so a slab of a few slices gets it at full width.
    """
    z, y, x = np.nonzero(lungs)
    back = np.flatnonzero(y >= np.median(y))
    seed = back[rng.integers(len(back))]
    radius_mm = float(rng.uniform(20.0, 75.0))
    dz, dy, dx = (float(value) for value in radius_mm * rng.uniform(0.8, 1.3, 3))
    hu, softness = float(rng.uniform(-10.0, 60.0)), float(rng.uniform(0.06, 0.3))
    centre = (int(z[seed]), int(y[seed]), int(x[seed]))
    return LesionSpec(centre, (dz, dy, dx), hu, 15.0, "consolidation", softness=softness)


def _near_border(lungs: Bools, spacing_mm: Spacing) -> npt.NDArray[np.intp]:
    coarse = lungs[::2, ::4, ::4]
    radius = max(1, round(BORDER_MM / (4 * spacing_mm[1])))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    deep = np.stack([cv2.erode(plane.astype(np.uint8), kernel) for plane in coarse]).astype(bool)
    return np.argwhere(coarse & ~deep) * (2, 4, 4)


def insert(
    hu: Hu, lungs: Bools, spacing_mm: Spacing, lesions: list[LesionSpec], rng: np.random.Generator
) -> tuple[Hu, Bools]:
    """Put lesions into lungs: hu (z, y, x) int16 → new hu, and where the infection is (within the lungs)."""
    result = hu.astype(np.float32)
    infection = np.zeros(hu.shape, dtype=np.bool_)
    for lesion in lesions:
        place = _box(lesion, hu.shape, spacing_mm)
        here = result[place]
        reached = lungs[place] | _rim(hu[place], lungs[place], spacing_mm)
        strength = _strength(lesion, place, spacing_mm, rng) * reached
        if lesion.along_vessels:
            strength *= _cuff(hu[place], spacing_mm)
        target = _target(lesion, strength.shape, spacing_mm, rng)
        bronchi = (here < -930) & (rng.random() < 0.7) if lesion.dense else np.zeros(here.shape, dtype=np.bool_)
        mixed = here + strength * (target - here)
        # Vessels and earlier lesions are denser than ground glass and stay visible in it.
        result[place] = np.where(bronchi, here, np.maximum(here, mixed))
        infection[place] |= (strength > INFECTED_FROM) & lungs[place]
    return np.rint(result).astype(np.int16), infection


def _rim(hu: Hu, lungs: Bools, spacing_mm: Spacing) -> Bools:
    """The half-dark edge between lungs and wall, (z, y, x): left dark it would part dense disease from the wall."""
    sides = [2 * max(1, round(RIM_MM / step)) + 1 for step in spacing_mm[:0:-1]]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, sides)
    wide = np.stack([cv2.dilate(plane.astype(np.uint8), kernel) for plane in lungs]) > 0
    return np.asarray(wide & ~lungs & (hu > RIM_HU[0]) & (hu < RIM_HU[1]))


def _cuff(hu: Hu, spacing_mm: Spacing) -> Floats:
    """1 at vessels and close to them, falling to 0 some `CUFF_MM` away; (z, y, x) float32."""
    pixel_mm = (spacing_mm[1] + spacing_mm[2]) / 2
    vessels = (hu > VESSEL_HU).astype(np.uint8)
    # Where a plane holds no vessel OpenCV answers with the largest float there is, which must not be multiplied.
    reach = 2.0 * CUFF_MM / pixel_mm
    away = [np.minimum(cv2.distanceTransform(1 - plane, cv2.DIST_L2, 3), reach) * pixel_mm for plane in vessels]
    return np.asarray(np.clip(1.6 - 1.1 * np.stack(away) / CUFF_MM, 0.0, 1.0), dtype=np.float32)


def _box(lesion: LesionSpec, shape: tuple[int, ...], spacing_mm: Spacing) -> tuple[slice, slice, slice]:
    reach = [int(np.ceil(1.6 * radius / step)) for radius, step in zip(lesion.radii_mm, spacing_mm, strict=True)]
    sides = zip(lesion.centre, reach, shape, strict=True)
    z, y, x = (slice(max(0, c - r), min(length, c + r + 1)) for c, r, length in sides)
    return z, y, x


def _strength(lesion: LesionSpec, place: tuple[slice, ...], spacing_mm: Spacing, rng: np.random.Generator) -> Floats:
    """0 outside to 1 inside, the ellipsoid's border bent by smooth noise and softened."""
    axes = [
        ((np.arange(side.start, side.stop) - centre) * step / radius).astype(np.float32)
        for side, centre, step, radius in zip(place, lesion.centre, spacing_mm, lesion.radii_mm, strict=True)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    shape = tuple(side.stop - side.start for side in place)
    away = np.sqrt(z * z + y * y + x * x) + 0.45 * smooth_noise(shape, spacing_mm, 14.0, rng)
    return np.asarray(np.clip((1.0 - away) / lesion.softness + 0.5, 0.0, 1.0, dtype=np.float32))


def _target(lesion: LesionSpec, shape: tuple[int, ...], spacing_mm: Spacing, rng: np.random.Generator) -> Floats:
    """The HU of the lesion at full strength, (z, y, x) float32."""
    coarse = smooth_noise(shape, spacing_mm, 10.0, rng)
    fine = smooth_noise(shape, spacing_mm, 3.0, rng)
    target = lesion.hu + lesion.texture_hu * (coarse + 0.7 * fine)
    if lesion.pattern == "crazy_paving":
        target = target + SEPTUM_HU * _septa(shape, spacing_mm, rng)
    return np.asarray(target, dtype=np.float32)


def _septa(shape: tuple[int, ...], spacing_mm: Spacing, rng: np.random.Generator) -> Floats:
    """A mesh of thin sheets: where smooth noise passes through nought. 1 on a sheet, 0 between; (z, y, x) float32."""
    sheets = [smooth_noise(shape, spacing_mm, SEPTA_MM, rng) for _ in range(2)]
    return np.asarray(np.max([np.exp(-((noise / 0.13) ** 2)) for noise in sheets], axis=0), dtype=np.float32)


def smooth_noise(shape: tuple[int, ...], spacing_mm: Spacing, scale_mm: float, rng: np.random.Generator) -> Floats:
    """Noise of unit strength whose waves are some `scale_mm` long, (z, y, x) float32."""
    coarse = [max(2, int(np.ceil(side * step / scale_mm)) + 1) for side, step in zip(shape, spacing_mm, strict=True)]
    seed = rng.standard_normal(coarse).astype(np.float32)
    zoom = [side / small for side, small in zip(shape, coarse, strict=True)]
    grown = ndimage.zoom(seed, zoom, order=1, mode="nearest", grid_mode=True)
    return np.asarray(grown[tuple(slice(side) for side in shape)], dtype=np.float32)
