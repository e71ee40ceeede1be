"""What must be true of real chests, for the tests and for the long form (sweeps/real_chests.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from kit.real_series import Chest, Spacing, dicom_folder, write_averaged
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.analysis.result import Analysis

REFERENCE_ML = json.loads((Path(__file__).parents[1] / "golden" / "lung_reference_ml.json").read_text())


# What the READMEs of the data say of the pictures: contrast medium stated or seen, and stated to be absent; metal.
CONTRAST = ("nsclc-r01-001", "lidc-idri-0001", "lidc-idri-0003", "cptac-lscc")
NO_CONTRAST = ("lidc-idri-0002", "ricord-1a", "tcga-thca")
METAL = ("4dlung-113",)
AGE_NOT_STATED = ("4dlung-113",)


def _check_against_the_readme(name: str, analysis: Analysis) -> None:
    codes = {flag.code for flag in analysis.flags}
    if name.startswith((*CONTRAST, *NO_CONTRAST)):
        assert ("QUALITY_CONTRAST" in codes) == name.startswith(CONTRAST)
    assert not name.startswith(METAL) or "QUALITY_METAL" in codes
    assert ("PATIENT_AGE_UNKNOWN" in codes) == name.startswith(AGE_NOT_STATED)
    assert not codes & {"QUALITY_HU_CALIBRATION", "QUALITY_HU_UNPROVEN", "QUALITY_UNEVEN_LUNGS", "QUALITY_LUNG_VOLUME"}


def analysed(folder: Path) -> Analysis:
    analysis = analyze(folder)
    assert analysis.exit_code == 0, analysis.reason
    return analysis


def check_complete_chest(chest: Chest, shared_data: Path, folder: Path) -> dict[str, tuple[float, float]]:
    """Believable volumes, near-healthy lungs whole and quiet, and flagged as the README of the data says.

    Returns of each near-healthy lung its volume off the reference and its infected share, in percent.
    """
    analysis = analysed(dicom_folder(shared_data / "ct" / chest.file, folder / "series", chest.thickness_mm))
    _check_against_the_readme(Path(chest.file).name, analysis)
    assert analysis.masks is not None
    assert analysis.biomarkers is not None
    found = {}
    for side, part in chest.healthy.items():
        off_percent = 100.0 * (getattr(analysis.biomarkers, side).lung_volume_ml / REFERENCE_ML[chest.file][side] - 1.0)
        lung = getattr(analysis.masks, f"{side}_lung").array[part]
        infected_percent = 100.0 * (analysis.masks.infection.array[part] & lung).sum() / lung.sum()
        assert abs(off_percent) <= 8.0, side
        assert infected_percent < 5.0, side
        found[side] = (off_percent, infected_percent)
    return found


def check_same_at(
    hu: np.ndarray, spacing_mm: Spacing, averaged: tuple[int, ...], folder: Path
) -> list[tuple[float, float]]:
    """Slices of so many averaged measure the same volume and POI. Returns of each the two, in ml and percent."""
    found = []
    for by in averaged:
        write_averaged(hu, spacing_mm, by, folder / str(by))
        biomarkers = analysed(folder / str(by)).biomarkers
        assert biomarkers is not None
        found.append(biomarkers.whole)
    volumes_ml = [whole.lung_volume_ml for whole in found]
    poi_percent = [whole.poi_percent for whole in found if whole.poi_percent is not None]
    assert max(volumes_ml) / min(volumes_ml) < 1.03, volumes_ml
    assert max(poi_percent) - min(poi_percent) < 1.5, poi_percent
    return list(zip(volumes_ml, poi_percent, strict=True))


def check_withheld(analysis: Analysis, reasons: set[str]) -> None:
    """Refused for one of these reasons, with nothing that rests on infection."""
    document = analysis.document()
    assert (analysis.exit_code, document["verdict"]) == (3, "refused")
    assert document["reason"]["code"] in reasons
    assert (document["biomarkers"] or {}).get("poi_percent") is None
    assert document["severity"]["flag"] == "not_assessed"
