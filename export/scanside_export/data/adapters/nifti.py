"""NIfTI as arrays in the order that Scanside uses: (z, y, x), LPS."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from scanside_export.errors import LabelsUnusable

STEEPEST_DEG = 10.0
"""A grid that is turned further than this against the patient is not axial."""

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True, eq=False)
class NiftiGrid:
    """values: (z, y, x), z from feet to head, y to the back, x to the patient's left. spacing_mm: (z, y, x)."""

    values: npt.NDArray[Any]
    spacing_mm: tuple[float, float, float]


def read_nifti(path: Path) -> NiftiGrid:
    """A volume by its own header's orientation; a stack of slices is one too.

    Raises LabelsUnusable for a file that can't be read, is no volume, or is turned by more than 10 degrees.
    """
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))  # type: ignore[no-untyped-call]
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as problem:
        raise LabelsUnusable(folder=path, why=f"it is no NIfTI file that can be read ({problem})") from problem
    values = values.reshape(values.shape[:3]) if values.size == np.prod(values.shape[:3]) else values
    if values.ndim != 3:
        raise LabelsUnusable(folder=path, why=f"it has {values.ndim} dimensions, not 3")
    affine = image.affine[:3, :3]
    dx, dy, dz = (float(length) for length in np.linalg.norm(affine, axis=0))
    if min(dx, dy, dz) <= 0.0 or not np.isfinite(affine).all():
        raise LabelsUnusable(folder=path, why="its header gives no spacing")
    if np.diag(affine / (dx, dy, dz)).min() < np.cos(np.deg2rad(STEEPEST_DEG)):
        raise LabelsUnusable(folder=path, why="its slices are not axial")
    # NIfTI is RAS+: x and y the other way round is LPS (nifti.nimh.nih.gov, NIfTI-1, method 3).
    return NiftiGrid(np.ascontiguousarray(values[::-1, ::-1].transpose(2, 1, 0)), (dz, dy, dx))


def same_grid(picture: NiftiGrid, labels: NiftiGrid, path: Path) -> NiftiGrid:
    """The labels again, if they lie on the picture's grid. Raises LabelsUnusable."""
    if picture.values.shape != labels.values.shape:
        raise LabelsUnusable(
            folder=path, why=f"it is {labels.values.shape}, its picture {picture.values.shape} (z, y, x)"
        )
    if not np.allclose(picture.spacing_mm, labels.spacing_mm, rtol=0.02, atol=0.01):
        raise LabelsUnusable(folder=path, why="its spacing is not its picture's")
    return labels


def by_name(folder: Path) -> dict[str, Path]:
    """NIfTI files of a folder by their name without ending."""
    if not folder.is_dir():
        raise LabelsUnusable(folder=folder, why="there is no such folder")
    return {name: path for path in sorted(folder.iterdir()) if (name := stem(path)) is not None}


def stem(path: Path) -> str | None:
    """The name of a NIfTI file without its ending; None for another file."""
    return next((path.name.removesuffix(end) for end in SUFFIXES if path.name.endswith(end)), None)
