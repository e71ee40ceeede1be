"""Connected components and simple morphology of masks, on numpy and OpenCV alone (SciPy would cost 100 MB on the box).

Neighbours: the eight around a voxel in its plane, and the one above and the one below. In plane, thick-slice CT has
pixels under a millimetre, so that a diagonal step is a real contact; between slices it is several millimetres.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools

Labels = npt.NDArray[np.int32]
Sizes = npt.NDArray[np.int64]


def label(mask: Bools) -> tuple[Labels, Sizes]:
    """Numbers the components of a mask.

    mask: (z, y, x) bool. Returns labels (z, y, x) int32, 0 outside, components numbered from 1 in the order of the
    lowest plane that they reach; and sizes (n + 1,) int64 in voxels, sizes[0] being the background.
    """
    labels = np.zeros(mask.shape, dtype=np.int32)
    box = _box(mask)
    regions, region_sizes = label_in_planes(mask[box])
    names = _consecutive(_union(len(region_sizes), _contacts(regions)))
    labels[box] = names[regions]
    sizes = np.bincount(names, weights=region_sizes).astype(np.int64)  # (n + 1,)
    sizes[0] = mask.size - sizes.sum()
    return labels, sizes


def label_in_planes(mask: Bools) -> tuple[Labels, Sizes]:
    """Regions of each plane, numbered through the stack (z, y, x) int32; their sizes (regions + 1,) int64, 0 first."""
    regions = np.zeros(mask.shape, dtype=np.int32)
    sizes = [np.zeros(1, dtype=np.int64)]
    count = 0
    for plane, numbered in zip(mask, regions, strict=True):
        pixels = np.ascontiguousarray(plane).view(np.uint8)
        found, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8, ltype=cv2.CV_32S)
        np.add(labels, count, out=numbered, where=plane)
        sizes.append(stats[1:, cv2.CC_STAT_AREA].astype(np.int64))
        count += found - 1
    return regions, np.concatenate(sizes)


def largest(mask: Bools, n: int = 1) -> Bools:
    """The n largest components of a (z, y, x) mask; of equal ones that with the lower number."""
    labels, sizes = label(mask)
    order = np.argsort(-sizes[1:], kind="stable") + 1
    return _keep(labels, len(sizes), order[:n])


def drop_small(mask: Bools, min_voxels: int) -> Bools:
    """The mask (z, y, x) without components of fewer than `min_voxels` voxels."""
    labels, sizes = label(mask)
    return _keep(labels, len(sizes), np.flatnonzero(sizes >= min_voxels))


def fill_holes_in_plane(mask: Bools) -> Bools:
    """Fills, in each plane of a (z, y, x) mask, the background that has no way to the plane's border.

    The way goes by edges, not corners: a closed diagonal line holds what it surrounds.
    """
    filled = np.zeros(mask.shape, dtype=np.bool_)
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        filled[z] = _fill_plane(mask[z])
    return filled


def close_in_plane(mask: Bools, radius_px: int) -> Bools:
    """Closes gaps narrower than a disc of `radius_px` pixels in each plane of a (z, y, x) mask.

    The plane's border is no wall: the mask neither grows towards it nor loses what touches it.
    """
    if radius_px <= 0:
        return mask.copy()
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    closed = np.zeros(mask.shape, dtype=np.bool_)
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        y, x = _box(mask[z])
        padded = np.pad(mask[z, y, x].astype(np.uint8), radius_px)
        whole = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)
        closed[z, y, x] = whole[radius_px:-radius_px, radius_px:-radius_px] > 0
    return closed


def open_in_plane(mask: Bools, radius_px: int) -> Bools:
    """What of each plane of a (z, y, x) mask a disc of `radius_px` pixels can reach from inside; radius 1 and more."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
    opened = np.zeros(mask.shape, dtype=np.bool_)
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        opened[z] = cv2.morphologyEx(mask[z].astype(np.uint8), cv2.MORPH_OPEN, disc) > 0
    return opened


def _contacts(regions: Labels) -> list[tuple[int, int]]:
    """Pairs of regions that lie on each other in neighbouring planes."""
    pairs: list[tuple[int, int]] = []
    base = np.int64(int(regions.max(initial=0)) + 1)
    for below, above in pairwise(regions):
        both = (below > 0) & (above > 0)
        met = np.unique(below[both].astype(np.int64) * base + above[both])
        pairs += zip((met // base).tolist(), (met % base).tolist(), strict=True)
    return pairs


def _union(count: int, pairs: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    """The smallest member of each region's component, (count,) int64."""
    parent = list(range(count))

    def root(region: int) -> int:
        while parent[region] != region:
            parent[region] = parent[parent[region]]
            region = parent[region]
        return region

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return np.array([root(region) for region in range(count)], dtype=np.int64)


def _consecutive(roots: npt.NDArray[np.int64]) -> Labels:
    """Numbers 0 to n for the roots, in ascending order; 0 stays the background."""
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)


def _keep(labels: Labels, count: int, kept: npt.NDArray[np.intp]) -> Bools:
    """The mask (z, y, x) of some components."""
    wanted = np.zeros(count, dtype=np.bool_)
    wanted[kept] = True
    wanted[0] = False
    return wanted[labels]


def _fill_plane(plane: Bools) -> Bools:
    """One (y, x) plane without holes: flood the outside from a rim of background, the rest is mask."""
    outside = np.pad((~np.ascontiguousarray(plane)).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    filled: Bools = outside[1:-1, 1:-1] != 2
    return filled


def _box(mask: Bools) -> tuple[slice, ...]:
    """The smallest box that holds a mask, one slice an axis; an empty one for an empty mask."""
    axes = range(mask.ndim)
    hits = (np.flatnonzero(mask.any(axis=tuple(other for other in axes if other != axis))) for axis in axes)
    return tuple(slice(int(hit[0]), int(hit[-1]) + 1) if hit.size else slice(0, 0) for hit in hits)
