"""COVID-19-CT-Seg, 20 cases (Zenodo 3757476, Ma et al., Med Phys 2021, doi 10.1002/mp.14676), as it is unpacked.

DIR/COVID-19-CT-Seg_20cases/coronacases_001.nii.gz    HU; the radiopaedia ones 0..255, window -1250..250
DIR/Infection_Mask/coronacases_001.nii.gz             0 or 1
DIR/Lung_Mask/coronacases_001.nii.gz                  0, 1, 2: the lungs; may be left out
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from scanside_export.data.adapters.build import VOLUMES, make_case
from scanside_export.data.adapters.nifti import NiftiGrid, by_name, read_nifti, same_grid
from scanside_export.data.cases import Case
from scanside_export.errors import LabelsUnusable

WINDOW_HU = (-1250.0, 250.0)


def covid19_ct_seg(folder: Path) -> Iterator[Case]:
    """All cases that have an infection mask. Names keep the patient's, so that folds hold across sets.

    Raises LabelsUnusable.
    """
    pictures = by_name(folder / "COVID-19-CT-Seg_20cases")
    lungs = by_name(folder / "Lung_Mask") if (folder / "Lung_Mask").is_dir() else {}
    for name, path in by_name(folder / "Infection_Mask").items():
        if name not in pictures:
            raise LabelsUnusable(folder=folder / "COVID-19-CT-Seg_20cases", why=f"there is no {name}")
        picture = _in_hu(read_nifti(pictures[name]))
        infection = same_grid(picture, read_nifti(path), path).values > 0
        lung = same_grid(picture, read_nifti(lungs[name]), lungs[name]).values > 0 if name in lungs else None
        yield make_case(f"ctseg_{name}", VOLUMES, picture, (infection,), lung)


def _in_hu(picture: NiftiGrid) -> NiftiGrid:
    """Pictures of 8 bits are in a lung window: no CT has neither air nor bone."""
    if picture.values.min() < 0 or picture.values.max() > 255:
        return picture
    low, high = WINDOW_HU
    return replace(picture, values=picture.values / 255.0 * (high - low) + low)
