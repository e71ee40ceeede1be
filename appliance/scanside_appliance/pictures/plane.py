"""One plane of the body as a picture: HU in a lung window, and what was found as outlines.

Outlines leave the texture visible. Colours are near those of Okabe and Ito for colour-blind eyes, but the violet is
stronger: theirs was lost on small pictures, and to who sees no green it was the other lung's. Nothing rests on colour
alone: what is dense is hatched, and the letters R and L say the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.measures.biomarkers import HIGH_OPACITY_HU
from scanside_runtime.volume import Bools

Picture = npt.NDArray[np.uint8]  # (h, w, 3) uint8 BGR
Grey = npt.NDArray[np.uint8]  # (h, w) uint8

WINDOW_HU = (-1350, 150)

# BGR
RIGHT_LUNG = (150, 175, 45)
LEFT_LUNG = (225, 60, 180)
INFECTION = (66, 228, 240)
DENSE = (30, 110, 255)
FLUID = (233, 180, 86)

LINES_IN_WIDTH = 55
SLAB_MM = 5.0
SMOOTHED_MM = 1.5
LEAST_DENSE_MM2 = 20.0
"""What is dense is drawn smoothed and without specks: it is counted by voxels, and those of a vessel are no line."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A cut through the volume, first row on top, the patient's right on the left.

    hu: (h, w) int16 HU. right, left, infection: (h, w) bool. mm: height and width of one of its pixels. fluid: (h, w)
    bool, what was outlined as lung and set apart as a possible effusion; None where there is none. across_slices: cut
    from head to feet, where masks are as coarse as the slabs that the networks see.
    """

    hu: npt.NDArray[np.int16]
    right: Bools
    left: Bools
    infection: Bools
    mm: tuple[float, float]
    fluid: Bools | None = None
    across_slices: bool = False

    def size(self, width_px: int) -> tuple[int, int]:
        """(width, height) of a picture of this width, with pixels that are square."""
        rows, columns = self.hu.shape
        return width_px, max(round(width_px * rows * self.mm[0] / (columns * self.mm[1])), 1)


def native_width(plane: Plane, least_px: int) -> int:
    """The plane's own width in pixels, or the smallest whole multiple of it that holds `least_px`."""
    width = int(plane.hu.shape[1])
    return width * -(-least_px // width)


def grey(plane: Plane, size: tuple[int, int]) -> Grey:
    """The plane in the lung window at a size (width, height)."""
    low, high = WINDOW_HU
    shades = np.clip((plane.hu.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    smaller = size[0] < shades.shape[1]
    return np.asarray(cv2.resize(shades, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.uint8)


def marked(shades: Grey, plane: Plane) -> Picture:
    """The same picture in colour with outlines: lungs, all that counts as infection, what is dense of it hatched."""
    size = (shades.shape[1], shades.shape[0])
    picture = cv2.cvtColor(shades, cv2.COLOR_GRAY2BGR)
    for mask, colour in ((plane.right, RIGHT_LUNG), (plane.left, LEFT_LUNG), (plane.infection, INFECTION)):
        _outline(picture, _enlarged(mask, plane, size), colour)
    if plane.fluid is not None:
        _outline(picture, _enlarged(plane.fluid, plane, size), FLUID)
    dense = _dense(plane, size)
    picture[dense & _hatching(size)] = DENSE
    _outline(picture, dense.astype(np.uint8), DENSE)
    return np.asarray(picture, np.uint8)


def _dense(plane: Plane, size: tuple[int, int]) -> Bools:
    """What is drawn as dense, (h, w) bool at the picture's size."""
    is_dense = plane.infection & (plane.hu >= HIGH_OPACITY_HU)
    if not is_dense.any():
        return np.zeros(size[::-1], np.bool_)
    pixel_mm = plane.mm[1] * plane.hu.shape[1] / size[0]
    soft = cv2.resize(is_dense.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    smooth = np.asarray(cv2.GaussianBlur(soft, (0, 0), max(SMOOTHED_MM / pixel_mm, 0.5)) >= 0.5, np.uint8)
    _, labels, facts, _ = cv2.connectedComponentsWithStats(smooth)
    large = facts[:, cv2.CC_STAT_AREA] * pixel_mm**2 >= LEAST_DENSE_MM2
    large[0] = False  # the background
    return np.asarray(large[labels], np.bool_)


@lru_cache(4)  # the pictures of a study are of one size or two, of another study of others
def _hatching(size: tuple[int, int]) -> Bools:
    """Diagonal lines, as many in any size, (h, w) bool."""
    width, height = size
    rows, columns = np.ogrid[:height, :width]
    return np.asarray((rows + columns) % max(width // LINES_IN_WIDTH, 5) < _thickness(width), np.bool_)


def _thickness(width: int) -> int:
    """Of lines, in pixels: a picture of 700 pixels is seen smaller than it is."""
    return max(round(width / 450), 1)


def _outline(picture: Any, mask: Grey, colour: tuple[int, int, int]) -> None:
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, colour, _thickness(picture.shape[1]), cv2.LINE_AA)


def _enlarged(mask: Bools, plane: Plane, size: tuple[int, int]) -> Grey:
    """The mask at the picture's size, with edges that do not look like stairs: across slices by half a slab.

    What is so small that smoothing would take it away stays as it is.
    """
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    exact = np.asarray(soft >= 0.5, np.uint8)
    if not plane.across_slices:
        return exact
    pixel_mm = plane.mm[1] * plane.hu.shape[1] / size[0]
    smooth = cv2.GaussianBlur(soft, (0, 0), max(plane.mm[0], SLAB_MM) / 2 / pixel_mm) >= 0.5
    count, labels = cv2.connectedComponents(exact)
    kept = np.bincount(labels[smooth], minlength=count) > 0
    return np.asarray(smooth | ~kept[labels] & (exact > 0), np.uint8)
