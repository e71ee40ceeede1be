"""The body's outline: couch, cushion, straps and clothes apart. Lung lies within it, always.

Worked out on a coarse grid: the chest wall that it has to see is a centimetre thick. The body is the largest thing in
three dimensions that is soft or denser and thicker than a couch's shell; what it surrounds belongs to it. What a
head-rest under the shoulders shuts in does not: slice by slice it looks shut in, a slice higher or lower it is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.model.components import Pieces, close_in_plane, fill_holes_in_plane, largest, open_in_plane
from scanside_runtime.volume import HU_MIN, Bools, Box, Hu, Volume, whole_of

PIXEL_MM = 2.0
STEP_MM = 5.0
TISSUE_HU = -300
"""Fat and all that is denser. Foam, blankets and the air in clothes lie below."""
SHELL_MM = 4.0
"""Half the thickness of the thickest shell, strap or lead that is cut off where it touches the body."""
GAP_MM = 10.0
"""Half the width of the widest gap that the cut may have torn into the chest wall."""
TONGUE_MM = 14.0
"""Half the thickness of what may be left of a couch on the body: thinner parts of the filled outline are no trunk."""
LUNG_SHARE = 0.2
"""A pocket of air that holds more than this share of what a network calls lung is no gap beside a couch."""

OPEN_SHARE = 0.03
"""Of air within the outline, from so much on that has the room right above or below it, it is none of the body.

Of 57 real series no piece with lung in it has more than 0.005, air over a head-rest 0.28 and 0.38.
"""


class SlicePlanes(Protocol):
    """A native plane (rows, columns) for each slice: an array (z, rows, columns), or what stands for one."""

    def __getitem__(self, z: int, /) -> Bools | npt.NDArray[np.uint8]:
        """The plane of a slice: true, or above 0, where there is lung."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A body's outline on a coarse grid.

    planes: (s, rows, columns) bool. plane_of: (z,) which plane answers for each native slice.
    native_shape: (rows, columns) of the native plane.
    """

    planes: Bools
    plane_of: npt.NDArray[np.intp]
    native_shape: tuple[int, int]

    def slice(self, z: int) -> Bools:
        """The outline in one native slice, (rows, columns) bool."""
        return _nearest(self.planes[self.plane_of[z]], self.native_shape)

    def clear_outside(self, array: Bools | npt.NDArray[np.uint8], box: Box | None = None) -> None:
        """Sets what lies outside of the body to 0, in place; array: (z, rows, columns), or what lies in a box of it."""
        slices, rows, columns = box or whole_of((len(self.plane_of), *self.native_shape))
        for z in np.flatnonzero(array.any(axis=(1, 2))).tolist():
            array[z][~self.slice(slices.start + z)[rows, columns]] = 0


def find_body(volume: Volume, lungs: SlicePlanes | None = None) -> Body:
    """The outline of the largest body; empty where there is none.

    lungs: where a network sees them, couch and all; without them thin chest walls may be lost.
    """
    step = max(1, round(STEP_MM / volume.spacing_mm[0]))
    chosen = np.arange(min(step // 2, len(volume.hu) - 1), len(volume.hu), step)
    hu = np.stack([_coarse(volume.hu[z], volume.spacing_mm[1:]) for z in chosen])
    seen = np.zeros(hu.shape, dtype=np.bool_)
    if lungs is not None:
        seen = np.stack([_nearest(lungs[int(z)], hu.shape[1:]) for z in chosen])
    plane_of = np.abs(np.arange(len(volume.hu))[:, None] - chosen[None, :]).argmin(axis=1)
    return Body(outline(hu, seen), plane_of, volume.hu.shape[1:])


def outline(hu: Hu, lungs: Bools) -> Bools:
    """The body in planes of `PIXEL_MM` pixels: hu (s, rows, columns) int16, lungs bool of that shape."""
    tissue = hu > TISSUE_HU
    thick = largest(open_in_plane(tissue, _pixels(SHELL_MM)))
    body = _dilated(thick, _pixels(SHELL_MM) + 1) & tissue
    filled = fill_holes_in_plane(close_in_plane(body, _pixels(GAP_MM)))
    walls = tissue | _cut_by_the_picture(hu, lungs)
    enclosed = fill_holes_in_plane(close_in_plane(walls, 1)) & ~walls
    room = _open_to_the_room(filled & ~walls, ~(filled | walls | enclosed), lungs)
    pockets = _pockets_of(filled & ~room, enclosed, lungs)
    shut_in = pockets | (_dilated(pockets, _pixels(SHELL_MM)) & walls)
    whole = open_in_plane(fill_holes_in_plane(filled | shut_in) & ~room, _pixels(TONGUE_MM))
    whole[1:-1] |= whole[:-2] & whole[2:]
    return whole


def _open_to_the_room(air: Bools, room: Bools, lungs: Bools) -> Bools:
    """Of air within the outline what lies on the room, above or below, and is not much of the lungs."""
    beside = np.zeros_like(room)
    beside[:-1] = room[1:]
    beside[1:] |= room[:-1]
    beside &= air
    if not beside.any() or (lungs.any() and not (beside & lungs).any()):
        # Nothing that a network took for lung, as in most series: it saves a quarter of the time.
        return np.zeros_like(room)
    pieces = Pieces(air)
    lung = pieces.inside(lungs) > LUNG_SHARE * np.count_nonzero(lungs)
    return pieces.keep((pieces.inside(beside) > OPEN_SHARE * pieces.sizes) & ~lung)


def _pockets_of(body: Bools, enclosed: Bools, lungs: Bools) -> Bools:
    """Air shut in by walls that belongs to the body in three dimensions: a lung behind a thin wall.

    It does where its larger part lies in the body, or where it holds a fifth of all lung. The air between couch and
    back is shut in too, but does neither.
    """
    pockets = Pieces(enclosed)
    inside, lung = (pockets.inside(mask) for mask in (body, lungs))
    return pockets.keep((2 * inside > pockets.sizes) | (lung > max(1.0, LUNG_SHARE * np.count_nonzero(lungs))))


def _cut_by_the_picture(hu: Hu, lungs: Bools) -> Bools:
    """The edge of what was reconstructed, as a wall in planes in which a lung reaches it; (s, rows, columns) bool.

    The edge is the picture's border and what is padded in every plane, around a round field of view.
    """
    padded = (hu[:, 1:-1, 1:-1] <= HU_MIN).all(axis=0)
    edge = np.pad(padded, 1, constant_values=True)[None]
    reached = (lungs & _dilated(edge, _pixels(SHELL_MM))).any(axis=(1, 2), keepdims=True)
    return np.asarray(edge & reached, dtype=np.bool_)


def _nearest(plane: Bools | npt.NDArray[np.uint8], shape: tuple[int, ...]) -> Bools:
    """A mask's plane on another grid of that many rows and columns over the same field."""
    return np.asarray(cv2.resize(plane.view(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _coarse(plane: Hu, pixel_mm: tuple[float, float]) -> Hu:
    """A native plane in pixels of `PIXEL_MM`."""
    rows, columns = (max(1, round(n * mm / PIXEL_MM)) for n, mm in zip(plane.shape, pixel_mm, strict=True))
    way = cv2.INTER_AREA if rows < plane.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=way), dtype=np.int16)


def _dilated(mask: Bools, radius_px: int) -> Bools:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.stack([cv2.dilate(plane.view(np.uint8), disc) for plane in mask]) > 0


def _pixels(mm: float) -> int:
    return max(1, round(mm / PIXEL_MM))
