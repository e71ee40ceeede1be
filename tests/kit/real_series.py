"""The real series of the shared data as a scanner would leave them: folders of DICOM files."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scanside_export.data.cases import hu_volume
from scanside_runtime.phantom.dicom_writer import write_series

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Chest:
    """One real chest. healthy: for each near-healthy side the slices that count, from the feet (README of the data)."""

    file: str
    healthy: dict[str, slice]
    thickness_mm: float | None = None


ALL = slice(None)
CHESTS = (
    Chest("nsclc-r01-001_thorax_2mm.npz", {"right": slice(0, 112), "left": ALL}),
    Chest("lidc-idri-0314_chest_2mm.npz", {"left": ALL}),
    Chest("pyradiomics-lung2_5mm.npz", {"right": ALL, "left": slice(33, None)}),
    Chest("4dlung-113_gated40_3mm.tar.xz", {"right": slice(46, None)}),
    Chest("lung-dx-a0001_chest-5mm_two-kernels.tar.xz", {"right": ALL}),
    Chest("extra/lidc-idri-0001_2.5mm.npz", {"right": ALL, "left": ALL}),
    Chest("extra/lidc-idri-0002_2.5mm.npz", {"right": ALL, "left": ALL}),
    Chest("extra/lidc-idri-0003_2.5mm.npz", {"right": ALL, "left": ALL}),
    Chest("extra/cptac-lscc-c3n-00247_3mm.npz", {"right": ALL, "left": ALL}),
    Chest("extra/tcga-thca-de-a4ma_2.5mm.npz", {"right": ALL, "left": ALL}, thickness_mm=5.0),
    Chest("extra/ricord-1a-000082_covid_2.5mm.npz", {}),
)
"""Every complete chest."""

CUT_AT_THE_BASE = ("pyradiomics-lung1_5mm.npz", "extra/cmb-crc-msb-01068_2.5mm.npz")
"""Bases missing, by much (44 % of the largest area in the lowest slice) and by the lowest recess (16 %)."""


def dicom_folder(file: Path, folder: Path, thickness_mm: float | None = None) -> Path:
    """Unpack an archive, or write an array as a DICOM series."""
    folder.mkdir(parents=True)
    if file.suffix == ".xz":
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    else:
        hu, spacing_mm = hu_volume(file)
        write_averaged(hu, spacing_mm, 1, folder, thickness_mm)
    return folder


def write_averaged(
    hu: np.ndarray, spacing_mm: Spacing, by: int, folder: Path, thickness_mm: float | None = None
) -> None:
    """Write every `by` neighbouring slices as one slice."""
    whole = hu[: len(hu) // by * by].reshape(-1, by, *hu.shape[1:])
    slices = np.rint(whole.mean(axis=1)).astype(np.int16)
    dz, dy, dx = spacing_mm
    write_series(
        slices,
        (dz * by, dy, dx),
        folder,
        origin_mm=(0.0, 0.0, dz * (by - 1) / 2),
        slice_thickness_mm=thickness_mm or dz * by,
    )
