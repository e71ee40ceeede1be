"""Lungs of sick patients in whole pictures without a network: thresholds, the body, and experts' infection.

Where the three don't tell, it says so: not known is better than wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN
from scanside_export.data.lung_reference import AIR_HU, airways, reference_lungs
from scanside_export.data.volumes import volume_of
from scanside_runtime.model.body import find_body
from scanside_runtime.volume import HU_MIN, Bools, Hu, Spacing

Labels = npt.NDArray[np.uint8]

LEAST_LUNG_MM2 = 1500.0
"""Slabs with less air than this within the body are no chest: the pharynx and a neck's trachea have less."""
ABOVE_APEX_MM = 24.0
"""The trachea is looked for up to here above the highest slab of the chest."""
NEAR_INFECTION_MM = 7.0
"""Dense tissue this near to what an expert drew may be lung that he left out, or pleura."""


def sick_lungs(hu: Hu, infection: Bools, spacing_mm: Spacing) -> Labels:
    """Lungs of one whole picture, (z, y, x) uint8 in values of `Case.lungs`.

    - Air of the lungs by thresholds within the body, trachea and main bronchi out; infection is lung.
    - Not known: dense tissue beside infection, and air that hangs together with the lungs but is too thin to be sure.
    - All else is no lung: whatever lies outside of the body, gas of the gut, soft tissue.
    """
    inner = np.where(_body(hu, spacing_mm), hu, HU_MIN).astype(np.int16)
    chest = _chest(inner, spacing_mm)
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[chest] = _chest_lungs(inner[chest], infection[chest], spacing_mm)
    return labels


def _chest_lungs(hu: Hu, infection: Bools, spacing_mm: Spacing) -> Labels:
    aired = reference_lungs(hu, spacing_mm)
    labels = np.where(_unsure(hu, infection, aired > 0, spacing_mm), UNKNOWN, aired).astype(np.uint8)
    labels[infection] = _nearest_side(aired, spacing_mm)[infection]
    return labels


def _unsure(hu: Hu, infection: Bools, lungs: Bools, spacing_mm: Spacing) -> Bools:
    """Tissue beside infection, and thin air of the lungs; never the airways."""
    air = (hu < AIR_HU) & (hu > HU_MIN)
    beside = ndimage.distance_transform_edt(~infection, sampling=spacing_mm) < NEAR_INFECTION_MM
    pieces, _ = ndimage.label((air | infection) & ~airways(hu, air, spacing_mm))
    of_lung = np.isin(pieces, np.setdiff1d(np.unique(pieces[lungs | infection]), 0))
    return np.asarray((beside | (of_lung & air)) & ~lungs & (hu > HU_MIN), dtype=np.bool_)


def _nearest_side(sides: Labels, spacing_mm: Spacing) -> Labels:
    """For each voxel the side of the nearest lung."""
    away = [ndimage.distance_transform_edt(sides != side, sampling=spacing_mm) for side in (RIGHT, LEFT)]
    return np.where(away[0] <= away[1], RIGHT, LEFT).astype(np.uint8)


def _chest(hu: Hu, spacing_mm: Spacing) -> slice:
    """From the first slab to a little above the apex."""
    air_mm2 = np.count_nonzero((hu < AIR_HU) & (hu > HU_MIN), axis=(1, 2)) * spacing_mm[1] * spacing_mm[2]
    deepest = int(np.argmax(air_mm2))
    small = np.flatnonzero(air_mm2[deepest:] < LEAST_LUNG_MM2)
    apex = deepest + int(small[0]) if small.size else len(hu)
    return slice(0, apex + round(ABOVE_APEX_MM / spacing_mm[0]))


def _body(hu: Hu, spacing_mm: Spacing) -> Bools:
    body = find_body(volume_of(hu, spacing_mm))
    return np.stack([body.slice(z) for z in range(len(hu))])
