"""Lungs drawn by eye: where their series lie they are references, and training cases but for the held-out patients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scanside_export.data.cases import HELD_OUT, LEFT, RIGHT, UNKNOWN
from scanside_export.data.drawn_lungs import AIRWAY, EFFUSION, drawn_lung_cases, drawn_references
from scanside_export.data.prepare import Material, load, prepare
from scanside_export.errors import LabelsUnusable

DRAWN = Path(__file__).parents[1] / "data" / "lungs"


def draw(tmp_path: Path, name: str, joined: int = 2) -> tuple[Path, Path]:
    """A folder of references and one of data: eight slices, so many joined to a slab, with one of each label."""
    references, data = tmp_path / "references", tmp_path / "data"
    for folder in (references, data / "ct"):
        folder.mkdir(parents=True, exist_ok=True)
    hu = np.arange(8, dtype=np.int16)[:, None, None] * np.ones((8, 4, 6), np.int16)
    np.savez(data / "ct" / f"{name}.npz", hu=hu, spacing_mm=np.array([2.5, 0.7, 0.7]))
    labels = np.zeros((8 // joined, 4, 6), np.uint8)
    labels[:, 1] = [0, RIGHT, LEFT, EFFUSION, AIRWAY, UNKNOWN]
    np.savez(references / f"{name}.npz", labels=labels, series=f"ct/{name}.npz", joined=joined)
    return references, data


def test_a_drawn_reference_is_a_case_in_its_slabs_in_which_fluid_and_airways_are_no_lung(tmp_path: Path) -> None:
    (case,) = drawn_lung_cases(*draw(tmp_path, "someone"))
    assert (case.source, case.infection, case.spacing_mm) == ("drawn-lungs", (), (5.0, 0.7, 0.7))
    assert case.hu[:, 0, 0].tolist() == [0, 2, 4, 6]  # of 0.5, 2.5, ... the even one
    assert case.lungs[0, 1].tolist() == [0, RIGHT, LEFT, 0, 0, UNKNOWN]


def test_nobody_who_is_held_out_becomes_a_case(tmp_path: Path) -> None:
    references, data = draw(tmp_path, "someone")
    for name in HELD_OUT:
        draw(tmp_path, name)
    assert [case.name for case in drawn_lung_cases(references, data)] == ["someone_drawn"]


def test_prepare_writes_them_beside_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    references, data = draw(tmp_path, "someone")
    monkeypatch.setattr("scanside_export.data.prepare._shared_parts", lambda data, material: [])
    prepare(Material(data, phantoms=0, references=references), tmp_path / "cases")
    assert [(case.source, case.name) for case in load(tmp_path / "cases")] == [("drawn-lungs", "someone_drawn")]


def test_drawn_lungs_of_a_series_that_is_not_at_hand_are_passed_over(tmp_path: Path) -> None:
    references = DRAWN
    assert sorted(path.stem for path in references.glob("*.npz"))
    assert not list(drawn_references(references, tmp_path))


def test_where_no_series_is_at_hand_the_cases_are_refused(tmp_path: Path) -> None:
    references, data = draw(tmp_path, HELD_OUT[0])
    for folder, series in ((DRAWN, data), (references, data), (tmp_path / "no-such-folder", data)):
        with pytest.raises(LabelsUnusable, match="of no series below"):
            list(drawn_lung_cases(folder, series))


def test_drawn_lungs_lie_on_the_grid_of_their_series(shared_data: Path) -> None:
    for one in drawn_references(DRAWN, shared_data):
        assert one.labels.shape == one.volume.hu.shape
        assert set(np.unique(one.labels)) <= {0, RIGHT, LEFT, EFFUSION, AIRWAY, UNKNOWN}
        assert np.median(one.volume.hu[one.labels == LEFT]) < -700
