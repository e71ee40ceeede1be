"""What makes the numbers of a sound series less sure: kernel, noise, contrast medium, metal, slice thickness."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.dicom.values.kernel import Sharpness, sharpness
from scanside_runtime.findings import Finding, figures
from scanside_runtime.quality.overview import Overview, disc, hull
from scanside_runtime.settings.tables import QualitySettings
from scanside_runtime.volume import Masks, Volume

THICKNESS_MM = (0.5, 10.0)
"""What is measured at all, with a caution where validation did not reach."""
NOISE_SLICES = 10
NOISE_MM = 7.0
MOST_NOISE_HU = 200.0
TISSUE_HU = (0.0, 120.0)
HEART_HEIGHT = (0.3, 0.75)
BLOOD_PERCENTILE = 75.0
BLOOD_HU = (0.0, 600.0)
FROM_LUNG_MM = 8.0
FRONT_SHARE = 0.65
"""Of the depth of the lungs: the spine lies behind it."""


def check_kernel(kernel: str | None) -> tuple[Finding, ...]:
    """The name of the kernel says sharp; a soft one was not there, or would have been chosen."""
    if sharpness(kernel) is not Sharpness.SHARP:
        return ()
    message = f'The kernel "{kernel}" is a sharp one: it raises noise and edges, and iHU with them.'
    return (Finding("QUALITY_KERNEL", "caution", message),)


def check_thickness(volume: Volume, settings: QualitySettings) -> tuple[Finding, ...]:
    """The slices' thickness (or distance, where that is larger) lies where the network was validated.

    `caution` from 0.5 to 10 mm where validation did not reach, `withhold` outside.
    """
    thickness_mm = round(max(volume.spacing_mm[0], volume.slice_thickness_mm or 0.0), 2)
    low, high = THICKNESS_MM
    if not low <= thickness_mm <= high:
        message = f"The slices are {thickness_mm:g} mm thick; Scanside measures {low:g} to {high:g} mm."
        values = figures(thickness_mm=thickness_mm, measured_from_mm=low, measured_to_mm=high)
        return (Finding("QUALITY_THICKNESS", "withhold", message, values),)
    if settings.validated_from_mm <= thickness_mm <= settings.validated_to_mm:
        return ()
    message = (
        f"The slices are {thickness_mm:g} mm thick; the networks were validated on {settings.validated_from_mm:g} to "
        f"{settings.validated_to_mm:g} mm."
    )
    validated = {"validated_from_mm": settings.validated_from_mm, "validated_to_mm": settings.validated_to_mm}
    return (Finding("QUALITY_THICKNESS", "caution", message, figures(thickness_mm=thickness_mm, **validated)),)


def check_noise(volume: Volume, masks: Masks, settings: QualitySettings) -> tuple[Finding, ...]:
    """The scatter within soft tissue is not above `settings.noise_hu`."""
    found_hu = noise_hu(volume, masks)
    if found_hu <= settings.noise_hu:
        return ()
    message = f"The pictures are noisy: soft tissue scatters by {found_hu:.0f} HU."
    return (Finding("QUALITY_NOISE", "caution", message, figures(scatter_hu=found_hu)),)


def noise_hu(volume: Volume, masks: Masks) -> float:
    """The most frequent standard deviation within 7 mm around a pixel of soft tissue (Christianson et al. 2015)."""
    inside = np.flatnonzero(masks.lung_areas)
    side = max(3, round(NOISE_MM / volume.spacing_mm[1])) | 1
    counts = np.zeros(256)
    for slab in inside[:: max(1, len(inside) // NOISE_SLICES)]:
        counts += np.bincount(_scatter(volume.hu[slab].astype(np.float32), side), minlength=256)
    return float(np.argmax(np.convolve(counts, np.ones(3), mode="same"))) if counts.any() else 0.0


def _scatter(plane: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.intp]:
    """Standard deviations around soft-tissue pixels in whole HU; edges, which scatter by more than 200, left out."""
    mean = cv2.blur(plane, (side, side))
    variance = cv2.blur(plane * plane, (side, side)) - mean * mean
    tissue = (mean > TISSUE_HU[0]) & (mean < TISSUE_HU[1]) & (variance < MOST_NOISE_HU**2)
    return np.asarray(np.sqrt(np.maximum(variance[tissue], 0.0)), dtype=np.intp)


def check_contrast(overview: Overview, settings: QualitySettings) -> tuple[Finding, ...]:
    """Blood is not brighter than it is by itself."""
    found_hu = mediastinum_hu(overview)
    if found_hu is None or found_hu <= settings.blood_hu:
        return ()
    message = (
        f"There is contrast medium in the vessels (heart and great vessels reach {found_hu:.0f} HU): vessels in the "
        "lungs are brighter, and iHU is higher than without it."
    )
    return (Finding("QUALITY_CONTRAST", "caution", message, figures(blood_hu=found_hu)),)


def mediastinum_hu(overview: Overview) -> float | None:
    """Three quarters of what is soft between the lungs, in front of the spine, lie below this; None if nothing does."""
    inside = np.flatnonzero(overview.lungs.any(axis=(1, 2)))
    low, high = (int(inside[0] + share * (inside[-1] - inside[0])) for share in HEART_HEIGHT)
    found = [_between_the_lungs(overview, slab) for slab in range(low, high + 1)]
    values = np.concatenate(found)
    return float(np.percentile(values, BLOOD_PERCENTILE)) if values.size else None


def _between_the_lungs(overview: Overview, slab: int) -> npt.NDArray[np.float32]:
    """Soft tissue of the mediastinum in one slice, (n,) HU of means over some 6 mm."""
    lung = overview.lungs[slab]
    rows = np.flatnonzero(lung.any(axis=1))
    if not rows.size:
        return np.empty(0, np.float32)
    between = hull(lung) & ~(cv2.dilate(lung.astype(np.uint8), disc(FROM_LUNG_MM)) > 0)
    between[int(rows[0] + FRONT_SHARE * (rows[-1] - rows[0])) :] = False
    smooth = np.asarray(cv2.blur(overview.hu[slab], (3, 3)), dtype=np.float32)
    return smooth[between & (smooth > BLOOD_HU[0]) & (smooth < BLOOD_HU[1])]


def check_metal(volume: Volume, masks: Masks, settings: QualitySettings) -> tuple[Finding, ...]:
    """Nothing in the slices with lung is denser than bone: metal throws streaks across, from a bracelet too.

    Streaks stay in the planes of the metal: it counts where those planes hold `settings.metal_share` of the lungs.
    """
    lung_px = masks.lung_areas  # (z,)
    metal_px = np.zeros(len(lung_px), dtype=np.int64)
    for z in np.flatnonzero(lung_px):
        metal_px[z] = np.count_nonzero(volume.hu[z] >= settings.metal_hu)
    found_ml = float(metal_px.sum()) * volume.voxel_ml
    share = float(lung_px[metal_px > 0].sum()) / max(1.0, float(lung_px.sum()))
    if found_ml < settings.metal_ml or share < settings.metal_share:
        return ()
    message = (
        f"There is metal beside {100 * share:.0f} % of the lungs, in the body or on it ({found_ml:.1f} ml above "
        f"{settings.metal_hu:.0f} HU): its streaks can look like infection or hide it."
    )
    values = figures(lungs_percent=100 * share, metal_ml=found_ml)
    return (Finding("QUALITY_METAL", "caution", message, values),)
