"""Training cases: CT with labels, from the folders in which the data lie. Nothing here changes a source file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scanside_export.data.lung_reference import far_from_lung, split_sides
from scanside_export.errors import LabelsUnusable

RIGHT, LEFT, ELSEWHERE, UNKNOWN = 1, 2, 254, 255
"""Values in `Case.lungs`; 0 is no lung. ELSEWHERE is no lung either, in a slice whose lungs nobody drew."""

HELD_OUT = ("lung-dx-a0001", "pyradiomics-lung2", "lidc-idri-0002", "tcga-thca-de-a4ma", "ricord-1a-000082")
"""Never in training, quantisation or tuning."""

CHECK_CASES = ("coronacases_008", "radiopaedia_27_86410_0")
"""The check of scanside-chest 0.1.0: `train --leave-out` kept both from its training."""

LUNG_SLICES_OF_CHECKED_SCANS = ("ID_0188", "ID_0170")
"""How the names of lung-2d slices begin that belong to scans used for checking (LIDC-IDRI-0314 and 0001)."""

ASSUMED_PIXEL_MM = 0.70
"""Pixel size of pictures that state none (0.65 to 0.8 mm is likely); training varies the zoom around it."""

ASSUMED_LUNG_WIDTH_MM = 290.0
"""Width of a picture cropped tightly to both lungs."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One series with what is known about it.

    hu: (z, y, x) int16, LPS. spacing_mm: (z, y, x). All arrays are read-only.
    lungs: (z, y, x) uint8: 0 none, 1 right, 2 left, 254 none where nobody drew, 255 not known; infection is lung.
    infection: one (z, y, x) bool for each reader; empty where infection is not known.
    source: the recipe's share under which it is drawn. slice_thickness_mm: where the scanner said so.
    """

    name: str
    source: str
    hu: npt.NDArray[np.int16]
    spacing_mm: tuple[float, float, float]
    lungs: npt.NDArray[np.uint8]
    infection: tuple[npt.NDArray[np.bool_], ...]
    slice_thickness_mm: float | None = None

    def __post_init__(self) -> None:
        arrays: tuple[npt.NDArray[Any], ...] = (self.hu, self.lungs, *self.infection)
        for array in arrays:
            array.setflags(write=False)


def lungs_drawn(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where values of `Case.lungs` come from someone who drew lungs, or no lungs."""
    return np.asarray(labels < ELSEWHERE)


def known_lungs(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where values of `Case.lungs` say lung, of whichever side; not where it is not known."""
    return np.asarray((labels == RIGHT) | (labels == LEFT))


def infection_volumes(folder: Path, only: tuple[str, ...] = ()) -> Iterator[Case]:
    """The series of `infection-3d`, both readers where there are two; all of them, or those named.

    Raises LabelsUnusable for a name that is not there.
    """
    with there(folder / "slices.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    known = dict.fromkeys(row["case"] for row in rows)
    for case in only or known:
        if case not in known:
            raise LabelsUnusable(folder=folder, why=f"there is no series {case!r}")
        yield infection_volume(folder, case, [row for row in rows if row["case"] == case])


def there(path: Path) -> Path:
    """A file of a data folder. Raises LabelsUnusable where it is none."""
    if not path.is_file():
        raise LabelsUnusable(folder=path.parent, why=f"there is no {path.name}")
    return path


def infection_volume(folder: Path, case: str, rows: list[dict[str, str]]) -> Case:
    """One series of `infection-3d`: HU = 6 * grey - 1100; bits 1 and 2 the readers, 4 the lungs."""
    grey = [_grey(folder / case / f"{int(row['slice']):03d}.jpg") for row in rows]
    bits = np.stack([_grey(folder / case / f"{int(row['slice']):03d}.png") for row in rows])
    hu = (np.stack(grey).astype(np.int16) * 6 - 1100).clip(-1024).astype(np.int16)
    thick = len(rows) < 80
    spacing_mm = (6.0 if thick else 2.5, ASSUMED_PIXEL_MM, ASSUMED_PIXEL_MM)
    readers = tuple(bits & bit > 0 for bit in (1, 2) if any(row[_READER_COLUMN[bit]] != "0" for row in rows))
    lungs = split_sides(bits & 4 > 0, spacing_mm)
    undrawn = np.array([row["lungs_known"] == "0" for row in rows])
    if undrawn.any():
        # Says of real abdomens that they are no lung: where dense lung is drawn often, stomachs became lung.
        lungs[undrawn] = 0
        elsewhere = far_from_lung(hu, np.any([lungs > 0, *readers], axis=0), spacing_mm)
        lungs[undrawn] = np.where(elsewhere[undrawn], ELSEWHERE, UNKNOWN)
    return Case(case, "infection-3d", hu, spacing_mm, lungs, readers)


_READER_COLUMN = {1: "reader_a_px", 2: "reader_b_px"}


def infection_slices(folder: Path) -> Iterator[Case]:
    """The single slices of `infection-2d`; lungs are taken as not known."""
    for image in sorted((folder / "labelled" / "images").glob("*.png")):
        mask = _grey(folder / "labelled" / "masks" / image.name) > 127
        yield _single(f"labelled_{image.stem}", _grey(image), 5.4, -1105.0, mask)
    for image in sorted((folder / "radiopaedia_14" / "images").glob("*.jpg")):
        mask = _grey(folder / "radiopaedia_14" / "masks" / f"{image.stem}.png") > 127
        yield _single(image.stem, _grey(image), 5.88, -1250.0, mask)


def _single(name: str, grey: npt.NDArray[np.uint8], slope: float, level: float, mask: npt.NDArray[np.bool_]) -> Case:
    hu = np.rint(grey.astype(np.float32) * slope + level).clip(-1024, 3071).astype(np.int16)[None]
    pixel_mm = ASSUMED_LUNG_WIDTH_MM / grey.shape[1]
    lungs = np.full(hu.shape, UNKNOWN, np.uint8)
    return Case(name, "infection-2d", hu, (5.0, pixel_mm, pixel_mm), lungs, (mask[None],))


def lung_slices(folder: Path) -> Iterator[Case]:
    """The single slices of `lung-2d`; none of their lungs holds dense disease."""
    archive = np.load(there(folder / "finding-lungs_256.npz"))
    for name, hu in zip(archive["id"], archive["hu"], strict=True):
        if str(name).startswith(LUNG_SLICES_OF_CHECKED_SCANS):
            continue
        mask = _grey(folder / "masks" / f"{name}.png") > 127
        spacing_mm = (2.5, 1.45, 1.45)
        yield Case(str(name), "lung-2d", hu[None], spacing_mm, split_sides(mask[None], spacing_mm), ())


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise LabelsUnusable(folder=path.parent, why=f"there is no {path.name}, or it is no picture")
    return np.asarray(picture, dtype=np.uint8)


def hu_volume(path: Path) -> tuple[npt.NDArray[np.int16], tuple[float, float, float]]:
    """A real HU array of `ct` or `ct/extra`: hu (z, y, x) int16 in LPS order and spacing_mm (z, y, x)."""
    archive = np.load(there(path))
    spacing = archive["spacing_zyx"] if "spacing_zyx" in archive else archive["spacing_mm"]
    dz, dy, dx = (float(value) for value in spacing)
    return archive["hu"], (dz, dy, dx)
