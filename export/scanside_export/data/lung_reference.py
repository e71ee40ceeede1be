"""Lungs of near-healthy scans without a network: thresholds, components and a look at the result.

Good where the lungs hold air; it leaves dense disease out, so it is no reference for sick lungs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from scanside_runtime.model.lung_field import drop_domes
from scanside_runtime.volume import Bools, Hu, Spacing, Volume

AIR_HU = -400
"""Below: air or aerated lung."""
FAR_MM = 15.0
"""Lung that holds no air and is not infected, at the edge of fluid say, lies nearer than this to air."""


def reference_lungs(hu: Hu, spacing_mm: Spacing) -> npt.NDArray[np.uint8]:
    """Lungs of a near-healthy scan, (z, y, x) uint8: 1 right, 2 left. Trachea and main bronchi are left out."""
    aerated = _inside_the_body(ndimage.gaussian_filter(hu.astype(np.float32), (0, 0.7, 0.7)) < AIR_HU)
    lungs = aerated & ~airways(hu, aerated, spacing_mm)
    lungs = _largest(ndimage.binary_opening(lungs, _disc(1)), 2, smallest_share=0.15)
    labels = split_sides(lungs, spacing_mm)
    filled = np.zeros_like(labels)
    for side in (1, 2):
        filled[_filled(labels == side, spacing_mm) & (filled == 0)] = side
    volume = Volume(hu.view(), np.diag([*spacing_mm[::-1], 1.0]), spacing_mm)
    drop_domes(filled, np.zeros(hu.shape, dtype=np.bool_), labels, volume)
    return filled


def far_from_lung(hu: Hu, drawn: Bools, spacing_mm: Spacing) -> Bools:
    """What is no lung though nobody drew lungs there: farther than `FAR_MM` from the lungs' air and from what is drawn.

    hu: (z, y, x). drawn: (z, y, x), lungs and infection where someone drew them. The lungs' air is what hangs together
    with drawn lung in three dimensions; gas in a stomach does not. Where nothing was drawn, nothing is known to be far.
    """
    if not drawn.any():
        return np.zeros_like(drawn)
    labels, _ = ndimage.label(_inside_the_body(hu < AIR_HU))
    of_lung = np.isin(labels, np.setdiff1d(np.unique(labels[drawn]), 0))
    return np.asarray(ndimage.distance_transform_edt(~(of_lung | drawn), sampling=spacing_mm) > FAR_MM)


def airways(hu: Hu, aerated: Bools, spacing_mm: Spacing) -> Bools:
    """Trachea and main bronchi: the largest darkest tree from the top that does not burst into a lung."""
    seed = _trachea_seed(hu, aerated, spacing_mm)
    if seed is None:
        return np.zeros(hu.shape, dtype=np.bool_)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    grown = np.zeros(hu.shape, dtype=np.bool_)
    for limit in range(-980, -780, 10):
        labels, _ = ndimage.label((hu < limit) & aerated)
        if labels[seed] == 0:
            continue
        tree = labels == labels[seed]
        if tree.sum() * voxel_ml > 70.0:
            break
        grown = tree
    grown |= _tracked_trachea(hu, aerated, seed, spacing_mm)
    return np.asarray(ndimage.binary_dilation(grown, _disc(round(2.0 / spacing_mm[1]))) & (hu < -200), dtype=np.bool_)


def _tracked_trachea(hu: Hu, aerated: Bools, seed: tuple[int, int, int], spacing_mm: Spacing) -> Bools:
    """The lumen followed from slice to slice towards the feet, until it widens into the carina or is lost."""
    trachea = np.zeros(hu.shape, dtype=np.bool_)
    z, y, x = seed
    for below in range(z, -1, -1):
        labels, _ = ndimage.label(aerated[below] & (hu[below] < -800))
        near = labels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        number = int(near.max())
        lumen = labels == number
        if number == 0 or lumen.sum() * spacing_mm[1] * spacing_mm[2] > 800.0:
            break
        trachea[below] = lumen
        y, x = (round(value) for value in ndimage.center_of_mass(lumen))
    return trachea


def _trachea_seed(hu: Hu, aerated: Bools, spacing_mm: Spacing) -> tuple[int, int, int] | None:
    """The darkest voxel of a round lumen of 0.6 to 8 cm² near the midline in the upper half, highest first."""
    pixel_cm2 = spacing_mm[1] * spacing_mm[2] / 100
    middle = hu.shape[2] / 2
    for z in range(len(hu) - 1, len(hu) // 2, -1):
        labels, count = ndimage.label(aerated[z] & (hu[z] < -850))
        for number in range(1, count + 1):
            spot = labels == number
            y, x = ndimage.center_of_mass(spot)
            if 0.6 < spot.sum() * pixel_cm2 < 8.0 and abs(x - middle) * spacing_mm[2] < 40.0 and spot[int(y), int(x)]:
                return z, int(y), int(x)
    return None


def _inside_the_body(air: Bools) -> Bools:
    """Air that does not touch the border of its slice."""
    inside = np.zeros_like(air)
    for z, plane in enumerate(air):
        labels, _ = ndimage.label(plane)
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        inside[z] = plane & ~np.isin(labels, edge)
    return inside


def _disc(radius: int) -> Bools:
    """A disc in the plane, (1, 2r+1, 2r+1)."""
    away = np.arange(-radius, radius + 1) ** 2
    return (away[:, None] + away[None, :] <= radius**2 + 0.5)[None]


def _largest(mask: Bools, count: int, smallest_share: float) -> Bools:
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())[1:]
    best = np.argsort(sizes)[::-1][:count]
    keep = [number + 1 for number in best if sizes[number] > smallest_share * sizes[best[0]]]
    return np.isin(labels, keep)


def _filled(lung: Bools, spacing_mm: Spacing) -> Bools:
    """Vessels and small nodules back in: closed by 8 mm in the plane, holes filled."""
    radius = round(8.0 / spacing_mm[1])
    closed = np.zeros_like(lung)
    for z, plane in enumerate(lung):
        padded = np.pad(plane, radius)
        near = ndimage.distance_transform_edt(~padded) <= radius
        back = ndimage.distance_transform_edt(near) > radius
        closed[z] = ndimage.binary_fill_holes(back[radius:-radius, radius:-radius] | plane)
    return closed


def split_sides(lungs: Bools, spacing_mm: Spacing) -> npt.NDArray[np.uint8]:
    """Tell both lungs apart, (z, y, x) bool → uint8: 1 right (small x), 2 left.

    Each component goes to the side on which its middle lies; a component that holds both lungs is cut where a growing
    erosion first parts it.
    """
    labels, count = ndimage.label(lungs)
    columns = np.flatnonzero(lungs.any(axis=(0, 1)))
    sides = np.zeros(lungs.shape, dtype=np.uint8)
    if count == 0:
        return sides
    middle = (columns[0] + columns[-1]) / 2
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[place] == number
        offset = place[2].start
        x = np.flatnonzero(part.any(axis=(0, 1))) + offset
        if (x > middle).mean() > 0.25 and (x < middle).mean() > 0.25 and x[-1] - x[0] > 130.0 / spacing_mm[2]:
            sides[place][part] = _cut(part, middle - offset, spacing_mm)[part]
        else:
            centre = ndimage.center_of_mass(part)[2] + offset
            sides[place][part] = 1 if centre < middle else 2
    return sides


def _cut(part: Bools, middle: float, spacing_mm: Spacing) -> npt.NDArray[np.uint8]:
    """Cut one component that holds both lungs: seeds by erosion, every voxel to the nearest seed, else the midline."""
    depth = ndimage.distance_transform_edt(np.pad(part, ((0, 0), (1, 1), (1, 1))), sampling=(1e3, *spacing_mm[1:]))
    depth = depth[:, 1:-1, 1:-1]
    for eroded_mm in (1.0, 2.0, 3.0, 4.5, 6.0, 8.0):
        labels, count = ndimage.label(depth > eroded_mm)
        if count < 2:
            continue
        sizes = np.bincount(labels.ravel())[1:]
        first, second = np.argsort(sizes)[::-1][:2] + 1
        if sizes[second - 1] > 0.2 * sizes.sum():
            return _nearest_seed(labels, (int(first), int(second)), spacing_mm)
    return np.where(np.arange(part.shape[2]) < middle, 1, 2).astype(np.uint8) * np.ones(part.shape, np.uint8)


def _nearest_seed(labels: npt.NDArray[np.int32], seeds: tuple[int, int], spacing_mm: Spacing) -> npt.NDArray[np.uint8]:
    right, left = sorted(seeds, key=lambda seed: float(np.nonzero(labels == seed)[2].mean()))
    away = [ndimage.distance_transform_edt(labels != seed, sampling=spacing_mm) for seed in (right, left)]
    return np.where(away[0] <= away[1], 1, 2).astype(np.uint8)
