"""Lung that may be missing from the masks: each said, none withheld.

Disease can make all of it, so a caution is all that may come of it: collapse, consolidation and operations leave a
lung shorter, and fluid leaves it smaller.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scanside_runtime.findings import Finding, figures
from scanside_runtime.model.components import Pieces
from scanside_runtime.quality.overview import Overview, opened
from scanside_runtime.settings.tables import MissingLungSettings
from scanside_runtime.volume import Bools, Masks, Volume

THIRDS = ("lower", "middle", "upper")
AERATED_HU = (-900.0, -650.0)
"""Aerated lung in the median; the gas of trachea, stomach and bowel is darker."""
RIM_MM = 5.0
"""Half the thickness of the thinnest air that is looked for: edges of lungs and airways are thinner."""


def check_parts(volume: Volume, masks: Masks, settings: MissingLungSettings) -> tuple[Finding, ...]:
    """A lung of which a part has no counterpart: the apex ends lower, or a third holds far less than the other's.

    Thirds are of the height over which there is any lung.
    """
    right, left = (
        np.count_nonzero(lung.within(masks.lungs_box), axis=(1, 2)).astype(np.float64) * volume.voxel_ml
        for lung in (masks.right_lung, masks.left_lung)
    )
    if not (right.any() and left.any()):
        return ()
    apex, thirds = _lower_apex(right, left, volume.spacing_mm[0], settings), _poor_thirds(right, left, settings)
    if not (apex or thirds):
        return ()
    said = "; ".join(text for text, _ in (*apex, *thirds))
    message = f"A part of a lung may be missing from the outlines: {said}. POI may be too low."
    values = {"apex_mm": apex[0][1]} if apex else {}
    if thirds:
        values["third_percent"] = min(percent for _, percent in thirds)
    return (Finding("QUALITY_PART_MISSING", "caution", message, figures(**values)),)


Profile = npt.NDArray[np.float64]
"""Lung in each slice, (z,) ml."""


def _lower_apex(
    right: Profile, left: Profile, step_mm: float, settings: MissingLungSettings
) -> list[tuple[str, float]]:
    tops = np.flatnonzero(right)[-1], np.flatnonzero(left)[-1]
    apart_mm = abs(int(tops[0]) - int(tops[1])) * step_mm
    side = "right" if tops[0] < tops[1] else "left"
    if apart_mm <= settings.apex_mm:
        return []
    return [(f"the {side} lung ends {apart_mm:.0f} mm below the other one's apex", apart_mm)]


def _poor_thirds(right: Profile, left: Profile, settings: MissingLungSettings) -> list[tuple[str, float]]:
    there = np.flatnonzero(right + left)
    said = []
    for name, part in zip(THIRDS, np.array_split(np.arange(there[0], there[-1] + 1), 3), strict=True):
        mine, other = float(right[part].sum()), float(left[part].sum())
        percent = 100 * min(mine, other) / max(mine + other, 1e-6)
        if percent < 100 * settings.third_share:
            side = "right" if mine < other else "left"
            said.append((f"the {side} lung has {percent:.0f} % of both in the {name} third", percent))
    return said


def check_air_outside(overview: Overview, settings: MissingLungSettings) -> tuple[Finding, ...]:
    """Air as in lung, inside the chest, that is in no mask: too dense for gas of the gut, too wide for an edge."""
    low, high = AERATED_HU
    pieces = Pieces(opened((overview.hu < -500.0) & ~overview.lungs, RIM_MM))
    voxel_ml = overview.voxel_ml
    outside = pieces.inside(_sides(overview.lungs.shape)) > 0
    found_ml = 0.0
    for piece in np.flatnonzero(~outside & (pieces.sizes * voxel_ml >= settings.air_ml)):
        here = pieces.keep(np.arange(len(pieces) + 1) == piece)
        if piece and low <= float(np.median(overview.hu[here])) <= high:
            found_ml += float(pieces.sizes[piece]) * voxel_ml
    if not found_ml:
        return ()
    message = f"{found_ml:.0f} ml of air as in lung lie beside the outlines of the lungs."
    return (Finding("QUALITY_AIR_OUTSIDE", "caution", message, figures(air_ml=found_ml)),)


def _sides(shape: tuple[int, ...]) -> Bools:
    """The sides of the overview, where air around the body is; (s, y, x) bool."""
    sides = np.ones(shape, dtype=np.bool_)
    sides[:, 1:-1, 1:-1] = False
    return sides
