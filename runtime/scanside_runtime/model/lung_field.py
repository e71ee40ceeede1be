"""What becomes of two networks' answers: one lung a side, all of it lung, and the infection that lies in it.

The field is closed over infection that touches it. Everything here works on the box of the lungs.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.model.components import Pieces, close_at, drop_small, fill_holes_in_plane, open_in_plane
from scanside_runtime.volume import Bools, Volume

Sides = npt.NDArray[np.uint8]

RIGHT, LEFT = 1, 2
"""Values of a side in `Sides`, and the lung network's output channels."""

SMALLEST_LUNG_PART_ML = 8.0
"""A piece of lung apart from the largest one of its side is kept from this size on."""
ASTRAY_SHARE = 0.2
"""A piece that touches the other lung is part of it while it is smaller than this share of its own side's largest."""
DENSE_HU = -300
DENSE_RADIUS_MM = 4.0
DENSE_SEEN_SHARE = 0.25
"""A piece of dense lung is infected as a whole when the network saw this share of it."""
AIRLESS_SHARE = 0.1
"""A piece of lung apart in its slab is airless where less of it than this is below `DENSE_HU`."""
CLOSING_MM = 20.0
"""The lung field is closed over infection in bays up to twice this wide."""


def tidy_lungs(sides: Sides, volume: Volume) -> Sides:
    """One lung a side: crumbs go, pieces that hang on the other lung change side, holes are filled.

    sides: (z, y, x) uint8, 0 none, 1 right, 2 left.
    """
    smallest = voxels(SMALLEST_LUNG_PART_ML, volume)
    tidy = sides * drop_small(sides > 0, smallest)
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        _hand_over(tidy, side, other, smallest)
    for side in (RIGHT, LEFT):
        tidy[fill_holes_in_plane(tidy == side) & (tidy == 0)] = side
    return tidy


def _hand_over(sides: Sides, side: int, other: int, smallest: int) -> None:
    """Pieces of a side apart from its largest: a small one that touches the other lung belongs to it.

    A large one stays: dense disease can part a lung in two, and the part may touch the other lung at the front.
    """
    pieces = Pieces(sides == side)
    if len(pieces) < 2:
        return
    largest = 1 + int(np.argmax(pieces.sizes[1:]))
    apart = (pieces.sizes < ASTRAY_SHARE * pieces.sizes[largest]) | (pieces.sizes < smallest)
    apart[[0, largest]] = False
    beside = pieces.beside(sides == other, apart)
    lost = apart & ~beside & (pieces.sizes < smallest)
    sides[pieces.keep(beside)] = other
    sides[pieces.keep(lost)] = 0


def whole_consolidations(volume: Volume, lungs: Bools, suspected: Bools) -> Bools:
    """Dense lung of which the network saw a good part: infected as a whole, (z, y, x) bool.

    The middle of a large consolidation looks like liver to a network that sees a few slabs. Dense is above
    `DENSE_HU`, and thicker than a vessel: an in-plane opening by `DENSE_RADIUS_MM`. A mass or a hilum that the network
    does not suspect stays what it is.
    """
    dense = Pieces(open_in_plane((volume.hu > DENSE_HU) & lungs, dense_radius_px(volume)))
    return dense.keep(dense.inside(suspected) >= DENSE_SEEN_SHARE * dense.sizes)


def dense_radius_px(volume: Volume) -> int:
    """How far from a voxel the opening of `whole_consolidations` looks."""
    return max(1, round(DENSE_RADIUS_MM / volume.spacing_mm[1]))


def airless_pieces(volume: Volume, lungs: Bools, suspected: Bools) -> Bools:
    """Pieces apart in their slab that hold no air and no infection, (z, y, x) bool: muscle, a stomach, a spleen.

    A network that knows consolidated lung takes some of these for it. Lung without air that the infection network
    suspects (`DENSE_SEEN_SHARE` of the piece) stays.
    """
    airless = np.zeros(lungs.shape, dtype=np.bool_)
    for z in np.flatnonzero(lungs.any(axis=(1, 2))):
        count, pieces = cv2.connectedComponents(lungs[z].view(np.uint8), connectivity=8)
        parts = (lungs[z], lungs[z] & (volume.hu[z] < DENSE_HU), lungs[z] & suspected[z])
        sizes, aerated, seen = (np.bincount(pieces[part], minlength=count) for part in parts)
        airless[z] = ((aerated < AIRLESS_SHARE * sizes) & (seen < DENSE_SEEN_SHARE * sizes))[pieces]
    return airless


def close_over(sides: Sides, suspected: Bools, volume: Volume) -> Sides:
    """The lung field with the infection that lies in its bays: consolidation at the pleura is lung.

    Infection is taken in only where closing the lung's own outline by `CLOSING_MM` reaches it.
    """
    closed = sides.copy()
    radius_px = round(CLOSING_MM / volume.spacing_mm[1])
    for side in (RIGHT, LEFT):
        closed[close_at(sides == side, suspected & (closed == 0), radius_px)] = side
        closed[fill_holes_in_plane(closed == side) & (closed == 0)] = side
    return closed


def voxels(volume_ml: float, volume: Volume) -> int:
    """The least number of voxels, one and more, that hold a volume."""
    return max(1, math.ceil(volume_ml / volume.voxel_ml))
