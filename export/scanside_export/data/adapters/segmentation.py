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
            z, plane = _placed(frame > 0, _frame_to_voxel(ds, item, volume), volume, path)
            segments[labels[number]][z] |= plane
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


def _placed(
    frame: Bools, to_voxel: npt.NDArray[np.float64], volume: Volume, path: Path
) -> tuple[int, Bools]:
    """The slice on which a frame lies, and the frame as that slice's plane (y, x)."""
    rows, columns = frame.shape
    corners = (to_voxel @ np.array([[0, columns - 1], [0, rows - 1], [1, 1]]))[:3].T  # first and last pixel, (x, y, z)
    first, last = np.rint(corners).astype(int)
    size = np.abs(last - first) + 1
    inside = bool((np.minimum(first, last) >= 0).all() and (np.maximum(first, last) < volume.hu.shape[::-1]).all())
    if np.abs(corners - np.rint(corners)).max() > OFF_GRID_PX or tuple(size) != (columns, rows, 1) or not inside:
        raise LabelsUnusable(folder=path, why="its frames do not lie on the grid of the CT")
    plane = np.zeros(volume.hu.shape[1:], dtype=np.bool_)
    turned = frame[:: 1 if last[1] >= first[1] else -1, :: 1 if last[0] >= first[0] else -1]
    top, left = min(first[1], last[1]), min(first[0], last[0])
    plane[top : top + rows, left : left + columns] = turned
    return int(first[2]), plane
