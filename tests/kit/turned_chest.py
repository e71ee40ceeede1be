"""A small chest whose heart, spine and trachea tell how it lies, and the same turned."""

from __future__ import annotations

import numpy as np

from kit.analysis_samples import SHAPE
from scanside_runtime.volume import Hu

AXES = {"z": 0, "y": 1, "x": 2}


def hearted_hu() -> Hu:
    """(14, 40, 44): the right lung is the larger, the heart lies to the left of the spine, the spine behind it."""
    hu = np.full(SHAPE, 40, np.int16)
    hu += np.arange(SHAPE[1], dtype=np.int16)[:, None] // 8 + np.arange(SHAPE[2], dtype=np.int16) // 8
    hu[2:12, 8:32, 4:20] = -850
    hu[2:12, 8:32, 25:41] = -850
    hu[2:9, 8:24, 25:31] = 45
    hu[:, 28:35, 20:24] = 300
    hu[7:, 12:16, 21:24] = -1000
    hu[3:7, 24:31, 32:39] = -520
    return hu


def lungs_of(hu: Hu) -> tuple[np.ndarray, np.ndarray]:
    """Right and left by the header, (z, y, x) bool: what is lung or infection in either half."""
    lung = ((hu > -900) & (hu < -400)).astype(bool)
    middle = SHAPE[2] // 2
    left_half = np.arange(SHAPE[2]) >= middle
    return lung & ~left_half, lung & left_half


def turned(hu: Hu, axes: str) -> Hu:
    """Flipped along the named axes."""
    return np.ascontiguousarray(np.flip(hu, [AXES[axis] for axis in axes])) if axes else hu
