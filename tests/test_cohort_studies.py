"""Studies are found however their files are spread, and each once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dicom_samples import ROOT, make_series, write
from scanside_appliance.cohort.studies import find_studies
from scanside_appliance.cohort.work import _path_of
from scanside_runtime.errors import InputEmpty, InputNotFound

A, B = f"{ROOT}.1", f"{ROOT}.2"


def series(study: str, slices: int = 2) -> list:
    """A short series of a study; sections of two studies never share a UID."""
    sections = make_series(slices, StudyInstanceUID=study)
    for number, ds in enumerate(sections):
        ds.SOPInstanceUID = f"{study}.7.{number}"
    return sections


def names_seen(study) -> set[str]:
    with _path_of(study) as path:
        return {file.name.rpartition("-")[2] for file in Path(path).rglob("*.dcm")}


def test_a_study_in_a_folder_of_its_own_is_read_from_there(tmp_path: Path) -> None:
    write(tmp_path / "a", series(A))
    write(tmp_path / "b", series(B))
    first, second = find_studies([tmp_path])
    assert (first.uid, first.path, first.files) == (A, tmp_path / "a", ())
    assert (second.uid, second.path, second.files) == (B, tmp_path / "b", ())


def test_studies_mixed_in_one_folder_are_taken_apart(tmp_path: Path) -> None:
    write(tmp_path, series(A), "a{}.dcm")
    write(tmp_path, series(B), "b{}.dcm")
    first, second = find_studies([tmp_path])
    assert (first.uid, second.uid) == (A, B)
    assert names_seen(first) == {"a0.dcm", "a1.dcm"}
    assert names_seen(second) == {"b0.dcm", "b1.dcm"}


def test_a_study_over_two_folders_is_one_study(tmp_path: Path) -> None:
    sections = series(A, 4)
    write(tmp_path / "x", sections[:2], "x{}.dcm")
    write(tmp_path / "y", sections[2:], "y{}.dcm")
    (study,) = find_studies([tmp_path])
    assert names_seen(study) == {"x0.dcm", "x1.dcm", "y0.dcm", "y1.dcm"}


def test_a_study_above_another_ones_folder_is_kept_apart(tmp_path: Path) -> None:
    write(tmp_path, series(A), "a{}.dcm")
    write(tmp_path / "below", series(B), "b{}.dcm")
    first, _ = find_studies([tmp_path])
    assert names_seen(first) == {"a0.dcm", "a1.dcm"}


def test_the_same_folder_named_twice_gives_each_study_once(tmp_path: Path) -> None:
    write(tmp_path / "a", series(A))
    assert len(find_studies([tmp_path, tmp_path / "a"])) == 1


def test_a_zip_is_a_study_and_a_loose_copy_wins_over_it(tmp_path: Path) -> None:
    write(tmp_path / "a", series(A))
    shutil.make_archive(str(tmp_path / "copy"), "zip", tmp_path / "a")
    (loose,) = find_studies([tmp_path])
    assert loose.path == tmp_path / "a"
    shutil.rmtree(tmp_path / "a")
    (zipped,) = find_studies([tmp_path])
    assert (zipped.uid, zipped.path) == (A, tmp_path / "copy.zip")


def test_a_damaged_zip_and_a_file_without_study_stay_in_the_list(tmp_path: Path) -> None:
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04" + bytes(40) + b"PK\x05\x06" + b"\xff" * 18)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "one.dcm").write_bytes(bytes(200))
    assert {study.uid for study in find_studies([tmp_path])} == {None}
    assert {study.path.name for study in find_studies([tmp_path])} >= {"odd"}


def test_a_changed_study_has_another_digest(tmp_path: Path) -> None:
    write(tmp_path, series(A, 3))
    (before,) = find_studies([tmp_path])
    (tmp_path / "002.dcm").unlink()
    (after,) = find_studies([tmp_path])
    assert before.digest != after.digest


def test_nothing_here_and_no_such_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputEmpty):
        find_studies([tmp_path])
    with pytest.raises(InputNotFound):
        find_studies([tmp_path / "missing"])
