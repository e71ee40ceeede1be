"""A DICOM Segmentation (PS3.3 A.51) on the grid of its CT: which voxels each segment holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from scanside_export.errors import LabelsUnusable
from scanside_runtime.volume import Bools, Volume

SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
OFF_GRID_PX = 0.25
"""A frame whose corner lies further than this from a voxel's middle is on another grid."""


def read_segments(path: Path, volume: Volume) -> dict[str, Bools]:
    """Segments by label, each (z, y, x) bool on the volume's grid, wherever a frame stands and however it is turned.

    Raises LabelsUnusable for a file that is no Segmentation or lies on another grid.
    """
    try:
        ds = pydicom.dcmread(path)
        if ds.SOPClassUID != SEGMENTATION_STORAGE:
            raise LabelsUnusable(folder=path, why="it is no DICOM Segmentation")
        frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
        labels = {int(item.SegmentNumber): str(item.SegmentLabel) for item in ds.SegmentSequence}
        segments = {label: np.zeros(volume.hu.shape, dtype=np.bool_) for label in labels.values()}
        for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
            number = int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            place = _place(frame.shape, _frame_to_voxel(ds, item, volume), volume, path)
            segments[labels[number]][place] |= frame > 0
    except (InvalidDicomError, OSError, AttributeError, KeyError, ValueError, NotImplementedError) as problem:
        raise LabelsUnusable(folder=path, why=f"it is no Segmentation that can be read ({problem})") from problem
    return segments


def _frame_to_voxel(ds: Any, item: Any, volume: Volume) -> npt.NDArray[np.float64]:
    """(4, 3): pixel (column, row, 1) of a frame to the volume's voxel (x, y, z, 1) (PS3.3 C.7.6.2.1.1)."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    measures = _either(item, shared, "PixelMeasuresSequence")
    cosines = np.array(_either(item, shared, "PlaneOrientationSequence").ImageOrientationPatient, float)
    down_mm, across_mm = (float(value) for value in measures.PixelSpacing)
    to_mm = np.zeros((4, 3))
    to_mm[:3, 0], to_mm[:3, 1] = cosines[:3] * across_mm, cosines[3:] * down_mm
    to_mm[:3, 2] = np.array(_either(item, shared, "PlanePositionSequence").ImagePositionPatient, float)
    to_mm[3, 2] = 1.0
    return np.asarray(np.linalg.inv(volume.affine) @ to_mm, dtype=np.float64)


def _either(item: Any, shared: Any, name: str) -> Any:
    """A functional group of the frame, or else the one that all frames share."""
    return (getattr(item, name, None) or getattr(shared, name))[0]


def _place(
    shape: tuple[int, int], to_voxel: npt.NDArray[np.float64], volume: Volume, path: Path
) -> tuple[npt.NDArray[np.intp], ...]:
    """The voxels (z, y, x) of a frame's pixels, each of the three (rows, columns).

    A column and a row further is a voxel further along two axes of the volume, in whichever order and direction.
    Raises LabelsUnusable where the frame is on another grid.
    """
    rows, columns = shape
    corners = np.array([[0, columns - 1, 0, columns - 1], [0, 0, rows - 1, rows - 1], [1, 1, 1, 1]])
    exact = (to_voxel @ corners)[:3]  # (3, 4): (x, y, z) of each corner
    by_column, by_row = steps = np.rint(to_voxel[:3, :2]).astype(np.intp).T
    first = np.rint(exact[:, 0]).astype(np.intp)
    on_grid = np.stack([by_column, by_row, first], axis=1) @ corners
    along_axes = (np.abs(steps).sum(axis=1) == 1).all() and not (by_column * by_row).any()
    inside = (on_grid >= 0).all() and (on_grid.max(axis=1) < volume.hu.shape[::-1]).all()
    if not (along_axes and inside and np.abs(exact - on_grid).max() <= OFF_GRID_PX):
        raise LabelsUnusable(folder=path, why="its frames do not lie on the grid of the CT")
    row, column = np.indices(shape)
    x, y, z = (first[axis] + by_column[axis] * column + by_row[axis] * row for axis in range(3))
    return z, y, x
