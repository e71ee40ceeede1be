"""The lungs' surroundings, small: slabs of some 5 mm on 2 mm pixels, in which the guards look for trouble.

Made once for all of them, because the gate may cost little: 60 slabs take some 40 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools, Box, Masks, Volume

Floats = npt.NDArray[np.float32]
Plane = npt.NDArray[np.uint8]

SLAB_MM = 5.0
PIXEL_MM = 2.0
MARGIN_MM = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """The box of the lungs with a margin, from the feet up; every slab holds lung or lies beside one that does.

    hu: (s, y, x) float32. lungs, fluid: (s, y, x) bool. box: where it lies in the volume. first_slice: (s + 1,) the
    slice with which each slab begins, and the end of the last. slab_mm: distance between slabs.
    """

    hu: Floats
    lungs: Bools
    fluid: Bools
    box: Box
    first_slice: npt.NDArray[np.intp]
    slab_mm: float

    def __len__(self) -> int:
        return len(self.hu)

    @property
    def voxel_ml(self) -> float:
        """Physical volume of one of its voxels."""
        return PIXEL_MM**2 * self.slab_mm / 1000.0

    def slices_of(self, slab: int) -> range:
        """The native slices that a slab is the mean of."""
        return range(int(self.first_slice[slab]), int(self.first_slice[slab + 1]))


def make_overview(volume: Volume, masks: Masks) -> Overview:
    """The overview of a chest. Raises ValueError where there is no lung."""
    box = _box(masks, volume.spacing_mm)
    lungs = masks.lungs_within(box)
    by = max(1, round(SLAB_MM / volume.spacing_mm[0]))
    starts = np.arange(box[0].start, box[0].stop, by)
    size = _size(box, volume.spacing_mm)
    hu = np.stack([_slab(volume.hu[z : min(z + by, box[0].stop), box[1], box[2]], size) for z in starts])
    inside = np.stack([_slab(lungs[z - box[0].start :][:by], size) for z in starts]) >= 0.5
    fluid = np.zeros_like(inside)
    if masks.fluid is not None:
        apart = masks.fluid.within(box)
        fluid = np.stack([_slab(apart[z - box[0].start :][:by], size) for z in starts]) >= 0.5
    return Overview(hu, inside, fluid, box, np.append(starts, box[0].stop), by * volume.spacing_mm[0])


def disc(radius_mm: float) -> Plane:
    """A disc for erosion and dilation of overview slabs."""
    radius = max(1, round(radius_mm / PIXEL_MM))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), dtype=np.uint8)


def opened(mask: Bools, radius_mm: float) -> Bools:
    """What of each slab of an overview's mask a disc can reach from inside, (s, y, x)."""
    return np.stack([cv2.morphologyEx(plane.view(np.uint8), cv2.MORPH_OPEN, disc(radius_mm)) for plane in mask]) > 0


def hull(lung: Bools) -> Bools:
    """The convex hull of both lungs in one slab: lungs and what lies between them, (y, x) bool."""
    filled = np.zeros(lung.shape, dtype=np.uint8)
    points = np.argwhere(lung)[:, ::-1].astype(np.int32)
    if len(points):
        cv2.fillConvexPoly(filled, np.asarray(cv2.convexHull(points)), 1)
    return np.asarray(filled, dtype=np.bool_)


def _box(masks: Masks, spacing_mm: tuple[float, float, float]) -> Box:
    """Lungs with a margin in the plane, and one slab more at each end."""
    margins_mm = (SLAB_MM, MARGIN_MM, MARGIN_MM)
    sides = []
    if not masks.lung_areas.any():
        raise ValueError("no lung: nothing to look at")
    shape = masks.right_lung.shape
    for lungs, length, step, margin in zip(masks.lungs_box, shape, spacing_mm, margins_mm, strict=True):
        beyond = max(1, round(margin / step))
        sides.append(slice(max(0, lungs.start - beyond), min(length, lungs.stop + beyond)))
    return sides[0], sides[1], sides[2]


def _size(box: tuple[slice, slice, slice], spacing_mm: tuple[float, float, float]) -> tuple[int, int]:
    """(width, height) of a slab of the overview."""
    height, width = (
        max(8, round((side.stop - side.start) * step / PIXEL_MM))
        for side, step in zip(box[1:], spacing_mm[1:], strict=True)
    )
    return width, height


def _slab(slices: npt.NDArray[np.int16] | Bools, size: tuple[int, int]) -> Floats:
    """The mean of some slices, in the overview's pixels; (y, x) float32."""
    mean = slices[0].astype(np.float32) if len(slices) == 1 else slices.mean(axis=0, dtype=np.float32)
    return np.asarray(cv2.resize(mean, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
