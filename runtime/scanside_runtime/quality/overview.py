"""The lungs' surroundings, small: slabs of some 5 mm on 2 mm pixels, in which the guards look for trouble.

Made once for all of them, because the gate may cost little: 60 slabs take some 40 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools, Box, Hu, Masks, Volume

Floats = npt.NDArray[np.float32]
Plane = npt.NDArray[np.uint8]

SLAB_MM = 5.0
PIXEL_MM = 2.0
MARGIN_MM = 20.0
SMOOTH_PX = 1.5
AERATED_BELOW_HU = -400.0
ABOVE_MM = 10.0
BESIDE_MM = 20.0
DOWN = {"S": (1, 0), "P": (-1, 0), "DR": (0, -1), "DL": (0, 1)}
"""The way down, (y, x), by the end of PatientPosition (PS3.3 C.7.3.1.1.2): on the back, the face, a side."""


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """The box of the lungs with a margin, from the feet up; every slab holds lung or lies beside one that does.

    hu: (s, y, x) float32. smooth: the same without most of the noise. lungs, fluid: (s, y, x) bool. box: where it lies
    in the volume. first_slice: (s + 1,) the slice with which each slab begins, and the end of the last. slab_mm:
    distance between slabs. dependent: (s, y, x) bool, where no aerated lung lies further down, here or a little higher:
    in a supine patient further back.
    """

    hu: Floats
    smooth: Floats
    lungs: Bools
    fluid: Bools
    box: Box
    first_slice: npt.NDArray[np.intp]
    slab_mm: float
    dependent: Bools

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
    by = max(1, round(SLAB_MM / volume.spacing_mm[0]))
    first = np.append(np.arange(box[0].start, box[0].stop, by), box[0].stop)
    size, inside = _size(box, volume.spacing_mm), first - box[0].start
    hu = _slabs(volume.hu[box], inside, size)
    lungs = _slabs(masks.lungs_within(box), inside, size) >= 0.5
    fluid = np.zeros_like(lungs) if masks.fluid is None else _slabs(masks.fluid.within(box), inside, size) >= 0.5
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), SMOOTH_PX) for plane in hu]).astype(np.float32)
    slab_mm = by * volume.spacing_mm[0]
    dependent = _dependent(lungs & (hu < AERATED_BELOW_HU), slab_mm, volume.position)
    return Overview(hu, smooth, lungs, fluid, box, first, slab_mm, dependent)


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
    rows = np.flatnonzero(lung.any(axis=1))
    if rows.size:
        first, last = lung[rows].argmax(axis=1), lung.shape[1] - 1 - lung[rows, ::-1].argmax(axis=1)
        ends = np.stack([np.stack([columns, rows], axis=1) for columns in (first, last)], axis=1)  # (rows, 2, x and y)
        cv2.fillConvexPoly(filled, np.asarray(cv2.convexHull(ends.reshape(-1, 2).astype(np.int32))), 1)
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


def _dependent(aerated: Bools, slab_mm: float, position: str | None) -> Bools:
    """Where no aerated lung (s, y, x) lies further down.

    Liver, stomach and heart have some there; a layer of fluid has none. `BESIDE_MM` to the sides count as further down,
    for a fatty liver is as dense as fluid and its recess a thin one.
    """
    down = DOWN.get((position or "").upper()[2:], DOWN["S"])
    turned = _with_rows_down(aerated, down)
    reach = max(1, int(ABOVE_MM // slab_mm))
    wide = np.ones((1, 2 * round(BESIDE_MM / PIXEL_MM) + 1), np.uint8)
    before = np.zeros_like(turned)
    for slab in range(len(turned)):
        near = np.asarray(turned[slab : slab + reach + 1].any(axis=0), dtype=np.uint8)
        before[slab] = np.maximum.accumulate(cv2.dilate(near, wide)[::-1], axis=0)[::-1] > 0
    flipped = before if sum(down) > 0 else before[:, ::-1]
    return np.asarray(~(flipped if down[0] else flipped.swapaxes(1, 2)))


def _with_rows_down(mask: Bools, down: tuple[int, int]) -> Bools:
    """A mask (s, y, x), turned and flipped so that its rows run downwards."""
    along = mask if down[0] else mask.swapaxes(1, 2)
    return along if sum(down) > 0 else along[:, ::-1]


def _slabs(array: Hu | Bools, first: npt.NDArray[np.intp], size: tuple[int, ...]) -> Floats:
    """The mean of the slices (z, y, x) of each slab, in the overview's pixels; size: (width, height)."""
    return np.stack([_slab(array[low:high], size) for low, high in pairwise(first.tolist())])


def _slab(slices: Hu | Bools, size: tuple[int, ...]) -> Floats:
    """The mean of some slices, in the overview's pixels; (y, x) float32."""
    mean = slices[0].astype(np.float32) if len(slices) == 1 else slices.mean(axis=0, dtype=np.float32)
    return np.asarray(cv2.resize(mean, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
