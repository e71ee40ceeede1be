"""What is shown of a volume: how much of the body, and which slices first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools, Volume

KEY_SLICES = 6
MARGIN_MM = 14.0


class ShownBox(NamedTuple):
    """What is shown of the body, as half-open voxel ranges; z is the lungs' own extent."""

    z: slice
    y: slice
    x: slice


def shown_box(lungs: Bools, volume: Volume) -> ShownBox:
    """Voxel ranges around the lungs with a margin in the plane; everything where there is no lung."""
    if not lungs.any():
        depth, height, width = lungs.shape
        return ShownBox(slice(0, depth), slice(0, height), slice(0, width))
    _, dy, dx = volume.spacing_mm
    return ShownBox(
        _extent(np.any(lungs, axis=(1, 2)), 0),
        _extent(np.any(lungs, axis=(0, 2)), round(MARGIN_MM / dy)),
        _extent(np.any(lungs, axis=(0, 1)), round(MARGIN_MM / dx)),
    )


def key_slices(infection: Bools, extent: slice) -> list[int]:
    """Of each sixth of the lungs' height the slice with the most infection, else its middle; from the head down.

    They lie where disease is, and no part of the lungs is left unseen. infection: (z, y, x) bool.
    """
    sections = np.array_split(np.arange(extent.start, extent.stop), min(KEY_SLICES, extent.stop - extent.start))
    infected = np.count_nonzero(infection, axis=(1, 2))  # (z,) voxels
    return [_most(section, infected) for section in reversed(sections)]


def _most(section: npt.NDArray[np.int64], infected: npt.NDArray[np.int64]) -> int:
    found = infected[section]
    return int(section[np.argmax(found)] if found.any() else section[section.size // 2])


def _extent(occupied: npt.ArrayLike, margin: int) -> slice:
    """From the first to the last index that is occupied, and a margin."""
    flags = np.asarray(occupied, np.bool_)  # (n,) bool
    found = np.flatnonzero(flags)
    return slice(max(int(found[0]) - margin, 0), min(int(found[-1]) + 1 + margin, flags.size))
