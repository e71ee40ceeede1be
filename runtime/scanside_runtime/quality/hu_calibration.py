"""Are the numbers HU? Two materials that are in every chest say so: the air in the trachea and soft tissue.

Air around the body proves nothing: scanners and anonymisers clip it, pad it or wipe it.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.findings import Finding, figures
from scanside_runtime.settings.tables import QualitySettings
from scanside_runtime.volume import HU_MIN, Bools, Hu, Masks, Volume

ABOVE_SHARE = 0.5
"""The trachea is looked for from this height of the lungs up."""
BESIDE_MM = 40.0
LUMEN_HU = -700
LUMEN_MM2 = (60.0, 900.0)
WIDEST_MM = 40.0
ROUND_SHARE = 0.5
"""A lumen fills at least this share of the box around it."""
WALL_MM = 2.5
LEAST_SLICES = 3
SOFT_HU = (-150, 300)
STEP_HU = 5
PEAK_SHARE = 0.2
MUSCLE_HU = 45.0


def check_calibration(volume: Volume, masks: Masks, settings: QualitySettings) -> tuple[Finding, ...]:
    """Tracheal air and soft tissue lie where HU have them.

    `withhold` where the trachea's median is above `air_highest_hu`, or the most frequent value of soft tissue outside
    `soft_lowest_hu` to `soft_highest_hu`. `note` where the trachea is not found, or its air is clipped at the bottom
    of the scale: then soft tissue alone was checked.
    """
    air_hu, soft_hu = tracheal_air_hu(volume, masks), soft_tissue_hu(volume, masks)
    wrong: list[str] = []
    values: dict[str, float] = {}
    if air_hu is not None and air_hu > settings.air_highest_hu:
        wrong.append(f"air in the trachea measures {air_hu:.0f} HU instead of about -1000")
        values |= figures(air_hu=air_hu)
    if not settings.soft_lowest_hu <= soft_hu <= settings.soft_highest_hu:
        wrong.append(f"soft tissue measures {soft_hu:.0f} HU instead of about 40")
        values |= figures(soft_hu=soft_hu)
    if wrong:
        message = f"The HU are not calibrated: {', and '.join(wrong)}."
        return (Finding("QUALITY_HU_CALIBRATION", "withhold", message, values),)
    if air_hu is None or air_hu <= HU_MIN:
        why = "no trachea was found" if air_hu is None else "its air is clipped at the bottom of the scale"
        message = f"HU could not be checked by tracheal air ({why}); soft tissue is where it belongs."
        return (Finding("QUALITY_HU_UNPROVEN", "note", message),)
    return ()


def tracheal_air_hu(volume: Volume, masks: Masks) -> float | None:
    """Median HU inside the trachea, 2.5 mm away from its wall; None where it is not seen in three slices.

    From the middle of the lungs up: in each slice the largest round lumen near the midline that is no lung.
    """
    cores = [core for core in _tracheal_cores(volume, masks) if core.size]
    return float(np.median(np.concatenate(cores))) if len(cores) >= LEAST_SLICES else None


def _tracheal_cores(volume: Volume, masks: Masks) -> Iterator[npt.NDArray[np.int16]]:
    """The lumen's inner pixels in each slice where there is one."""
    z, rows, x = masks.lungs_box
    beside_px = BESIDE_MM / volume.spacing_mm[2]
    middle = (x.start + x.stop - 1) / 2
    columns = slice(max(0, int(middle - beside_px)), int(middle + beside_px) + 1)
    for at in range(int(z.start + ABOVE_SHARE * (z.stop - 1 - z.start)), len(volume.hu)):
        hu = volume.hu[at, rows, columns]
        lungs = masks.lungs_in(at)[rows, columns]
        yield _core(hu, (hu < LUMEN_HU) & ~lungs, volume.spacing_mm[1:])


def _core(hu: Hu, air: Bools, pixel_mm: tuple[float, float]) -> npt.NDArray[np.int16]:
    """The inner pixels of the largest lumen of one slice; empty where there is none."""
    pixel_mm2 = pixel_mm[0] * pixel_mm[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(air.astype(np.uint8))
    width_px, height_px, area_px = (
        stats[1:, column].astype(np.float64) for column in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA)
    )
    fits = (area_px * pixel_mm2 >= LUMEN_MM2[0]) & (area_px * pixel_mm2 <= LUMEN_MM2[1])
    fits &= (width_px * pixel_mm[1] <= WIDEST_MM) & (height_px * pixel_mm[0] <= WIDEST_MM)
    fits &= area_px >= ROUND_SHARE * width_px * height_px
    if not fits.any():
        return hu[:0, 0]
    largest = 1 + int(np.argmax(np.where(fits, area_px, 0.0)))
    radius = max(1, round(WALL_MM / pixel_mm[0]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return hu[cv2.erode((labels == largest).astype(np.uint8), disc) > 0]


def soft_tissue_hu(volume: Volume, masks: Masks) -> float:
    """What soft tissue measures at the height of the lungs, from every second pixel.

    Fat, muscle and enhanced blood each make a peak in the histogram from -150 to 300 HU; of the peaks that reach a
    fifth of the highest, the one nearest to muscle.
    """
    inside = np.flatnonzero(masks.lung_areas)
    step = max(1, len(inside) // 24)
    hu = volume.hu[inside[0] : inside[-1] + 1 : step, ::2, ::2]
    edges = np.arange(SOFT_HU[0], SOFT_HU[1] + STEP_HU, STEP_HU)
    smooth = np.convolve(_histogram(hu), np.ones(5) / 5, mode="same")
    around = np.pad(smooth, 1)
    peaks = (smooth >= around[:-2]) & (smooth >= around[2:]) & (smooth >= PEAK_SHARE * smooth.max())
    centres_hu = (edges[:-1] + STEP_HU / 2)[peaks]
    return float(centres_hu[int(np.argmin(np.abs(centres_hu - MUSCLE_HU)))])


def _histogram(hu: Hu) -> npt.NDArray[np.intp]:
    """How many values lie in each `STEP_HU` of `SOFT_HU`, its upper end in the last one; `np.histogram` would sort."""
    low, high = (edge - HU_MIN for edge in SOFT_HU)
    each = np.bincount(np.ravel(hu) - HU_MIN, minlength=high + 1)[low : high + 1]  # every HU by itself
    steps = np.asarray(each[:-1].reshape(-1, STEP_HU).sum(axis=1))
    steps[-1] += each[-1]
    return steps
