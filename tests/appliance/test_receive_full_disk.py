"""A disk that fills while scanners send: they are told of each object whether it is kept, and none is half there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from kit.archives import LOOPBACK, program
from sweeps.box import LONGEST_S

pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")

from kit.receiving import OUT_OF_RESOURCES, SUCCESS, Listener, box, files_of, sent

SENDERS, OBJECTS, SIDE = 4, 6, 256
NO_SPACE = "an object can't be kept: No space left on device"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of `size` bytes; skips where it can't be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can't be mounted here: that wants root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def leave_room(disk: Path, size: int) -> Path:
    """Ballast on the disk, so that `size` bytes are free."""
    ballast, now = disk / "ballast", os.statvfs(disk)
    ballast.write_bytes(bytes(now.f_bavail * now.f_bsize - size))
    return ballast


def uids_of_whole(listener: Listener) -> list[str]:
    """The UID of each file in the inbox. Raises where one has not all its pixels."""
    found = [pydicom.dcmread(file) for file in listener.files()]
    assert {len(one.PixelData) for one in found} <= {2 * SIDE * SIDE}
    return sorted(str(one.SOPInstanceUID) for one in found)


def test_an_object_in_whose_middle_the_disk_ends_is_refused_and_taken_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = files_of(tmp_path / "scanner", 1, uid="1.2", side=SIDE)
    with small_disk(tmp_path / "disk", 2**20) as disk, box(disk) as listener:
        ballast = leave_room(disk, path.stat().st_size // 2)
        association = listener.associate()
        assert sent(association, path) == OUT_OF_RESOURCES
        assert listener.files() == [] and NO_SPACE in caplog.text
        ballast.unlink()
        assert sent(association, path) == SUCCESS
        association.release()
        assert uids_of_whole(listener) == ["1.2.0"]


def test_four_senders_at_once_are_told_of_each_object_whether_the_disk_had_room_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [program("storescu"), "-v", "--no-halt", "-aet", "CT1", "-aec", "SCANSIDE", "+sd", LOOPBACK]
    folders = [tmp_path / "scanner" / str(part) for part in range(SENDERS)]
    sizes = [path.stat().st_size for one in folders for path in files_of(one, OBJECTS, uid=f"1.{one.name}", side=SIDE)]

    def send_all(listener: Listener) -> tuple[int, int]:
        """How many were kept, and how many refused, as the senders were told."""
        senders = [
            subprocess.Popen([*command, str(listener.settings.port), folder], stderr=subprocess.PIPE, text=True)
            for folder in folders
        ]
        said = "".join(sender.communicate(timeout=LONGEST_S)[1] for sender in senders)
        return said.count("Response (Success)"), said.count("Response (Refused: OutOfResources)")

    with small_disk(tmp_path / "disk", 2 * sum(sizes)) as disk, box(disk) as listener:
        ballast = leave_room(disk, sum(sizes) // 2)
        kept, refused = send_all(listener)
        assert (kept + refused, 0 < kept < len(sizes)) == (len(sizes), True)
        assert len(uids_of_whole(listener)) == kept and NO_SPACE in caplog.text
        ballast.unlink()
        assert send_all(listener) == (len(sizes), 0)
        assert uids_of_whole(listener) == [f"1.{part}.{number}" for part in range(SENDERS) for number in range(OBJECTS)]
