"""From arrays to a `Case`: what every adapter does last."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from scanside_export.data.adapters.nifti import NiftiGrid
from scanside_export.data.cases import UNKNOWN, Case
from scanside_export.data.lung_reference import split_sides
from scanside_runtime.volume import HU_MAX, HU_MIN, Bools

VOLUMES, SLICES, LUNGS = "infection-3d", "infection-2d", "real"
"""The shares of a recipe under which adapted cases are drawn: volumes and single slices with infection, real HU."""


def as_hu(values: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
    """Any numbers in HU as int16 within CT's range."""
    return np.asarray(np.rint(np.nan_to_num(values, nan=HU_MIN)).clip(HU_MIN, HU_MAX), dtype=np.int16)


def make_case(
    name: str, share: str, picture: NiftiGrid, infection: tuple[Bools, ...], lungs: Bools | None = None
) -> Case:
    """A case with lungs told apart; without `lungs` they are not known.

    infection: one mask for each reader, none where nobody drew it; infection counts as lung.
    """
    hu = as_hu(picture.values)
    sides = np.full(hu.shape, UNKNOWN, np.uint8)
    if lungs is not None:
        whole = np.logical_or.reduce([lungs, *infection])
        sides = split_sides(np.asarray(whole, dtype=np.bool_), picture.spacing_mm)
    return Case(name, share, hu, picture.spacing_mm, sides, infection)
