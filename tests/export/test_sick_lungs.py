"""Lungs of whole pictures with infection, by thresholds, the body and what an expert drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kit.body_samples import SHAPE, SPACING_MM, around, band, lungs, oval, patient
from scanside_export.data.adapters.forms import read_form
from scanside_export.data.adapters.infection_8mm import LEFT_OUT
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN, known_lungs
from scanside_export.data.sick_lungs import sick_lungs
from scanside_export.errors import LabelsUnusable

DENSE = oval((65, 105), (20, 12))
"""A consolidation at the back of the right lung, partly in the chest wall as an expert's outline may be."""


def sick_patient() -> tuple[np.ndarray, np.ndarray]:
    """HU of a patient on a couch, and where an expert drew infection, (z, y, x)."""
    hu = around(around(patient(), band((134, 137)), 150), band((137, 150)), -880)
    infection = np.zeros(SHAPE, bool)
    infection[3:6] = DENSE & lungs()
    hu[infection] = 20
    return hu, infection


def test_infection_is_lung_of_its_side_and_the_couch_is_none() -> None:
    hu, infection = sick_patient()
    labels = sick_lungs(hu, infection, SPACING_MM)
    assert set(np.unique(labels[infection])) == {RIGHT}
    assert (labels[:, 132:] == 0).all()
    assert labels[4, 80, 145] == LEFT


def test_lungs_hold_nearly_all_their_air_and_nothing_beyond_them() -> None:
    hu, infection = sick_patient()
    found = known_lungs(sick_lungs(hu, infection, SPACING_MM))
    assert not (found & ~lungs()).any()
    assert found.sum() > 0.97 * lungs().sum() * SHAPE[0]


def test_tissue_beside_infection_is_not_known_and_far_from_it_is_no_lung() -> None:
    hu, infection = sick_patient()
    labels = sick_lungs(hu, infection, SPACING_MM)
    below = int(np.flatnonzero(infection[4, :, 65])[-1]) + 1
    assert labels[4, below, 65] == UNKNOWN
    assert (labels[:, 78:82, 100:110] == 0).all()


def test_gas_of_the_gut_apart_from_the_lungs_is_no_lung() -> None:
    hu, infection = sick_patient()
    hu[0:3, 40:48, 95:115] = -950
    labels = sick_lungs(hu, infection, SPACING_MM)
    assert (labels[0:3, 40:48, 95:115] == 0).all()


def test_studies_of_8_mm_come_out_as_cases_of_their_own_share(tmp_path: Path) -> None:
    hu, infection = (array[3:5] for array in sick_patient())
    for name in LEFT_OUT:
        np.savez(
            tmp_path / f"{name}.npz",
            hu=hu,
            mask=np.packbits(infection),
            shape=np.array(infection.shape),
            spacing_mm=np.array(SPACING_MM),
        )
    cases = list(read_form("infection-8mm", tmp_path))
    assert sorted(case.name for case in cases) == sorted(LEFT_OUT)
    assert {case.source for case in cases} == {"infection-8mm"}
    np.testing.assert_array_equal(cases[0].infection[0], infection)
    assert [case.name for case in read_form("infection-8mm-left-out", tmp_path)] == list(LEFT_OUT)


def test_a_folder_without_studies_of_8_mm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelsUnusable, match="study_"):
        list(read_form("infection-8mm", tmp_path))
