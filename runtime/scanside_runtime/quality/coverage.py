"""Is all of both lungs in the series: from the lowest to the highest slice, and within the field of view?"""

from __future__ import annotations

import cv2
import numpy as np

from scanside_runtime.findings import Finding
from scanside_runtime.settings import CoverageSettings
from scanside_runtime.volume import HU_MIN, Bools, Masks, Volume

REACH_PX = 2
"""Lung this near to the edge of the picture reaches it: the network's outline is not truer than that."""


def check_coverage(masks: Masks, settings: CoverageSettings) -> tuple[Finding, ...]:
    """Lungs that reach the first or last slice are cut off there: volumes and POI miss what lies beyond.

    The level follows the area in the end slice as a share of the largest: `withhold` above
    `settings.withhold_share`, else `caution`.
    """
    areas = np.count_nonzero(masks.lungs, axis=(1, 2))  # (z,)
    ends = (("COVERAGE_BASE_CUT", "lowest", "base", areas[0]), ("COVERAGE_APEX_CUT", "highest", "apex", areas[-1]))
    return tuple(
        _cut(code, end, part, float(area) / float(areas.max()), settings.withhold_share)
        for code, end, part, area in ends
        if area > 0
    )


def _cut(code: str, end: str, part: str, share: float, withhold_share: float) -> Finding:
    much = f"{100 * share:.0f}" if share >= 0.01 else "less than 1"
    message = (
        f"The {end} slice still shows lung ({much} % of the largest area): the lung {part} is cut off, and "
        "volumes and POI miss what lies beyond."
    )
    return Finding(code, "withhold" if share > withhold_share else "caution", message)


def check_field_of_view(volume: Volume, masks: Masks, settings: CoverageSettings) -> tuple[Finding, ...]:
    """Lungs that reach the edge of what was reconstructed are cut off at the side.

    The edge is the picture's border and what is -1024 in every slice (padding around a round field of view). The
    figure is the share of the lungs' outline that lies on it: `withhold` above `settings.edge_share`, else `caution`
    from a hundredth of that on. A body that is cut off beside whole lungs loses no lung and is no finding.
    """
    share = share_on_the_edge(masks.lungs, _edge(volume))
    if share <= settings.edge_share / 100.0:
        return ()
    message = (
        f"The lungs reach the edge of the field of view ({100 * share:.1f} % of their outline): what lies beyond was "
        "not reconstructed, and volumes and POI miss it."
    )
    return (Finding("COVERAGE_FIELD_OF_VIEW", "withhold" if share > settings.edge_share else "caution", message),)


def _edge(volume: Volume) -> Bools:
    """Pixels at which the picture ends, with `REACH_PX` around them, (y, x) bool."""
    empty = (volume.hu == HU_MIN).all(axis=0)
    edge = np.pad(empty.astype(np.uint8), 1, constant_values=1)
    size = 2 * REACH_PX + 1
    return np.asarray(cv2.dilate(edge, np.ones((size, size), np.uint8))[1:-1, 1:-1] > 0)


def share_on_the_edge(lungs: Bools, edge: Bools) -> float:
    """Of the pixels on the lungs' in-plane outline, the share on the edge."""
    on_edge = outline = 0
    for plane in lungs[lungs.any(axis=(1, 2))]:
        border = plane & (cv2.erode(plane.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) == 0)
        outline += int(np.count_nonzero(border))
        on_edge += int(np.count_nonzero(border & edge))
    return on_edge / max(1, outline)
