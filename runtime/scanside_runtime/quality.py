"""Guards after the masks, first form: is this a chest, and does the series hold the whole lungs?"""

from __future__ import annotations

import numpy as np

from scanside_runtime.errors import SeriesNoLungs
from scanside_runtime.findings import KINDS, Finding
from scanside_runtime.settings import CoverageSettings
from scanside_runtime.volume import Masks, Volume


def require_lungs(volume: Volume, masks: Masks, settings: CoverageSettings) -> None:
    """Raises SeriesNoLungs when there is too little lung for a chest: an empty answer is not a healthy lung."""
    volume_ml = float(np.count_nonzero(masks.lungs)) * volume.voxel_ml
    if volume_ml < settings.least_lung_ml:
        raise SeriesNoLungs(volume_ml=volume_ml, least_ml=settings.least_lung_ml)


def check_coverage(masks: Masks, settings: CoverageSettings) -> tuple[Finding, ...]:
    """Lungs that reach the first or last section are cut off there: volumes and POI miss what lies beyond.

    The level follows the area in the end section as a share of the largest: `withhold` above
    `settings.withhold_share`, else `caution`.
    """
    areas = np.count_nonzero(masks.lungs, axis=(1, 2))  # (z,)
    ends = (("COVERAGE_BASE_CUT", "lowest", "base", areas[0]), ("COVERAGE_APEX_CUT", "highest", "apex", areas[-1]))
    return tuple(
        _cut(code, section, part, float(area) / float(areas.max()), settings.withhold_share)
        for code, section, part, area in ends
        if area > 0
    )


def _cut(code: str, section: str, part: str, share: float, withhold_share: float) -> Finding:
    message = (
        f"The {section} section still shows lung ({100 * share:.0f} % of the largest area): the lung {part} is cut "
        "off, and volumes and POI miss what lies beyond."
    )
    return Finding(code, "withhold" if share > withhold_share else "caution", message)


def explain_withheld(code: str) -> str:
    """What to do next about a finding that withholds the measurement."""
    return KINDS[code].advice
