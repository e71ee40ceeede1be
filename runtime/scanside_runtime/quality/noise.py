"""What an overview's tissue measures without the scan's noise: averaged, where it is noisy, until it is quiet.

Noise is measured in the scan itself, in thick soft tissue beside the lungs: muscle, heart, liver. Averages never reach
beyond the tissue that is asked about, so that air, fat and bone at its border stay out.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.quality.overview import Overview, disc
from scanside_runtime.volume import Bools

Floats = npt.NDArray[np.float32]

QUIET_HU = 4.0
"""Noise up to which a smoothed overview is left as it is, as a standard deviation."""
LEFT_HU = 3.5
"""What may be left of more."""
SIGMAS_PX = (1.5, 2.0, 2.5, 3.0, 4.0)
"""How far may be averaged in the plane, 3 to 8 mm; half as much of the slab above and of the one below comes to it."""
OF_SLABS = 0.61
"""What that leaves of noise which neighbouring slabs do not share."""
TISSUE_HU = (-60.0, 110.0)
"""Fluid and tissue without air, whatever the noise; edges and bone are not averaged."""
CALM_HU, CALM_MM, CALM_PX = (0.0, 200.0), 8.0, 2.0
"""Thick soft tissue, averaged over the pixels, and so far from its border; contrast medium may be in it."""
STRUCTURE_PX = 6.0
"""What is wider than this is structure and no noise."""
EVERY = 4
"""Noise is measured in one of so many slabs."""


def without_noise(overview: Overview, place: Bools) -> Floats:
    """`Overview.smooth`; where the scan is noisy, the tissue of a place averaged further; both (s, y, x).

    Where no average makes it quiet it stays as it was.
    """
    hu, smooth = overview.hu[::EVERY], overview.smooth[::EVERY]
    calm, (low, high) = _calm(hu, overview.lungs[::EVERY]), TISSUE_HU
    if not calm.any() or _scatter_hu(smooth, calm) <= QUIET_HU:
        return overview.smooth
    for sigma_px in SIGMAS_PX:
        if OF_SLABS * _scatter_hu(_averaged(hu, calm, sigma_px), calm) <= LEFT_HU:
            tissue = place & (overview.smooth > low) & (overview.smooth < high)
            weight = _over_slabs(_blurred(tissue.astype(np.float32), sigma_px))
            sums = _over_slabs(_blurred(overview.hu * tissue, sigma_px))
            return np.where(tissue, sums / np.maximum(weight, 1e-3), overview.smooth)
    return overview.smooth


def _calm(hu: Floats, lungs: Bools) -> Bools:
    """Thick soft tissue, (s, y, x) bool."""
    wide, (low, high) = _blurred(hu, CALM_PX), CALM_HU
    soft = (wide > low) & (wide < high) & ~lungs
    return np.stack([cv2.erode(plane.view(np.uint8), disc(CALM_MM)) for plane in soft]) > 0


def _scatter_hu(hu: Floats, calm: Bools) -> float:
    """Standard deviation in calm tissue, made of the median: vessels stand out of that less than of the mean."""
    away = hu - _averaged(hu, calm, STRUCTURE_PX)
    return 1.48 * float(np.median(np.abs(away[calm])))


def _averaged(hu: Floats, mask: Bools, sigma_px: float) -> Floats:
    """Each pixel's neighbours in its slab and within a mask, in the mean."""
    weight = _blurred(mask.astype(np.float32), sigma_px)
    return np.asarray(_blurred(hu * mask, sigma_px) / np.maximum(weight, 1e-3), dtype=np.float32)


def _blurred(array: Floats, sigma_px: float) -> Floats:
    return np.stack([cv2.GaussianBlur(plane, (0, 0), sigma_px) for plane in array])


def _over_slabs(array: Floats) -> Floats:
    """Half of each slab with a quarter each of the slab above and of the one below."""
    beside = np.concatenate([array[:1], array[:-1]]) + np.concatenate([array[1:], array[-1:]])
    return np.asarray(0.5 * array + 0.25 * beside, dtype=np.float32)
