"""Voxels in HU together with their place in the patient.

Axis order is (z, y, x) and the patient system is LPS, said once and here: z ascends from feet to head, y from
anterior to posterior, x from the patient's right to the left. An affine takes the voxel index (x, y, z, 1) to mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hu = npt.NDArray[np.int16]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Spacing = tuple[float, float, float]
"""mm, (z, y, x)."""

HU_MIN = -1024
HU_MAX = 3071


Box = tuple[slice, slice, slice]
"""A part of a volume in voxels, (z, y, x); half-open, from 0 up."""


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A yes/no answer for each voxel of one volume; made only by `Volume.with_mask`.

    Kept as bits of the box around what it holds: bools of a thousand slices would be half as large as their HU.

    bits: (z, y, x / 8) uint8, read-only, the box's voxels along x. box: where they lie. shape: (z, y, x) of the volume.
    affine: (4, 4) float64, voxel (x, y, z, 1) to LPS mm. voxels: how many the mask holds.
    """

    bits: npt.NDArray[np.uint8]
    box: Box
    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    voxel_ml: float
    voxels: int

    @property
    def array(self) -> Bools:
        """The whole mask, (z, y, x) bool, read-only; unpacked anew each time."""
        whole = np.zeros(self.shape, dtype=np.bool_)
        whole[self.box] = self.within(self.box)
        whole.setflags(write=False)
        return whole

    def within(self, box: Box) -> Bools:
        """The mask in a box of the volume, (z, y, x) bool."""
        found = np.zeros([side.stop - side.start for side in box], dtype=np.bool_)
        here, there = _shared(self.box, box)
        columns = self.box[2].stop - self.box[2].start
        bits = np.unpackbits(self.bits[here[:2]], axis=2, count=columns)
        found[there] = bits[:, :, here[2]]
        return found

    @property
    def areas(self) -> npt.NDArray[np.int64]:
        """How many voxels each slice holds, (z,)."""
        areas = np.zeros(self.shape[0], dtype=np.int64)
        areas[self.box[0]] = np.bitwise_count(self.bits).sum(axis=(1, 2), dtype=np.int64)
        return areas

    @property
    def volume_ml(self) -> float:
        """Physical volume of what the mask holds."""
        return float(self.voxels) * self.voxel_ml


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A CT series as HU on its native grid.

    hu: (z, y, x) int16 HU in [-1024, 3071], read-only.
    affine: (4, 4) float64, voxel (x, y, z, 1) to LPS mm.
    spacing_mm: (z, y, x); z from positions projected on the normal, never from SliceThickness.
    slice_thickness_mm: what the scanner says about the slice, or None.
    input_sha256: SHA-256 of the sorted SHA-256 sums of the files it came from, or None for an array.
    position: PatientPosition as the scanner says it ("HFS", "FFP"), or None; the axes do not hang on it.
    """

    hu: Hu
    affine: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    slice_thickness_mm: float | None = None
    input_sha256: str | None = None
    position: str | None = None

    def __post_init__(self) -> None:
        self.hu.setflags(write=False)
        self.affine.setflags(write=False)

    @property
    def voxel_ml(self) -> float:
        """Physical volume of one voxel."""
        dz, dy, dx = self.spacing_mm
        return dz * dy * dx / 1000.0

    @property
    def hu_mean(self) -> float:
        """Mean HU of all voxels."""
        return float(self.hu.mean(dtype=np.float64))

    def part(self, box: Box) -> Volume:
        """What lies in a box, as a volume of its own; the HU are shared, not copied."""
        shift = np.eye(4)
        shift[:3, 3] = [side.start for side in reversed(box)]
        affine = self.affine @ shift
        return Volume(self.hu[box], affine, self.spacing_mm, self.slice_thickness_mm, position=self.position)

    def with_mask(self, array: Bools, box: Box | None = None) -> Mask:
        """A mask that can't lose its place; with a box, `array` is what lies in it.

        Raises ValueError when the shape is not the volume's, or the box's.
        """
        where = box or whole_of(self.hu.shape)
        if array.shape != self.hu[where].shape:
            raise ValueError(f"mask {array.shape} on a volume {self.hu[where].shape}: make it on the native grid")
        held = box_around(array)
        bits = np.packbits(array[held], axis=2)
        bits.setflags(write=False)
        placed = _within(held, where)
        return Mask(bits, placed, self.hu.shape, self.affine, self.voxel_ml, int(np.count_nonzero(array)))


@dataclass(frozen=True, slots=True, eq=False)
class Fluid:
    """What the networks outlined as lung and is pleural fluid, by the lung that it was taken from.

    hu: the median of what is surely fluid, without its edges.
    """

    right: Mask
    left: Mask
    hu: float

    @property
    def volume_ml(self) -> float:
        """Of both sides."""
        return self.right.volume_ml + self.left.volume_ml

    def within(self, box: Box) -> Bools:
        """Both sides in a box of the volume, (z, y, x) bool."""
        return self.right.within(box) | self.left.within(box)


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """What was segmented: two lungs that do not overlap, and the infection inside them.

    fluid: what was set apart as pleural fluid, neither lung nor infection; None where there was none.
    infection_bounds_ml: what the infection would measure if the network were asked to be surer, and less sure; None
    where the masks are no network's.
    unseen_areas: voxels of each slice, (z,) int64, that count as infected because the network saw only a part of the
    same piece of dense lung; None as above.
    """

    right_lung: Mask
    left_lung: Mask
    infection: Mask
    infection_bounds_ml: tuple[float, float] | None = None
    fluid: Fluid | None = None
    unseen_areas: npt.NDArray[np.int64] | None = None

    @property
    def lungs(self) -> Bools:
        """Both lungs, (z, y, x) bool."""
        return self.lungs_within(whole_of(self.right_lung.shape))

    @property
    def lungs_box(self) -> Box:
        """The box around both lungs, empty without any."""
        boxes = [lung.box for lung in (self.right_lung, self.left_lung) if lung.voxels]
        if not boxes:
            return self.right_lung.box
        z, y, x = (slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))
        return z, y, x

    @property
    def lung_areas(self) -> npt.NDArray[np.int64]:
        """How many voxels of lung each slice holds, (z,)."""
        return self.right_lung.areas + self.left_lung.areas

    @property
    def areas_with_fluid(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """How many voxels of the right and of the left lung each slice holds, with the fluid that was taken out."""
        right, left = self.right_lung.areas, self.left_lung.areas
        return (right, left) if self.fluid is None else (right + self.fluid.right.areas, left + self.fluid.left.areas)

    def lungs_in(self, z: int) -> Bools:
        """Both lungs in one slice, (y, x) bool."""
        _, rows, columns = whole_of(self.right_lung.shape)
        return np.asarray(self.lungs_within((slice(z, z + 1), rows, columns))[0])

    def lungs_within(self, box: Box) -> Bools:
        """Both lungs in a box of the volume, (z, y, x) bool."""
        return self.right_lung.within(box) | self.left_lung.within(box)


def whole_of(shape: tuple[int, ...]) -> Box:
    """The box of everything."""
    z, y, x = shape
    return slice(0, z), slice(0, y), slice(0, x)


def box_around(mask: Bools | npt.NDArray[np.uint8]) -> Box:
    """The smallest box that holds all of a (z, y, x) mask that is not 0; an empty one for an empty mask."""
    z = _extent(mask.any(axis=(1, 2)))
    flat = np.asarray(mask[z].any(axis=0))  # (y, x)
    return z, _extent(flat.any(axis=1)), _extent(flat.any(axis=0))


def _extent(hit: npt.ArrayLike) -> slice:
    at = np.flatnonzero(hit)
    return slice(int(at[0]), int(at[-1]) + 1) if at.size else slice(0, 0)


def _within(inner: Box, outer: Box) -> Box:
    """A box that was counted from another one's corner, counted from the volume's."""
    z, y, x = (slice(o.start + i.start, o.start + i.stop) for i, o in zip(inner, outer, strict=True))
    return z, y, x


def _shared(one: Box, other: Box) -> tuple[Box, Box]:
    """What two boxes share, counted from the corner of each; empty where they share nothing."""
    both = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    ends = [(low, max(low, high)) for low, high in both]
    (az, ay, ax), (bz, by, bx) = (
        [slice(low - side.start, high - side.start) for (low, high), side in zip(ends, box, strict=True)]
        for box in (one, other)
    )
    return (az, ay, ax), (bz, by, bx)
