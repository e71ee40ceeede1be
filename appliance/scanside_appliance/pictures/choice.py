"""What is shown of a volume: how much of the body, and which slices first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Masks, Volume, whole_of

KEY_SLICES = 6
MARGIN_MM = 14.0


class ShownBox(NamedTuple):
    """What is shown of the body, as half-open voxel ranges; z is the lungs' own extent."""

    z: slice
    y: slice
    x: slice


def shown_box(masks: Masks, volume: Volume) -> ShownBox:
    """Voxel ranges around the lungs with a margin in the plane; everything where there is no lung."""
    if not masks.lung_areas.any():
        return ShownBox(*whole_of(volume.hu.shape))
    z, y, x = masks.lungs_box
    _, rows, columns = volume.hu.shape
    _, dy, dx = volume.spacing_mm
    return ShownBox(z, _wider(y, round(MARGIN_MM / dy), rows), _wider(x, round(MARGIN_MM / dx), columns))


def _wider(extent: slice, margin: int, length: int) -> slice:
    return slice(max(extent.start - margin, 0), min(extent.stop + margin, length))


def key_slices(infected: npt.NDArray[np.int64], extent: slice) -> list[int]:
    """Of each sixth of the lungs' height the slice with the most infection, else its middle; from the head down.

    They lie where disease is, and no part of the lungs is left unseen. infected: (z,) voxels.
    """
    sections = np.array_split(np.arange(extent.start, extent.stop), min(KEY_SLICES, extent.stop - extent.start))
    return [_most(section, infected) for section in reversed(sections)]


def _most(section: npt.NDArray[np.int64], infected: npt.NDArray[np.int64]) -> int:
    found = infected[section]
    return int(section[np.argmax(found)] if found.any() else section[section.size // 2])
