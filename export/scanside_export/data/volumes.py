"""Volumes for checks: real ones with and without labels, as the runtime would get them from DICOM."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scanside_export.data.cases import (
    CHECK_CASES,
    ELSEWHERE,
    Case,
    hu_volume,
    infection_volumes,
    known_lungs,
    lungs_drawn,
    there,
)
from scanside_export.data.folds import patient_of
from scanside_runtime.dicom.decode import read_volume
from scanside_runtime.dicom.index import find_series
from scanside_runtime.dicom.series import choose_series
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.volume import Bools, Volume

READING = ReadingSettings()


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A volume in slabs, and what experts drew on its slices; lungs are known in some slices only.

    The masks stay on the slices on which they were drawn, and each found slab is held against all of its slices:
    volume and POI of a reference do not hang on the thickness, but for an incomplete last slab. A majority of slices
    would: of two, one is a tie, and taken for disease ties added 7 to 21 % to what experts drew in infection-3d.

    infection: one (slices, y, x) bool for each reader. lungs: (slices, y, x) bool. lungs_known: (slices,) bool.
    elsewhere: (slices, y, x) bool, what is no lung in slices whose lungs nobody drew.
    source: whose labels. joined: neighbouring slices averaged to each slab of the volume.
    """

    name: str
    volume: Volume
    infection: tuple[Bools, ...]
    lungs: Bools
    lungs_known: npt.NDArray[np.bool_]
    elsewhere: Bools
    source: str = ""
    joined: int = 1

    @property
    def patient(self) -> str:
        """Whose series it is; one patient may have several."""
        return patient_of(self.name)

    @property
    def slice_voxel_ml(self) -> float:
        """The volume of one voxel of a slice."""
        return self.volume.voxel_ml / self.joined

    def on_slices(self, found: Bools) -> Bools:
        """What was found in slabs, (z, y, x), on the slices that they are made of: (z * joined, y, x)."""
        return np.repeat(found, self.joined, axis=0)

    def in_slabs(self, drawn: Bools) -> Bools:
        """What was drawn on slices, (z * joined, y, x), in slabs: where half of their slices have it."""
        return averaged(drawn, self.joined) >= 0.5


def volume_of(
    hu: npt.NDArray[np.int16], spacing_mm: tuple[float, float, float], slice_thickness_mm: float | None = None
) -> Volume:
    """An array in LPS order as a volume at the origin; slabs as thick as they lie apart, unless it is said."""
    dz, dy, dx = spacing_mm
    return Volume(np.array(hu), np.diag([dx, dy, dz, 1.0]), spacing_mm, slice_thickness_mm or dz)


def averaged(array: npt.NDArray[np.int16 | np.bool_], by: int) -> npt.NDArray[np.float32]:
    """Means of `by` neighbouring slices, an incomplete rest left out: (z, y, x) → (z // by, y, x) float32."""
    whole = array[: len(array) // by * by].astype(np.float32)
    return np.asarray(whole.reshape(-1, by, *array.shape[1:]).mean(axis=1), dtype=np.float32)


def slices_joined(case: Case, thick_mm: float | None) -> int:
    """How many neighbouring slices of a case make a slab of about `thick_mm`; None: each is a slab."""
    return 1 if thick_mm is None else max(1, round(thick_mm / case.spacing_mm[0]))


def labelled_case(case: Case, thick_mm: float | None = 5.0) -> Labelled:
    """A case in slabs of about `thick_mm`, an incomplete last one left out; None leaves the slabs as they are."""
    by = slices_joined(case, thick_mm)
    whole = len(case.hu) // by * by
    hu = np.rint(averaged(case.hu, by)).astype(np.int16)
    dz, dy, dx = case.spacing_mm
    volume = volume_of(hu, (dz * by, dy, dx), case.slice_thickness_mm if by == 1 else None)
    lungs = np.asarray(case.lungs[:whole])
    known = np.asarray(lungs_drawn(lungs).any(axis=(1, 2)))
    infection = tuple(np.asarray(mask[:whole]) for mask in case.infection)
    return Labelled(case.name, volume, infection, known_lungs(lungs), known, lungs == ELSEWHERE, case.source, by)


def check_cases(data: Path) -> list[Labelled]:
    """The series of infection-3d that the first training did not see, in slabs of about 5 mm."""
    return [labelled_case(case) for case in infection_volumes(data / "infection-3d", only=CHECK_CASES)]


def real_volume(path: Path) -> Volume:
    """A real series of `ct` or `ct/extra`: a HU array, or the chest series in a tar archive of DICOM files."""
    return volume_of(*hu_volume(path)) if path.suffix == ".npz" else _unpacked(path)


def _unpacked(archive: Path) -> Volume:
    with tempfile.TemporaryDirectory() as folder, tarfile.open(there(archive)) as tar:
        tar.extractall(folder, filter="data")
        return read_volume(choose_series(find_series(Path(folder), READING), limits=READING), READING)


PARITY_VOLUMES = (
    "extra/ricord-1a-000082_covid_2.5mm.npz",
    "extra/lidc-idri-0002_2.5mm.npz",
    "pyradiomics-lung2_5mm.npz",
)
"""Real HU that neither training nor calibration saw, one with COVID-19."""


def parity_volumes(data: Path) -> list[Volume]:
    """Volumes on which deployed forms are compared: the expert-labelled check cases and real HU."""
    return [case.volume for case in check_cases(data)] + [real_volume(data / "ct" / name) for name in PARITY_VOLUMES]
