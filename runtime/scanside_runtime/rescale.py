"""Rescale Slope and Intercept that change along a series: believable, or a contradiction of the pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scanside_runtime.errors import InputRescaleJumps
from scanside_runtime.findings import Finding
from scanside_runtime.headers import SliceHeader
from scanside_runtime.volume import Hu

# Mean HU of neighbouring sections of a chest differ by some 10 to 40, at 10 mm too; a slope that is 15 % off moves the
# mean of a section (near -450) by 90, an intercept of 0 in the place of -1024 by a thousand.
JUMP_HU = 80.0


def check_rescale(slices: Sequence[SliceHeader], hu: Hu) -> tuple[Finding, ...]:
    """Nothing where all sections share one slope and intercept, a note where they differ and their HU agree.

    slices: feet to head. hu: (z, y, x), each section rescaled by its own. Raises InputRescaleJumps where the picture
    changes with the rescale: one of the two is wrong, and nobody knows which.
    """
    ways = [header.rescale for header in slices]
    changes = [z for z in range(len(ways) - 1) if ways[z] != ways[z + 1]]
    if not changes:
        return ()
    means = hu.mean(axis=(1, 2), dtype=np.float64)  # (z,)
    worst = max(changes, key=lambda z: abs(means[z + 1] - means[z]))
    jump_hu = abs(float(means[worst + 1] - means[worst]))
    if jump_hu > JUMP_HU:
        raise InputRescaleJumps(section=worst + 1, sections=len(slices), jump_hu=jump_hu)
    message = f"{len(set(ways))} different ways to HU along the series; each section was taken by its own."
    return (Finding("INPUT_RESCALE_VARIES", "note", message),)
