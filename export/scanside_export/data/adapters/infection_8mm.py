"""infection-8mm: 27 patients of MosMedData in native slices of 8 mm, whole field of view with couch and clothes.

DIR/STUDY.npz      hu (z, y, x) int16; mask, packed bits of the experts' infection; shape; spacing_mm

Lungs come by `sick_lungs`: no one drew any.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scanside_export.data.cases import Case, there
from scanside_export.data.sick_lungs import sick_lungs
from scanside_export.errors import LabelsUnusable

SOURCE = "infection-8mm"

LEFT_OUT = ("study_0294", "study_0266", "study_0275", "study_0263", "study_0291", "study_0255")
"""Kept for checks: the 2nd, 7th, 11th, 17th, 22nd and 26th of the 27 by the volume of infection, 10 to 309 ml."""


def infection_8mm(folder: Path) -> Iterator[Case]:
    """All studies, under their own share of a recipe. Raises LabelsUnusable where there is none."""
    studies = sorted(folder.glob("study_*.npz"))
    if not studies:
        raise LabelsUnusable(folder=folder, why="there is no study_*.npz")
    for path in studies:
        yield _case(path)


def infection_8mm_left_out(folder: Path) -> Iterator[Case]:
    """The studies of `LEFT_OUT` alone."""
    for name in LEFT_OUT:
        yield _case(folder / f"{name}.npz")


def _case(path: Path) -> Case:
    archive = np.load(there(path))
    hu, shape = archive["hu"], archive["shape"]
    infection = np.unpackbits(archive["mask"])[: shape.prod()].reshape(shape).astype(np.bool_)
    dz, dy, dx = (float(value) for value in archive["spacing_mm"])
    return Case(path.stem, SOURCE, hu, (dz, dy, dx), sick_lungs(hu, infection, (dz, dy, dx)), (infection,))
