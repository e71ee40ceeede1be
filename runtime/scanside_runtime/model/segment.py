"""Lungs, then infection inside them, on the native grid.

The lung field holds everything that is lung, dense or not: the network is trained on lungs with consolidation, and the
field is closed over infection that touches it. Fluid, tumour and chest wall stay outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanside_runtime.model.body import find_body
from scanside_runtime.model.components import (
    close_in_plane,
    drop_small,
    fill_holes_in_plane,
    label,
    label_in_planes,
    open_in_plane,
)
from scanside_runtime.model.networks import Network, Networks
from scanside_runtime.model.stacks import Stacks, body_box, make_stacks, mask_box
from scanside_runtime.volume import Bools, Masks, Volume

Sides = npt.NDArray[np.uint8]
Progress = Callable[[str, int, int], None]

RIGHT, LEFT = 1, 2
"""Values of a side in `Sides`, and the lung network's output channels."""

BATCH = 4
SMALLEST_LUNG_PART_ML = 8.0
"""A piece of lung apart from the largest one of its side is kept from this size on."""
ASTRAY_SHARE = 0.2
"""A piece that touches the other lung is part of it while it is smaller than this share of its own side's largest."""
SMALLEST_INFECTION_ML = 0.03
"""Smaller islands of infection are noise: at 5 mm slabs some dozen pixels of one slab."""
DENSE_HU = -300
DENSE_RADIUS_MM = 4.0
DENSE_SEEN_SHARE = 0.25
"""A piece of dense lung is infected as a whole when the network saw this share of it."""
AIRLESS_SHARE = 0.1
"""A piece of lung apart in its slab is airless where less of it than this is below `DENSE_HU`."""
DOUBT = math.log(3.0)
"""The bounds of the infection are where its odds are three times above and below those of the threshold."""
CLOSING_MM = 20.0
"""The lung field is closed over infection in bays up to twice this wide."""


@dataclass(frozen=True, slots=True, eq=False)
class Suspicion:
    """What the infection network answers.

    suspected: (z, y, x) bool. bounds_ml: the volume within the lungs at odds `DOUBT` above and below the threshold's.
    """

    suspected: Bools
    bounds_ml: tuple[float, float]


def segment(volume: Volume, networks: Networks, progress: Progress | None = None) -> Masks:
    """Both lungs and the infection within them, all within the body. An empty lung field gives empty masks."""
    found = segment_lungs(volume, networks.lungs, progress)
    body = find_body(volume, found > 0)
    body.clear_outside(found)
    found = tidy_lungs(found, volume)
    lungs = found > 0
    suspicion = segment_infection(volume, lungs, networks.infection, progress)
    suspected = suspicion.suspected.copy()
    body.clear_outside(suspected)
    suspected |= whole_consolidations(volume, lungs, suspected)
    airless = airless_pieces(volume, lungs, suspected)
    suspected &= ~airless
    sides = close_over(np.where(airless, np.uint8(0), found), suspected, volume)
    infection = drop_small(suspected & (sides > 0), _voxels(SMALLEST_INFECTION_ML, volume))
    right, left = (volume.with_mask(sides == side) for side in (RIGHT, LEFT))
    return Masks(right, left, volume.with_mask(infection), suspicion.bounds_ml)


def segment_lungs(volume: Volume, network: Network, progress: Progress | None = None) -> Sides:
    """Right and left lung by the network alone, (z, y, x) uint8."""
    sides = np.zeros(volume.hu.shape, dtype=np.uint8)
    stacks = make_stacks(volume, body_box(volume.hu), network.contract)

    def keep(slab: int, logits: npt.NDArray[np.float32]) -> None:  # (rows, columns, classes)
        answer = logits.argmax(axis=2).astype(np.uint8)
        sides[stacks.slices_of(slab)] = answer

    _infer(stacks, network, keep, "lungs", progress)
    return sides


def segment_infection(
    volume: Volume, lungs: Bools, network: Network, progress: Progress | None = None
) -> Suspicion:
    """Where the network sees infection in the box of the lungs, not yet cut by them; its bounds are cut by them."""
    suspected = np.zeros(volume.hu.shape, dtype=np.bool_)
    box = mask_box(lungs)
    if box is None:
        return Suspicion(suspected, (0.0, 0.0))
    stacks = make_stacks(volume, box, network.contract)
    threshold = math.log(network.contract.threshold / (1.0 - network.contract.threshold))
    bounds = [0, 0]  # voxels

    def keep(slab: int, logits: npt.NDArray[np.float32]) -> None:  # (rows, columns, 1)
        answer = logits[:, :, 0]
        slices = stacks.slices_of(slab)
        suspected[slices] = answer >= threshold
        inside = lungs[slices]  # (n, rows, columns)
        bounds[0] += int(np.count_nonzero(inside & (answer >= threshold + DOUBT)))
        bounds[1] += int(np.count_nonzero(inside & (answer >= threshold - DOUBT)))

    _infer(stacks, network, keep, "infection", progress)
    return Suspicion(suspected, (bounds[0] * volume.voxel_ml, bounds[1] * volume.voxel_ml))


def _infer(
    stacks: Stacks,
    network: Network,
    keep: Callable[[int, npt.NDArray[np.float32]], None],
    stage: str,
    progress: Progress | None,
) -> None:
    """Hand each slab's logits, back on the native plane, to `keep`: interpolated as logits, decided last."""
    for numbers, batch in stacks.batches(BATCH):
        for number, logits in zip(numbers, network.engine.infer(batch), strict=True):
            plane = np.ascontiguousarray(logits.transpose(1, 2, 0))  # (rows, columns, classes) float32
            native = stacks.plane_map.back(plane)
            keep(number, native.reshape(*native.shape[:2], -1))
        if progress is not None:
            progress(stage, numbers.stop, len(stacks))


def tidy_lungs(sides: Sides, volume: Volume) -> Sides:
    """One lung a side: crumbs go, pieces that hang on the other lung change side, holes are filled.

    sides: (z, y, x) uint8, 0 none, 1 right, 2 left.
    """
    lungs = drop_small(sides > 0, _voxels(SMALLEST_LUNG_PART_ML, volume))
    tidy = np.where(lungs, sides, 0).astype(np.uint8)
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        _hand_over(tidy, side, other, _voxels(SMALLEST_LUNG_PART_ML, volume))
    for side in (RIGHT, LEFT):
        tidy[fill_holes_in_plane(tidy == side) & (tidy == 0)] = side
    return tidy


def _hand_over(sides: Sides, side: int, other: int, smallest: int) -> None:
    """Pieces of a side apart from its largest: a small one that touches the other lung belongs to it.

    A large one stays: dense disease can part a lung in two, and the part may touch the other lung at the front.
    """
    labels, sizes = label(sides == side)
    if len(sizes) < 3:
        return
    largest = 1 + int(np.argmax(sizes[1:]))
    beside = _touching(labels, sides == other)
    for piece in np.flatnonzero(sizes[1:]) + 1:
        astray = piece in beside and sizes[piece] < ASTRAY_SHARE * sizes[largest]
        if piece != largest and (astray or sizes[piece] < smallest):
            sides[labels == piece] = other if piece in beside else 0


def _touching(labels: npt.NDArray[np.int32], other: Bools) -> set[int]:
    """Labels with a neighbour in the other mask, in the plane or across planes."""
    found: set[int] = set()
    for axis in range(3):
        low = tuple(slice(None, -1) if here == axis else slice(None) for here in range(3))
        high = tuple(slice(1, None) if here == axis else slice(None) for here in range(3))
        found.update(np.unique(labels[low][other[high]]).tolist())
        found.update(np.unique(labels[high][other[low]]).tolist())
    return found - {0}


def whole_consolidations(volume: Volume, lungs: Bools, suspected: Bools) -> Bools:
    """Dense lung of which the network saw a good part: infected as a whole, (z, y, x) bool.

    The middle of a large consolidation looks like liver to a network that sees a few slabs. Dense is above
    `DENSE_HU`, and thicker than a vessel: an in-plane opening by `DENSE_RADIUS_MM`. A mass or a hilum that the network
    does not suspect stays what it is.
    """
    radius_px = max(1, round(DENSE_RADIUS_MM / volume.spacing_mm[1]))
    dense = open_in_plane((volume.hu > DENSE_HU) & lungs, radius_px)
    labels, sizes = label(dense)
    seen = np.bincount(labels[suspected], minlength=len(sizes))
    whole = seen >= DENSE_SEEN_SHARE * sizes
    whole[0] = False
    return np.asarray(whole[labels], dtype=np.bool_)


def airless_pieces(volume: Volume, lungs: Bools, suspected: Bools) -> Bools:
    """Pieces apart in their slab that hold no air and no infection, (z, y, x) bool: muscle, a stomach, a spleen.

    A network that knows consolidated lung takes some of these for it. Lung without air that the infection network
    suspects (`DENSE_SEEN_SHARE` of the piece) stays.
    """
    pieces, sizes = label_in_planes(lungs)
    inside = pieces[lungs]
    airy, infected = volume.hu[lungs] < DENSE_HU, suspected[lungs]
    aerated, seen = (np.bincount(inside[part], minlength=len(sizes)) for part in (airy, infected))
    airless = (aerated < AIRLESS_SHARE * sizes) & (seen < DENSE_SEEN_SHARE * sizes)
    return np.asarray(airless[pieces], dtype=np.bool_)


def close_over(sides: Sides, suspected: Bools, volume: Volume) -> Sides:
    """The lung field with the infection that lies in its bays: consolidation at the pleura is lung.

    Infection is taken in only where closing the lung's own outline by `CLOSING_MM` reaches it.
    """
    closed = sides.copy()
    radius_px = round(CLOSING_MM / volume.spacing_mm[1])
    for side in (RIGHT, LEFT):
        bays = close_in_plane(sides == side, radius_px) & (closed == 0)
        closed[bays & suspected] = side
        closed[fill_holes_in_plane(closed == side) & (closed == 0)] = side
    return closed


def _voxels(volume_ml: float, volume: Volume) -> int:
    return max(1, math.ceil(volume_ml / volume.voxel_ml))
