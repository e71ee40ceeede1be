"""The two COVID-19 sets of MedSeg (medicalsegmentation.com/covid19): 100 single slices, and nine volumes.

DIR/tr_im.nii.gz, DIR/tr_mask.nii.gz                    100 slices in HU; 1 ground glass, 2 consolidation, 3 effusion
DIR/tr_lungmasks_updated.nii.gz                         may be left out

DIR/rp_im/1.nii.gz, DIR/rp_msk/1.nii.gz                 a volume and the same labels
DIR/rp_lung_msk/1.nii.gz                                may be left out
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from scanside_export.data.adapters.build import SLICES, VOLUMES, make_case
from scanside_export.data.adapters.nifti import NiftiGrid, by_name, read_nifti, same_grid
from scanside_export.data.cases import ASSUMED_LUNG_WIDTH_MM, ASSUMED_PIXEL_MM, Case
from scanside_export.errors import LabelsUnusable
from scanside_runtime.volume import Bools

INFECTION = (1, 2)
"""Ground glass and consolidation; 3, effusion, is no lung."""

SLICE_MM = 5.0


def medseg_slices(folder: Path) -> Iterator[Case]:
    """Every slice as a case of its own; numbers are those of the stack, as in other cuts of this set.

    Raises LabelsUnusable.
    """
    picture = read_nifti(_file(folder, "tr_im"))
    labels = same_grid(picture, read_nifti(_file(folder, "tr_mask")), folder / "tr_mask").values
    path = folder / "tr_lungmasks_updated.nii.gz"
    lungs = same_grid(picture, read_nifti(path), path).values > 0 if path.exists() else None
    for number, plane in enumerate(picture.values):
        lung = None if lungs is None else lungs[number][None]
        pixel_mm = _pixel_mm(lung)
        one = NiftiGrid(plane[None], (SLICE_MM, pixel_mm, pixel_mm))
        yield make_case(f"medseg_labelled_{number:03d}", SLICES, one, (_infected(labels[number])[None],), lung)


def medseg_volumes(folder: Path) -> Iterator[Case]:
    """The nine volumes. They are radiopaedia patients, some of whom are in COVID-19-CT-Seg too: don't split over both.

    Raises LabelsUnusable.
    """
    pictures = by_name(folder / "rp_im")
    lungs = by_name(folder / "rp_lung_msk") if (folder / "rp_lung_msk").is_dir() else {}
    for name, path in by_name(folder / "rp_msk").items():
        if name not in pictures:
            raise LabelsUnusable(folder=folder / "rp_im", why=f"there is no {name}")
        picture = read_nifti(pictures[name])
        infection = _infected(same_grid(picture, read_nifti(path), path).values)
        lung = same_grid(picture, read_nifti(lungs[name]), lungs[name]).values > 0 if name in lungs else None
        yield make_case(f"medseg_volume_{name}", VOLUMES, picture, (infection,), lung)


def _file(folder: Path, name: str) -> Path:
    path = next((path for end in (".nii.gz", ".nii") if (path := folder / f"{name}{end}").exists()), None)
    if path is None:
        raise LabelsUnusable(folder=folder, why=f"there is no {name}.nii.gz")
    return path


def _infected(labels: npt.NDArray[Any]) -> Bools:
    return np.asarray(np.isin(np.rint(labels), INFECTION), dtype=np.bool_)


def _pixel_mm(lung: Bools | None) -> float:
    """The slices state no pixel size: from the width of the lungs where they are marked."""
    if lung is None or not lung.any():
        return ASSUMED_PIXEL_MM
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    return ASSUMED_LUNG_WIDTH_MM / int(columns[-1] - columns[0] + 1)
