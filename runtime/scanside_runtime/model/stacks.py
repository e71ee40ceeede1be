"""The one place with thickness, spacing, crop, window and neighbours.

A volume takes the shape that a network was trained on, and the network's answer returns to the native grid. Training
builds its samples here too, so preprocessing exists once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.model.contract import ModelContract
from scanside_runtime.volume import HU_MIN, Bools, Volume, box_around

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
_Rectangle = tuple[int, int, int, int]
"""left, top, width, height"""

OUTSIDE_LOGIT = -20.0
"""What a voxel outside the network's field of view is told: surely not."""


@dataclass(frozen=True, slots=True, eq=False)
class Slabs:
    """How native slices become slabs of the contract's thickness, and which slab answers for each slice.

    weights: (s, z) float32, each row adds up to 1.
    centres_mm: (s,) float64, from the lower edge of the first slice.
    owner: (z,) the slab that holds each slice's centre.
    """

    weights: Floats
    centres_mm: npt.NDArray[np.float64]
    owner: Indices

    def __len__(self) -> int:
        return len(self.centres_mm)

    @property
    def distance_mm(self) -> float:
        """How far the centres of neighbouring slabs lie apart, in the median; infinite for a slab alone."""
        return float(np.median(np.diff(self.centres_mm))) if len(self) > 1 else np.inf


def plan_slabs(slices: int, increment_mm: float, thickness_mm: float | None, contract: ModelContract) -> Slabs:
    """Thin series are averaged to the contract's thickness; slabs of `thin_below_mm` and more stay as they are.

    - A slice stands for `increment_mm` of the patient, its centre in the middle; weights are overlaps of real extents.
    - The last slab may be partial; it is kept.
    - Overlapping thick slabs (thickness above increment) are thick: they stay as they are.
    """
    if round(max(increment_mm, thickness_mm or 0.0), 2) >= contract.thin_below_mm:
        centres = np.asarray((np.arange(slices) + 0.5) * increment_mm, dtype=np.float64)
        return Slabs(np.eye(slices, dtype=np.float32), centres, np.arange(slices))
    edges = np.arange(slices + 1) * increment_mm
    lower = np.arange(0.0, edges[-1] - 1e-6, contract.slab_mm)
    upper = np.minimum(lower + contract.slab_mm, edges[-1])
    overlap = np.minimum(upper[:, None], edges[None, 1:]) - np.maximum(lower[:, None], edges[None, :-1])
    overlap = np.clip(overlap, 0.0, None)
    weights = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    slice_centres = (edges[1:] + edges[:-1]) / 2
    owner = np.searchsorted(upper, slice_centres, side="right").clip(0, len(lower) - 1)
    return Slabs(weights, (lower + upper) / 2, owner)


def neighbours(centres_mm: npt.NDArray[np.float64], step_mm: float, depth: int) -> Indices:
    """For each slab the slabs of its stack, (s, depth), feet to head.

    A neighbour is the slab whose centre is nearest to the wanted position, never the slab itself; where there is
    none on that side, the centre repeats.
    """
    count = len(centres_mm)
    stack = np.empty((count, depth), dtype=np.intp)
    for offset in range(-(depth // 2), depth // 2 + 1):
        for here in range(count):
            stack[here, offset + depth // 2] = _neighbour(centres_mm, here, offset, step_mm)
    return stack


def _neighbour(centres_mm: npt.NDArray[np.float64], here: int, offset: int, step_mm: float) -> int:
    beyond = np.arange(here + 1, len(centres_mm)) if offset > 0 else np.arange(here)
    if offset == 0 or len(beyond) == 0:
        return here
    distance = np.abs(centres_mm[beyond] - (centres_mm[here] + offset * step_mm))
    return int(beyond[np.argmin(distance)])


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMap:
    """Where the pixels of the network's plane lie in the native plane, and back.

    to_native: (2, 3) float64, network pixel (x, y, 1) to native pixel (x, y); pixel centres are whole numbers.
    matrix: (rows, columns) of the network's plane. native_shape: (rows, columns) of the native plane.
    """

    to_native: npt.NDArray[np.float64]
    matrix: tuple[int, int]
    native_shape: tuple[int, int]

    @property
    def reduction(self) -> float:
        """Native pixels for one pixel of the network's plane, along a side."""
        return float(np.sqrt(abs(np.linalg.det(self.to_native[:, :2]))))

    def forward(self, plane: Floats, fill: float) -> Floats:
        """Native plane (rows, columns) float32 to the network's plane; smoothed first where pixels are joined."""
        if self.reduction > 1.0:
            sigma = 0.5 * float(np.sqrt(self.reduction**2 - 1.0))
            blurred = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
            plane = np.asarray(blurred, dtype=np.float32)
        return _warp(plane, self.to_native, self.matrix, fill)

    def back(self, plane: Floats, fill: float = OUTSIDE_LOGIT) -> Floats:
        """The network's plane (rows, columns[, channels]) float32 to the native plane by the exact inverse map."""
        back = np.asarray(cv2.invertAffineTransform(self.to_native), dtype=np.float64)
        return _warp(plane, back, self.native_shape, fill)


def _warp(plane: Floats, to_source: npt.NDArray[np.float64], shape: tuple[int, int], fill: float) -> Floats:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = (fill,) * 4
    warped = cv2.warpAffine(
        plane, to_source, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return np.asarray(warped, dtype=np.float32)


def plane_map(
    native_shape: tuple[int, int],
    native_pixel_mm: tuple[float, float],
    box_px: tuple[float, float, float, float],
    contract: ModelContract,
) -> PlaneMap:
    """The network's plane centred on a box of the native plane.

    native_pixel_mm: (y, x). box_px: (top, left, bottom, right), pixel centres of the corners, inclusive.
    A box larger than the contract's field of view is shrunk into it, so that nothing of it is lost.
    """
    top, left, bottom, right = box_px
    dy, dx = native_pixel_mm
    rows, columns = contract.matrix
    wanted_mm = max((bottom - top) * dy / (rows - 1), (right - left) * dx / (columns - 1), contract.pixel_mm)
    sx, sy = wanted_mm / dx, wanted_mm / dy
    cx, cy = (left + right) / 2, (top + bottom) / 2
    to_native = np.array([[sx, 0.0, cx - sx * (columns - 1) / 2], [0.0, sy, cy - sy * (rows - 1) / 2]])
    return PlaneMap(to_native, contract.matrix, native_shape)


def body_box(hu: npt.NDArray[np.int16]) -> tuple[float, float, float, float]:
    """A small box at the middle of the body, (top, left, bottom, right): where the lung network looks.

    hu: (z, y, x) int16. The median over slabs of the middle of the largest thing that is no air; arms, couch and
    single odd slabs don't move it. Where there is no body at all, the middle of the picture.
    """
    middles = [middle for plane in hu[:: max(1, len(hu) // 24)] if (middle := _body_middle(plane)) is not None]
    if not middles:
        rows, columns = hu.shape[1:]
        middles = [((rows - 1) / 2, (columns - 1) / 2)]
    y, x = np.median(np.array(middles), axis=0)
    return float(y), float(x), float(y), float(x)


def _body_middle(plane: npt.NDArray[np.int16]) -> tuple[float, float] | None:
    tissue = (plane > -400).view(np.uint8)
    opened = np.asarray(cv2.morphologyEx(tissue, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), dtype=np.uint8)
    box = _box_of_most(opened) or _box_of_largest(opened)
    if box is None:
        return None
    left, top, width, height = box
    return top + (height - 1) / 2, left + (width - 1) / 2


def _box_of_most(mask: npt.NDArray[np.uint8]) -> _Rectangle | None:
    """The box of the piece around the middle, where that is more than half of all there is: the largest, then.

    To fill one piece takes a tenth of what it takes to count all.
    """
    middle = mask[len(mask) // 2]
    there = np.flatnonzero(middle)
    if not there.size:
        return None
    seed = int(there[np.argmin(np.abs(there - len(middle) // 2))]), len(mask) // 2
    area, _, _, box = cv2.floodFill(mask.copy(), None, seed, 2, flags=8)
    return None if 2 * area <= cv2.countNonZero(mask) else (box[0], box[1], box[2], box[3])


def _box_of_largest(mask: npt.NDArray[np.uint8]) -> _Rectangle | None:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count < 2:
        return None
    left, top, width, height, _ = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))].tolist()
    return left, top, width, height


def mask_box(mask: Bools | npt.NDArray[np.uint8]) -> tuple[float, float, float, float] | None:
    """The smallest in-plane box that holds a mask (z, y, x) in all its slabs; None for an empty mask."""
    _, rows, columns = box_around(mask)
    if rows.stop == 0:
        return None
    return float(rows.start), float(columns.start), float(rows.stop - 1), float(columns.stop - 1)


def windowed(hu: Floats, window_hu: tuple[float, float]) -> Floats:
    """HU to 0..1 within the window, clipped."""
    low, high = window_hu
    return np.asarray(np.clip((hu - low) / (high - low), 0.0, 1.0), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """A volume as the contract wants it, slab by slab, and the way back.

    Only the slabs of one batch and their neighbours are held at a time.
    """

    volume: Volume
    contract: ModelContract
    stack: Indices
    slabs: Slabs
    plane_map: PlaneMap

    def __len__(self) -> int:
        return len(self.slabs)

    def plane(self, slab: int) -> Floats:
        """One slab as the network sees it, (rows, columns) float32 in 0..1."""
        hu = slab_hu(self.volume.hu, self.slabs.weights[slab])
        return windowed(self.plane_map.forward(hu, HU_MIN), self.contract.window_hu)

    def batches(self, size: int, slabs: Sequence[int] | None = None) -> Iterator[tuple[list[int], Floats]]:
        """Slab numbers and their stacks, (n, depth, rows, columns) float32; of all slabs or of some, in that order."""
        wanted = list(range(len(self)) if slabs is None else slabs)
        held: dict[int, Floats] = {}
        for start in range(0, len(wanted), size):
            numbers = wanted[start : start + size]
            stack = self.stack[numbers]  # (n, depth)
            held = {slab: held[slab] if slab in held else self.plane(slab) for slab in np.unique(stack).tolist()}
            planes = np.stack([held[slab] for slab in stack.ravel().tolist()])
            yield numbers, planes.reshape(*stack.shape, *planes.shape[1:])

    def slices_of(self, slab: int) -> Indices:
        """The native slices for which a slab answers."""
        return np.flatnonzero(self.slabs.owner == slab)


def make_stacks(volume: Volume, box_px: tuple[float, float, float, float], contract: ModelContract) -> Stacks:
    """Thickness, crop, window and neighbours of one volume by one contract."""
    slabs = plan_slabs(len(volume.hu), volume.spacing_mm[0], volume.slice_thickness_mm, contract)
    mapping = plane_map(volume.hu.shape[1:], volume.spacing_mm[1:], box_px, contract)
    stack = neighbours(slabs.centres_mm, contract.stack_step_mm, contract.stack_depth)
    return Stacks(volume, contract, stack, slabs, mapping)


def slab_hu(hu: npt.NDArray[np.int16] | Bools, weights: Floats) -> Floats:
    """A weighted mean of slices: hu (z, y, x) int16 (or a mask), weights (z,) float32 → (y, x) float32."""
    first, *others = np.flatnonzero(weights)
    slab = np.asarray(hu[first].astype(np.float32) * weights[first])
    for index in others:
        slab += weights[index] * hu[index]
    return slab
