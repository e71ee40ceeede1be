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

    They lie where disease is, no part of the lungs is left unseen, and no two are closer than a third of a sixth, for
    neighbours show the same: where the most of two sixths is, the sixth with less gives way. Sixths of three to eight
    slices leave out neighbours, shorter ones can't. infected: (z,) voxels.
    """
    sections = np.array_split(np.arange(extent.start, extent.stop), min(KEY_SLICES, extent.stop - extent.start))
    shortest = min(map(len, sections))
    least = max(shortest // 3, 2 if shortest >= 3 else 0)  # each side bars `least` - 1 slices: one is left
    chosen: list[int] = []
    for section in sorted(sections, key=lambda one: -int(infected[one].max())):
        apart = [int(z) for z in section if all(abs(z - other) >= least for other in chosen)]
        middle = int(section[section.size // 2])
        chosen.append(max(apart, key=lambda z: (infected[z], -abs(z - middle))))
    return sorted(chosen, reverse=True)
