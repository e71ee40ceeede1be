"""Pictures of what was measured: key slices with and without marks, all slices small, a coronal overview.

Radiological view throughout: the patient's right is on the left of the picture. Volumes are LPS with x to the patient's
left and y to the back, so an axial slice is drawn as it lies in the array; a coronal one is turned upside down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scanside_appliance.pictures.choice import ShownBox, key_slices, shown_box
from scanside_appliance.pictures.files import jpegs_within
from scanside_appliance.pictures.lettering import Lettering, with_letters
from scanside_appliance.pictures.plane import Picture, Plane, grey, marked, native_width
from scanside_runtime.volume import Box, Fluid, Mask, Masks, Volume

COLUMNS = 3
LEAST_WIDTH_PX = 360
MOST_TILES = 320
"""Of a series with more slices every second is shown small, of one with twice as many every third, and so on."""
TILES_BYTES = 1_200_000
"""For all small slices together; what they leave of the page's room the key slices have."""
_TILE_WIDTHS_PX = ((80, 288), (130, 224), (210, 176), (MOST_TILES, 144))  # up to so many tiles, so wide


@dataclass(frozen=True, slots=True, eq=False)
class SlicePicture:
    """One axial slice ready to show, with what was found in it outlined, and plain.

    number counts from the top (head) of the series, 1 first. position_mm: of its middle, along the patient, head up.
    percent: what is marked as infection, of the lung in this slice; None without lung. height: see `TilePicture`.
    """

    picture: Picture
    plain: Picture
    number: int
    position_mm: float
    percent: float | None
    height: float


@dataclass(frozen=True, slots=True, eq=False)
class TilePicture:
    """One axial slice, small and marked, as a JPEG file. height: 0 at the lungs' lower end, 1 at their upper one."""

    jpeg: bytes
    number: int
    height: float


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What the page shows, head first; coronal is the slice with the most infection (else with the most lung).

    tiles: all slices, of very long series every so manieth (`every`). outlined: False where nothing is drawn into any.
    sides: False where it is not certain which side is which: then both lungs are outlined as one.
    """

    slices: tuple[SlicePicture, ...]
    coronal: Picture
    tiles: tuple[TilePicture, ...]
    every: int
    outlined: bool = True
    sides: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A volume with its layers, and what is shown of it."""

    volume: Volume
    right: Mask
    left: Mask
    infection: Mask
    box: ShownBox
    sides: bool
    fluid: Fluid | None

    def axial(self, z: int) -> Plane:
        """A slice as it lies in the array."""
        _, dy, dx = self.volume.spacing_mm
        return self._cut((slice(z, z + 1), self.box.y, self.box.x), np.s_[0], (dy, dx))

    def coronal(self, y: int) -> Plane:
        """A cut from head to feet, two slices more than the lungs at either end."""
        dz, _, dx = self.volume.spacing_mm
        slices = slice(max(self.box.z.start - 2, 0), min(self.box.z.stop + 2, len(self.volume.hu)))
        cut = self._cut((slices, slice(y, y + 1), self.box.x), np.s_[::-1, 0], (dz, dx))
        return replace(cut, across_slices=True)

    def _cut(self, where: Box, plane: Any, mm: tuple[float, float]) -> Plane:
        """One plane of these voxels. Both lungs are one where it is not certain which is which."""
        layers = (self.right, self.left, self.infection)
        right, left, infection = (layer.within(where)[plane] for layer in layers)
        if not self.sides:
            right, left = right | left, np.zeros_like(left)
        fluid = None if self.fluid is None else self.fluid.within(where)[plane]
        return Plane(self.volume.hu[where][plane], right, left, infection, mm, fluid)

    def height(self, z: int) -> float:
        """Where in the lungs a slice lies: 0 at their lower end, 1 at their upper one."""
        first, last = int(self.box.z.start), int(self.box.z.stop) - 1
        return (z - first) / max(last - first, 1)

    def number(self, z: int) -> int:
        """As people count: 1 is the slice nearest to the head."""
        return int(self.volume.hu.shape[0]) - z

    def middle_mm(self, z: float, y: float) -> tuple[float, float]:
        """Where the middle of a slice or a cut lies: towards the head and towards the back, in mm (LPS)."""
        centre = self.volume.affine @ np.array([self.volume.hu.shape[2] / 2, y, z, 1.0])
        return float(centre[2]), float(centre[1])

    def place(self, z: int) -> str:
        """Number and position of a slice in letters that can be burned in."""
        head_mm, _ = self.middle_mm(z, self.volume.hu.shape[1] / 2)
        return f"{self.number(z)}/{self.volume.hu.shape[0]}  z {head_mm:.1f} mm"


def draw_pictures(volume: Volume, masks: Masks, *, with_infection: bool = True, sides: bool = True) -> Pictures:
    """Draw key slices, all slices small, and one coronal overview.

    with_infection: False where the infection is not believed: the lungs are outlined, nothing is marked in them.
    sides: False where it is not certain which side is which.
    """
    infection = masks.infection if with_infection else volume.with_mask(np.zeros(volume.hu.shape, np.bool_))
    box = shown_box(masks, volume)
    shown = _Shown(volume, masks.right_lung, masks.left_lung, infection, box, sides, masks.fluid)
    every = -(-volume.hu.shape[0] // MOST_TILES)
    slices = tuple(_key_slice(shown, z) for z in key_slices(infection.areas, box.z))
    return Pictures(slices, _coronal(shown), _tiles(shown, every), every, sides=sides)


def draw_plain_pictures(volume: Volume, *, sides: bool) -> Pictures:
    """The same of a study in which nothing was found that is believed: from head to feet, nothing outlined."""
    nothing = volume.with_mask(np.zeros(volume.hu.shape, np.bool_))
    pictures = draw_pictures(volume, Masks(nothing, nothing, nothing), sides=sides)
    return replace(pictures, outlined=False)


def montage(slices: tuple[SlicePicture, ...]) -> Picture:
    """All key slices in one picture, marked."""
    tiles = [one.picture for one in slices]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def _key_slice(shown: _Shown, z: int) -> SlicePicture:
    """At its native resolution, or a whole multiple of it where that is small."""
    plane = shown.axial(z)
    shades = grey(plane, plane.size(native_width(plane, LEAST_WIDTH_PX)))
    words = _words(shown, plane, shades.shape[1], shown.place(z))
    plain = with_letters(np.asarray(cv2.cvtColor(shades, cv2.COLOR_GRAY2BGR), np.uint8), words)
    head_mm, _ = shown.middle_mm(z, shown.volume.hu.shape[1] / 2)
    lung, infected = np.count_nonzero(plane.right | plane.left), np.count_nonzero(plane.infection)
    percent = 100.0 * infected / lung if lung else None
    picture = with_letters(marked(shades, plane), words)
    return SlicePicture(picture, plain, shown.number(z), head_mm, percent, shown.height(z))


def _tiles(shown: _Shown, every: int) -> tuple[TilePicture, ...]:
    """From the head down."""
    chosen = range(shown.volume.hu.shape[0] - 1, -1, -every)
    width = next(width for most, width in _TILE_WIDTHS_PX if len(chosen) <= most)
    jpegs = jpegs_within([_tile(shown, z, width) for z in chosen], TILES_BYTES)
    return tuple(TilePicture(jpeg, shown.number(z), shown.height(z)) for z, jpeg in zip(chosen, jpegs, strict=True))


def _tile(shown: _Shown, z: int, width: int) -> Picture:
    plane = shown.axial(z)
    shades = grey(plane, plane.size(width))
    return with_letters(marked(shades, plane), _words(shown, plane, width, shown.place(z)))


def _coronal(shown: _Shown) -> Picture:
    right, left, infection = (_by_row(layer) for layer in (shown.right, shown.left, shown.infection))
    lungs = right + left
    y = int(np.argmax(infection if infection.any() else lungs)) if lungs.any() else lungs.size // 2
    plane = shown.coronal(y)
    shades = grey(plane, plane.size(native_width(plane, LEAST_WIDTH_PX)))
    _, back_mm = shown.middle_mm(0, y)
    words = _words(shown, plane, shades.shape[1], f"coronal  y {back_mm:.1f} mm")
    return with_letters(marked(shades, plane), words)


def _by_row(mask: Mask) -> npt.NDArray[np.int64]:
    """How much of a mask lies in each cut from head to feet, (y,) voxels."""
    counts = np.zeros(mask.shape[1], np.int64)
    counts[mask.box[1]] = np.count_nonzero(mask.within(mask.box), axis=(0, 2))
    return counts


def _words(shown: _Shown, plane: Plane, width: int, place: str) -> Lettering:
    return Lettering(place, plane.mm[1] * plane.hu.shape[1] / width, shown.sides)
