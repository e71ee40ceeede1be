"""Pictures of what was measured: slices through the lungs in a lung window, outlines, and the infection over them.

Radiological view throughout: the patient's right is on the left of the picture. Volumes are LPS with x to the patient's
left and y to the back, so an axial slice is drawn as it lies in the array; a coronal one is turned upside down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools, Masks, Volume

Picture = npt.NDArray[np.uint8]  # (h, w, 3) uint8 BGR

WINDOW_HU = (-1350, 150)
TILES = 12
COLUMNS = 4
TILE_WIDTH_PX = 420
CORONAL_WIDTH_PX = 560
MARGIN_MM = 14.0
INFECTION_OPACITY = 0.28

# BGR. Teal, violet and orange stay apart for colour-blind eyes; the letters R and L say the side without any colour.
RIGHT_LUNG = (200, 190, 60)
LEFT_LUNG = (245, 140, 165)
INFECTION = (50, 140, 255)
INK = (235, 235, 235)


class ShownBox(NamedTuple):
    """What is shown of the body, as half-open voxel ranges."""

    z: slice
    y: slice
    x: slice


@dataclass(frozen=True, slots=True, eq=False)
class SlicePicture:
    """One axial slice ready to show. number counts from the top (head) of the series, 1 first."""

    picture: Picture
    number: int
    position_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What the page shows, head first; coronal is the slice with the most infection (else with the most lung)."""

    slices: tuple[SlicePicture, ...]
    coronal: Picture


def draw_pictures(volume: Volume, masks: Masks, *, with_infection: bool = True) -> Pictures:
    """Draw evenly chosen slices through the lungs, and one coronal overview.

    with_infection: False where the infection is not believed: the lungs are outlined, nothing is marked in them.
    """
    infection = masks.infection.array if with_infection else np.zeros_like(masks.infection.array)
    layers = (masks.right_lung.array, masks.left_lung.array, infection)  # each (z, y, x) bool
    shown = _shown_box(masks.lungs, volume)
    slices = tuple(_axial(volume, layers, shown, z) for z in _slice_indices(shown.z))
    return Pictures(slices, _coronal(volume, layers, shown))


def montage(slices: tuple[SlicePicture, ...]) -> Picture:
    """All slices in one picture, each with its number and position."""
    tiles = [_labelled(picture) for picture in slices]
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    return np.vstack(rows)


def png_bytes(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes()


def jpeg_bytes(picture: Picture) -> bytes:
    """The picture as a JPEG file, for pages that carry many."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def _shown_box(lungs: Bools, volume: Volume) -> ShownBox:
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


def _extent(occupied: npt.ArrayLike, margin: int) -> slice:
    """From the first to the last index that is occupied, and a margin."""
    flags = np.asarray(occupied, np.bool_)  # (n,) bool
    found = np.flatnonzero(flags)
    return slice(max(int(found[0]) - margin, 0), min(int(found[-1]) + 1 + margin, flags.size))


def _slice_indices(extent: slice) -> list[int]:
    """Centres of equal shares of the extent, from the head down: the very ends show next to no lung."""
    length = extent.stop - extent.start
    count = min(TILES, length)
    return [extent.start + int((share + 0.5) * length / count) for share in reversed(range(count))]


def _axial(volume: Volume, layers: tuple[Bools, ...], shown: ShownBox, z: int) -> SlicePicture:
    _, dy, dx = volume.spacing_mm
    height_mm, width_mm = (shown.y.stop - shown.y.start) * dy, (shown.x.stop - shown.x.start) * dx
    size = (TILE_WIDTH_PX, max(round(TILE_WIDTH_PX * height_mm / width_mm), 1))
    planes = [layer[z, shown.y, shown.x] for layer in layers]
    picture = _drawn(volume.hu[z, shown.y, shown.x], planes, size)
    centre = volume.affine @ np.array([volume.hu.shape[2] / 2, volume.hu.shape[1] / 2, z, 1.0])
    return SlicePicture(picture, volume.hu.shape[0] - z, float(centre[2]))


def _coronal(volume: Volume, layers: tuple[Bools, ...], shown: ShownBox) -> Picture:
    dz, _, dx = volume.spacing_mm
    right, left, infection = layers
    what = infection if infection.any() else right | left
    y = int(np.argmax(what.sum(axis=(0, 2))))
    rows = slice(max(shown.z.start - 2, 0), shown.z.stop + 2)
    planes = [layer[rows, y, shown.x][::-1] for layer in layers]
    hu = volume.hu[rows, y, shown.x][::-1]
    height = max(round(CORONAL_WIDTH_PX * hu.shape[0] * dz / (hu.shape[1] * dx)), 1)
    return _drawn(hu, planes, (CORONAL_WIDTH_PX, height))


def _drawn(hu: npt.NDArray[np.int16], planes: list[Bools], size: tuple[int, int]) -> Picture:
    """A window on HU, the infection over it, and the outlines; size is (width, height) in pixels."""
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    picture = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_GRAY2BGR)
    right, left, infection = (_enlarged(plane, size) for plane in planes)
    tint = np.array(INFECTION, np.float32) * INFECTION_OPACITY
    inside = infection.astype(bool)
    picture[inside] = (picture[inside] * (1 - INFECTION_OPACITY) + tint).astype(np.uint8)
    for mask, colour in ((right, RIGHT_LUNG), (left, LEFT_LUNG), (infection, INFECTION)):
        contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)
    _write(picture, "R", (8, 24), 0.6)
    _write(picture, "L", (size[0] - 20, 24), 0.6)
    return np.asarray(picture, np.uint8)


def _enlarged(plane: Bools, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """The mask at the picture's size, with edges that do not look like stairs."""
    soft = cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft >= 0.5, np.uint8)


def _labelled(one: SlicePicture) -> Picture:
    picture = one.picture.copy()
    label = f"{one.number}   z {one.position_mm:+.1f} mm"
    _write(picture, label, (8, picture.shape[0] - 9), 0.45)
    picture[-1, :], picture[:, -1] = 40, 40
    return picture


def _write(picture: Picture, text: str, corner: tuple[int, int], scale: float) -> None:
    """Light letters on a darkened patch: readable on lung and on bone. corner: (x, y) of the text's lower left."""
    x, y = corner
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    picture[max(y - height - 4, 0) : y + max(below, 5), max(x - 4, 0) : x + width + 4] //= 3
    cv2.putText(picture, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
