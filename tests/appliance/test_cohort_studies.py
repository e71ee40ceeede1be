"""Studies are found however their files are spread, and each once."""

from __future__ import annotations

import gzip
import os
import shutil
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kit.cohort_samples import OPTIONS
from kit.dicom_samples import ROOT, make_series, write
from kit.reading import find_studies
from scanside_appliance.cohort.studies import IN_ARCHIVE, NO_DICOM, SECOND
from scanside_appliance.cohort.walk import CLOSED, HIDDEN, LINK, NO_FILE
from scanside_appliance.cohort.work import _path_of, measure_study
from scanside_runtime.dicom.errors import BoxReader, InputEmpty, InputNotFound
from scanside_runtime.settings.reading import ReadingSettings

pytestmark = pytest.mark.usefixtures("warm_readers")

A, B, C = f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.3"


def series(study: str, slices: int = 2) -> list:
    """A short series of a study; slices of two studies never share a UID."""
    slices = make_series(slices, StudyInstanceUID=study)
    for number, ds in enumerate(slices):
        ds.SOPInstanceUID = f"{study}.7.{number}"
    return slices


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
    slices = series(A, 4)
    write(tmp_path / "x", slices[:2], "x{}.dcm")
    write(tmp_path / "y", slices[2:], "y{}.dcm")
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


@pytest.mark.parametrize("form", ["zip", "tar", "gztar"])
def test_a_study_in_an_archive_is_found_and_read_from_there(tmp_path: Path, form: str) -> None:
    write(tmp_path / "a", series(A, 4))
    archive = Path(shutil.make_archive(str(tmp_path / "in" / "copy"), form, tmp_path / "a"))
    (study,) = find_studies([tmp_path / "in"])
    assert (study.uid, study.path) == (A, archive)
    assert measure_study(study, OPTIONS)["reason"].startswith("The series has 4 slices ")


def test_gzipped_slices_of_two_studies_in_one_folder_are_taken_apart(tmp_path: Path) -> None:
    for study, name in ((A, "a"), (B, "b")):
        write(tmp_path, series(study, 4), name + "{}.dcm")
    for file in list(tmp_path.iterdir()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    found = find_studies([tmp_path])
    assert [study.uid for study in found] == [A, B]
    assert [measure_study(study, OPTIONS)["reason"][:23] for study in found] == ["The series has 4 slices"] * 2


def test_whatever_no_row_stands_for_is_named_with_the_reason(tmp_path: Path) -> None:
    """Nothing of an archive of data may fall away in silence."""
    top = tmp_path / "in"
    write(top / "a", series(A))
    shutil.make_archive(str(top / "first"), "zip", write(tmp_path / "b", series(B)))
    shutil.make_archive(str(top / "second"), "gztar", tmp_path / "b")
    with zipfile.ZipFile(top / "outer.zip", "w") as outer:
        outer.write(tmp_path / "b" / "000.dcm", "loose.dcm")
        outer.write(top / "first.zip", "inner/first.zip")
        outer.write(top / "second.tar.gz", "inner/second.tar.gz")
    (top / "link.dcm").symlink_to(tmp_path / "b" / "000.dcm")
    (top / "folder").symlink_to(tmp_path / "b")
    (top / "broken").symlink_to(tmp_path / "nowhere")
    (top / ".DS_Store").write_text("x")
    (top / ".hidden").mkdir()
    (top / "notes.txt").write_text("x")
    os.mkfifo(top / "pipe")
    named: dict[str, str] = {}
    found = find_studies([top], passed_over=lambda path, why: named.setdefault(str(path.relative_to(top)), why))
    assert [study.uid for study in found] == [A, B]
    assert named == {
        "second.tar.gz": SECOND, "outer.zip": SECOND, "outer.zip/inner/first.zip": IN_ARCHIVE,
        "outer.zip/inner/second.tar.gz": IN_ARCHIVE, "link.dcm": LINK, "folder": LINK, "broken": LINK,
        ".DS_Store": HIDDEN, ".hidden": HIDDEN, "notes.txt": NO_DICOM, "pipe": NO_FILE,
    }  # fmt: skip


def test_a_folder_that_cant_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a", series(A))
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path: str | Path) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    named: list[tuple[Path, str]] = []
    find_studies([tmp_path], passed_over=lambda path, why: named.append((path, why)))
    assert named == [(tmp_path / "closed", CLOSED)]


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


@pytest.mark.parametrize("place", ["odd.dcm", "below/odd.dcm"])
def test_a_study_has_another_digest_once_a_bad_file_in_its_folder_is_gone(tmp_path: Path, place: str) -> None:
    """Its analysis reads the whole folder, and refuses because of that file."""
    write(tmp_path / "a", series(A, 3))
    odd = tmp_path / "a" / place
    odd.parent.mkdir(exist_ok=True)
    odd.write_bytes(bytes(200))
    before = next(study for study in find_studies([tmp_path]) if study.uid == A)
    odd.unlink()
    (after,) = find_studies([tmp_path])
    assert before.files == after.files == ()
    assert before.digest != after.digest


def test_nothing_here_and_no_such_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputEmpty):
        find_studies([tmp_path])
    with pytest.raises(InputNotFound):
        find_studies([tmp_path / "missing"])


def test_a_file_without_study_among_those_of_two_stands_for_itself(tmp_path: Path) -> None:
    write(tmp_path, series(A), "a{}.dcm")
    write(tmp_path, series(B), "b{}.dcm")
    (tmp_path / "odd.dcm").write_bytes(bytes(200))
    found = {(study.uid, study.path.name) for study in find_studies([tmp_path])}
    assert found == {(A, tmp_path.name), (B, tmp_path.name), (None, "odd.dcm")}


@pytest.fixture
def deadly_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that are started from now on, parsing a file of the patient "Deadly" is a segmentation fault."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "sitecustomize.py").write_text(
        textwrap.dedent(
            """
            import ctypes
            from pydicom.dataset import Dataset
            harmless = Dataset.set_original_encoding  # called at the end of a header, whoever reads it
            def deadly(ds, *arguments, **options):
                if ds.get("PatientName") == "Deadly":
                    ctypes.string_at(0)
                harmless(ds, *arguments, **options)
            Dataset.set_original_encoding = deadly
            """
        )
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))


def test_a_file_that_ends_the_reader_costs_a_row_with_a_code_and_no_other_study(
    tmp_path: Path, deadly_decoder: None
) -> None:
    slices = series(B, 4)
    for ds in slices[1::2]:
        ds.PatientName = "Deadly"
    write(tmp_path / "in" / "a", series(A))
    write(tmp_path / "in" / "b", slices)
    write(tmp_path / "in" / "c", series(C))
    before, killed, after = find_studies([tmp_path / "in"])
    assert (before.uid, killed.uid, after.uid) == (A, B, C)
    assert measure_study(killed, OPTIONS)["reason_code"] == "INPUT_CRASH"


def test_a_study_of_nothing_but_files_that_end_the_reader_has_its_row(tmp_path: Path, deadly_decoder: None) -> None:
    slices = series(B)
    for ds in slices:
        ds.PatientName = "Deadly"
    write(tmp_path / "in", slices)
    (killed,) = find_studies([tmp_path / "in"])
    row = measure_study(killed, OPTIONS)
    assert (killed.uid, row["verdict"], row["reason_code"]) == (None, "refused", "INPUT_CRASH")


def test_a_zip_that_unpacks_to_more_than_the_reader_may_use_is_a_row_and_not_the_end(tmp_path: Path) -> None:
    write(tmp_path / "a", series(A))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.dcm", bytes(300 * 2**20))
    found = find_studies([tmp_path], limits=ReadingSettings(memory_mb=400))
    assert {(study.uid, study.path.name) for study in found} == {(A, "a"), (None, "bomb.zip")}


def test_headers_are_parsed_in_no_process_but_the_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*arguments: object, **options: object) -> None:
        raise AssertionError("foreign bytes in this process")

    write(tmp_path, series(A))
    walk = "scanside_runtime.dicom.headers.plain_header"
    for name in ("pydicom.dcmread", walk, "zipfile.ZipFile", "zipfile.is_zipfile"):
        monkeypatch.setattr(name, parsed)
    assert [study.uid for study in find_studies([tmp_path])] == [A]


def test_a_reader_that_cant_be_started_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, series(A))
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(BoxReader):
        find_studies([tmp_path])


def test_more_files_than_one_reader_takes_are_read_by_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanside_appliance.cohort.studies.FILES_A_READER", 3)
    write(tmp_path / "a", series(A, 4))
    write(tmp_path / "b", series(B, 4))
    assert [study.uid for study in find_studies([tmp_path])] == [A, B]
