"""Lungs that someone drew by eye on real series, and looked at slice by slice: references, and cases to train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scanside_export.data.cases import HELD_OUT, Case
from scanside_export.data.volumes import averaged, real_volume, volume_of
from scanside_export.errors import LabelsUnusable
from scanside_runtime.volume import Volume

Labels = npt.NDArray[np.uint8]

SOURCE = "drawn-lungs"
EFFUSION, AIRWAY = 3, 4
"""Values of a drawn reference beside those of `Case.lungs`: neither is lung."""


@dataclass(frozen=True, slots=True, eq=False)
class LungReference:
    """A series with its lungs: labels (z, y, x) uint8 in values of `Case.lungs`, EFFUSION and AIRWAY among them."""

    name: str
    volume: Volume
    labels: Labels


def drawn_references(folder: Path, data: Path, names: Sequence[str] = ()) -> Iterator[LungReference]:
    """The references of a folder, or those named, whose series lie below `data`; absent series are passed over."""
    for path in sorted(folder.glob("*.npz")):
        if names and path.stem not in names:
            continue
        archive = np.load(path)
        series = data / str(archive["series"])
        if series.exists():
            yield LungReference(path.stem, in_slabs(real_volume(series), int(archive["joined"])), archive["labels"])


def in_slabs(volume: Volume, joined: int) -> Volume:
    """A volume with so many neighbouring slices averaged to each slab."""
    if joined == 1:
        return volume
    dz, dy, dx = volume.spacing_mm
    return volume_of(np.rint(averaged(np.asarray(volume.hu), joined)).astype(np.int16), (dz * joined, dy, dx))


def drawn_lung_cases(folder: Path, data: Path) -> Iterator[Case]:
    """The references of a folder as training cases, without the patients that are held out; infection is not known.

    The slabs on which they were drawn are the slices. Fluid and airways are no lung; what was not judged stays unknown.
    Raises LabelsUnusable where there is none: a recipe's share of them would go to the others unsaid.
    """
    found = False
    for reference in drawn_references(folder, data):
        if reference.name in HELD_OUT:
            continue
        lungs = np.where(np.isin(reference.labels, (EFFUSION, AIRWAY)), 0, reference.labels).astype(np.uint8)
        hu, spacing_mm = np.asarray(reference.volume.hu), reference.volume.spacing_mm
        yield Case(f"{reference.name}_drawn", SOURCE, hu, spacing_mm, lungs, ())
        found = True
    if not found:
        raise LabelsUnusable(folder=folder, why=f"of no series below {data} are lungs drawn there")
