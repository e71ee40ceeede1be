"""One series that holds more than one acquisition or reconstruction: told apart by what their headers say.

Scanners and archives put contrast phases, a thick and a thin reconstruction, or the slices of a bolus test under one
SeriesInstanceUID. The parts are told apart by one attribute, or by all together where one is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from scanside_runtime.dicom.headers import SliceHeader

MAX_PARTS = 20
THICKNESS_TOLERANCE_MM = 0.05
COSINE_TOLERANCE = 0.01
PIXEL_SPACING_TOLERANCE = 1e-3  # relative
Labels = Sequence[Hashable]
Part = list[SliceHeader]


def alike(rows: Sequence[tuple[float, ...] | None], tolerance: float) -> Labels:
    """A label for each row of numbers, the same where all their numbers are alike; None where there are none.

    Numbers are alike that sorted neighbours of at most `tolerance` lead from one to the other: 4.95 and 4.9499998 are,
    wherever a rounding would part them.
    """
    columns = np.array([row for row in rows if row is not None])  # (n, k)
    if not columns.size:
        return [None] * len(rows)
    order = np.argsort(columns, axis=0)
    begins = np.diff(np.take_along_axis(columns, order, axis=0), axis=0) > tolerance + 1e-9
    classes = np.zeros(columns.shape, dtype=int)
    np.put_along_axis(classes, order[1:], np.cumsum(begins, axis=0), axis=0)
    labels = map(tuple, classes.tolist())
    return [None if row is None else next(labels) for row in rows]


def _thickness(slices: Sequence[SliceHeader]) -> Labels:
    stated = [header.slice_thickness_mm for header in slices]
    return alike([None if one is None else (one,) for one in stated], THICKNESS_TOLERANCE_MM)


def _orientation(slices: Sequence[SliceHeader]) -> Labels:
    return alike([header.image_orientation_patient for header in slices], COSINE_TOLERANCE)


def _pixel_spacing(slices: Sequence[SliceHeader]) -> Labels:
    stated = [header.pixel_spacing_mm for header in slices]
    return alike(stated, PIXEL_SPACING_TOLERANCE * max((max(one) for one in stated if one), default=0.0))


def _each(key: Callable[[SliceHeader], Hashable]) -> Callable[[Sequence[SliceHeader]], Labels]:
    return lambda slices: [key(header) for header in slices]


_ATTRIBUTES = (
    _orientation,
    _each(lambda header: (header.rows, header.columns)),
    _pixel_spacing,
    _thickness,
    _each(lambda header: header.kernel),
    _each(lambda header: header.image_type),
    _each(lambda header: header.acquisition_number),
    _each(lambda header: header.frame_of_reference_uid),
)


def ways_apart(slices: Sequence[SliceHeader]) -> Iterator[list[Part]]:
    """Each way to tell the slices apart: two parts or more, the largest first."""
    told = [attribute(slices) for attribute in _ATTRIBUTES]
    telling = [labels for labels in told if len(set(labels)) > 1]
    for labels in telling:
        yield from _apart(slices, labels)
    if len(telling) > 1:
        yield from _apart(slices, list(zip(*telling, strict=True)))


def _apart(slices: Sequence[SliceHeader], labels: Labels) -> Iterator[list[Part]]:
    parts: dict[Hashable, Part] = {}
    for header, label in zip(slices, labels, strict=True):
        parts.setdefault(label, []).append(header)
    if len(parts) <= MAX_PARTS:
        yield sorted(parts.values(), key=len, reverse=True)


def mixed_reconstruction(slices: Sequence[SliceHeader]) -> str | None:
    """What differs between slices that lie on one grid though they are not of one reconstruction; None if nothing."""
    thicknesses = dict(zip(_thickness(slices), (header.slice_thickness_mm for header in slices), strict=True))
    kernels = {header.kernel for header in slices}
    if len(thicknesses) > 1:
        stated = ", ".join(sorted(f"{one:g} mm" if one else "not stated" for one in thicknesses.values()))
        return f"slice thickness {stated}"
    names = ", ".join(sorted(str(one) for one in kernels))
    return f"reconstruction kernel {names}" if len(kernels) > 1 else None


def interleaved(slices: Sequence[SliceHeader]) -> bool:
    """Acquisitions that take turns along the stack; those that follow each other are one scan in several breaths.

    slices: sorted along the stack.
    """
    numbers = np.array([header.acquisition_number for header in slices])
    return int(np.count_nonzero(np.diff(numbers))) > len(set(numbers.tolist())) - 1
