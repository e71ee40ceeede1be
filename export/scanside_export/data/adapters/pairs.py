"""A hospital's own labels: a CT and its masks under one name, as NIfTI or as DICOM with a DICOM Segmentation.

DIR/images/NAME.nii.gz         or DIR/images/NAME/ with the DICOM files of one series
DIR/masks/NAME.nii.gz          everything above 0 is infection
DIR/masks/NAME.dcm             a Segmentation: segments "Infection", "Left lung", "Right lung" (as Scanside's own
seg.dcm), or one segment, which is then the infection
DIR/lungs/NAME.nii.gz          may be left out: everything above 0 is lung
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from scanside_export.data.adapters.build import VOLUMES, make_case
from scanside_export.data.adapters.nifti import NiftiGrid, by_name, read_nifti, same_grid, stem
from scanside_export.data.adapters.segmentation import read_segments
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, Case
from scanside_export.errors import LabelsUnusable
from scanside_runtime.dicom.decode import read_volume
from scanside_runtime.dicom.index import find_series
from scanside_runtime.dicom.series import choose_series
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.volume import Bools, Volume

READING = ReadingSettings()
INFECTION_WORDS = ("infection", "covid", "pneumonia", "ground", "consolidation", "opacit", "lesion")


def pairs(folder: Path) -> Iterator[Case]:
    """All pairs of a folder with `images`, `masks` and perhaps `lungs`; raises as `paired` does."""
    return paired(folder / "images", folder / "masks", folder / "lungs")


def paired(images: Path, masks: Path, lungs: Path | None = None) -> Iterator[Case]:
    """Pictures and masks of the same names. Raises LabelsUnusable, or what the DICOM reader raises for a series."""
    pictures, drawn = _pictures(images), _masks(masks)
    alone = sorted(pictures.keys() ^ drawn.keys())
    if alone:
        where = masks if alone[0] in pictures else images
        raise LabelsUnusable(folder=where, why=f"{len(alone)} name(s) have no partner, the first is {alone[0]!r}")
    outlined = by_name(lungs) if lungs is not None and lungs.is_dir() else {}
    for name, picture in pictures.items():
        if picture.is_dir():
            yield _from_dicom(name, picture, drawn[name], outlined.get(name))
        else:
            yield _from_nifti(name, picture, drawn[name], outlined.get(name))


def _pictures(images: Path) -> dict[str, Path]:
    found = by_name(images)
    found |= {path.name: path for path in sorted(images.iterdir()) if path.is_dir()}
    if not found:
        raise LabelsUnusable(folder=images, why="there is neither a NIfTI file nor a folder of DICOM files in it")
    return dict(sorted(found.items()))


def _masks(masks: Path) -> dict[str, Path]:
    return by_name(masks) | {path.stem: path for path in sorted(masks.glob("*.dcm"))}


def _from_nifti(name: str, picture: Path, mask: Path, lungs: Path | None) -> Case:
    if stem(mask) is None:
        raise LabelsUnusable(folder=mask, why="a Segmentation needs the DICOM series that it was drawn on")
    grid = read_nifti(picture)
    infection = same_grid(grid, read_nifti(mask), mask).values > 0
    lung = None if lungs is None else same_grid(grid, read_nifti(lungs), lungs).values > 0
    return make_case(name, VOLUMES, grid, (infection,), lung)


def _from_dicom(name: str, picture: Path, mask: Path, lungs: Path | None) -> Case:
    volume = read_volume(choose_series(find_series(picture, READING), limits=READING), READING)
    grid = _grid(volume)
    lung = None if lungs is None else same_grid(grid, read_nifti(lungs), lungs).values > 0
    if stem(mask) is not None:
        infection = same_grid(grid, read_nifti(mask), mask).values > 0
        case = make_case(name, VOLUMES, grid, (infection,), lung)
    else:
        case = _segmented(name, volume, mask, lung)
    return replace(case, slice_thickness_mm=volume.slice_thickness_mm)


def _grid(volume: Volume) -> NiftiGrid:
    return NiftiGrid(volume.hu, volume.spacing_mm, tuple(float(mm) for mm in volume.affine[:3, 3]))


def _segmented(name: str, volume: Volume, mask: Path, lungs: Bools | None) -> Case:
    """By the segments' labels; lungs of the Segmentation are taken where no file gives them."""
    segments = read_segments(mask, volume)
    infection = _infection(segments, mask)
    case = make_case(name, VOLUMES, _grid(volume), (infection,), lungs)
    right, left = (_labelled(segments, side) for side in ("right", "left"))
    if lungs is not None or right is None or left is None:
        return case
    sides = np.select([left, right, infection], [LEFT, RIGHT, UNKNOWN], 0).astype(np.uint8)
    return replace(case, lungs=sides)


def _infection(segments: dict[str, Bools], path: Path) -> Bools:
    named = [mask for label, mask in segments.items() if any(word in label.lower() for word in INFECTION_WORDS)]
    if not named and len(segments) == 1:
        named = list(segments.values())
    if not named:
        raise LabelsUnusable(folder=path, why=f"none of its segments is called infection: {', '.join(segments)}")
    return np.asarray(np.logical_or.reduce(named), dtype=np.bool_)


def _labelled(segments: dict[str, Bools], side: str) -> Bools | None:
    return next((mask for label, mask in segments.items() if label.lower() == f"{side} lung"), None)
