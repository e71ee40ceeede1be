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

HU_MIN = -1024
HU_MAX = 3071


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A yes/no answer for each voxel of one volume; made only by `Volume.with_mask`.

    array: (z, y, x) bool, read-only. affine: (4, 4) float64, voxel (x, y, z, 1) to LPS mm.
    """

    array: Bools
    affine: npt.NDArray[np.float64]
    voxel_ml: float

    @property
    def volume_ml(self) -> float:
        """Physical volume of what the mask holds."""
        return float(np.count_nonzero(self.array)) * self.voxel_ml


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A CT series as HU on its native grid.

    hu: (z, y, x) int16 HU in [-1024, 3071], read-only.
    affine: (4, 4) float64, voxel (x, y, z, 1) to LPS mm.
    spacing_mm: (z, y, x); z from positions projected on the normal, never from SliceThickness.
    slice_thickness_mm: what the scanner says about the slice, or None.
    input_sha256: SHA-256 of the sorted SHA-256 sums of the files it came from, or None for an array.
    """

    hu: Hu
    affine: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    slice_thickness_mm: float | None = None
    input_sha256: str | None = None

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

    def with_mask(self, array: Bools) -> Mask:
        """A mask that can't lose its place.

        Raises ValueError when the shape is not the volume's.
        """
        if array.shape != self.hu.shape:
            raise ValueError(f"mask {array.shape} on a volume {self.hu.shape}: make it on the native grid")
        owned = np.array(array, dtype=np.bool_)
        owned.setflags(write=False)
        return Mask(owned, self.affine, self.voxel_ml)


@dataclass(frozen=True, slots=True, eq=False)
class Masks:
    """What was segmented: two lungs that do not overlap, and the infection inside them.

    infection_bounds_ml: what the infection would measure if the network were asked to be surer, and less sure; None
    where the masks are no network's.
    """

    right_lung: Mask
    left_lung: Mask
    infection: Mask
    infection_bounds_ml: tuple[float, float] | None = None

    @property
    def lungs(self) -> Bools:
        """Both lungs, (z, y, x) bool."""
        return self.right_lung.array | self.left_lung.array
