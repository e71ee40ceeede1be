"""Is the patient one whom the networks were made for, and is it one patient? Unknown is not adult."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scanside_runtime.dicom.values.dates import OLDEST_YEARS
from scanside_runtime.findings import Finding, figures
from scanside_runtime.settings.tables import PatientSettings
from scanside_runtime.volume import Masks, Volume

STEP_MM = 5.0
PIXEL_MM = 4.0
TISSUE_HU = -500
LEAST_OVERLAP = 0.8
"""Of the tissue around the lungs in two neighbouring slices, as intersection over union. Measured in 13 real series:
0.88 and more within a patient at 5 mm, 0.82 and more at 10 mm; between the middles of two patients 0.65 in the median,
0.80 and less in nine of ten pairs."""
JUMP = 2.5
"""... and the change is this much larger than the usual one from slice to slice."""


def check_age(age_years: float | None, settings: PatientSettings) -> tuple[Finding, ...]:
    """`withhold` for a known age under `settings.adult_from_years`, `caution` where no age is known."""
    if age_years is None or age_years > OLDEST_YEARS:
        message = "The patient's age is not known, and the networks have seen adults only."
        return (Finding("PATIENT_AGE_UNKNOWN", "caution", message),)
    if age_years >= settings.adult_from_years:
        return ()
    message = (
        f"The patient is {age_years:g} years old. The networks have seen adults only (from "
        f"{settings.adult_from_years:g} years on)."
    )
    values = figures(age_years=age_years, adult_from_years=settings.adult_from_years)
    return (Finding("PATIENT_UNDER_AGE", "withhold", message, values),)


def check_one_body(volume: Volume, masks: Masks) -> tuple[Finding, ...]:
    """No slice is of another body than the one below it, whatever the headers say.

    `withhold` where the tissue of two neighbouring slices hardly overlaps and their difference is far above the
    usual one: two patients in one series, or a part of it that lies elsewhere than its header says.
    """
    slices = _some_slices(volume, masks)
    changes = np.array([1.0 - _overlap(volume, masks, below, above) for below, above in pairwise(slices)])
    if not changes.size:
        return ()
    worst = int(np.argmax(changes))
    if changes[worst] <= 1.0 - LEAST_OVERLAP or changes[worst] <= JUMP * float(np.median(changes)):
        return ()
    upper, lower = (len(volume.hu) - slices[at] for at in (worst + 1, worst))
    message = (
        f"Between slices {upper} and {lower} from the head the body becomes another one (overlap "
        f"{100 * (1.0 - changes[worst]):.0f} %): the slices may be of two patients."
    )
    values = figures(upper_slice=upper, lower_slice=lower, overlap_percent=100 * (1.0 - changes[worst]))
    return (Finding("PATIENT_TWO_BODIES", "withhold", message, values),)


def _some_slices(volume: Volume, masks: Masks) -> list[int]:
    """Slices with lung, some 5 mm apart."""
    inside = np.flatnonzero(masks.lung_areas)
    step = max(1, round(STEP_MM / volume.spacing_mm[0]))
    return list(range(int(inside[0]), int(inside[-1]) + 1, step))


def _overlap(volume: Volume, masks: Masks, below: int, above: int) -> float:
    """Intersection over union of the tissue of two slices, on some 4 mm, where neither has lung."""
    step = max(1, round(PIXEL_MM / volume.spacing_mm[1]))
    one, other = (volume.hu[k, ::step, ::step] > TISSUE_HU for k in (below, above))
    outside = ~(masks.lungs_in(below) | masks.lungs_in(above))[::step, ::step]
    return float(np.count_nonzero(one & other & outside)) / max(1, int(np.count_nonzero((one | other) & outside)))
