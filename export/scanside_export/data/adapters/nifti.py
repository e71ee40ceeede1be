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

OFF_GRID_PX = 0.5
"""Labels whose first voxel lies further than this from their picture's first one, in voxels, are on another grid."""

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True, slots=True, eq=False)
class NiftiGrid:
    """values: (z, y, x), z from feet to head, y to the back, x to the patient's left. spacing_mm: (z, y, x).

    origin_mm: LPS (x, y, z) of the middle of the first voxel, None where the file does not say where it lies.
    """

    values: npt.NDArray[Any]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, ...] | None = None


def read_nifti(path: Path) -> NiftiGrid:
    """A volume by its own header's orientation; a stack of slices is one too.

    Raises LabelsUnusable for a file that can't be read, is no volume, or is turned by more than 10 degrees.
    """
    try:
        stored = nibabel.load(path)
        image = nibabel.as_closest_canonical(stored)  # type: ignore[no-untyped-call]
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
    turned = np.ascontiguousarray(values[::-1, ::-1].transpose(2, 1, 0))
    return NiftiGrid(turned, (dz, dy, dx), _first_voxel_mm(image) if _says_where(stored.header) else None)


def _says_where(header: Any) -> bool:
    """With both codes 0 a header gives voxel sizes, and the place is anybody's guess (NIfTI-1, method 1)."""
    return bool(int(header["sform_code"]) or int(header["qform_code"]))


def _first_voxel_mm(image: Any) -> tuple[float, float, float]:
    """LPS (x, y, z) of the voxel of a RAS+ image that comes first once x and y run the other way."""
    right, front, up = (float(mm) for mm in (image.affine @ (image.shape[0] - 1, image.shape[1] - 1, 0, 1))[:3])
    return -right, -front, up


def same_grid(picture: NiftiGrid, labels: NiftiGrid, path: Path) -> NiftiGrid:
    """The labels again, if they lie on the picture's grid. Raises LabelsUnusable.

    - as many voxels, each as large as the picture's to 2 %;
    - the first voxel at the same place to half a voxel; where neither file says where it lies, they go by their voxels.
    """
    if picture.values.shape != labels.values.shape:
        raise LabelsUnusable(
            folder=path, why=f"it is {labels.values.shape}, its picture {picture.values.shape} (z, y, x)"
        )
    if not np.allclose(picture.spacing_mm, labels.spacing_mm, rtol=0.02, atol=0.01):
        raise LabelsUnusable(folder=path, why="its spacing is not its picture's")
    _check_place(picture, labels, path)
    return labels


def _check_place(picture: NiftiGrid, labels: NiftiGrid, path: Path) -> None:
    if picture.origin_mm is None or labels.origin_mm is None:
        if picture.origin_mm is labels.origin_mm:
            return
        # Without a place there is no left and right either: the two may be mirror images of each other.
        raise LabelsUnusable(folder=path, why="of it and its picture only one says where it lies (sform, qform)")
    x, y, z = away_mm = np.subtract(labels.origin_mm, picture.origin_mm)
    if (np.abs(away_mm) > OFF_GRID_PX * np.array(picture.spacing_mm[::-1])).any():
        why = f"it lies elsewhere than its picture: {x:+.1f}, {y:+.1f}, {z:+.1f} mm (left, back, up)"
        raise LabelsUnusable(folder=path, why=why)


def by_name(folder: Path) -> dict[str, Path]:
    """NIfTI files of a folder by their name without ending."""
    if not folder.is_dir():
        raise LabelsUnusable(folder=folder, why="there is no such folder")
    return {name: path for path in sorted(folder.iterdir()) if (name := stem(path)) is not None}


def stem(path: Path) -> str | None:
    """The name of a NIfTI file without its ending; None for another file."""
    return next((path.name.removesuffix(end) for end in SUFFIXES if path.name.endswith(end)), None)
