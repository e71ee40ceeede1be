"""What is wrong with lungs, by kind: each kind made by construction, in a trunk with two lungs and a dome."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from kit.body_samples import LUNG_HU, SPACING_MM, band, lungs, oval, patient
from scanside_export.data.cases import LEFT, RIGHT, UNKNOWN
from scanside_export.data.drawn_lungs import AIRWAY, EFFUSION, LungReference
from scanside_export.data.volumes import volume_of
from scanside_export.evaluation.lung_errors import KINDS, LungErrors, errors_by_kind, lung_table

LOW, HIGH = slice(0, 4), slice(4, 9)
VOXEL_ML = float(np.prod(SPACING_MM)) / 1000
SPOT = oval((65, 80), (9, 9))
BESIDE = oval((105, 80), (4, 4))
OUTSIDE = band((140, 150), (90, 120))


def reference(hu: np.ndarray | None = None) -> LungReference:
    """Lungs above; below, the right one is gone and an abdomen lies where it was."""
    picture = patient() if hu is None else hu
    picture[LOW, lungs() & band((0, 180), (0, 105))] = 40
    labels = np.zeros(picture.shape, np.uint8)
    labels[:, lungs() & band((0, 180), (0, 105))] = RIGHT
    labels[:, lungs() & band((0, 180), (105, 210))] = LEFT
    labels[LOW][labels[LOW] == RIGHT] = 0
    return LungReference("drawn", volume_of(picture, SPACING_MM), labels)


def found(one: LungReference) -> np.ndarray:
    return (one.labels == RIGHT) | (one.labels == LEFT)


def only(ml: dict[str, float]) -> set[str]:
    return {kind for kind in KINDS if ml[kind] > 0}


def test_the_reference_itself_is_right() -> None:
    assert not only(errors_by_kind(reference(), found(reference())))


@pytest.mark.parametrize(
    ("kind", "z", "where"),
    [("outside_body", 6, OUTSIDE), ("abdomen", 1, SPOT), ("heart_and_vessels", 6, BESIDE)],
)
def test_what_is_called_lung_is_told_by_where_it_is(kind: str, z: int, where: np.ndarray) -> None:
    one = reference()
    mask = found(one)
    mask[z] |= where
    ml = errors_by_kind(one, mask)
    assert only(ml) == {kind}
    assert ml[kind] == pytest.approx(np.count_nonzero(where) * VOXEL_ML)


def test_gas_of_the_gut_is_gas_and_not_abdomen() -> None:
    one = reference()
    hu = np.array(one.volume.hu)
    hu[1, SPOT] = LUNG_HU
    one = LungReference("gas", volume_of(hu, SPACING_MM), one.labels)
    mask = found(one)
    mask[1] |= SPOT
    assert only(errors_by_kind(one, mask)) == {"gas_elsewhere"}


@pytest.mark.parametrize(("value", "kind"), [(EFFUSION, "effusion"), (AIRWAY, "airways"), (UNKNOWN, None)])
def test_fluid_and_airways_are_named_and_what_is_not_judged_is_not_counted(value: int, kind: str | None) -> None:
    one = reference()
    one.labels[1, SPOT] = value
    mask = found(one)
    mask[1] |= SPOT
    assert only(errors_by_kind(one, mask)) == ({kind} if kind else set())


def test_missed_lung_is_air_or_dense_and_its_outline_is_a_matter_of_the_edge() -> None:
    hu = patient()
    hu[7, SPOT] = 40
    one = reference(hu)
    for z, kind in ((6, "missed_air"), (7, "missed_dense")):
        mask = found(one)
        mask[z] &= ~SPOT
        assert only(errors_by_kind(one, mask)) == {kind}
    shrunk = found(one)
    shrunk[6, :, 1:] &= shrunk[6, :, :-1]
    assert only(errors_by_kind(one, shrunk)) == {"edge"}


def test_tissue_beside_the_lungs_is_chest_wall() -> None:
    one = reference()
    mask = found(one)
    mask[6] |= oval((28, 80), (3, 3))
    assert only(errors_by_kind(one, mask)) == {"chest_wall"}


def test_the_table_has_a_row_for_each_series_under_the_names_of_its_columns() -> None:
    scores = [LungErrors(f"series-{n}", 0.9, 0.8, {kind: 10.0 * n for kind in KINDS}) for n in range(3)]
    lines = lung_table(scores).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["series-0", "series-1", "series-2"]
    assert all(len(a) == len(b) for a, b in pairwise(lines[1:]))
