"""What lies on a stick that means harm is refused in words; it fills neither memory nor disk."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import Box, study
from scanside_appliance.backup.errors import BackupUnusable
from scanside_appliance.backup.make import back_up
from scanside_appliance.backup.restore import restore
from scanside_appliance.backup.stock import FILES, MANIFEST, Stock, read_stock
from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import BoxLayout


def silent(what: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


def fake_stick(folder: Path, name: str, content: bytes, **changes: Any) -> Path:
    """A manifest with one file, and a book that is as it says."""
    (folder / FILES / "results").mkdir(parents=True)
    (folder / FILES / "results" / "x").write_bytes(content)
    (folder / "book").write_bytes(b"a book")
    one = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "changed_ns": 1, **changes}
    stock = Stock("2026", "host", "1", "book", hashlib.sha256(b"a book").hexdigest(), settings=False, audit_head=None)
    (folder / MANIFEST).write_text(json.dumps({**asdict(stock), "files": {name: one}}))
    return folder


@pytest.mark.parametrize("changed_ns", [-1, 10**30])
def test_a_time_that_no_file_can_have_is_refused(tmp_path: Path, changed_ns: int) -> None:
    stick = fake_stick(tmp_path / "stick", "results/x", b"x", changed_ns=changed_ns)
    with pytest.raises(BackupUnusable, match="time"):
        read_stock(stick)


def test_a_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    stick = fake_stick(tmp_path / "stick", "results/x", b"x")
    os.truncate(stick / MANIFEST, 2**40)
    with pytest.raises(BackupUnusable, match="more than"):
        read_stock(stick)


@pytest.mark.parametrize("hollow", ["files/results/x", "book"])
def test_a_file_that_says_it_is_larger_than_any_disk_is_not_copied(tmp_path: Path, hollow: str) -> None:
    stick, other = fake_stick(tmp_path / "stick", "results/x", b"x"), BoxLayout(tmp_path / "other")
    os.truncate(stick / hollow, 2**40)
    with pytest.raises(BackupUnusable, match="not what was copied"):
        restore(stick, other, silent)
    assert sum(path.stat().st_size for path in other.root.rglob("*") if path.is_file()) < 2**20
    assert not lies_at(other.database)


@pytest.mark.parametrize("name", ["scanside.db-wal", "inbox/sent", "", "results/a\0b", "results/\ud800"])
def test_a_name_that_no_backup_has_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackupUnusable, match="leads out"):
        read_stock(fake_stick(tmp_path / "stick", name, b"x"))


@pytest.mark.parametrize("target", ["/dev/zero", "/etc/passwd", "pipe"])
def test_what_is_no_file_of_the_backup_is_not_taken_for_one(tmp_path: Path, target: str) -> None:
    stick = fake_stick(tmp_path / "stick", "results/x", b"x")
    file = stick / FILES / "results" / "x"
    file.unlink()
    os.mkfifo(file) if target == "pipe" else file.symlink_to(target)
    with pytest.raises(BackupUnusable):
        restore(stick, BoxLayout(tmp_path / "other"), silent)
    assert not lies_at(tmp_path / "other" / "results" / "x")


def test_no_backup_is_written_through_a_link_or_into_a_pipe(box: Box, tmp_path: Path) -> None:
    """As root it would put files anywhere, write over what a link leads to, and clear hidden files away there."""
    box.put(*study(1, slices=1))
    box.run()
    layout, home = BoxLayout(box.root), tmp_path / "home"
    home.mkdir()
    (home / ".profile").write_text("somebody's")
    (result,) = box.root.glob("results/*/*/1/result.json")
    part = Path(FILES) / result.relative_to(box.root).with_name(".result.json.part")
    for number, harm in enumerate((Path(FILES), part, Path(FILES, "results"), part)):
        stick = tmp_path / f"stick{number}"
        (stick / harm).parent.mkdir(parents=True)
        if number == 3:
            os.mkfifo(stick / harm)
        else:
            (stick / harm).symlink_to(home / ".profile" if harm == part else home)
        with pytest.raises(BackupUnusable, match="something else"):
            back_up(layout, None, stick, silent)
    assert {path.name: path.read_text() for path in home.iterdir()} == {".profile": "somebody's"}
