"""Is the patient one whom the networks were made for, and is it one patient? Unknown is not adult."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from scanside_runtime.findings import Finding
from scanside_runtime.settings import PatientSettings
from scanside_runtime.volume import Bools, Masks, Volume

OLDEST_YEARS = 125.0
"""An age above is none."""
STEP_MM = 5.0
PIXEL_MM = 4.0
TISSUE_HU = -500
LEAST_OVERLAP = 0.76
"""Of the tissue of two sections some 5 mm apart, as intersection over union. Measured in 13 real series: 0.81 and more
within a patient, 0.71 and less between the middles of two."""
JUMP = 2.5
"""... and the change is this much larger than the usual one from section to section."""


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
    return (Finding("PATIENT_UNDER_AGE", "withhold", message),)


def check_one_body(volume: Volume, masks: Masks) -> tuple[Finding, ...]:
    """No section is of another body than the one below it, whatever the headers say.

    `withhold` where the tissue of two neighbouring sections hardly overlaps and their difference is far above the
    usual one: two patients in one series, or a part of it that lies elsewhere than its header says.
    """
    sections = _some_slices(volume, masks.lungs)
    changes = np.array([1.0 - _overlap(volume, below, above) for below, above in pairwise(sections)])
    if not changes.size:
        return ()
    worst = int(np.argmax(changes))
    if changes[worst] <= 1.0 - LEAST_OVERLAP or changes[worst] <= JUMP * float(np.median(changes)):
        return ()
    message = (
        f"Between slices {sections[worst] + 1} and {sections[worst + 1] + 1} from the feet the body becomes another "
        f"(overlap {100 * (1.0 - changes[worst]):.0f} %): the slices may be of two patients."
    )
    return (Finding("PATIENT_TWO_BODIES", "withhold", message),)


def _some_slices(volume: Volume, lungs: Bools) -> list[int]:
    """Slices with lung, some 5 mm apart."""
    inside = np.flatnonzero(lungs.any(axis=(1, 2)))
    step = max(1, round(STEP_MM / volume.spacing_mm[0]))
    return list(range(int(inside[0]), int(inside[-1]) + 1, step))


def _overlap(volume: Volume, below: int, above: int) -> float:
    """Intersection over union of what is no air and no lung in two slices, on some 4 mm."""
    step = max(1, round(PIXEL_MM / volume.spacing_mm[1]))
    one, other = (volume.hu[k, ::step, ::step] > TISSUE_HU for k in (below, above))
    return float(np.count_nonzero(one & other)) / max(1, int(np.count_nonzero(one | other)))
