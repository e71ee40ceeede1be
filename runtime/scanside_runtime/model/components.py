"""Connected components and simple morphology of masks, on numpy and OpenCV alone (SciPy would cost 100 MB on the box).

Neighbours: the eight around a voxel in its plane, and the one above and the one below. In plane, thick-slice CT has
pixels under a millimetre, so that a diagonal step is a real contact; between slices it is several millimetres.

Everything goes plane by plane, each within the box of what it holds: a thousand slices take no more than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from scanside_runtime.volume import Bools

Labels = npt.NDArray[np.int32]
Sizes = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Plane = tuple[slice, slice]

FEW_REGIONS = 16
"""So many regions of a plane are counted one by one: most planes hold one or two."""
LARGE_DISC_PX = 12
"""From this radius on a plane is dilated row of the disc by row, sixty-four pixels at a time."""


KEPT_BYTES = 8 * 2**20
"""Regions of so many bytes are kept where they were found: of a coarse grid all, of 512 x 512 those of some planes."""


class Planes(Protocol):
    """The planes (y, x) bool of a mask: an array (z, y, x), or what makes them when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, z: int, /) -> Bools: ...


@dataclass(frozen=True, slots=True, eq=False)
class Where:
    """The planes in which labels (z, y, x) have a value, or any but 0; no mask of all of them is made."""

    labels: npt.NDArray[np.uint8]
    value: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, z: int) -> Bools:
        plane = self.labels[z]
        return np.asarray(plane > 0 if self.value is None else plane == self.value)


class Pieces:
    """The components of a mask (z, y, x), numbered from 1 in the order of the lowest plane that they reach.

    Neither mask nor numbers are copied: a plane's regions are found again where they are asked for, but for the first
    `KEPT_BYTES` of them. The mask must stay as it is meanwhile.

    sizes: (n + 1,) int64 voxels, the background first.
    """

    def __init__(self, mask: Planes) -> None:
        self._mask = mask
        self._kept: dict[int, _Regions] = {}
        self._room = KEPT_BYTES
        size = 0
        self._before = [0]  # how many regions there are below each plane
        sizes, pairs = [np.zeros(1, dtype=np.int64)], []
        below: _Regions | None = None
        for z in range(len(mask)):
            plane = mask[z]
            size += plane.size
            regions = _regions(plane)
            count = self._before[-1]
            if below is not None and regions is not None:
                first = count - len(below.areas)
                pairs += [(first + low, count + high) for low, high in _contacts(below, regions)]
            if regions is not None:
                sizes.append(regions.areas)
                self._keep(z, regions)
            self._before.append(count if regions is None else count + len(regions.areas))
            below = regions
        region_sizes = np.concatenate(sizes)
        self._names = _consecutive(_union(len(region_sizes), pairs))
        self.sizes = np.bincount(self._names, weights=region_sizes).astype(np.int64)
        self.sizes[0] = size - self.sizes.sum()

    def __len__(self) -> int:
        """How many components there are."""
        return len(self.sizes) - 1

    def plane(self, z: int) -> Labels:
        """The numbers of one plane, (y, x) int32, 0 outside."""
        numbers = np.zeros(self._mask[z].shape, dtype=np.int32)
        for _, box, names in self._planes(range(z, z + 1)):
            numbers[box] = names
        return numbers

    def inside(self, other: Planes) -> Sizes:
        """How many voxels of each component lie in another mask: (n + 1,), the background first."""
        found = np.zeros(len(self.sizes), dtype=np.int64)
        for z in range(len(other)):
            there = other[z]
            found[0] += np.count_nonzero(there)
            for _, box, names in self._planes(range(z, z + 1)):
                within = np.bincount(names[there[box]], minlength=len(found))
                found[1:] += within[1:]
                found[0] -= within[1:].sum()
        return found

    def beside(self, other: Planes, of: Bools) -> Bools:
        """Which of some components touch another mask, in the plane by an edge or across.

        of, and what comes back: (n + 1,), one answer a component.
        """
        found = np.zeros(len(self.sizes), dtype=np.bool_)
        for z in self._holding(of):
            names, near = self.plane(z), other[z]
            found[names[1:][near[:-1]]] = found[names[:-1][near[1:]]] = True
            found[names[:, 1:][near[:, :-1]]] = found[names[:, :-1][near[:, 1:]]] = True
            for next_to in range(max(0, z - 1), min(len(other), z + 2)):
                found[names[other[next_to]]] = True
        found[0] = False
        return found & of

    def parts(self, wanted: Bools) -> Iterator[tuple[int, Plane, Bools]]:
        """Where some components lie: each plane that holds one, a box in it, and what of the box they hold.

        wanted: (n + 1,), what it says of the background is not looked at.
        """
        wanted = wanted.copy()
        wanted[0] = False
        for z, box, names in self._planes(self._holding(wanted)):
            yield z, box, wanted[names]

    def keep(self, wanted: Bools) -> Bools:
        """The mask (z, y, x) of some components; wanted: (n + 1,), as in `parts`."""
        kept = np.zeros((len(self._mask), *self._mask[0].shape), dtype=np.bool_)
        for z, box, part in self.parts(wanted):
            kept[z][box] = part
        return kept

    def _keep(self, z: int, regions: _Regions) -> None:
        if regions.labels.nbytes <= self._room:
            self._kept[z], self._room = regions, self._room - regions.labels.nbytes

    def _planes(self, some: Iterable[int]) -> Iterator[tuple[int, Plane, Labels]]:
        """Some planes, as far as they hold components: the box of what they hold, and the numbers in it."""
        for z in some:
            regions = self._kept.get(z) or _regions(self._mask[z])
            if regions is not None:
                names = self._names[self._before[z] : self._before[z + 1] + 1].copy()
                names[0] = 0
                yield z, regions.box, names[regions.labels]

    def _holding(self, wanted: Bools) -> list[int]:
        """Planes that hold one of some components; wanted: (n + 1,)."""
        hit = np.concatenate(([0], np.cumsum(wanted[self._names[1:]])))  # regions of wanted ones, up to each
        ends = hit[self._before]
        return np.flatnonzero(np.diff(ends)).tolist()


def largest(mask: Bools) -> Bools:
    """The largest component of a (z, y, x) mask, where there is any; of equal ones that with the lower number."""
    pieces = Pieces(mask)
    wanted = np.zeros(len(pieces) + 1, dtype=np.bool_)
    if len(pieces):
        wanted[1 + np.argmax(pieces.sizes[1:])] = True
    return pieces.keep(wanted)


def drop_small(mask: npt.NDArray[np.uint8] | Bools, min_voxels: int) -> None:
    """Takes components of fewer than `min_voxels` voxels out of a mask or of labels (z, y, x), in place."""
    pieces = Pieces(Where(mask.view(np.uint8)))
    for z, box, part in pieces.parts(pieces.sizes < min_voxels):
        mask[z][box][part] = 0


def fill_holes_in_plane(mask: Bools) -> Bools:
    """Fills, in each plane of a (z, y, x) mask, the background that has no way to the plane's border.

    The way goes by edges, not corners: a closed diagonal line holds what it surrounds.
    """
    filled = mask.view(np.uint8).copy()
    fill_holes(filled, 1)
    return filled.view(np.bool_)


def fill_holes(labels: npt.NDArray[np.uint8], value: int) -> None:
    """Fills the holes of a value in each plane of labels (z, y, x), in place, as far as they are 0."""
    for z, box in _boxes(Where(labels, value)):
        part = labels[z][box]
        part[_fill_plane(part == value) & (part == 0)] = value


def close_in_plane(mask: Bools, radius_px: int) -> Bools:
    """Closes gaps narrower than a disc of `radius_px` pixels in each plane of a (z, y, x) mask.

    The plane's border is no wall: the mask neither grows towards it nor loses what touches it.
    """
    if radius_px <= 0:
        return mask.copy()
    closed = np.zeros(mask.shape, dtype=np.bool_)
    for z, box in _boxes(mask):
        closed[z][box] = _closed(mask[z][box], radius_px)
    return closed


def close_at(mask: Planes, where: Planes, radius_px: int) -> Iterator[tuple[int, Plane, Bools]]:
    """What of `where` closing a mask in each plane takes in: `close_in_plane(mask, radius_px) & where`, as far as any.

    A plane, a box in it and what is taken in of the box. Looks only around what is asked for: what lies farther than
    two discs away has no say, and a mask closes to nothing outside of its box.
    """
    for z, box in _boxes(mask):
        asked = np.zeros(mask[z].shape, dtype=np.bool_)
        asked[box] = where[z][box]
        if asked.any():
            around = _grown(_box(asked), 2 * radius_px)
            yield z, around, asked[around] & _closed(mask[z][around], radius_px)


def open_in_plane(mask: Planes, radius_px: int) -> Bools:
    """What of each plane of a mask a disc of `radius_px` pixels can reach from inside, (z, y, x); radius 1 and more."""
    opened = np.zeros((len(mask), *mask[0].shape), dtype=np.bool_)
    for z, box in _boxes(mask):
        around = _grown(box, radius_px)
        opened[z][around] = cv2.morphologyEx(_pixels(mask[z][around]), cv2.MORPH_OPEN, _disc(radius_px)) > 0
    return opened


@dataclass(frozen=True, slots=True, eq=False)
class _Regions:
    """The regions of a plane: labels (y, x) int32 in the box of all of them, areas (n,) int64."""

    box: Plane
    labels: Labels
    areas: Sizes


def _regions(plane: Bools) -> _Regions | None:
    """None where the plane is empty."""
    if not plane.any():
        return None
    box = _box(plane)
    count, found = cv2.connectedComponents(_pixels(plane[box]), connectivity=8, ltype=cv2.CV_32S)
    labels = np.asarray(found, dtype=np.int32)
    return _Regions(box, labels, _areas(labels, count))


def _areas(labels: Labels, count: int) -> Sizes:
    """How many pixels each label from 1 on has, (count - 1,); OpenCV's own statistics take three times the search."""
    if count > FEW_REGIONS:
        return np.bincount(labels.ravel(), minlength=count)[1:]
    return np.array([np.count_nonzero(labels == label) for label in range(1, count)], dtype=np.int64)


def _contacts(below: _Regions, above: _Regions) -> list[tuple[int, int]]:
    """Pairs of regions of two neighbouring planes that lie on each other."""
    shared = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(below.box, above.box, strict=True)]
    if any(low >= high for low, high in shared):
        return []
    low, high = (
        one.labels[tuple(slice(a - side.start, b - side.start) for (a, b), side in zip(shared, one.box, strict=True))]
        for one in (below, above)
    )
    first = (low > 0) & (high > 0)  # along a row most pixels say what the one before said
    first[:, 1:] &= (low[:, 1:] != low[:, :-1]) | (high[:, 1:] != high[:, :-1])
    base = len(above.areas) + 1
    met = low[first].astype(np.int64) * base + high[first]
    return [divmod(int(pair), base) for pair in np.unique(met)]


def _union(count: int, pairs: list[tuple[int, int]]) -> Sizes:
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


def _consecutive(roots: Sizes) -> Labels:
    """Numbers 0 to n for the roots, in ascending order; 0 stays the background."""
    return np.unique(roots, return_inverse=True)[1].astype(np.int32)


def _closed(plane: Bools, radius_px: int) -> Bools:
    """One (y, x) plane closed; beyond it there is nothing, and the closing sees that."""
    if radius_px <= 0:
        return plane
    padded = _framed(_pixels(plane), radius_px, 0)
    inner = slice(radius_px, -radius_px), slice(radius_px, -radius_px)
    if radius_px < LARGE_DISC_PX:
        return np.asarray(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, _disc(radius_px))[inner] > 0)
    words = _words(padded, radius_px)
    left_out = _dilated(~_dilated(words, radius_px), radius_px)
    pixels = np.unpackbits(left_out.view(np.uint8), axis=1, bitorder="little", count=padded.shape[1])
    return np.asarray(pixels[inner] == 0)


def _words(plane: npt.NDArray[np.uint8], apart_px: int) -> Words:
    """A plane of 0 and 1, sixty-four pixels of a row in a word, the first in its lowest bit.

    More than `apart_px` empty ones follow each row: what is moved by less meets nothing of the next one.
    """
    rows, columns = plane.shape
    spaced = np.zeros((rows, 64 * (-(-columns // 64) + 1 + apart_px // 64)), dtype=np.uint8)
    spaced[:, :columns] = plane
    return np.packbits(spaced, axis=1, bitorder="little").view("<u8")


def _dilated(plane: Words, radius_px: int) -> Words:
    """A plane dilated by a disc, row of the disc by row."""
    wide, reached, row = plane.ravel(), 0, plane.shape[1]
    dilated = np.zeros_like(wide)
    for half, rows in _rows_of_disc(radius_px):
        while reached < half:
            by = min(2 * reached + 1, half - reached, 63)  # any further would leave a gap
            wide, reached = _spread(wide, by), reached + by
        for away in rows:
            down, up = max(0, away) * row, max(0, -away) * row
            dilated[down : len(wide) - up] |= wide[up : len(wide) - down]
    return dilated.reshape(plane.shape)


@cache
def _rows_of_disc(radius_px: int) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Half the width of a disc's rows, ascending, and how far the rows of that width lie from the middle."""
    halves = (_disc(radius_px).sum(axis=1, dtype=np.int64) - 1) // 2  # (2 * radius_px + 1,)
    return tuple(
        (half, tuple((np.flatnonzero(halves == half) - radius_px).tolist())) for half in np.unique(halves).tolist()
    )


def _spread(words: Words, by_px: int) -> Words:
    """All pixels, and the same so many to the left and to the right; 1 to 63."""
    by, back = np.uint64(by_px), np.uint64(64 - by_px)
    wide: Words = words | (words << by) | (words >> by)
    wide[1:] |= words[:-1] >> back
    wide[:-1] |= words[1:] << back
    return wide


def _fill_plane(plane: Bools) -> Bools:
    """One (y, x) plane without holes: flood the outside from a rim of background, the rest is mask."""
    outside = _framed(_pixels(~plane), 1, 1)
    cv2.floodFill(outside, None, (0, 0), 2)
    filled: Bools = outside[1:-1, 1:-1] != 2
    return filled


def _boxes(mask: Planes) -> Iterator[tuple[int, Plane]]:
    """Each plane of a mask that holds something, with the box of it."""
    for z in range(len(mask)):
        plane = mask[z]
        if plane.any():
            yield z, _box(plane)


def _box(plane: Bools) -> Plane:
    x, y, width, height = cv2.boundingRect(_pixels(plane))
    return slice(y, y + height), slice(x, x + width)


def _grown(box: Plane, by_px: int) -> Plane:
    y, x = (slice(max(0, side.start - by_px), side.stop + by_px) for side in box)
    return y, x


def _framed(plane: npt.NDArray[np.uint8], by_px: int, value: int) -> npt.NDArray[np.uint8]:
    """A plane with so many pixels of a value around it; OpenCV does it in a third of `np.pad`'s time."""
    framed = cv2.copyMakeBorder(plane, by_px, by_px, by_px, by_px, cv2.BORDER_CONSTANT, value=(value,))
    return np.asarray(framed, dtype=np.uint8)


def _pixels(plane: Bools) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(plane).view(np.uint8)


def _disc(radius_px: int) -> npt.NDArray[np.uint8]:
    size = 2 * radius_px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), dtype=np.uint8)
