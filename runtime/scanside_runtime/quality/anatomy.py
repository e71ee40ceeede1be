"""Is what was segmented a pair of human lungs? An empty or odd answer of a network is not a healthy lung."""

from __future__ import annotations

import numpy as np

from scanside_runtime.dicom.errors import SeriesNotChest
from scanside_runtime.findings import Finding, figures
from scanside_runtime.settings.tables import AnatomySettings, CoverageSettings
from scanside_runtime.volume import Mask, Masks, Volume

LEAST_HEIGHT_MM = 60.0
LEAST_WIDTH_MM = 100.0
AERATED_HU = -500
LEAST_AERATED = 0.1
"""The sickest of lungs hold air in more of their voxels than this; what is solid does not."""


def require_lungs(masks: Masks, settings: CoverageSettings) -> None:
    """Raises SeriesNotChest when there is too little lung for a chest: an empty answer is not a healthy lung."""
    volume_ml = masks.right_lung.volume_ml + masks.left_lung.volume_ml
    if volume_ml < settings.least_lung_ml:
        least_ml = settings.least_lung_ml
        raise SeriesNotChest(why=f"no lungs were found ({volume_ml:.0f} ml; a chest has {least_ml:.0f} ml and more)")


def require_chest(volume: Volume, masks: Masks, settings: AnatomySettings) -> None:
    """Shape and air of lungs, whatever BodyPartExamined says; raises SeriesNotChest.

    - A tenth of the lungs is aerated, below -500 HU, however sick the rest is; what is solid is not.
    - Aerated lung is no darker than `settings.gas_hu` in the median; bowel gas and sinuses are.
    - The pair is at least 60 mm high and 100 mm wide.
    - The right lung lies to the right of the left one, where both are there.
    """
    z, y, x = (slice(side.start - side.start % 2, side.stop) for side in masks.lungs_box)
    lung_hu = volume.hu[z, y, x][:, ::2, ::2][masks.lungs_within((z, y, x))[:, ::2, ::2]]
    aerated_hu = lung_hu[lung_hu < AERATED_HU]
    if aerated_hu.size < LEAST_AERATED * lung_hu.size:
        raise SeriesNotChest(why=f"only {100 * aerated_hu.size / max(1, lung_hu.size):.0f} % of it holds air")
    if np.median(aerated_hu) < settings.gas_hu:
        raise SeriesNotChest(why=f"its air measures {np.median(aerated_hu):.0f} HU, as free gas does")
    height_mm, _, width_mm = extent_mm(masks, volume.spacing_mm)
    if height_mm < LEAST_HEIGHT_MM or width_mm < LEAST_WIDTH_MM:
        raise SeriesNotChest(why=f"it is {height_mm:.0f} mm high and {width_mm:.0f} mm wide")
    if _sides_swapped(masks):
        raise SeriesNotChest(why="the right one lies to the left of the left one")


def extent_mm(masks: Masks, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    """Height, depth and width of the box around both lungs; 0 without any."""
    height, depth, width = ((side.stop - side.start) * mm for side, mm in zip(masks.lungs_box, spacing_mm, strict=True))
    return height, depth, width


def _sides_swapped(masks: Masks) -> bool:
    """In LPS the patient's right has the smaller x."""
    if not masks.right_lung.voxels or not masks.left_lung.voxels:
        return False
    right, left = (_middle_column(lung) for lung in (masks.right_lung, masks.left_lung))
    return right >= left


def _middle_column(lung: Mask) -> float:
    counts = np.count_nonzero(lung.within(lung.box), axis=(0, 1))  # (x,)
    return float(lung.box[2].start + np.average(np.arange(len(counts)), weights=counts))


def check_lung_volume(volume: Volume, masks: Masks, settings: AnatomySettings) -> tuple[Finding, ...]:
    """The lungs' volume for the size of the chest: their own width, width and depth stand for the body's size.

    `withhold` above `settings.largest_ml`, which no human lungs have: then a length in the header is wrong. `caution`
    where the lungs fill too little (a shallow breath, the usual case) or too much of width x width x depth.
    """
    volume_ml = masks.right_lung.volume_ml + masks.left_lung.volume_ml
    if volume_ml > settings.largest_ml:
        message = f"The lungs measure {volume_ml:.0f} ml; no human lungs have more than {settings.largest_ml:.0f} ml."
        return (Finding("QUALITY_LUNG_VOLUME", "withhold", message, figures(lungs_ml=volume_ml)),)
    fill = lung_fill(volume, masks)
    if settings.least_fill <= fill <= settings.most_fill:
        return ()
    how = "little, as in a shallow breath" if fill < settings.least_fill else "much"
    message = f"The lungs measure {volume_ml:.0f} ml, which is {how} for a chest of this width and depth."
    return (Finding("QUALITY_LUNG_VOLUME", "caution", message, figures(lungs_ml=volume_ml)),)


def lung_fill(volume: Volume, masks: Masks) -> float:
    """The lungs' volume as a share of width x width x depth of the box around both."""
    _, depth_mm, width_mm = extent_mm(masks, volume.spacing_mm)
    return 1000.0 * (masks.right_lung.volume_ml + masks.left_lung.volume_ml) / (width_mm * width_mm * depth_mm)


def check_sides(masks: Masks, settings: AnatomySettings) -> tuple[Finding, ...]:
    """The smaller lung's share of both: `withhold` where it is next to nothing, `caution` where it is small."""
    right_ml, left_ml = masks.right_lung.volume_ml, masks.left_lung.volume_ml
    share = min(right_ml, left_ml) / (right_ml + left_ml)
    side = "right" if right_ml < left_ml else "left"
    if share >= settings.uneven_share:
        return ()
    values = figures(**{f"{side}_lung_percent": 100 * share})
    if share < settings.lone_share:
        message = (
            f"The {side} lung was not found ({100 * share:.0f} % of both): it may be gone, or so dense that all of it "
            "was taken for chest wall. POI of both lungs can't be told."
        )
        return (Finding("QUALITY_UNEVEN_LUNGS", "withhold", message, values),)
    message = f"The {side} lung is small: {100 * share:.0f} % of both."
    return (Finding("QUALITY_UNEVEN_LUNGS", "caution", message, values),)
