"""All real chests, and all that is done to them, by the checks of tests/runtime: about four minutes of a processor.

`python -m pytest -qs tests/sweeps/real_chests.py`: what was measured is printed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.real_chests import check_complete_chest, check_same_at, check_withheld
from kit.real_series import CHESTS, CUT_AT_THE_BASE, Chest, dicom_folder, write_averaged
from kit.turned_chest import turned
from scanside_export.data.cases import hu_volume
from scanside_export.data.lesions import insert, random_lesions
from scanside_export.data.lung_reference import reference_lungs
from scanside_runtime.analysis.analyze import analyze
from scanside_runtime.phantom.dicom_writer import write_series

pytestmark = pytest.mark.usefixtures("warm_readers")


@pytest.mark.parametrize("chest", CHESTS, ids=lambda chest: Path(chest.file).stem)
def test_a_complete_chest(chest: Chest, shared_data: Path, tmp_path: Path) -> None:
    for side, (off_percent, infected_percent) in check_complete_chest(chest, shared_data, tmp_path).items():
        print(f"\n{chest.file} {side}: volume {off_percent:+.1f} % off, {infected_percent:.2f} % infected", end="")


@pytest.mark.parametrize("file", CUT_AT_THE_BASE)
def test_lungs_whose_bases_are_cut_off(file: str, shared_data: Path, tmp_path: Path) -> None:
    check_withheld(analyze(dicom_folder(shared_data / "ct" / file, tmp_path / "series")), {"COVERAGE_BASE_CUT"})


@pytest.mark.parametrize("part", [slice(0, 30), slice(30, 61), slice(15, 45)], ids=["lower", "upper", "middle"])
def test_a_part_of_a_chest(part: slice, shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "pyradiomics-lung2_5mm.npz")
    write_averaged(hu[part], spacing_mm, 1, tmp_path)
    check_withheld(analyze(tmp_path), {"COVERAGE_BASE_CUT", "COVERAGE_APEX_CUT", "SERIES_NOT_CHEST"})


@pytest.mark.parametrize("axes", ["x", "z", "xz", "xy"])
def test_a_turned_chest(axes: str, shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "extra" / "ct-md-p002_6mm.npz")
    write_series(turned(hu, axes), spacing_mm, tmp_path)
    assert "QUALITY_ORIENTATION" in {flag.code for flag in analyze(tmp_path).flags}


def test_inserted_lesions_measure_the_same_at_2_to_10_mm(shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "nsclc-r01-001_thorax_2mm.npz")
    dz, dy, dx = spacing_mm
    coarse = reference_lungs(hu[:, ::2, ::2], (dz, 2 * dy, 2 * dx)) > 0  # where lesions go need not be exact
    lungs = coarse.repeat(2, axis=1).repeat(2, axis=2)
    rng = np.random.default_rng(20200417)
    sick, _ = insert(hu, lungs, spacing_mm, random_lesions(lungs, spacing_mm, rng, burden=0.8), rng)
    print_each(check_same_at(sick, spacing_mm, (1, 2, 3, 5), tmp_path))


def test_a_covid_patient_measures_the_same_at_2_5_5_and_10_mm(shared_data: Path, tmp_path: Path) -> None:
    hu, spacing_mm = hu_volume(shared_data / "ct" / "extra" / "ricord-1a-000082_covid_2.5mm.npz")
    print_each(check_same_at(hu, spacing_mm, (1, 2, 4), tmp_path))


def print_each(found: list[tuple[float, float]]) -> None:
    print("\n" + "; ".join(f"{volume_ml:.0f} ml, POI {poi_percent:.2f} %" for volume_ml, poi_percent in found), end="")
