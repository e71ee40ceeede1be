"""The inbox in a sender's hand: what he swaps, locks, holds open or takes away harms himself alone."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import Box, study
from scanside_appliance.files import copies
from scanside_appliance.files.beneath import DEEPEST
from scanside_appliance.files.copies import SourceChanged, copy_below, put_back
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox import errands
from scanside_appliance.jobs import file_mover, staging
from scanside_appliance.jobs.book.store import Store
from sweeps.box import Slice, contents

COPY = errands.copy_below


@pytest.fixture
def before_a_copy(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Path, str], None]], None]:
    """Do something once, at the moment at which the box is about to copy its first file."""

    def arrange(happens: Callable[[Path, str], None]) -> None:
        pending = [happens]

        def copy(root: Path, name: str, *more: Any) -> Any:
            if pending:
                pending.pop()(root, name)
            return COPY(root, name, *more)

        monkeypatch.setattr(errands, "copy_below", copy)

    return arrange


def test_a_folder_swapped_for_a_link_leads_the_box_nowhere(box: Box, before_a_copy: Any) -> None:
    box.put(*study(1))
    outside = box.root / "outside"

    def swap(inbox: Path, _: str) -> None:
        (inbox / "study1").rename(outside)
        (inbox / "study1").symlink_to(outside)

    before_a_copy(swap)
    box.run()
    assert sorted(os.listdir(outside)) == ["001.dcm", "002.dcm", "003.dcm"]
    assert (box.of(1), box.places("work"), box.places("quarantine")) == ([], [], [])


def test_the_boxs_own_files_can_not_be_taken_through_a_link(box: Box, before_a_copy: Any) -> None:
    box.run()
    inside = box.inbox / "sub"
    box.put(Slice(1, 1), folder="sub")
    (inside / "scanside.db").write_bytes(Slice(1, 2).content())

    def swap(inbox: Path, _: str) -> None:
        inside.rename(box.root / "moved")
        inside.symlink_to(box.root)

    before_a_copy(swap)
    before = (box.root / "scanside.db").stat().st_ino
    box.run()
    assert (box.root / "scanside.db").stat().st_ino == before
    assert box.places("quarantine") == []


@pytest.mark.parametrize("swapped", ["pipe", "link", "folder"])
def test_a_file_swapped_for_something_else_is_not_taken_and_the_rest_is(
    box: Box, before_a_copy: Any, swapped: str
) -> None:
    box.put(*study(1), *study(2))
    secret = box.root / "secret"
    secret.write_bytes(Slice(1, 1).content())

    def swap(inbox: Path, name: str) -> None:
        (inbox / name).unlink()
        if swapped == "pipe":
            os.mkfifo(inbox / name)
        elif swapped == "link":
            (inbox / name).symlink_to(secret)
        else:
            (inbox / name).mkdir()

    before_a_copy(swap)
    box.run()
    assert secret.exists()
    assert sorted(len(one["inputs"]) for one in (*box.of(1), *box.of(2))) == [2, 3]
    assert not any(path.is_symlink() for path in (box.root / "archive").rglob("*"))


def test_a_file_that_is_sent_again_while_it_is_copied_is_looked_at_anew(box: Box, before_a_copy: Any) -> None:
    box.put(*study(1))
    better = Slice(1, 1, "better").content()
    before_a_copy(lambda inbox, name: (inbox / name).write_bytes(better) and None)
    box.run(patience_s=600.0)
    (result,) = box.of(1)  # it was waited for: the study did not go on without it first
    assert hashlib.sha256(better).hexdigest() in result["inputs"]
    assert len(result["inputs"]) == 3
    assert box.places("inbox") == box.places("work") == []


def test_slices_that_are_taken_away_while_the_study_is_taken_in_make_it_incomplete(
    box: Box, before_a_copy: Any
) -> None:
    box.put(*study(1, slices=9))

    def take_away(inbox: Path, _: str) -> None:
        for number in range(4, 10):
            (inbox / "study1" / f"{number:03d}.dcm").unlink()

    before_a_copy(take_away)
    box.run()
    (result,) = box.of(1)
    assert (len(result["inputs"]), result["incomplete"]) == (3, "6 file(s) were taken away while it was taken in")


def test_who_holds_a_file_open_does_not_change_what_was_taken(box: Box) -> None:
    box.put(*study(1))
    with (box.inbox / "study1" / "001.dcm").open("r+b") as handle:
        box.run()
        handle.write(b"something else")
        handle.flush()
    assert len(box.places("archive")) == 3
    assert box.is_sound()


def test_a_fresh_study_is_summed_where_it_is_read_and_where_it_is_copied_and_not_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    summed: list[Path] = []
    is_there = file_mover.is_there

    def note(path: Path, sha256: str) -> bool:
        summed.append(path)
        return is_there(path, sha256)

    monkeypatch.setattr(file_mover, "is_there", note)
    box.put(*study(1))
    box.run()
    assert len(box.of(1)) == 1
    assert [path for path in summed if "work" in path.parts or "archive" in path.parts] == []


def refuse_to_remove(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def refuse(source: Any, target: Any, **more: Any) -> None:
        if str(target).endswith(".taken"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        rename(source, target, **more)

    monkeypatch.setattr(os, "rename", refuse)


def test_what_can_not_be_removed_is_measured_once_said_and_removed_when_that_can_be(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_remove(monkeypatch)
    box.put(*study(1), *study(2))
    box.run()
    box.run()
    assert (len(box.of(1)), len(box.of(2)), len(box.places("archive"))) == (1, 1, 6)
    status = box.scanside("status")
    assert "6 files were taken and can't be removed from the inbox (Read-only file system)" in status.output
    assert status.exit_code == 0
    monkeypatch.undo()
    box.run()
    assert (box.places("inbox"), len(box.of(1))) == ([], 1)
    assert "removed" not in box.scanside("status").output
    assert box.is_sound()


def test_another_content_under_the_name_of_what_could_not_be_removed_is_new(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_remove(monkeypatch)
    box.put(*study(1))
    box.run()
    (box.inbox / "study1" / "001.dcm").write_bytes(Slice(1, 4).content())
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 4]


def test_what_takes_a_taken_files_name_is_not_removed_in_its_place(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender renames a new file over the old one between the look at it and its removal."""
    box.put(*study(1))
    rename, sent = os.rename, Slice(1, 9).content()

    def race(source: Any, target: Any, **more: Any) -> None:
        if str(target).endswith(".taken") and source == "002.dcm":
            (box.inbox / "study1" / "002.dcm").unlink()
            (box.inbox / "study1" / "002.dcm").write_bytes(sent)
            monkeypatch.undo()
        rename(source, target, **more)

    monkeypatch.setattr(os, "rename", race)
    box.run()
    assert hashlib.sha256(sent).hexdigest() in contents(box.root)
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)][-1] == 4


def test_a_file_that_can_not_be_read_is_named_and_status_ends_with_5(box: Box) -> None:
    box.put(*study(1))
    (box.inbox / "study1" / "locked\x1b[2J").write_bytes(b"x")
    box.run()
    (result,) = box.of(1)
    assert result["incomplete"] == "a file beside it can't be read"
    status = box.scanside("status")
    assert r"1 file in the inbox can't be read: study1/locked\x1b[2J (Permission denied)" in status.output
    assert status.exit_code == 5


def test_a_file_of_500_gb_is_named_and_the_rest_goes_on(box: Box) -> None:
    box.put(*study(1))
    with (box.inbox / "sparse").open("wb") as file:
        file.truncate(500 * 2**30)
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    assert "sparse (it is too large)" in json.loads(box.scanside("status", "--json").output)["unreadable"]


def test_no_path_is_too_long(box: Box) -> None:
    box.inbox.mkdir(parents=True)
    deep(box.inbox, ["d" * 200] * 30, Slice(1, 1).content())
    box.put(Slice(1, 2))
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [2]
    assert box.scanside("queue").exit_code == 0


def test_what_lies_too_deep_is_named(box: Box) -> None:
    box.inbox.mkdir(parents=True)
    deep(box.inbox, ["d"] * (DEEPEST + 1), b"x")
    box.put(*study(1))
    box.run()
    assert len(box.of(1)) == 1
    assert f"below {DEEPEST} others" in box.scanside("status").output


def deep(folder: Path, names: list[str], content: bytes) -> None:
    """A file below so many folders: longer than a path may be."""
    handle = os.open(folder, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=handle)
        handle, above = os.open(name, os.O_RDONLY, dir_fd=handle), handle
        os.close(above)
    with os.fdopen(os.open("1", os.O_WRONLY | os.O_CREAT, dir_fd=handle), "wb") as file:
        file.write(content)
    os.close(handle)


def test_a_file_that_goes_back_follows_no_link_and_takes_nobodys_name(tmp_path: Path) -> None:
    inbox, outside, ours = tmp_path / "inbox", tmp_path / "outside", tmp_path / "1.dcm"
    for folder in (inbox, outside, inbox / "returned-2"):
        folder.mkdir()
    (inbox / "returned-1").symlink_to(outside)
    (inbox / "returned-2" / "1.dcm").write_bytes(b"theirs")
    for home in ("returned-1", "returned-2"):
        ours.write_bytes(b"ours")
        put_back(ours, inbox, home)
        assert not ours.exists()
    assert os.listdir(outside) == []
    found = sorted(path.read_bytes() for path in inbox.rglob("*.dcm"))
    assert found == [b"ours", b"ours", b"theirs"]


def test_a_file_goes_back_across_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def refuse(source: Any, target: Any, **more: Any) -> None:
        if "src_dir_fd" not in more:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target, **more)

    monkeypatch.setattr(os, "rename", refuse)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "1.dcm").write_bytes(b"ours")
    put_back(tmp_path / "1.dcm", tmp_path / "inbox", "returned-1")
    assert os.listdir(tmp_path) == ["inbox"]
    assert [path.read_bytes() for path in (tmp_path / "inbox" / "returned-1").iterdir()] == [b"ours"]


def test_a_copy_that_the_disk_has_no_room_for_is_the_boxs_trouble_not_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "1").write_bytes(b"x")
    seen = Signature.of((tmp_path / "1").stat())

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(copies.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        copy_below(tmp_path, "1", tmp_path / "copy", seen)


@pytest.mark.parametrize("changed", [b"xy", b"", b"y"])
def test_a_copy_of_what_was_not_seen_is_none(tmp_path: Path, changed: bytes) -> None:
    (tmp_path / "1").write_bytes(b"x")
    seen = Signature.of((tmp_path / "1").stat())
    (tmp_path / "1").write_bytes(changed)
    os.utime(tmp_path / "1", ns=(1, seen.mtime_ns + (changed == b"y")))
    with pytest.raises(SourceChanged):
        copy_below(tmp_path, "1", tmp_path / "copy", seen)


def test_a_signature_fits_into_the_table_whatever_a_sender_sets() -> None:
    class Seen:
        st_size, st_mtime_ns, st_ino = 1, 2**80, 2**64 - 1

    seen: Any = Seen()
    assert Signature.of(seen) == Signature(1, 0, 2**63 - 1)


def test_a_study_that_takes_long_to_copy_lets_the_rest_of_the_box_have_its_turn(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "COPY_S", 0.0)
    monkeypatch.setattr(staging, "AT_ONCE", 1)
    copy, unfinished = staging.Staging.copy, []

    def note(*arguments: Any) -> Any:
        copies = copy(*arguments)
        unfinished.append(copies is None)
        return copies

    monkeypatch.setattr(staging.Staging, "copy", note)
    box.put(*study(1))
    box.run()
    assert unfinished == [True, True, False]
    assert len(box.of(1)) == 1
    assert sorted(os.listdir(box.root / "work")) == []


def test_a_slice_that_goes_after_it_was_copied_and_before_the_others_are_is_missing(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "COPY_S", 0.0)
    monkeypatch.setattr(staging, "AT_ONCE", 1)
    box.put(*study(1))

    def copy(root: Path, name: str, *more: Any) -> Any:
        copied = COPY(root, name, *more)
        if name.endswith("001.dcm"):
            (root / name).unlink()
        return copied

    monkeypatch.setattr(errands, "copy_below", copy)
    box.run()
    (result,) = box.of(1)
    assert (len(result["inputs"]), result["incomplete"]) == (2, "1 file(s) were taken away while it was taken in")
    assert sorted(os.listdir(box.root / "work")) == []


def test_a_book_that_can_not_be_written_once_leaves_no_second_copy(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    add, failures = Store.add_taken, [sqlite3.OperationalError("disk I/O error")]

    def fail(store: Store, sources: Any) -> None:
        if failures:
            raise failures.pop()
        add(store, sources)

    monkeypatch.setattr(Store, "add_taken", fail)
    box.put(*study(1))
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    assert sorted(os.listdir(box.root / "work")) == []
    assert box.is_sound()
