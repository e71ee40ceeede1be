"""The same Segmentation with its frames stored another way round, as other programs write them."""

from __future__ import annotations

import io

import numpy as np
import pydicom
from pydicom.dataset import Dataset

WAYS = tuple((swapped, up, left) for swapped in (False, True) for up in (False, True) for left in (False, True))
"""Rows and columns exchanged, rows from the last to the first, columns from the last to the first."""


def turned_segmentation(content: bytes, swapped: bool, up: bool, left: bool) -> bytes:
    """Another orientation, position and order of pixels; every voxel stays where it is in the patient."""
    ds = pydicom.dcmread(io.BytesIO(content))
    frames = ds.pixel_array[:, :: -1 if up else 1, :: -1 if left else 1]
    shared = ds.SharedFunctionalGroupsSequence[0]
    plane, measures = shared.PlaneOrientationSequence[0], shared.PixelMeasuresSequence[0]
    along_row, along_column = np.array(plane.ImageOrientationPatient, float).reshape(2, 3)
    down_mm, across_mm = map(float, measures.PixelSpacing)
    first = along_row * across_mm * (ds.Columns - 1) * left + along_column * down_mm * (ds.Rows - 1) * up
    for item in ds.PerFrameFunctionalGroupsSequence:
        _move(item.PlanePositionSequence[0], first)
    cosines = [along_row * (-1 if left else 1), along_column * (-1 if up else 1)]
    if swapped:
        frames = frames.transpose(0, 2, 1)
        cosines.reverse()
        measures.PixelSpacing = [across_mm, down_mm]
        ds.Rows, ds.Columns = ds.Columns, ds.Rows
    plane.ImageOrientationPatient = [float(value) for value in np.concatenate(cosines)]
    packed = np.packbits(np.ascontiguousarray(frames).astype(np.uint8), axis=None, bitorder="little").tobytes()
    ds.PixelData = packed + b"\0" * (len(packed) % 2)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def _move(place: Dataset, by_mm: np.ndarray) -> None:
    place.ImagePositionPatient = [round(float(mm), 6) for mm in np.array(place.ImagePositionPatient, float) + by_mm]
