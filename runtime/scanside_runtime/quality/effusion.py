"""Pleural fluid: named in ml, and what was outlined as lung of it counted neither as lung nor as infection.

Fluid is of one density, whatever the noise. Dense lung is not: it is denser than fluid, or keeps air in its bronchi,
or its parts differ. Only what all three tell to be fluid is set apart; where one of them leaves a doubt it is counted
as the networks drew it, for a sick lung must not be made a sound one, and the page says so.

It is taken out of the lungs as well as of the infection: POI is a share of lung, and fluid is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.findings import Finding, figures
from scanside_runtime.model.components import Pieces
from scanside_runtime.quality.hu_calibration import soft_tissue_hu
from scanside_runtime.quality.noise import without_noise
from scanside_runtime.quality.overview import Overview, disc, opened
from scanside_runtime.settings.tables import MissingLungSettings
from scanside_runtime.volume import Bools, Fluid, Masks, Volume

Floats = npt.NDArray[np.float32]

FLUID_HU = (0.0, 30.0, 25.0)
"""Pleural fluid beside a lung: from, to, and what nine tenths of a piece lie below.

Muscle, blood and liver are denser, without contrast medium too; nine tenths lie below 21 to 24 HU in fluid, and below
26 to 28 where kidneys lie in fat.
"""
OUTLINED_HU = (0.0, 35.0, 30.0)
"""The same within the outlines, where no fat is mixed in: denser fluid is told there as well."""
NEAR_WATER_HU = (-10.0, 35.0, 30.0)
"""The same again for what may be set apart: noise takes fluid of few HU below 0."""
HIDDEN_HU = (-20.0, 60.0, 60.0)
"""What noise may hide lies within these, and is so much more than what is seen: 20 ml in slabs of 5 mm."""
LEAST_HIDDEN_VOXELS = 1000
SURE_HU = (-5.0, 27.0)
"""The median of what is set apart. Lung without air is denser: blood and muscle are, without contrast medium too."""
BELOW_SOFT_HU = 12.0
"""And so far below the soft tissue of the same scan: a scanner that shows everything too low makes no fluid."""
WITHIN_HU, WITHIN_SHARE = 8.0, 0.94
"""So much of a piece, smoothed, lies so near to its median. Measured from 40 ml on: fluid 0.948 and more, drawn
consolidation up to 0.92."""
MOST_AIR = 0.001
"""Of a piece with the gaps in it closed: the air of bronchi."""
AIR_HU = -100.0
GAPS_MM = 10.0
LEAST_OF_DENSE = 0.2
"""Of the dense lung behind aerated lung, and of the thick dense lung that it hangs together with, wherever that lies.

An even patch in a large consolidation is less of the one (measured: up to 0.07), the lowest part of an even one less
of the other (0.02 to 0.13; fluid 0.25 to 0.82, in one case of 20 HU 0.18).
"""
LEAST_PIECE_VOXELS = 250
"""Of the overview: 5 ml in slabs of 5 mm."""
FLUID_THICK_MM = 5.0
"""Half the thickness of the thinnest layer of fluid that is looked for."""
CAVITY_MM = 60.0
"""A chest's inside is where lung stands at most so much above, on this side or, mirrored, on the other."""
BESIDE_LUNG_MM = 10.0

EDGE_MM = 8.0
"""The edge of fluid is looked for so far around what is surely fluid, and in one slab more."""
EDGE_HU = (-300.0, 15.0)
"""Edge is denser than the one, and at most so much denser than the fluid as the other: behind that lies dense lung."""
THIN_MM = 3.0
"""What is left between fluid and wall, thinner than twice this, is edge as well."""


def set_fluid_apart(volume: Volume, masks: Masks, overview: Overview, settings: MissingLungSettings) -> Masks:
    """The masks without the fluid that they took for lung, which stands beside them as `Masks.fluid`.

    From `settings.fluid_taken_ml` of sure fluid on; below it, and where nothing is sure, the same masks.
    overview: of these masks.
    """
    sure = _sure_fluid(overview, volume, masks)
    if not sure.any():
        return masks
    apart = _without(volume, masks, overview, sure)
    return apart if apart.fluid is not None and apart.fluid.volume_ml >= settings.fluid_taken_ml else masks


def check_fluid(overview: Overview, masks: Masks, settings: MissingLungSettings) -> tuple[Finding, ...]:
    """A dependent, homogeneous layer as dense as fluid: beside the lungs, set apart from them, or in their outlines."""
    beside_ml, outlined_ml = fluid_ml(overview)
    said: list[str] = []
    values: dict[str, float] = {}
    if masks.fluid is not None:
        values |= figures(fluid_ml=masks.fluid.volume_ml, percent_with_fluid=_percent_with_fluid(masks))
        said.append(
            f"some {masks.fluid.volume_ml:.0f} ml in the outlines are as dense and even as fluid: not counted as "
            f"lung, nor as infection; were they consolidation, POI would be {_percent_with_fluid(masks):.1f} %"
        )
    if beside_ml >= settings.fluid_ml:
        said.append(f"beside the lungs lie some {beside_ml:.0f} ml as dense as fluid, which are not counted")
        values |= figures(beside_ml=beside_ml)
    if outlined_ml >= settings.fluid_in_lung_ml:
        said.append(f"some {outlined_ml:.0f} ml that are outlined as lung may be fluid or dense lung, and are counted")
        values |= figures(outlined_ml=outlined_ml)
    if not said:
        return ()
    return (Finding("QUALITY_POSSIBLE_EFFUSION", "caution", f"A possible effusion: {'; '.join(said)}.", values),)


def fluid_ml(overview: Overview) -> tuple[float, float]:
    """What is as dense and even as fluid behind aerated lung, in ml: beside the outlines, and in them."""
    behind, lungs = overview.dependent, overview.lungs
    beyond = behind & _cavity(overview) & ~lungs & ~overview.fluid
    beside = _like_fluid(overview, beyond, FLUID_HU, _grown(lungs))
    outlined = _like_fluid(overview, behind & lungs, OUTLINED_HU, lungs)
    return beside * overview.voxel_ml, outlined * overview.voxel_ml


def _like_fluid(overview: Overview, place: Bools, fluid_hu: tuple[float, float, float], touching: Bools) -> int:
    """Voxels of pieces as dense and even as fluid, with noise or without: noise hides them, averages mix slabs."""
    seen = _count(_pieces(place, overview.smooth, fluid_hu, touching))
    if _count(_pieces(place, overview.smooth, HIDDEN_HU, touching)) < 2 * seen + LEAST_HIDDEN_VOXELS:
        return seen
    return max(seen, _count(_pieces(place, without_noise(overview, place), fluid_hu, touching)))


def _percent_with_fluid(masks: Masks) -> float:
    """POI if what was set apart were infected lung."""
    fluid_ml = 0.0 if masks.fluid is None else masks.fluid.volume_ml
    lungs_ml = masks.right_lung.volume_ml + masks.left_lung.volume_ml + fluid_ml
    return 100.0 * (masks.infection.volume_ml + fluid_ml) / lungs_ml


def _sure_fluid(overview: Overview, volume: Volume, masks: Masks) -> Bools:
    """Fluid beyond doubt that the outlines hold at least a part of, (s, y, x) bool."""
    smooth, behind, lungs = overview.smooth, overview.dependent, overview.lungs
    sure = np.zeros(lungs.shape, dtype=np.bool_)
    places = behind & lungs, behind & (lungs | _cavity(overview))
    limits = OUTLINED_HU, NEAR_WATER_HU
    pieces = [piece for place in places for limit in limits for piece in _pieces(place, smooth, limit, lungs)]
    if not pieces:
        return sure
    high = min(SURE_HU[1], soft_tissue_hu(volume, masks) - BELOW_SOFT_HU)
    for piece in pieces:
        is_as_dense = SURE_HU[0] <= _density(piece, smooth) <= high
        if is_as_dense and _is_even(piece, smooth) and _holds_no_air(piece, behind, overview):
            sure |= piece
    dense = behind & lungs & (overview.hu > EDGE_HU[0])
    few = np.count_nonzero(sure & lungs) < LEAST_OF_DENSE * np.count_nonzero(dense)
    return np.zeros_like(sure) if few else _without_corners(sure, overview)


def _without_corners(sure: Bools, overview: Overview) -> Bools:
    """Fluid without what is but the lowest part of larger dense lung, which nothing but its place sets off."""
    dense = Pieces(opened(overview.lungs & (overview.hu > EDGE_HU[0]), FLUID_THICK_MM))
    held, fluid = dense.inside(sure), Pieces(sure)
    whole = np.zeros(len(fluid) + 1, dtype=np.bool_)
    for one in range(1, len(whole)):
        touched = dense.inside(fluid.keep(np.arange(len(whole)) == one)) > 0
        touched[0] = False
        whole[one] = held[touched].sum() >= LEAST_OF_DENSE * dense.sizes[touched].sum()
    return fluid.keep(whole)


def _density(piece: Bools, smooth: Floats) -> float:
    return float(np.median(smooth[piece]))


def _is_even(piece: Bools, smooth: Floats) -> bool:
    """One density all through, the edge left out."""
    inner = np.stack([cv2.erode(plane.view(np.uint8), np.ones((5, 5), np.uint8)) for plane in piece]) > 0
    if np.count_nonzero(inner) < 0.1 * np.count_nonzero(piece):
        return False
    away = np.abs(smooth[inner] - np.median(smooth[inner]))
    return float(np.mean(away < WITHIN_HU)) >= WITHIN_SHARE


def _holds_no_air(piece: Bools, behind: Bools, overview: Overview) -> bool:
    """No bronchus that is full of air, in it or in a gap of it."""
    held = np.stack([cv2.morphologyEx(plane.view(np.uint8), cv2.MORPH_CLOSE, disc(GAPS_MM)) for plane in piece]) > 0
    held &= behind
    return bool(np.count_nonzero(held & (overview.hu < AIR_HU)) <= MOST_AIR * np.count_nonzero(held))


def _count(pieces: list[Bools]) -> int:
    return sum(int(np.count_nonzero(piece)) for piece in pieces)


def _pieces(place: Bools, smooth: Floats, fluid_hu: tuple[float, float, float], touching: Bools) -> list[Bools]:
    """Thick pieces of one density that touch another mask, each (s, y, x) bool.

    Fluid is of one density; what is mixed of organs and the fat between them reaches the upper limit.
    """
    low, high, mostly_below = fluid_hu
    pieces = Pieces(opened(place & (smooth > low) & (smooth < high), FLUID_THICK_MM))
    large = (pieces.inside(touching) > 0) & (pieces.sizes >= LEAST_PIECE_VOXELS)
    large[0] = False
    kept = (pieces.keep(np.arange(len(large)) == one) for one in np.flatnonzero(large))
    return [piece for piece in kept if np.percentile(smooth[piece], 90) < mostly_below]


def _cavity(overview: Overview) -> Bools:
    """Where lung stands at most `CAVITY_MM` above, as it is and mirrored, (s, y, x) bool: a chest widens downwards."""
    reach = max(1, round(CAVITY_MM / overview.slab_mm))
    near = np.stack([overview.lungs[s : s + reach + 1].any(axis=0) for s in range(len(overview))])
    columns = np.flatnonzero(near.any(axis=(0, 1)))
    box = slice(int(columns[0]), int(columns[-1]) + 1)
    mirrored = np.zeros_like(near)
    mirrored[:, :, box] = near[:, :, box][:, :, ::-1]
    return np.asarray(near | mirrored)


def _grown(mask: Bools, by_mm: float = BESIDE_LUNG_MM) -> Bools:
    """A mask with all that is so far away in the slab, or in the next one."""
    wide = np.stack([cv2.dilate(plane.view(np.uint8), disc(by_mm)) for plane in mask]) > 0
    grown = wide.copy()
    grown[1:] |= wide[:-1]
    grown[:-1] |= wide[1:]
    return grown


# On the native grid


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """One slice in the overview's box, (y, x): HU, and where fluid is sure or near."""

    hu: Floats
    sure: Bools
    near: Bools
    pixel_mm: float
    fluid_hu: float

    def fluid(self, lungs: Bools) -> Bools:
        """Fluid with its edges, as far as it was outlined as lung."""
        smooth = cv2.GaussianBlur(self.hu, (0, 0), 2.0 / self.pixel_mm)
        low, beyond = EDGE_HU
        tissue = lungs & (self.hu > low)
        taken = (lungs & self.sure) | (tissue & self.near & (smooth < self.fluid_hu + beyond))
        return np.asarray(taken | self.thin(tissue & ~taken))

    def thin(self, mask: Bools) -> Bools:
        """What of a mask near fluid is thinner than twice `THIN_MM`."""
        radius = max(1, round(THIN_MM / self.pixel_mm))
        ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        thick = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, ball) > 0
        return np.asarray(mask & self.near & ~thick)


def _without(volume: Volume, masks: Masks, overview: Overview, sure: Bools) -> Masks:
    """The masks without fluid, slice by slice; what is infected as thin as an edge beside it goes too."""
    box = overview.box
    right, left, infection = (mask.within(box) for mask in (masks.right_lung, masks.left_lung, masks.infection))
    fluids = np.zeros_like(right), np.zeros_like(left)
    fluid_hu = _density(sure, overview.smooth)
    for z, one in _slices(volume, overview, sure, fluid_hu):
        fluid = one.fluid(right[z] | left[z])
        infection[z] &= ~fluid
        infection[z] &= ~one.thin(infection[z])
        for lung, taken in zip((right, left), fluids, strict=True):
            taken[z] = lung[z] & fluid
            lung[z] &= ~fluid
    right_fluid, left_fluid = (volume.with_mask(taken, box) for taken in fluids)
    apart = Fluid(right_fluid, left_fluid, fluid_hu)
    new_right, new_left, infected = (volume.with_mask(array, box) for array in (right, left, infection))
    lost_ml, bounds = masks.infection.volume_ml - infected.volume_ml, masks.infection_bounds_ml
    if bounds is not None:
        bounds = max(0.0, bounds[0] - lost_ml), max(0.0, bounds[1] - lost_ml)
    return Masks(new_right, new_left, infected, bounds, apart, masks.unseen_areas)


def _slices(volume: Volume, overview: Overview, sure: Bools, fluid_hu: float) -> list[tuple[int, _Slice]]:
    """The slices that may hold fluid, by their number in the overview's box."""
    box, near = overview.box, _grown(sure, EDGE_MM)
    size = (box[2].stop - box[2].start, box[1].stop - box[1].start)
    found = []
    for slab in np.flatnonzero(near.any(axis=(1, 2))).tolist():
        here, around = (
            cv2.resize(mask[slab].astype(np.float32), size, interpolation=cv2.INTER_LINEAR) > 0.5
            for mask in (sure, near)
        )
        for z in overview.slices_of(slab):
            hu = volume.hu[z, box[1], box[2]].astype(np.float32)
            found.append((z - box[0].start, _Slice(hu, here, around, volume.spacing_mm[1], fluid_hu)))
    return found
