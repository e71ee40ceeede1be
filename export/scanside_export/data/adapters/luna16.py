"""LUNA16 (luna16.grand-challenge.org): LIDC-IDRI scans in HU with lung masks made by an automatic method.

    DIR/subset0/UID.mhd and .raw               HU
    DIR/seg-lungs-LUNA16/UID.mhd and .zraw     3 and 4 the lungs, 5 the trachea

The masks leave dense disease out: good for lungs without much of it. No infection is marked; lesions may be inserted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scanside_export.data.adapters.build import LUNGS, make_case
from scanside_export.data.adapters.metaimage import read_metaimage
from scanside_export.data.adapters.nifti import same_grid
from scanside_export.data.cases import Case
from scanside_export.errors import LabelsUnusable

LUNG_LABELS = (3, 4)


def luna16(folder: Path) -> Iterator[Case]:
    """All scans of the subsets that are here and have a lung mask. Raises LabelsUnusable where there is none."""
    scans = sorted(folder.glob("subset*/*.mhd"))
    masks = {path.name: path for path in sorted((folder / "seg-lungs-LUNA16").glob("*.mhd"))}
    usable = [scan for scan in scans if scan.name in masks]
    if not usable:
        raise LabelsUnusable(folder=folder, why="no subset*/UID.mhd has a mask in seg-lungs-LUNA16")
    for scan in usable:
        picture = read_metaimage(scan)
        labels = same_grid(picture, read_metaimage(masks[scan.name]), masks[scan.name]).values
        lungs = np.asarray(np.isin(labels, LUNG_LABELS), dtype=np.bool_)
        yield make_case(f"luna16_{scan.stem}", LUNGS, picture, (), lungs)
