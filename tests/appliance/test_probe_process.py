"""What the child that reads headers says of a file, and what it keeps to itself."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from kit.child_programs import BEGINS
from kit.dicom_samples import LOSSLESS, make_series, make_slice, transcode, write
from kit.escapes import ESCAPES, PLACES, Places, make_places
from kit.reading import LIMITS, find_series
from kit.watch_box import wait_for
from scanside_appliance.inbox import facts, probe_process
from scanside_appliance.inbox.facts import (
    LONGEST_READ_S,
    LONGEST_WAIT_S,
    Facts,
    Prober,
    is_one_stack,
    limits_of,
    stack_name,
)
from scanside_runtime.process.cell import cell_strength
from scanside_runtime.settings.reading import ReadingSettings
from sweeps.box import LONGEST_S


def facts_of(file: Path, reading: ReadingSettings) -> Facts:
    return probe_process.facts_of(file.parent, file.name, reading)


def probed(prober: Prober, file: Path, reading: ReadingSettings = LIMITS) -> Facts:
    """What the child says in the end."""
    prober.begin(file.parent, file.name, reading)
    while (answer := prober.poll(10.0)) is None:
        assert prober.busy
    assert answer[0] == file.name
    return answer[1]


def one_file(folder: Path, **changes: object) -> Path:
    return min(write(folder, [make_slice(3, **changes)]).iterdir())


def test_a_slice_is_told_with_its_study_its_place_and_its_hash(tmp_path: Path) -> None:
    found = facts_of(one_file(tmp_path), LIMITS)
    assert (found.kind, found.whole, found.along_mm) == ("image", True, 30.0)
    assert found.study_uid.endswith(".1")
    assert found.patient_id == "P1"


def test_names_and_birth_dates_stay_in_the_child(tmp_path: Path) -> None:
    found = str(facts_of(one_file(tmp_path, PatientName="CANARY^BIRD", PatientBirthDate="19700615"), LIMITS))
    assert "CANARY" not in found
    assert "19700615" not in found
    assert "1970-06-15" not in found


@pytest.mark.parametrize("syntax", sorted(LOSSLESS))
def test_a_whole_file_is_whole_in_every_transfer_syntax_and_a_shortened_one_is_not(tmp_path: Path, syntax: str) -> None:
    write(tmp_path / "plain", [make_slice(3)])
    file = min(transcode(tmp_path / "plain", tmp_path / "coded", LOSSLESS[syntax]).iterdir())
    assert facts_of(file, LIMITS).whole
    data = file.read_bytes()
    for cut in (20, len(data) // 3):
        file.write_bytes(data[:-cut])
        found = facts_of(file, LIMITS)
        assert found.kind == "broken" or not found.whole, cut


@pytest.mark.parametrize("syntax", ["explicit", "RLE", "JPEG-LS", "JPEG 2000"])
def test_inbox_and_analysis_judge_alike_whether_the_picture_is_there(tmp_path: Path, syntax: str) -> None:
    write(tmp_path / "plain", [make_slice(3)])
    file = min(transcode(tmp_path / "plain", tmp_path / "coded", LOSSLESS[syntax]).iterdir())
    ds = pydicom.dcmread(file)
    pixels = ds.PixelData
    for value in (pixels, pixels + b"\0\0", pixels[:-2], pixels[:20]):
        ds.PixelData = value
        ds.save_as(file, enforce_file_format=True)
        analysis_finds = find_series(file).headers[0].damage is None
        assert facts_of(file, LIMITS).whole == analysis_finds, (len(value), len(pixels))
    assert not analysis_finds


def test_of_pictures_with_frames_and_colours_all_must_be_there(tmp_path: Path) -> None:
    frames = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "NumberOfFrames": 2, "SamplesPerPixel": 3, "BitsAllocated": 8}
    size = 10 * 11 * 2 * 3
    for length, whole in ((size, True), (size - 2, False)):
        assert facts_of(one_file(tmp_path, PixelData=bytes(length), **frames), LIMITS).whole == whole


def test_a_file_that_ends_in_its_header_is_broken_or_cut_off(tmp_path: Path) -> None:
    file = one_file(tmp_path)
    data = file.read_bytes()
    for length in (0, 140, 200, 400, 600):
        file.write_bytes(data[:length])
        found = facts_of(file, LIMITS)
        assert found.kind == "broken" or (found.kind == "image" and not found.whole), length


def test_other_files_are_told_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    shutil.make_archive(str(tmp_path / "packed"), "zip", write(tmp_path / "s", make_series(2)))
    assert facts_of(tmp_path / "text", LIMITS).kind == "other"
    shutil.make_archive(str(tmp_path / "packed"), "tar", tmp_path / "s")
    shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path / "s")
    for suffix in ("zip", "tar", "tar.gz"):
        assert facts_of(tmp_path / f"packed.{suffix}", LIMITS).kind == "zip"


def test_slices_of_one_orientation_are_one_stack_and_a_localizer_is_none(tmp_path: Path) -> None:
    axial = [facts_of(file, LIMITS).stack for file in sorted(write(tmp_path / "a", make_series(2)).iterdir())]
    localizer = facts_of(one_file(tmp_path / "l", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), LIMITS)
    assert axial[0] == axial[1] != ""
    assert (localizer.stack, localizer.along_mm) == ("", None)


@pytest.mark.parametrize(("tilt", "noise", "one"), [
    (0.0050, 0.0002, True), (0.0149, 0.0002, True), (0.1050, 0.0001, True), (0.0, 0.001, True),
    (0.0, 0.02, False), (0.3, 0.1, False),
])  # fmt: skip
def test_a_direction_that_lies_between_two_roundings_is_one_stack(
    tmp_path: Path, tilt: float, noise: float, one: bool
) -> None:
    """Rounded to two digits, slices on either side of a boundary were two stacks with holes, and the study waited."""
    stacks = [
        facts_of(one_file(tmp_path / str(n), ImageOrientationPatient=[1, 0, 0, 0, 1, angle]), LIMITS).stack
        for n, angle in enumerate((tilt - noise / 2, tilt + noise / 2))
    ]
    assert is_one_stack(*stacks) is one
    other_series = one_file(tmp_path / "other", ImageOrientationPatient=[1, 0, 0, 0, 1, tilt], SeriesInstanceUID="1.2")
    assert not is_one_stack(stacks[0], facts_of(other_series, LIMITS).stack)


@pytest.mark.parametrize("odd", ["", "x", "x 1 2", "x a b", "x nan nan", "x 1 0 0 0 1 0 0"])
def test_whatever_a_child_calls_a_stack_it_is_one_with_itself_alone(odd: str) -> None:
    assert is_one_stack(odd, odd)
    assert not is_one_stack(odd, stack_name("x", (1, 0, 0, 0, 1, 0)))


def test_a_file_whose_bytes_do_not_come_is_out_of_reach_and_never_broken(tmp_path: Path) -> None:
    """The child is stopped, as by a share that hangs: it is left waiting, and says what it finds when it may go on."""
    ahead, file = [0.0], one_file(tmp_path)
    prober = Prober(lambda: time.monotonic() + ahead[0])
    try:
        assert probed(prober, file).kind == "image"
        for patient in (True, False):
            assert prober._child is not None
            pid = prober._child._process.pid
            os.kill(pid, signal.SIGSTOP)
            prober.begin(tmp_path, file.name, LIMITS)
            ahead[0] += LONGEST_READ_S + 1
            assert prober.poll(0.0) is None
            assert prober.silent_s > LONGEST_READ_S
            if patient:
                os.kill(pid, signal.SIGCONT)
            else:
                ahead[0] += LONGEST_WAIT_S
            answer = prober.poll(LONGEST_S if patient else 0.0)
            assert answer is not None
            assert (answer[1].kind, prober.silent_s) == ("image" if patient else "out_of_reach", 0.0)
        assert probed(prober, file).kind == "image"
    finally:
        prober.close()


def test_the_child_answers_goes_on_after_a_file_it_can_not_reach_and_is_let_go(tmp_path: Path) -> None:
    now = [0.0]
    prober = Prober(lambda: now[0])
    try:
        assert probed(prober, tmp_path / "missing").kind == "out_of_reach"
        assert probed(prober, one_file(tmp_path)).kind == "image"
        now[0] = 100.0
        prober.rest(60.0)
        assert probed(prober, one_file(tmp_path)).whole
    finally:
        prober.close()


def test_a_file_that_ends_the_child_is_broken_and_the_next_is_read(tmp_path: Path) -> None:
    script = "import os,sys; os.read(0, 9); os.abort()"
    prober = Prober(lambda: 0.0, [sys.executable, "-S", "-c", BEGINS + script])
    for number in (1, 2):
        assert probed(prober, one_file(tmp_path / str(number))) == Facts("broken")


def test_no_file_is_blamed_for_a_child_that_never_begins(tmp_path: Path) -> None:
    prober = Prober(lambda: 0.0, [sys.executable, "-S", "-c", "raise SystemExit(1)"])
    with pytest.raises(OSError, match="process that reads headers"):
        probed(prober, one_file(tmp_path))
    assert not prober.busy


def test_a_file_that_no_child_comes_to_an_end_with_is_broken_and_the_daemon_goes_on_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts, "WORKING", 0.002)
    now = [0.0]
    prober = Prober(lambda: now[0], [sys.executable, "-S", "-c", BEGINS + "while True: pass"])
    try:
        prober.begin(tmp_path, "hangs", LIMITS)
        answers = []
        for second in (1.0, 31.0, 40.0, 62.0):
            now[0] = second
            wait_for(lambda: prober._child is not None and prober._child.processor_s() > prober._worked_s + 0.1)
            answers.append(prober.poll(0.0))
        assert answers == [None, None, None, ("hangs", Facts("broken"))]
        assert not prober.busy
    finally:
        prober.close()


def test_a_file_beyond_the_limit_is_not_read_however_large_it_is(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(500 * 2**30)
    found = facts_of(tmp_path / "sparse", LIMITS)
    assert (found.kind, found.sha256, found.size) == ("too_large", "", 500 * 2**30)
    assert "512000 MB" in found.why


def test_a_file_that_is_larger_than_any_slice_is_judged_by_its_lengths(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(probe_process, "WHOLE_MB", 1)
    large = large_file(tmp_path / "large")
    fragments = min(transcode(tmp_path / "large", tmp_path / "coded", LOSSLESS["RLE"]).iterdir())
    for file in (large, fragments):
        monkeypatch.setattr(probe_process, "WHOLE_MB", 0)
        found = facts_of(file, LIMITS)
        assert (found.kind, found.whole, found.along_mm) == ("image", True, 30.0)
        assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        file.write_bytes(file.read_bytes()[:-100])
        assert not facts_of(file, LIMITS).whole


def test_sequence_items_without_end_cost_the_child_its_own_memory_and_seconds_alone(tmp_path: Path) -> None:
    file = one_file(tmp_path)
    data, items = file.read_bytes(), b"\xfe\xff\x00\xe0" + bytes(4)
    at = data.index(b"\x08\x00\x60\x00")
    sequence = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff" + items * 9_000_000 + b"\xfe\xff\xdd\xe0" + bytes(4)
    file.write_bytes(data[:at] + sequence + data[at:])
    prober = Prober(time.monotonic)
    try:
        assert probed(prober, file).kind == "broken"
        assert limits_of(LIMITS).memory_mb == 256
        assert probed(prober, one_file(tmp_path / "next")).whole
    finally:
        prober.close()


@pytest.mark.parametrize("swapped", ["pipe", "link", "folder"])
def test_what_is_no_file_any_more_is_out_of_reach_and_waits_for_nobody(tmp_path: Path, swapped: str) -> None:
    inbox, secret = tmp_path / "inbox", one_file(tmp_path / "secret")
    (inbox / "sub").mkdir(parents=True)
    if swapped == "pipe":
        os.mkfifo(inbox / "sub" / secret.name)
    elif swapped == "link":
        (inbox / "sub" / secret.name).symlink_to(secret)
    else:
        (inbox / "sub").rmdir()
        (inbox / "sub").symlink_to(secret.parent)
    with pytest.raises(OSError):  # which one is the kernel's to say
        probe_process.facts_of(inbox, f"sub/{secret.name}", LIMITS)


def large_file(folder: Path) -> Path:
    """A slice of somewhat more than 2 MB."""
    return one_file(folder, Rows=1024, Columns=1025, PixelData=bytes(2 * 1024 * 1025))


def test_how_large_a_file_may_be_is_what_the_settings_say_also_after_they_were_read_again(tmp_path: Path) -> None:
    file = large_file(tmp_path)
    prober = Prober(lambda: 0.0)
    try:
        assert probed(prober, file, ReadingSettings(max_file_mb=1)).kind == "too_large"
        assert probed(prober, file, ReadingSettings(max_file_mb=3)).kind == "image"
        assert probed(prober, file, ReadingSettings(max_file_mb=1)).kind == "too_large"
    finally:
        prober.close()


def test_a_deflated_file_may_unpack_to_as_much_as_the_settings_say(tmp_path: Path) -> None:
    write(tmp_path / "plain", [make_slice(3, Rows=1024, Columns=1025, PixelData=bytes(2 * 1024 * 1025))])
    file = min(transcode(tmp_path / "plain", tmp_path / "coded", DeflatedExplicitVRLittleEndian).iterdir())
    assert facts_of(file, ReadingSettings(max_inflated_mb=1)).kind == "broken"
    assert facts_of(file, ReadingSettings(max_inflated_mb=3)).whole


FOREIGN_HASH = """
import sys
sys.stdin.readline()
print('{"Facts": {"kind": "image", "sha256": "../../scanside.db", "study_uid": "1"}}', flush=True)
sys.stdin.read()
"""


def test_a_hash_that_is_none_is_not_believed_for_it_would_become_the_name_of_a_file(tmp_path: Path) -> None:
    prober = Prober(lambda: 0.0, [sys.executable, "-S", "-c", BEGINS + FOREIGN_HASH])
    file = one_file(tmp_path)
    assert probed(prober, file) == Facts("broken")


class FailsOnce:
    """A pipe whose first read fails; what was in it is still there for the next."""

    def __init__(self, pipe: Any) -> None:
        self._pipe, self._failed = pipe, False

    def read(self, size: int) -> bytes | None:
        if not self._failed:
            self._failed = True
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return self._pipe.read(size)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)


def test_an_answer_that_could_not_be_read_is_never_taken_for_that_of_the_next_file(tmp_path: Path) -> None:
    files = [one_file(tmp_path / name, PatientID=name) for name in ("a", "b", "c")]
    prober = Prober(lambda: 0.0)
    try:
        assert probed(prober, files[0]).patient_id == "a"
        child = prober._child
        assert child is not None
        child._stdout = FailsOnce(child._stdout)  # type: ignore[assignment]
        assert [probed(prober, file).patient_id for file in files[1:]] == ["b", "c"]
    finally:
        prober.close()


ESCAPES_FROM_IT = """
import json
from kit.escapes import DONE, ESCAPES, PLACES, Places, tried
from scanside_appliance.inbox import facts, probe_process
from scanside_appliance.inbox.facts import Facts
def escape(inbox, name, reading, heard):
    place = Places(**json.loads((inbox / PLACES).read_text()))
    done = [name for name in ESCAPES if tried(name, place) == DONE]
    return Facts("broken", "0" * 64, why=json.dumps([len(ESCAPES), done]))
probe_process.facts_of = escape
probe_process.main()
"""


@pytest.mark.skipif(bool(cell_strength().lacks), reason="this kernel lacks a lock")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the escapes know the calls of x86-64")
def test_nothing_that_is_tried_from_inside_the_child_succeeds(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    names = (str(tmp_path / name) for name in ("inbox", "archive", "scanside.db"))
    place = Places(*names, port=1, socket=str(tmp_path / "none"), parent=os.getpid())
    make_places(place)
    prober = Prober(time.monotonic, [sys.executable, "-P", "-c", ESCAPES_FROM_IT])
    try:
        assert json.loads(probed(prober, tmp_path / "inbox" / PLACES).why) == [len(ESCAPES), []]
    finally:
        prober.close()


def test_a_child_that_does_not_come_to_its_first_word_makes_no_file_broken(tmp_path: Path) -> None:
    prober = Prober(time.monotonic, [sys.executable, "-S", "-c", "import not_there_yet"])
    for _ in range(3):
        with pytest.raises(OSError, match="at its start"):
            probed(prober, one_file(tmp_path))
    prober.close()
