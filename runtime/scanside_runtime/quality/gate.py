"""The gate after the masks: reasons not to believe, each by a guard of its own.

A guard looks for one thing and gives findings; a `withhold` among them takes POI and all that rests on infection back.
Their order is the order of gravity: the first that withholds is the reason that people read.
"""

from __future__ import annotations

from scanside_runtime.findings import KINDS, Finding
from scanside_runtime.quality.anatomy import check_lung_volume, check_sides, require_chest, require_lungs
from scanside_runtime.quality.coverage import check_coverage, check_field_of_view
from scanside_runtime.quality.effusion import check_fluid, set_fluid_apart
from scanside_runtime.quality.hu_calibration import check_calibration
from scanside_runtime.quality.image_quality import (
    check_contrast,
    check_kernel,
    check_metal,
    check_noise,
    check_thickness,
)
from scanside_runtime.quality.missing_lung import check_air_outside, check_parts
from scanside_runtime.quality.motion import check_motion
from scanside_runtime.quality.orientation import check_orientation
from scanside_runtime.quality.overview import Overview, make_overview
from scanside_runtime.quality.patient import check_one_body
from scanside_runtime.quality.uncertainty import check_partly_seen, check_uncertainty
from scanside_runtime.settings.tables import Settings
from scanside_runtime.volume import Masks, Volume


def set_apart_and_judge(
    volume: Volume, masks: Masks, kernel: str | None, settings: Settings
) -> tuple[Masks, tuple[Finding, ...]]:
    """The masks without what is surely fluid, and everything that speaks against the numbers of the rest.

    Raises as `judge`.
    """
    if not masks.lung_areas.any():
        return masks, judge(volume, masks, kernel, settings)
    overview = make_overview(volume, masks)
    apart = set_fluid_apart(volume, masks, overview, settings.missing_lung)
    return apart, judge(volume, apart, kernel, settings, overview if apart is masks else None)


def judge(
    volume: Volume, masks: Masks, kernel: str | None, settings: Settings, overview: Overview | None = None
) -> tuple[Finding, ...]:
    """Everything that speaks against the numbers of a chest, the gravest first.

    overview: of these masks, where there is one already. Raises SeriesNotChest where what was segmented is no chest.
    """
    require_lungs(masks, settings.coverage)
    require_chest(volume, masks, settings.anatomy)
    if overview is None:
        overview = make_overview(volume, masks)
    coverage = check_coverage(volume, masks, settings.coverage, settings.anatomy.gas_hu)
    cut = any(finding.level == "withhold" for finding in coverage)
    return (
        *check_one_body(volume, masks),
        *check_calibration(volume, masks, settings.quality),
        *check_orientation(overview, masks, cut=cut),
        *coverage,
        *check_field_of_view(volume, masks, settings.coverage),
        *check_lung_volume(volume, masks, settings.anatomy),
        *check_sides(masks, settings.anatomy),
        *check_parts(volume, masks, settings.missing_lung),
        *check_air_outside(overview, settings.missing_lung),
        *check_fluid(overview, masks, settings.missing_lung),
        *check_motion(overview, masks, settings.motion),
        *check_thickness(volume, settings.quality),
        *check_contrast(overview, settings.quality),
        *check_noise(volume, masks, settings.quality),
        *check_kernel(kernel),
        *check_metal(volume, masks, settings.quality),
        *check_partly_seen(masks, settings.quality),
        *check_uncertainty(masks, settings.quality),
    )


def explain_withheld(code: str) -> str:
    """What to do next about a finding that withholds the measurement."""
    return KINDS[code].advice
