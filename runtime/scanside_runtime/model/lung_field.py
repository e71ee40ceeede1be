"""What becomes of two networks' answers: one lung a side, all of it lung, and the infection that lies in it.

The field is closed over infection that touches it. Everything here works on the box of the lungs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.model.body import SlicePlanes
from scanside_runtime.model.components import Pieces, Where, close_at, drop_small, fill_holes, open_in_plane
from scanside_runtime.volume import Bools, Hu, Volume

Sides = npt.NDArray[np.uint8]

RIGHT, LEFT = 1, 2
"""Values of a side in `Sides`, and the lung network's output channels."""

SMALLEST_LUNG_PART_ML = 8.0
"""A piece of lung apart from the largest one of its side is kept from this size on."""
UNHURT_SHARE = 0.02
"""And one in which no infection was found from this share of the largest: what parts a lung is disease. In 42 sick
series and 32 volumes of others no lung lay apart in a piece of 1 ml and more, but 12 ml of a colon did."""
ASTRAY_SHARE = 0.2
"""A piece that touches the other lung is part of it while it is smaller than this share of its own side's largest."""
DENSE_HU = -300
DENSE_RADIUS_MM = 4.0
DENSE_SEEN_SHARE = 0.25
"""A piece of dense lung is infected as a whole when the network saw this share of it."""
PARTLY_SEEN_SHARE = 0.75
"""Of a piece of which it saw less, what was added rests on that rule, and is told. Of 11 pieces of 5 ml and more that
experts drew it sees 0.97 and more each, of 31 drawn ones of 20 ml and more 0.82; of hila and an aorta 0.3 to 0.7."""
AIRLESS_SHARE = 0.1
"""A piece of lung apart in its slab is airless where less of it than this is below `DENSE_HU`."""
CLOSING_MM = 20.0
"""The lung field is closed over infection in bays up to twice this wide."""
DOME_HU = (-100, 200)
"""A dome's median: liver, spleen, a full stomach, the fat around them left out, with contrast medium or without."""
DOME_MM = 4.0
"""Half the thickness of the thinnest dome; vessels are thinner."""
LUNG_BELOW_SHARE = 0.1
"""A dome has lung below less of it than this; a vessel at a hilum, a mass and a nodule have it below all of them."""


def tidy_lungs(sides: Sides, volume: Volume) -> None:
    """One lung a side, in place: crumbs go, pieces that hang on the other lung change side, holes are filled.

    sides: (z, y, x) uint8, 0 none, 1 right, 2 left.
    """
    smallest = voxels(SMALLEST_LUNG_PART_ML, volume)
    drop_small(sides, smallest)
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        _hand_over(sides, side, other, smallest)
    for side in (RIGHT, LEFT):
        fill_holes(sides, side)


def _hand_over(sides: Sides, side: int, other: int, smallest: int) -> None:
    """Pieces of a side apart from its largest: a small one that touches the other lung belongs to it.

    A large one stays: dense disease can part a lung in two, and the part may touch the other lung at the front.
    """
    pieces = Pieces(Where(sides, side))
    if len(pieces) < 2:
        return
    largest = 1 + int(np.argmax(pieces.sizes[1:]))
    apart = (pieces.sizes < ASTRAY_SHARE * pieces.sizes[largest]) | (pieces.sizes < smallest)
    apart[[0, largest]] = False
    beside = pieces.beside(Where(sides, other), apart)
    lost = apart & ~beside & (pieces.sizes < smallest)
    moved = [(part, other) for part in pieces.parts(beside)] + [(part, 0) for part in pieces.parts(lost)]
    for (z, box, part), to in moved:
        sides[z][box][part] = to


@dataclass(frozen=True, slots=True, eq=False)
class _Dense:
    """The planes of lung that is dense."""

    volume: Volume
    sides: Sides

    def __len__(self) -> int:
        return len(self.sides)

    def __getitem__(self, z: int) -> Bools:
        return np.asarray((self.volume.hu[z] > DENSE_HU) & (self.sides[z] > 0))


def add_whole_consolidations(suspected: Bools, volume: Volume, sides: Sides) -> npt.NDArray[np.int64]:
    """Dense lung of which the network saw a good part is infected as a whole: added to `suspected` (z, y, x) in place.

    The middle of a large consolidation looks like liver to a network that sees a few slabs. Dense is above
    `DENSE_HU`, and thicker than a vessel: an in-plane opening by `DENSE_RADIUS_MM`. A mass or a hilum that the network
    does not suspect stays what it is.

    Returns how many voxels of each slice, (z,), were added to pieces of which it saw less than `PARTLY_SEEN_SHARE`.
    """
    dense = Pieces(open_in_plane(_Dense(volume, sides), dense_radius_px(volume)))
    seen = dense.inside(suspected)
    whole, partly = seen >= DENSE_SEEN_SHARE * dense.sizes, seen < PARTLY_SEEN_SHARE * dense.sizes
    added = np.zeros(len(suspected), dtype=np.int64)
    for z, box, part in dense.parts(whole & partly):
        added[z] += np.count_nonzero(part & ~suspected[z][box])
        suspected[z][box] |= part
    for z, box, part in dense.parts(whole & ~partly):
        suspected[z][box] |= part
    return added


def dense_radius_px(volume: Volume) -> int:
    """How far from a voxel the opening of `add_whole_consolidations` looks."""
    return max(1, round(DENSE_RADIUS_MM / volume.spacing_mm[1]))


def drop_airless_pieces(sides: Sides, suspected: Bools, volume: Volume) -> None:
    """Takes pieces apart in their slab that hold no air and no infection out of both: muscle, a stomach, a spleen.

    A network that knows consolidated lung takes some of these for it. Lung without air that the infection network
    suspects (`DENSE_SEEN_SHARE` of the piece) stays. In place, both (z, y, x).
    """
    for z in np.flatnonzero(sides.any(axis=(1, 2))):
        lung = sides[z] > 0
        count, pieces = cv2.connectedComponents(lung.view(np.uint8), connectivity=8)
        parts = (lung, lung & (volume.hu[z] < DENSE_HU), lung & suspected[z])
        sizes, aerated, seen = (np.bincount(pieces[part], minlength=count) for part in parts)
        airless = (aerated < AIRLESS_SHARE * sizes) & (seen < DENSE_SEEN_SHARE * sizes)
        if airless.any():
            gone = airless[pieces]
            sides[z][gone] = 0
            suspected[z][gone] = False


def close_over(sides: Sides, suspected: Bools, volume: Volume) -> None:
    """The lung field takes in the infection that lies in its bays, in place: consolidation at the pleura is lung.

    Infection is taken in only where closing the lung's own outline by `CLOSING_MM` reaches it.
    """
    radius_px = round(CLOSING_MM / volume.spacing_mm[1])
    for side in (RIGHT, LEFT):
        for z, box, bays in close_at(Where(sides, side), _Beside(sides, suspected), radius_px):
            sides[z][box][bays] = side
        fill_holes(sides, side)


def drop_domes(sides: Sides, suspected: Bools, outlined: SlicePlanes, volume: Volume) -> None:
    """Takes out of the lungs, in place, what filling their holes took in of liver, stomach and spleen.

    The top of a dome has lung all around it in its slice, as a vessel and a consolidation have. But a dome goes on
    downwards: below it there is no lung. What the network outlined stays: dense lung on and beside a dome looks like
    it. So does what is suspected.

    sides, suspected: (z, y, x). outlined: lung before anything was filled, in planes of the same size.
    """
    radius_px = max(1, round(DOME_MM / volume.spacing_mm[1]))
    lung_below = np.zeros(sides.shape[1:], dtype=np.bool_)
    for z in range(len(sides)):
        filled = (sides[z] > 0) & (outlined[z] == 0) & ~suspected[z]
        thick = open_in_plane((filled & (volume.hu[z] > DOME_HU[0]))[None], radius_px)[0]
        sides[z][_pieces_with(thick, filled, lung_below, volume.hu[z])] = 0
        lung_below |= sides[z] > 0


def _pieces_with(core: Bools, mask: Bools, below: Bools, hu: Hu) -> Bools:
    """The pieces of a mask that hold a core as dense as an organ, and have next to nothing below; all (y, x)."""
    found = np.zeros_like(mask)
    if not core.any():
        return found
    _, pieces = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    for number in np.setdiff1d(pieces[core], 0):
        piece = pieces == number
        soft = DOME_HU[0] < np.median(hu[piece & core]) < DOME_HU[1]
        if soft and below[piece].mean() < LUNG_BELOW_SHARE:
            found |= piece
    return found


def drop_unhurt_pieces(sides: Sides, suspected: Bools) -> None:
    """Takes small pieces apart in which nothing is suspected out of the lungs, in place: gas of the gut, for one.

    What is left of a collapsed lung is no small piece of it, and what touches the other lung is lung.

    sides, suspected: (z, y, x), closed over what is suspected beside them.
    """
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        pieces = Pieces(Where(sides, side))
        if len(pieces) < 2:
            continue
        lost = (pieces.sizes < UNHURT_SHARE * pieces.sizes[1:].max()) & (pieces.inside(suspected) == 0)
        lost &= ~pieces.beside(Where(sides, other), lost)
        for z, box, part in list(pieces.parts(lost)):
            sides[z][box][part] = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Beside:
    """The planes of what is suspected beside the lungs."""

    sides: Sides
    suspected: Bools

    def __len__(self) -> int:
        return len(self.sides)

    def __getitem__(self, z: int) -> Bools:
        return np.asarray(self.suspected[z] & (self.sides[z] == 0))


def voxels(volume_ml: float, volume: Volume) -> int:
    """The least number of voxels, one and more, that hold a volume."""
    return max(1, math.ceil(volume_ml / volume.voxel_ml))
