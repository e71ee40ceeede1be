"""Single slices as pictures: 8-bit grey in an unknown lung window, cropped to the lungs, each with an expert's mask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from scanside_export.data.cases import ASSUMED_LUNG_WIDTH_MM
from scanside_export.data.volumes import volume_of
from scanside_export.errors import LabelsUnusable
from scanside_runtime.volume import HU_MAX, HU_MIN, Bools, Volume

Grey = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

AERATED_LUNG_HU = -860.0
"""Where the most frequent density of aerated lung lies."""
SOFT_TISSUE_HU = 45.0
"""Where the most frequent density of muscle, heart and vessels lies."""
LUNG_BELOW, SOFT_TISSUE_FROM = 130, 130
"""Grey values in which the two are looked for; a lung window shows lung dark and soft tissue bright."""
LEAST_APART = 100
"""Grey values between the two peaks; less is a window of more than 2,300 HU, or two peaks of something else."""
USUAL_WINDOW_HU = (-1150.0, 250.0)
"""What a picture without the two peaks is taken to show: lungs all dense, or all soft tissue clipped to white."""
SLICE_MM = 5.0
"""Thickness that a picture is taken to have; it has no neighbours, so nothing rests on it."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowedSlice:
    """grey: (y, x) uint8 as the picture has it. infection: (y, x) bool on the picture's own grid."""

    name: str
    grey: Grey
    infection: Bools


def read_slices(images: Path, masks: Path) -> list[WindowedSlice]:
    """Pictures and their masks, paired by name without ending, in the order of names.

    Raises LabelsUnusable when there are none, when one has no partner, or when sizes differ.
    """
    pictures, drawn = _by_stem(images), _by_stem(masks)
    alone = sorted(pictures.keys() ^ drawn.keys())
    if alone:
        where = masks if alone[0] in pictures else images
        raise LabelsUnusable(folder=where, why=f"{len(alone)} name(s) have no partner, the first is {alone[0]!r}")
    return [_read(name, pictures[name], drawn[name]) for name in sorted(pictures)]


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise LabelsUnusable(folder=folder, why="there is no such folder")
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES}
    if not found:
        raise LabelsUnusable(folder=folder, why="there is no picture in it")
    return found


def _read(name: str, picture: Path, drawn: Path) -> WindowedSlice:
    grey, mask = read_grey(picture), read_grey(drawn)
    if grey.shape != mask.shape:
        raise LabelsUnusable(folder=drawn, why=f"it is {mask.shape}, its picture {grey.shape} (rows, columns)")
    return WindowedSlice(name, grey, mask > 127 if mask.max() > 127 else mask > 0)


def read_grey(path: Path) -> Grey:
    """A picture as (y, x) uint8. Raises LabelsUnusable when it can't be decoded."""
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise LabelsUnusable(folder=path, why="it is no picture that can be decoded")
    return np.asarray(picture, dtype=np.uint8)


def grey_to_hu(grey: Grey) -> tuple[float, float]:
    """Slope and intercept of HU = slope * grey + intercept, from the picture alone.

    The most frequent dark grey is aerated lung, the most frequent bright one soft tissue; black and white are left
    out, as a window piles up there what it clips. On slices of ten near-healthy scans and of COVID-19 patients, shown
    in random windows, HU came out within 50 (root mean square) between -850 and -300; a fixed guess: within 120.
    A picture without the two is taken to be in `USUAL_WINDOW_HU`.
    """
    counts = _smooth_histogram(grey)
    lung = int(np.argmax(counts[:LUNG_BELOW]))
    soft = SOFT_TISSUE_FROM + int(np.argmax(counts[SOFT_TISSUE_FROM:]))
    if soft - lung < LEAST_APART or counts[lung] == 0.0 or counts[soft] == 0.0:
        low, high = USUAL_WINDOW_HU
        return (high - low) / 255.0, low
    slope = (SOFT_TISSUE_HU - AERATED_LUNG_HU) / (soft - lung)
    return slope, SOFT_TISSUE_HU - slope * soft


def _smooth_histogram(grey: Grey) -> Floats:
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    counts[[0, 255]] = 0.0
    bell = np.exp(-0.5 * (np.arange(-9, 10) / 4.0) ** 2)
    return np.convolve(counts, bell / bell.sum(), mode="same")


def crop_pixel_mm(grey: Grey) -> float:
    """Pixel size of a picture that is cropped tightly to both lungs, from its width."""
    return ASSUMED_LUNG_WIDTH_MM / int(grey.shape[1])


def slice_volume(one: WindowedSlice) -> Volume:
    """The picture as a volume of one slice."""
    slope, intercept = grey_to_hu(one.grey)
    hu = np.rint(one.grey * slope + intercept).clip(HU_MIN, HU_MAX).astype(np.int16)
    pixel_mm = crop_pixel_mm(one.grey)
    return volume_of(hu[None], (SLICE_MM, pixel_mm, pixel_mm))
