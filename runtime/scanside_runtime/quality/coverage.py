"""Is all of both lungs in the series: from the lowest to the highest slice, and within the field of view?"""

from __future__ import annotations

import cv2
import numpy as np

from scanside_runtime.findings import Finding, Level, figures
from scanside_runtime.settings.tables import CoverageSettings
from scanside_runtime.volume import HU_MIN, Bools, Hu, Masks, Volume

_CUT = (
    "The {} slice still shows lung ({:.0f} % of the largest area): the lung {} is cut off, and volumes and POI miss "
    "what lies beyond."
)
_GAS = (
    "Gas in the lowest slice was taken for lung ({:.0f} % of the lungs' largest area): it is of the stomach or the "
    "gut, and lung volume and POI count it."
)
REACH_PX = 2
"""Lung this near to the edge of the picture reaches it: the network's outline is not truer than that."""


def check_coverage(volume: Volume, masks: Masks, settings: CoverageSettings, gas_hu: float) -> tuple[Finding, ...]:
    """Lungs that reach the first or last slice are cut off there: volumes and POI miss what lies beyond.

    The level follows the area in the end slice as a share of the largest: `withhold` above
    `settings.withhold_share`, else `caution` from `settings.caution_share` on. Pieces of the lowest slice whose median
    is below `gas_hu` are gas of the gut: they are no lung that is cut off, and are named by themselves.
    """
    areas = masks.lung_areas  # (z,)
    gas = _gas_px(volume.hu[0], masks.lungs_in(0), gas_hu)
    lowest, highest, of_gas = (float(area) / float(areas.max()) for area in (areas[0] - gas, areas[-1], gas))
    found = (
        ("COVERAGE_BASE_CUT", lowest, _CUT.format("lowest", 100 * lowest, "base")),
        ("COVERAGE_APEX_CUT", highest, _CUT.format("highest", 100 * highest, "apex")),
        ("COVERAGE_GUT_GAS", of_gas, _GAS.format(100 * of_gas)),
    )
    return tuple(
        Finding(code, _level(share > settings.withhold_share), message, figures(area_percent=100 * share))
        for code, share, message in found
        if share >= settings.caution_share
    )


def _level(is_much: bool) -> Level:
    return "withhold" if is_much else "caution"


def _gas_px(hu: Hu, lungs: Bools, gas_hu: float) -> int:
    """Pixels of the pieces of one slice that are too dark for lung."""
    count, pieces = cv2.connectedComponents(lungs.astype(np.uint8))
    medians = {piece: float(np.median(hu[pieces == piece])) for piece in range(1, count)}
    return int(np.count_nonzero(np.isin(pieces, [piece for piece, median in medians.items() if median < gas_hu])))


def check_field_of_view(volume: Volume, masks: Masks, settings: CoverageSettings) -> tuple[Finding, ...]:
    """Lungs that reach the edge of what was reconstructed are cut off at the side.

    The edge is the picture's border and what is -1024 in every slice (padding around a round field of view). The
    figure is the share of the lungs' outline that lies on it: `withhold` above `settings.edge_share`, else `caution`
    from a hundredth of that on. A body that is cut off beside whole lungs loses no lung and is no finding.
    """
    box = masks.lungs_box
    share = share_on_the_edge(masks.lungs_within(box), _edge(volume)[box[1:]])
    if share <= settings.edge_share / 100.0:
        return ()
    message = (
        f"The lungs reach the edge of the field of view ({100 * share:.1f} % of their outline): what lies beyond was "
        "not reconstructed, and volumes and POI miss it."
    )
    values = figures(outline_percent=100 * share)
    return (Finding("COVERAGE_FIELD_OF_VIEW", _level(share > settings.edge_share), message, values),)


def _edge(volume: Volume) -> Bools:
    """Pixels at which the picture ends, with `REACH_PX` around them, (y, x) bool."""
    empty = volume.hu.max(axis=0) == HU_MIN
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
