"""A study in a zip, a tar, a gzipped tar, or as gzipped files is the study that lies in a folder."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kit.dicom_samples import make_series, write
from kit.reading import choose_series, find_series
from scanside_runtime.dicom.errors import InputEmpty, InputTooLarge, InputUnreadable
from scanside_runtime.dicom.files import list_files
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.settings.reading import ReadingSettings

pytestmark = pytest.mark.usefixtures("warm_readers")

LIMITS = ReadingSettings()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("study"), make_series())


def packed(form: str) -> Callable[[Path, Path], Path]:
    return lambda folder, into: Path(shutil.make_archive(str(into / "study"), form, folder))


def gzipped_each(folder: Path, into: Path) -> Path:
    (into / "gz").mkdir()
    for file in folder.iterdir():
        (into / "gz" / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    return into / "gz"


def gnu_in_any_order(folder: Path, into: Path) -> Path:
    with tarfile.open(into / "gnu.tgz", "w:gz", format=tarfile.GNU_FORMAT) as archive:
        for file in sorted(folder.iterdir(), reverse=True):
            archive.add(file, f"{'deep/' * 40}{file.name}")
    return into / "gnu.tgz"


@pytest.mark.parametrize("way", [packed("zip"), packed("tar"), packed("gztar"), gzipped_each, gnu_in_any_order])
def test_whatever_holds_a_study_its_voxels_are_those_of_the_folder(
    folder: Path, tmp_path: Path, way: Callable[[Path, Path], Path]
) -> None:
    volumes = []
    for path in (folder, way(folder, tmp_path)):
        with StudyReader(LIMITS) as reader:
            found = reader.find(path)
            volumes.append(reader.read_volume(choose_series(found)))
    np.testing.assert_array_equal(volumes[0].hu, volumes[1].hu)
    assert volumes[0].hu.shape[0] == 12


def test_a_gzipped_file_by_itself_is_that_file(folder: Path, tmp_path: Path) -> None:
    one = next(folder.iterdir())
    (tmp_path / "slice.gz").write_bytes(gzip.compress(one.read_bytes()))
    (header,) = find_series(tmp_path / "slice.gz").headers
    assert header.sha256 == find_series(one).headers[0].sha256


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def test_members_that_are_links_devices_or_hidden_are_passed_over_by_name(folder: Path, tmp_path: Path) -> None:
    slice_ = next(folder.iterdir()).read_bytes()
    path = tar_of(
        tmp_path / "odd.tar",
        (info("link.dcm", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (info("hard.dcm", tarfile.LNKTYPE, "../../etc/passwd"), b""),
        (info("device.dcm", tarfile.CHRTYPE), b""),
        (info(".hidden.dcm"), slice_),
        (info("../../outside.dcm"), slice_),
    )
    listing = list_files(path, LIMITS)
    assert set(listing.passed_over) == {"link.dcm", "hard.dcm", "device.dcm", ".hidden.dcm"}
    assert [file.member for file in listing.files] == ["../../outside.dcm"]
    assert len(find_series(path).headers) == 1
    assert [one.name for one in tmp_path.parent.iterdir() if one.name == "outside.dcm"] == []


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_tar_that_breaks_off_is_refused(folder: Path, tmp_path: Path, suffix: str) -> None:
    whole = packed("tar" if suffix == ".tar" else "gztar")(folder, tmp_path)
    cut = tmp_path / f"cut{suffix}"
    content = whole.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputUnreadable):
        raise_what_is_unreadable(cut)


def raise_what_is_unreadable(path: Path) -> None:
    """A damaged archive raises at once; a damaged member stands among what a choice refuses because of."""
    found = find_series(path)
    choose_series(found)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.gz", "a.gz", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 40, b"\x1f\x8b\x08\x00" + bytes(600)])
def test_what_is_only_called_an_archive_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputUnreadable):
        find_series(tmp_path / name)


def test_an_archive_of_another_kind_is_to_be_unpacked_first(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputEmpty) as refusal:
        find_series(packed("xztar")(folder, tmp_path))
    assert "unpack" in refusal.value.advice


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="same name"):
        find_series(tar_of(tmp_path / "a.tar", (info("a.dcm"), b"1"), (info("a.dcm"), b"2")))


def test_a_gzip_bomb_costs_no_more_than_the_limits(tmp_path: Path) -> None:
    tar_of(tmp_path / "a.tar", (info("a.dcm"), bytes(40 * 2**20)))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress((tmp_path / "a.tar").read_bytes(), 1))
    with pytest.raises(InputTooLarge, match="unpacks to more than 8 MB"):
        find_series(tmp_path / "a.tar.gz", ReadingSettings(max_archive_mb=8))
    (tmp_path / "b.dcm.gz").write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(40 * 2**20), 1))
    with pytest.raises(InputTooLarge, match="at most 8 are read"):
        find_series(tmp_path / "b.dcm.gz", ReadingSettings(max_file_mb=8))


def test_more_members_than_files_are_read_are_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", *((info(f"{n}.dcm"), b"x") for n in range(12)))
    with pytest.raises(InputTooLarge, match="more than 10 files"):
        find_series(path, ReadingSettings(max_files=10))


def test_a_sparse_member_is_never_as_large_as_it_claims(tmp_path: Path) -> None:
    sparse = tarfile.TarInfo("holes.dcm")
    sparse.pax_headers = {
        "GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "holes.dcm",
        "GNU.sparse.size": str(2**40), "GNU.sparse.map": "0,1", "GNU.sparse.numblocks": "1",
    }  # fmt: skip
    sparse.size = 1
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(sparse, io.BytesIO(b"x"))
    with pytest.raises((InputEmpty, InputTooLarge, InputUnreadable)):
        find_series(tmp_path / "a.tar")
