"""Motion artefacts, slice by slice: heart and diaphragm in two places make double contours that look like infection.

What the views of a moving patient disagree about is reconstructed as streaks and ghosts. Bright ones can't be told from
disease; but each has a dark side, and lung is seldom much darker than healthy lung. So the dark side is measured, in
slabs of 5 mm on 2 mm pixels; healthy lung that is left between disease is none, and where hardly any is left, it can't
be told. Three figures of a slab go through a logistic model that was fitted to simulated motion in real series
(`scanside-export motion fit`; export/scanside_export/data/motion.py says how it is simulated, and `scanside-export
motion measure` how well it works).

Source of the failure: Li Z. et al., medRxiv 2020.04.17.20070219, which names it and proposes to find such slices first.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.findings import Finding, figures
from scanside_runtime.quality.overview import PIXEL_MM, Overview, disc, hull
from scanside_runtime.settings.tables import MotionSettings
from scanside_runtime.volume import Bools, Masks

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

LEAST_INTERIOR_MM2 = 400.0
"""Slabs with less lung, 3 mm away from its border, are not judged."""
STREAK_MM = 2.0
AERATED_HU = -700.0
"""Lung below holds air enough to be healthy."""
AERATED_SHARE = 0.3
"""Slabs with less aerated lung are not judged: what is dark in them may be what disease has left."""
HEALTHY_PERCENTILE = 30.0
"""What healthy lung measures in a slab, among its aerated lung: among all of it, it may be disease."""
LEVEL_MM = 50.0
"""A streak is dark against the mean of the lung within a square of this side."""
RING_MM = 14.0
NEIGHBOURS_MM = 25.0
USUAL_PERCENTILE = 40.0
"""What is usual in a place of the lungs is this percentile of the slabs up to `NEIGHBOURS_MM` away."""

WEIGHTS = (0.0723, 0.1625, 0.0285)
OFFSET = -4.2111


class Signs(NamedTuple):
    """What is seen of motion in one slab.

    dark_hu: how much darker than the lung around it the darkest hundredth of the lung is.
    heart_dark_hu: the same beside the mediastinum, against the lung of the slab.
    """

    dark_hu: float
    heart_dark_hu: float


def check_motion(overview: Overview, masks: Masks, settings: MotionSettings) -> tuple[Finding, ...]:
    """Motion over most infected slices withholds; over a good part of all lung slices it is a caution."""
    moved = moved_slices(overview, masks.infection.shape[0], settings.moved_from)
    infected = masks.infection.areas > 0
    lungs = masks.lung_areas > 0
    share = float(np.count_nonzero(moved & lungs)) / max(1, int(np.count_nonzero(lungs)))
    among = float(np.count_nonzero(moved & infected)) / max(1, int(np.count_nonzero(infected)))
    numbers = np.flatnonzero(moved[::-1]) + 1
    which = _ranges(numbers)
    if among > settings.withhold_share:
        message = (
            f"{100 * among:.0f} % of the slices with infection are blurred or doubled by motion (slices {which} from "
            "the head): what was found may be the heart or the diaphragm seen twice."
        )
        values = figures(infected_slices_percent=100 * among, first_slice=numbers[0], last_slice=numbers[-1])
        return (Finding("QUALITY_MOTION", "withhold", message, values),)
    if share < settings.caution_share or not numbers.size:
        return ()
    message = f"{100 * share:.0f} % of the lung slices look blurred or doubled by motion: slices {which} from the head."
    values = figures(lung_slices_percent=100 * share, first_slice=numbers[0], last_slice=numbers[-1])
    return (Finding("QUALITY_MOTION", "caution", message, values),)


def moved_slices(overview: Overview, slices: int, moved_from: float) -> Bools:
    """Which of the native slices moved, (slices,) bool."""
    moved = np.zeros(slices, dtype=np.bool_)
    for slab, probability in enumerate(motion_probabilities(overview)):
        if probability >= moved_from:
            moved[overview.slices_of(slab)] = True
    return moved


def motion_probabilities(overview: Overview) -> Numbers:
    """For each slab how sure the model is that it moved, (s,) float64 in 0..1; NaN where it can't be judged."""
    return np.asarray(1.0 / (1.0 + np.exp(-(motion_features(overview) @ np.array(WEIGHTS) + OFFSET))), dtype=np.float64)


def motion_features(overview: Overview) -> Numbers:
    """The model's three figures of each slab, (s, 3) float64; NaN in a row that can't be judged.

    The darkness as it is, and the darkness and that beside the heart against what is usual in this part of the lungs.
    """
    signs = np.full((len(overview), 2), np.nan)
    for slab in range(len(overview)):
        found = slab_signs(overview, slab)
        if found is not None:
            signs[slab] = found
    dark, beside_heart = signs.T
    reach = max(1, round(NEIGHBOURS_MM / overview.slab_mm))
    return np.stack([dark, dark - _usual(dark, reach), beside_heart - _usual(beside_heart, reach)], axis=1)


def slab_signs(overview: Overview, slab: int) -> Signs | None:
    """The signs in one slab; None where there is too little lung, or too little of it is healthy."""
    lung = overview.lungs[slab]
    interior = cv2.erode(lung.astype(np.uint8), disc(3.0)) > 0
    if np.count_nonzero(interior) * PIXEL_MM**2 < LEAST_INTERIOR_MM2:
        return None
    plane = overview.hu[slab]
    smooth = _blurred(plane, STREAK_MM)
    aerated_hu = smooth[interior & (smooth < AERATED_HU)]
    if aerated_hu.size < AERATED_SHARE * np.count_nonzero(interior):
        return None
    level_hu = float(np.percentile(aerated_hu, HEALTHY_PERCENTILE))
    return Signs(
        dark_hu=_darkest(smooth, interior, level_hu),
        heart_dark_hu=_darkest_beside_heart(plane, smooth, lung, level_hu),
    )


def _darkest(smooth: Floats, interior: Bools, level_hu: float) -> float:
    """How far the darkest hundredth lies below the mean around it, where nothing counts as denser than healthy lung."""
    side = int(LEVEL_MM / PIXEL_MM) | 1
    weight = cv2.boxFilter(interior.astype(np.float32), -1, (side, side))
    cut = np.where(interior, np.minimum(smooth, level_hu), 0.0).astype(np.float32)
    level = cv2.boxFilter(cut, -1, (side, side)) / np.maximum(weight, 1e-3)
    return -float(np.percentile((smooth - level)[interior], 1.0))


def _darkest_beside_heart(plane: Floats, smooth: Floats, lung: Bools, level_hu: float) -> float:
    """The same along the mediastinum, up to `RING_MM` into the lung but 3 mm away from anything dense."""
    dense = cv2.dilate((plane > -400).astype(np.uint8), disc(3.0)) > 0
    rim = lung & ~(cv2.erode(lung.astype(np.uint8), disc(RING_MM)) > 0) & ~dense
    beside = rim & (cv2.erode(hull(lung).astype(np.uint8), disc(RING_MM + 2.0)) > 0)
    if np.count_nonzero(beside) <= 30:
        return 0.0
    return level_hu - float(np.percentile(np.clip(smooth[beside], -1024.0, -300.0), 3.0))


def _usual(figures: Numbers, reach: int) -> Numbers:
    """A percentile of each slab's neighbourhood; NaN where there is nothing to compare with."""
    usual = np.full(figures.shape, np.nan)
    for slab in np.flatnonzero(np.isfinite(figures)):
        near = figures[max(0, slab - reach) : slab + reach + 1]
        usual[slab] = np.percentile(near[np.isfinite(near)], USUAL_PERCENTILE)
    return usual


def _blurred(plane: Floats, sigma_mm: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma_mm / PIXEL_MM), dtype=np.float32)


def _ranges(numbers: npt.NDArray[np.intp]) -> str:
    """Slice numbers as people write them: "3 to 7, 12"."""
    runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs if len(run))
