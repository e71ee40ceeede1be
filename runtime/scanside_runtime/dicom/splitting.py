"""One series that holds more than one acquisition or reconstruction: told apart by what their headers say.

Scanners and archives put contrast phases, a thick and a thin reconstruction, or the slices of a bolus test under one
SeriesInstanceUID. The parts are told apart by one attribute, or by all together where one is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from scanside_runtime.dicom.headers import SliceHeader

MAX_PARTS = 20
Key = Callable[[SliceHeader], Hashable]
Part = list[SliceHeader]


def thickness(header: SliceHeader) -> float | None:
    """To a tenth of a millimetre: what scanners round away is no other thickness."""
    stated = header.slice_thickness_mm
    return None if stated is None else round(stated, 1)


def _orientation(header: SliceHeader) -> Hashable:
    cosines = header.image_orientation_patient
    return None if cosines is None else tuple(round(cosine, 2) + 0.0 for cosine in cosines)


_KEYS: tuple[Key, ...] = (
    _orientation,
    lambda header: (header.rows, header.columns),
    lambda header: header.pixel_spacing_mm,
    thickness,
    lambda header: header.kernel,
    lambda header: header.image_type,
    lambda header: header.acquisition_number,
    lambda header: header.frame_of_reference_uid,
)


def ways_apart(slices: Sequence[SliceHeader]) -> Iterator[list[Part]]:
    """Each way to tell the slices apart: two parts or more, the largest first."""
    telling = [key for key in _KEYS if len({key(header) for header in slices}) > 1]
    for key in telling:
        yield from _apart(slices, key)
    if len(telling) > 1:
        yield from _apart(slices, lambda header: tuple(key(header) for key in telling))


def _apart(slices: Sequence[SliceHeader], key: Key) -> Iterator[list[Part]]:
    parts: dict[Hashable, Part] = {}
    for header in slices:
        parts.setdefault(key(header), []).append(header)
    if len(parts) <= MAX_PARTS:
        yield sorted(parts.values(), key=len, reverse=True)


def mixed_reconstruction(slices: Sequence[SliceHeader]) -> str | None:
    """What differs between slices that lie on one grid though they are not of one reconstruction; None if nothing."""
    thicknesses = {thickness(header) for header in slices}
    kernels = {header.kernel for header in slices}
    if len(thicknesses) > 1:
        return "slice thickness " + ", ".join(sorted(f"{one} mm" for one in thicknesses))
    return "kernel " + ", ".join(sorted(str(one) for one in kernels)) if len(kernels) > 1 else None


def interleaved(slices: Sequence[SliceHeader]) -> bool:
    """Acquisitions that take turns along the stack; those that follow each other are one scan in several breaths.

    slices: sorted along the stack.
    """
    numbers = np.array([header.acquisition_number for header in slices])
    return int(np.count_nonzero(np.diff(numbers))) > len(set(numbers.tolist())) - 1
