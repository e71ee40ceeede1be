"""MosMedData: chest CT with COVID-19 related findings (Morozov et al. 2020, arXiv:2005.06465), 50 of 1,110 with masks.

DIR/studies/CT-1/study_0255.nii.gz      HU, slices of 8 mm
DIR/masks/study_0255_mask.nii.gz        ground glass and consolidation, 0 or 1; lungs are not marked
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from scanside_export.data.adapters.build import VOLUMES, make_case
from scanside_export.data.adapters.nifti import by_name, read_nifti, same_grid
from scanside_export.data.cases import Case
from scanside_export.errors import LabelsUnusable


def mosmed(folder: Path) -> Iterator[Case]:
    """The studies that have a mask. Raises LabelsUnusable."""
    studies = {path.name.partition(".")[0]: path for path in sorted(folder.glob("studies/*/*.nii*"))}
    for name, path in by_name(folder / "masks").items():
        study = name.removesuffix("_mask")
        if study not in studies:
            raise LabelsUnusable(folder=folder / "studies", why=f"there is no {study} for {path.name}")
        picture = read_nifti(studies[study])
        mask = same_grid(picture, read_nifti(path), path)
        yield make_case(f"mosmed_{study}", VOLUMES, picture, (mask.values > 0,))
