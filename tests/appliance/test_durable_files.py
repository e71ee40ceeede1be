"""A file changes its place: at every moment it is somewhere, whole, and nothing is overwritten."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from scanside_appliance.files.durable_files import is_folder, lies_at, move_file, sync_folders

DATA = b"a slice"
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "to").mkdir()
    path = tmp_path / "from"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "to" / "there"


@pytest.fixture
def other_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename between the two folders is a rename across file systems."""
    rename = Path.rename

    def refuse(self: Path, to: Path) -> Path:
        if self.parent != Path(to).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse)


def test_a_file_moves(source: Path, target: Path) -> None:
    assert move_file(source, target, SUM)
    assert (source.exists(), target.read_bytes()) == (False, DATA)


@pytest.mark.usefixtures("other_file_system")
def test_a_file_moves_across_file_systems(source: Path, target: Path) -> None:
    assert move_file(source, target, SUM)
    assert (source.exists(), target.read_bytes()) == (False, DATA)
    assert os.listdir(target.parent) == ["there"]


@pytest.mark.usefixtures("other_file_system")
def test_a_copy_that_is_not_what_was_read_before_is_not_kept(source: Path, target: Path) -> None:
    with pytest.raises(OSError, match="differs"):
        move_file(source, target, "0" * 64)
    assert source.read_bytes() == DATA
    assert os.listdir(target.parent) == []


@pytest.mark.usefixtures("other_file_system")
def test_a_copy_whose_source_was_not_removed_yet_is_settled(source: Path, target: Path) -> None:
    target.write_bytes(DATA)
    assert move_file(source, target, SUM)
    assert (source.exists(), target.read_bytes()) == (False, DATA)


def test_a_file_that_is_where_it_should_be_stays(source: Path) -> None:
    assert move_file(source, source, SUM)
    assert move_file(source, source.parent / "to" / ".." / "from", SUM)
    assert source.read_bytes() == DATA


def test_a_second_name_of_the_same_file_is_removed_and_one_stays(source: Path, target: Path) -> None:
    os.link(source, target)
    assert move_file(source, target, SUM)
    assert (source.exists(), target.read_bytes()) == (False, DATA)


def test_a_move_that_was_done_is_done_and_one_of_nothing_is_told(source: Path, target: Path) -> None:
    assert move_file(source, target, SUM)
    assert move_file(source, target, SUM)
    target.unlink()
    assert not move_file(source, target, SUM)


@pytest.mark.parametrize("there", [b"other bytes", DATA])
def test_nothing_is_overwritten_and_a_changed_source_is_kept(source: Path, target: Path, there: bytes) -> None:
    target.write_bytes(there)
    source.write_bytes(b"changed")
    with pytest.raises(FileExistsError):
        move_file(source, target, SUM)
    assert (source.read_bytes(), target.read_bytes()) == (b"changed", there)


def test_a_moved_file_is_private(source: Path, target: Path) -> None:
    source.chmod(0o666)
    move_file(source, target, SUM)
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_file_of_somebody_else_moves_with_its_mode(source: Path, target: Path, monkeypatch: Any) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "not yours")

    monkeypatch.setattr(Path, "chmod", refuse)
    assert move_file(source, target, SUM)


@pytest.fixture
def nothing_can_be_looked_at(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at a file's entry fails as on a disk that is going; `source` lies there all the same."""

    def fail(path: Any, *_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(os, "stat", fail)
    monkeypatch.setattr(os, "lstat", fail)


@pytest.mark.usefixtures("nothing_can_be_looked_at")
def test_a_file_that_can_not_be_looked_at_is_not_called_gone(source: Path, target: Path) -> None:
    for look in (lambda: move_file(source, target, SUM), lambda: lies_at(source), lambda: is_folder(source.parent)):
        with pytest.raises(OSError, match="Input/output error"):
            look()


@pytest.mark.usefixtures("nothing_can_be_looked_at")
def test_a_folder_that_can_not_be_looked_at_is_not_taken_for_synced(target: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        sync_folders(target.parent)


def test_a_path_below_a_file_leads_nowhere(source: Path) -> None:
    assert not lies_at(source / "below")
    assert not is_folder(source)
    assert not is_folder(source / "below")
