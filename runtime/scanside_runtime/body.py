"""The body's outline: couch, cushion, straps and clothes apart. Lung lies within it, always.

Worked out on a coarse grid: the chest wall that it has to see is a centimetre thick. The body is the largest thing in
three dimensions that is soft or denser and thicker than a couch's shell; what it surrounds belongs to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.components import close_in_plane, fill_holes_in_plane, label, largest, open_in_plane
from scanside_runtime.volume import HU_MIN, Bools, Volume

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
        rows, columns = self.native_shape
        plane = self.planes[self.plane_of[z]].view(np.uint8)
        return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0)


def find_body(volume: Volume) -> Body:
    """The outline of the largest body; empty where there is none."""
    step = max(1, round(STEP_MM / volume.spacing_mm[0]))
    chosen = np.arange(step // 2 if len(volume.hu) > step // 2 else 0, len(volume.hu), step)
    hu = np.stack([_coarse(volume.hu[z], volume.spacing_mm[1:]) for z in chosen])
    plane_of = np.abs(np.arange(len(volume.hu))[:, None] - chosen[None, :]).argmin(axis=1)
    return Body(outline(hu), plane_of, volume.hu.shape[1:])


def outline(hu: npt.NDArray[np.float32]) -> Bools:
    """The body in planes of `PIXEL_MM` pixels, (s, rows, columns) float32 HU to bool."""
    tissue = hu > TISSUE_HU
    thick = largest(open_in_plane(tissue, _pixels(SHELL_MM)))
    body = _dilated(thick, _pixels(SHELL_MM) + 1) & tissue
    walls = body | _cut_by_the_picture(body, hu)
    filled = fill_holes_in_plane(close_in_plane(walls, _pixels(GAP_MM)))
    pockets = _pockets_of(filled, tissue)
    walls = _dilated(pockets, _pixels(SHELL_MM)) & tissue
    return open_in_plane(fill_holes_in_plane(filled | pockets | walls), _pixels(TONGUE_MM))


def _pockets_of(body: Bools, tissue: Bools) -> Bools:
    """Air shut in by tissue whose larger part in three dimensions is the body's: a lung behind a thin wall.

    The air between couch and back is shut in too, but no part of it lies in the body.
    """
    pockets, sizes = label(fill_holes_in_plane(close_in_plane(tissue, 1)) & ~tissue)
    inside = np.bincount(pockets[body], minlength=len(sizes))
    belongs = 2 * inside > sizes
    belongs[0] = False
    return np.asarray(belongs[pockets], dtype=np.bool_)


def _coarse(plane: npt.NDArray[np.int16], pixel_mm: tuple[float, float]) -> npt.NDArray[np.float32]:
    rows, columns = (max(1, round(n * mm / PIXEL_MM)) for n, mm in zip(plane.shape, pixel_mm, strict=True))
    shrinks = rows < plane.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane.astype(np.float32), (columns, rows), interpolation=way), dtype=np.float32)


def _cut_by_the_picture(body: Bools, hu: npt.NDArray[np.float32]) -> Bools:
    """Where the picture ends within the body's convex hull: there a lung may lie open, and the edge is its wall.

    The edge is the border and what is padded in every plane, around a round field of view.
    """
    padded = (hu <= HU_MIN).all(axis=0)
    edge = cv2.dilate(np.pad(padded.astype(np.uint8), 1, constant_values=1), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    return np.stack([_hull(plane) & edge if (plane & edge).any() else np.zeros_like(plane) for plane in body])


def _hull(plane: Bools) -> Bools:
    filled = np.zeros(plane.shape, dtype=np.uint8)
    points = np.argwhere(plane)[:, ::-1].astype(np.int32)
    cv2.fillConvexPoly(filled, np.asarray(cv2.convexHull(points)), 1)
    return filled > 0


def _dilated(mask: Bools, radius_px: int) -> Bools:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    return np.stack([cv2.dilate(plane.view(np.uint8), disc) for plane in mask]) > 0


def _pixels(mm: float) -> int:
    return max(1, round(mm / PIXEL_MM))
