"""Rescale Slope and Intercept that change along a series: believable, or a contradiction of the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scanside_runtime.dicom.errors import InputRescaleJumps
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.findings import Finding
from scanside_runtime.volume import Hu

# Mean HU of neighbouring slices of a chest differ by some 10 to 40, at 10 mm too; a slope that is 15 % off moves the
# mean of a slice (near -450) by 90, an intercept of 0 in the place of -1024 by a thousand.
JUMP_HU = 80.0

Way = tuple[float, ...]


def check_rescale(slices: Sequence[SliceHeader], hu: Hu) -> tuple[Finding, ...]:
    """Nothing where all slices share one slope and intercept, a note where they differ and their HU agree.

    slices: feet to head. hu: (z, y, x), each slice rescaled by its own. Raises InputRescaleJumps where two neighbours
    of different rescale differ by more than 80 HU in the mean, and would agree better if they shared one: then header
    and pixels contradict each other, and nobody knows which is right.
    """
    ways = [header.rescale or (1.0, 0.0) for header in slices]
    changes = [z for z in range(len(ways) - 1) if not _alike(ways[z], ways[z + 1])]
    if not changes:
        return ()
    means = hu.mean(axis=(1, 2), dtype=np.float64)  # (z,)
    for z in changes:
        jump_hu = abs(float(means[z + 1] - means[z]))
        shared_jump_hu = abs(_by_another_way(float(means[z + 1]), ways[z + 1], ways[z]) - float(means[z]))
        if jump_hu > JUMP_HU and shared_jump_hu < jump_hu:
            raise InputRescaleJumps(slice=z + 1, slices=len(slices), jump_hu=jump_hu)
    message = f"{_count_of(ways)} different ways to HU along the series; each slice was taken by its own."
    return (Finding("INPUT_RESCALE_VARIES", "note", message),)


def _alike(one: Way, other: Way) -> bool:
    """The same numbers, though one is written with fewer digits: 16 bits differ by less than 0.1 HU."""
    return bool(np.allclose(one, other, rtol=1e-6, atol=1e-6))


def _count_of(ways: Sequence[Way]) -> int:
    kept: list[Way] = []
    for way in ways:
        if not any(_alike(way, other) for other in kept):
            kept.append(way)
    return len(kept)


def _by_another_way(hu: float, way: Way, other: Way) -> float:
    """What the stored value behind a HU would be by another (slope, intercept)."""
    return (hu - way[1]) / way[0] * other[0] + other[1]
