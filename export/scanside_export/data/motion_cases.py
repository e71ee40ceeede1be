"""Series in which some slices moved and some did not: what the motion detector is fitted on and measured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanside_export.data.lesions import insert, random_lesions
from scanside_export.data.motion import Kind, Motion, changed_ml, moved, random_motion
from scanside_runtime.volume import Bools, Hu, Spacing

Marks = npt.NDArray[np.int8]

STILL, MOVED, SLIGHTLY = 0, 1, -1
"""Of a slice: untouched; moved so that it shows; moved where it makes next to no difference, which counts nowhere."""
LEAST_SHARE = 0.03
"""A slice counts as moved when this share of its lung got denser by 100 HU and more: enough for false infection."""
TURN_MM = (5.0, 10.0, 20.0)
HEART_HEIGHT = (0.15, 0.65)
"""Between which heights of the lungs the heart lies."""


@dataclass(frozen=True, slots=True, eq=False)
class MotionCase:
    """A series, and for each of its slices whether it moved.

    hu: (z, y, x) int16. marks: (z,) int8 of STILL, MOVED, SLIGHTLY.
    """

    name: str
    kind: Kind
    hu: Hu
    spacing_mm: Spacing
    marks: Marks


def motion_case(name: str, hu: Hu, lungs: Bools, spacing_mm: Spacing, kind: Kind, seed: int) -> MotionCase:
    """Parts of the chest moved, parts left as they are, in turn; every second seed has lesions put in before.

    hu: (z, y, x) int16 of a chest that held still. lungs: (z, y, x) bool.
    """
    rng = np.random.default_rng(seed)
    if seed % 2:
        hu, _ = insert(hu, lungs, spacing_mm, random_lesions(lungs, spacing_mm, rng, burden=float(rng.random())), rng)
    result, marks = hu.copy(), np.zeros(len(hu), dtype=np.int8)
    for slices, motion in _runs(lungs, spacing_mm, kind, rng):
        for k in slices:
            result[k] = moved(hu, lungs, spacing_mm, k, motion)
            marks[k] = _mark(hu[k], result[k], lungs[k], spacing_mm)
    return MotionCase(name, kind, result, spacing_mm, marks)


def _runs(lungs: Bools, spacing_mm: Spacing, kind: Kind, rng: np.random.Generator) -> Iterator[tuple[range, Motion]]:
    """Slices of one half turn, which move together; some half turns in a row, then a part of the chest that is still.

    A half turn covers 5 mm (a scanner with one row of detectors) to 20 mm (16 rows of 1.25 mm).
    """
    inside = np.flatnonzero(lungs.any(axis=(1, 2)))
    first, last = int(inside[0]), int(inside[-1])
    low, high = HEART_HEIGHT if kind == "cardiac" else (0.0, 1.0)
    turn = max(1, round(float(rng.choice(TURN_MM)) / spacing_mm[0]))
    k = first + round(float(rng.uniform(0.0, 20.0)) / spacing_mm[0])
    while k <= last:
        end = k + round(float(rng.uniform(10.0, 30.0)) / spacing_mm[0])
        for start in range(k, min(end, last + 1), turn):
            if low <= (start - first) / max(1, last - first) <= high:
                yield range(start, min(start + turn, end, last + 1)), random_motion(kind, rng)
        k = end + round(float(rng.uniform(10.0, 30.0)) / spacing_mm[0])


def _mark(before: Hu, after: Hu, lung: Bools, spacing_mm: Spacing) -> int:
    lung_ml = float(np.count_nonzero(lung)) * float(np.prod(spacing_mm)) / 1000.0
    return MOVED if lung_ml > 0 and changed_ml(before, after, lung, spacing_mm) >= LEAST_SHARE * lung_ml else SLIGHTLY
