"""Lung that may be missing from the masks, and what may lie in its place: each said, none withheld.

Disease can make all of it, so a caution is all that may come of it: collapse, consolidation and operations leave a
lung shorter, and fluid leaves it smaller.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.findings import Finding, figures
from scanside_runtime.model.components import Pieces
from scanside_runtime.quality.overview import PIXEL_MM, Overview, disc
from scanside_runtime.settings.tables import MissingLungSettings
from scanside_runtime.volume import Bools, Masks, Volume

Floats = npt.NDArray[np.float32]

THIRDS = ("lower", "middle", "upper")
FLUID_HU = (0.0, 30.0, 25.0)
"""Pleural fluid beside a lung: from, to, and what nine tenths of a piece lie below.

Muscle, blood and liver are denser, without contrast medium too; nine tenths lie below 21 to 24 HU in fluid, and below
26 to 28 where kidneys lie in fat.
"""
OUTLINED_HU = (0.0, 35.0, 30.0)
"""The same within the outlines, where no fat is mixed in: denser fluid is told there as well."""
LEAST_PIECE_VOXELS = 250
"""Of the overview: 5 ml in slabs of 5 mm."""
FLUID_THICK_MM = 5.0
"""Half the thickness of the thinnest layer of fluid that is looked for."""
CAVITY_MM = 60.0
"""A chest's inside is where lung stands at most so much above, on this side or, mirrored, on the other."""
AERATED_BELOW_HU = -400.0
ABOVE_MM = 10.0
BESIDE_MM = 20.0
BESIDE_LUNG_MM = 10.0
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
    said = [*_lower_apex(right, left, volume.spacing_mm[0], settings), *_poor_third(right, left, settings)]
    if not said:
        return ()
    message = f"A part of a lung may be missing from the outlines: {'; '.join(said)}. POI may be too low."
    return (Finding("QUALITY_PART_MISSING", "caution", message),)


Profile = npt.NDArray[np.float64]
"""Lung in each slice, (z,) ml."""


def _lower_apex(right: Profile, left: Profile, step_mm: float, settings: MissingLungSettings) -> list[str]:
    tops = np.flatnonzero(right)[-1], np.flatnonzero(left)[-1]
    apart_mm = abs(int(tops[0]) - int(tops[1])) * step_mm
    side = "right" if tops[0] < tops[1] else "left"
    if apart_mm <= settings.apex_mm:
        return []
    return [f"the {side} lung ends {apart_mm:.0f} mm below the other one's apex"]


def _poor_third(right: Profile, left: Profile, settings: MissingLungSettings) -> list[str]:
    there = np.flatnonzero(right + left)
    said = []
    for name, part in zip(THIRDS, np.array_split(np.arange(there[0], there[-1] + 1), 3), strict=True):
        mine, other = float(right[part].sum()), float(left[part].sum())
        share = min(mine, other) / max(mine + other, 1e-6)
        if share < settings.third_share:
            side = "right" if mine < other else "left"
            said.append(f"the {side} lung has {100 * share:.0f} % of both in the {name} third")
    return said


def check_air_outside(overview: Overview, settings: MissingLungSettings) -> tuple[Finding, ...]:
    """Air as in lung, inside the chest, that is in no mask: too dense for gas of the gut, too wide for an edge."""
    low, high = AERATED_HU
    pieces = Pieces(_opened((overview.hu < -500.0) & ~overview.lungs, RIM_MM))
    voxel_ml = PIXEL_MM**2 * overview.slab_mm / 1000.0
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


def check_fluid(overview: Overview, settings: MissingLungSettings) -> tuple[Finding, ...]:
    """A dependent, homogeneous layer as dense as fluid beside the lungs, or outlined as lung: a possible effusion."""
    beside_ml, outlined_ml = fluid_ml(overview)
    said: list[str] = []
    values: dict[str, float] = {}
    if beside_ml >= settings.fluid_ml:
        said.append(f"beside the lungs lie some {beside_ml:.0f} ml as dense as fluid, which are not counted")
        values |= figures(beside_ml=beside_ml)
    if outlined_ml >= settings.fluid_in_lung_ml:
        said.append(f"some {outlined_ml:.0f} ml that are outlined as lung are as dense and even as fluid")
        values |= figures(outlined_ml=outlined_ml)
    if not said:
        return ()
    return (Finding("QUALITY_POSSIBLE_EFFUSION", "caution", f"A possible effusion: {'; '.join(said)}.", values),)


def fluid_ml(overview: Overview) -> tuple[float, float]:
    """What is as dense and even as fluid behind aerated lung, in ml: beside the outlines, and in them."""
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in overview.hu])
    aerated = overview.lungs & (overview.hu < AERATED_BELOW_HU)
    behind = ~_before(aerated, overview.slab_mm)
    place = behind & _cavity(overview) & ~overview.lungs
    beside = _even_pieces(place, smooth, FLUID_HU, _grown(overview.lungs))
    outlined = _even_pieces(behind & overview.lungs, smooth, OUTLINED_HU, overview.lungs)
    voxel_ml = PIXEL_MM**2 * overview.slab_mm / 1000.0
    return beside * voxel_ml, outlined * voxel_ml


def _even_pieces(place: Bools, smooth: Floats, fluid_hu: tuple[float, float, float], touching: Bools) -> int:
    """How many voxels are in thick pieces of one density that touch another mask.

    Fluid is of one density; what is mixed of organs and the fat between them reaches the upper limit.
    """
    low, high, mostly_below = fluid_hu
    pieces = Pieces(_opened(place & (smooth > low) & (smooth < high), FLUID_THICK_MM))
    large = (pieces.inside(touching) > 0) & (pieces.sizes >= LEAST_PIECE_VOXELS)
    large[0] = False
    found = 0
    for one in np.flatnonzero(large):
        here = pieces.keep(np.arange(len(large)) == one)
        if np.percentile(smooth[here], 90) < mostly_below:
            found += int(pieces.sizes[one])
    return found


def _cavity(overview: Overview) -> Bools:
    """Where lung stands at most `CAVITY_MM` above, as it is and mirrored, (s, y, x) bool: a chest widens downwards."""
    reach = max(1, round(CAVITY_MM / overview.slab_mm))
    near = np.stack([overview.lungs[s : s + reach + 1].any(axis=0) for s in range(len(overview))])
    columns = np.flatnonzero(near.any(axis=(0, 1)))
    box = slice(int(columns[0]), int(columns[-1]) + 1)
    mirrored = np.zeros_like(near)
    mirrored[:, :, box] = near[:, :, box][:, :, ::-1]
    return np.asarray(near | mirrored)


def _before(aerated: Bools, slab_mm: float) -> Bools:
    """What has aerated lung behind it, here or a little higher: liver, stomach, heart; a layer of fluid has none.

    `BESIDE_MM` to the sides count as behind, for a fatty liver is as dense as fluid and its recess a thin one.
    """
    reach = max(1, int(ABOVE_MM // slab_mm))
    wide = np.ones((1, 2 * round(BESIDE_MM / PIXEL_MM) + 1), np.uint8)
    before = np.zeros_like(aerated)
    for slab in range(len(aerated)):
        near = np.asarray(aerated[slab : slab + reach + 1].any(axis=0), dtype=np.uint8)
        before[slab] = np.maximum.accumulate(cv2.dilate(near, wide)[::-1], axis=0)[::-1] > 0
    return before


def _grown(lungs: Bools) -> Bools:
    """The lungs with all that is `BESIDE_LUNG_MM` away in the slab, or in the next one."""
    wide = np.stack([cv2.dilate(plane.view(np.uint8), disc(BESIDE_LUNG_MM)) for plane in lungs]) > 0
    grown = wide.copy()
    grown[1:] |= wide[:-1]
    grown[:-1] |= wide[1:]
    return grown


def _opened(mask: Bools, radius_mm: float) -> Bools:
    return np.stack([cv2.morphologyEx(plane.view(np.uint8), cv2.MORPH_OPEN, disc(radius_mm)) for plane in mask]) > 0


def _sides(shape: tuple[int, ...]) -> Bools:
    """The sides of the overview, where air around the body is; (s, y, x) bool."""
    sides = np.ones(shape, dtype=np.bool_)
    sides[:, 1:-1, 1:-1] = False
    return sides
