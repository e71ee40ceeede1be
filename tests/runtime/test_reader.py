"""The reader's own process: the same answers as in this one, and no file that can take this one down with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import JPEGLosslessSV1

from kit.child_programs import BEGINS, HELLO
from kit.dicom_samples import COLUMNS, LOSSLESS, ROWS, make_series, transcode, write
from kit.reading import LIMITS, choose_series, find_series, read_volume
from scanside_runtime.dicom import reader_child
from scanside_runtime.dicom.codings.codestream import Codestream, codestream_header
from scanside_runtime.dicom.errors import (
    BoxReader,
    InputCrash,
    InputMemory,
    InputNotFound,
    InputTimeout,
    InputTooLarge,
    InputTruncated,
    InputUnreadable,
)
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.errors import BoxReplaced
from scanside_runtime.process.messages import Hello, decode, encode
from scanside_runtime.settings.reading import ReadingSettings
from sweeps.box import LONGEST_S
from sweeps.fuzz_reader import fuzz

FUZZED = 150


def children() -> set[int]:
    """The processes that this one has started and that have not ended; not one that waits for other modules' tests."""
    alive = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if b"kit.nursery_process" in stat.with_name("cmdline").read_bytes():
                continue
        except OSError:  # it ended meanwhile
            continue
        if int(parent) == os.getpid() and state != "Z":
            alive.add(int(stat.parent.name))
    return alive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "study", make_series())


def test_the_reader_gives_what_reading_in_this_process_gives(folder: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", folder))
    for path in (folder, archive):
        with StudyReader(LIMITS) as reader:
            found = reader.find(path)
            assert found == find_series(path)
            volume = reader.read_volume(choose_series(found))
        here = read_volume(choose_series(find_series(path)))
        np.testing.assert_array_equal(volume.hu, here.hu)
        np.testing.assert_array_equal(volume.affine, here.affine)
        assert volume.input_sha256 == here.input_sha256
        assert not volume.hu.flags.writeable


def test_a_gzipped_tar_of_many_megabytes_is_unpacked_though_the_reader_may_open_no_file(tmp_path: Path) -> None:
    study = write(tmp_path / "study", make_series(12, pixels=np.zeros((600, 600), np.int16)))
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "gztar", study))
    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(archive))
        assert reader.read_volume(series).hu.shape == (12, 600, 600)


def test_a_path_is_meant_from_where_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with StudyReader(LIMITS) as reader:
        assert len(reader.find(Path("study")).headers) == 12


def test_modules_that_lie_with_the_study_are_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "pydicom", "json", "scanside_runtime"):
        (folder / f"{name}.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(folder)
    with StudyReader(LIMITS) as reader:
        assert len(reader.find(folder).headers) == 12


def test_an_error_of_the_reader_is_the_same_error_here(folder: Path) -> None:
    (folder / "000.dcm").write_bytes((folder / "000.dcm").read_bytes()[:-3])
    with StudyReader(LIMITS) as reader:
        found = reader.find(folder)
        with pytest.raises(InputTruncated, match=r"000\.dcm.*217 of 220 bytes"):
            reader.read_volume(choose_series(found))
    with StudyReader(LIMITS) as reader, pytest.raises(InputNotFound):
        reader.find(folder / "nowhere")


def at_slice(number: int, what: Callable[[], None]) -> Callable[[int, int], None]:
    return lambda done, total: what() if done == number else None


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More slices than a narrow pipe holds reports of, each of which has to be decoded and is said by itself."""
    scratch = tmp_path_factory.mktemp("150")
    return transcode(write(scratch / "plain", make_series(150)), scratch / "many", JPEGLosslessSV1)


def still_at_work(reader: StudyReader) -> None:
    """Through a pipe this narrow no reader of `many` is done before its first slices are heard of."""
    assert fcntl.fcntl(reader._child, fcntl.F_SETPIPE_SZ, 4096) == 4096


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_decoder_that_crashes_is_a_refusal_of_the_study(many: Path, number: int) -> None:
    def crash() -> None:
        for child in children():
            os.kill(child, number)

    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(many))
        still_at_work(reader)
        with pytest.raises(InputCrash, match=r"\.dcm") as caught:
            reader.read_volume(series, at_slice(3, crash))
    assert (caught.value.code, caught.value.exit_code) == ("INPUT_CRASH", 3)


def test_a_reader_that_the_box_takes_away_is_no_fault_of_the_study(many: Path) -> None:
    def kill() -> None:
        for child in children():
            os.kill(child, signal.SIGKILL)

    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(many))
        still_at_work(reader)
        with pytest.raises(BoxReader, match="from outside") as caught:
            reader.read_volume(series, at_slice(3, kill))
    assert caught.value.exit_code == 5


def test_a_reader_that_hangs_is_a_refusal_and_leaves_nothing_behind(many: Path) -> None:
    def stop() -> None:
        for child in children():
            os.kill(child, signal.SIGSTOP)

    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(many))
        still_at_work(reader)
        reader._limits = replace(LIMITS, file_seconds=1.0)
        with pytest.raises(InputTimeout, match=r"\.dcm after 1 s"):
            reader.read_volume(series, at_slice(3, stop))
    assert children() == set()


def test_a_reader_that_was_not_asked_anything_ends_with_its_block() -> None:
    with StudyReader(LIMITS):
        assert len(children()) == 1
    assert children() == set()


def fake_reader(sources: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program in place of the reader's; it has said its first word and heard a question."""
    (sources / "a_fake_reader.py").write_text(f"{BEGINS}import sys\nsys.stdin.readline()\n{program}")
    monkeypatch.setenv("PYTHONPATH", str(sources))
    monkeypatch.setattr(reader_child, "MODULE", "a_fake_reader")


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise KeyError('Doe^Jane')", r"with exit code 1, KeyError\)"),
        ("raise SystemExit(7)", "with exit code 7"),
        ("import os; os._exit(0)", "with exit code 0"),
    ],
)
def test_a_reader_that_ends_over_a_file_for_whatever_reason_is_a_refusal_of_the_study(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, how: str
) -> None:
    fake_reader(tmp_path, program, monkeypatch)
    with StudyReader(LIMITS) as reader, pytest.raises(InputCrash, match=how):
        reader.find(folder)


def test_a_reader_that_can_not_be_started_is_a_matter_of_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(BoxReader) as caught, StudyReader(LIMITS):
        pass
    assert caught.value.exit_code == 5


def test_one_bit_that_flips_after_the_first_look_is_noticed(folder: Path, tmp_path: Path) -> None:
    """JPEG lossless decodes to wrong pixels without a word; the sum does not."""
    coded = transcode(folder, tmp_path / "coded", JPEGLosslessSV1)
    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(coded))
        data = bytearray((coded / "005.dcm").read_bytes())
        data[data.rindex(b"\xff\xd9") - 20] ^= 0x10
        (coded / "005.dcm").write_bytes(data)
        with pytest.raises(InputUnreadable, match=r"005\.dcm.*changed"):
            reader.read_volume(series)


def test_plain_words_are_read_once(folder: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(copied))
        shutil.rmtree(copied)
        assert np.array_equal(reader.read_volume(series).hu, read_volume(choose_series(find_series(folder))).hu)


KEEPS_FIVE_FILES = """
from scanside_runtime.dicom import reader_process
reader_process.KEPT_BYTES = {}
reader_process.main()
"""


def test_slices_of_plain_words_are_told_of_together_up_to_the_last(tmp_path: Path) -> None:
    folder, told = write(tmp_path / "study", make_series(40)), []
    with StudyReader(LIMITS) as reader:
        reader.read_volume(choose_series(reader.find(folder)), lambda done, total: told.append((done, total)))
    assert told == [(16, 40), (32, 40), (40, 40)]


def test_beyond_what_is_kept_a_bit_that_flips_in_plain_words_is_noticed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    room = 5 * (folder / "000.dcm").stat().st_size
    (tmp_path / "keeps_five.py").write_text(KEEPS_FIVE_FILES.format(room))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(reader_child, "MODULE", "keeps_five")
    for name, is_noticed in (("000.dcm", False), ("011.dcm", True)):
        with StudyReader(LIMITS) as reader:
            series = choose_series(reader.find(folder))
            data = bytearray((folder / name).read_bytes())
            data[-1] ^= 0x01
            (folder / name).write_bytes(data)
            with pytest.raises(InputUnreadable, match=rf"{name}.*changed") if is_noticed else nullcontext():
                reader.read_volume(series)


def test_the_reader_that_was_started_ahead_is_the_first_that_is_wanted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reader_child.reader_ahead(LIMITS):
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        with StudyReader(LIMITS) as reader:
            assert reader.find(folder).headers
        with pytest.raises(BoxReader), StudyReader(LIMITS):
            pass


@pytest.mark.parametrize("operators", ["glibc.malloc.hugetlb=0:glibc.malloc.arena_max=1", ""])
def test_what_an_operator_tells_glibc_stays_and_has_the_last_word(
    folder: Path, operators: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    fake_reader(tmp_path, f"import os\nopen({str(told)!r}, 'w').write(os.environ['GLIBC_TUNABLES'])", monkeypatch)
    monkeypatch.setenv("GLIBC_TUNABLES", operators)
    with pytest.raises(InputCrash), StudyReader(LIMITS) as reader:
        reader.find(folder)
    ours = "glibc.malloc.hugetlb=1"
    assert told.read_text() == (f"{ours}:{operators}" if operators else ours)


def test_limits_are_those_of_the_settings(folder: Path) -> None:
    with StudyReader(ReadingSettings(max_files=5)) as reader, pytest.raises(InputTooLarge, match="more than 5"):
        reader.find(folder)
    found = find_series(folder)
    with pytest.raises(InputTooLarge, match="at most 8"):
        choose_series(found, limits=ReadingSettings(max_matrix=8))


SHRINKS_ITS_PIXELS = """
import os, sys
from scanside_runtime.dicom import reader_process
reader_process.decoded = lambda *_: os.ftruncate(int(sys.argv[1]), 0) or ()
reader_process.lock_in = lambda _: None
reader_process.main()
"""


def test_the_memory_that_is_shared_keeps_its_size(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shrinks.py").write_text(SHRINKS_ITS_PIXELS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(reader_child, "MODULE", "shrinks")
    with StudyReader(LIMITS) as reader:
        series = choose_series(reader.find(folder))
        with pytest.raises(InputCrash, match="PermissionError"):
            reader.read_volume(series)


def test_a_reader_of_another_software_is_a_matter_of_the_box(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_reader(tmp_path, "input()", monkeypatch)
    fake = tmp_path / "a_fake_reader.py"
    fake.write_text(fake.read_text().replace(HELLO, encode(Hello("9.9", "abc")).decode().strip()))
    with StudyReader(LIMITS) as reader, pytest.raises(BoxReplaced, match=r"\(abc\)"):
        reader.find(folder)


def test_a_reader_that_does_not_come_to_its_first_word_is_a_matter_of_the_box(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import scanside_runtime.not_there_yet")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(reader_child, "MODULE", "half_installed")
    with StudyReader(LIMITS) as reader, pytest.raises(BoxReader, match="at its start"):
        reader.find(folder)


# What a few bytes grow to


def test_the_deflated_files_of_a_study_have_one_limit_together(tmp_path: Path) -> None:
    deflated = transcode(
        write(tmp_path / "plain", make_series(12, pixels=np.zeros((600, 600), np.int16))),
        tmp_path / "study",
        LOSSLESS["deflated"],
    )
    unpacked_mb = 12 * 600 * 600 * 2 / 2**20
    assert unpacked_mb > 8
    assert len(find_series(deflated).headers) == 12
    with pytest.raises(InputTooLarge, match="deflated files unpack to more than 8 MB"):
        find_series(deflated, ReadingSettings(max_archive_mb=8))


def test_a_file_of_nothing_but_empty_items_is_refused_before_it_is_parsed(folder: Path) -> None:
    data = (folder / "000.dcm").read_bytes()
    begins, item, ends = (
        b"\x08\x00\x40\x11SQ\x00\x00" + b"\xff" * 4,
        b"\xfe\xff\x00\xe0" + bytes(4),
        b"\xfe\xff\xdd\xe0" + bytes(4),
    )
    at = data.index(b"\x10\x00\x10\x00")  # the first element behind group 0008
    (folder / "000.dcm").write_bytes(data[:at] + begins + item * 900_000 + ends + data[at:])
    with StudyReader(LIMITS) as reader, pytest.raises(InputTooLarge, match="900000 items") as caught:
        reader.find(folder)
    assert caught.value.code == "INPUT_FILE_TOO_LARGE"


# What passes between the two processes


def test_a_header_arrives_as_it_was_sent(folder: Path) -> None:
    for header in find_series(folder).headers:
        assert decode(encode(header), (SliceHeader,)) == header


ANSWERS_NONSENSE = """
print('{"SliceHeader": {"file": 3}}', flush=True)
sys.stdin.read()
"""


def test_a_reader_that_answers_what_no_reader_says_is_a_refusal_and_is_ended(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_reader(tmp_path, ANSWERS_NONSENSE, monkeypatch)
    with StudyReader(LIMITS) as reader:
        with pytest.raises(InputCrash, match="an answer that can't be read"):
            reader.find(folder)
        assert children() == set()


def test_a_reader_without_memory_is_told_as_such_however_it_ended(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_reader(tmp_path, "raise MemoryError", monkeypatch)
    with StudyReader(LIMITS) as reader, pytest.raises(InputMemory, match="768 MB"):
        reader.find(folder)


# Compressed pictures


@pytest.mark.parametrize("coding", ["JPEG lossless", "JPEG-LS", "JPEG 2000"])
def test_a_compressed_picture_says_how_large_and_how_precise_it_is(folder: Path, tmp_path: Path, coding: str) -> None:
    coded = transcode(folder, tmp_path / "coded", LOSSLESS[coding])
    data = (coded / "000.dcm").read_bytes()
    frame = data[data.rindex(b"\xff\x4f\xff\x51" if coding == "JPEG 2000" else b"\xff\xd8\xff") :]
    assert codestream_header(frame) == Codestream(ROWS, COLUMNS, 1, 16)
    assert codestream_header(frame[:8]) is None


@given(st.binary(max_size=64), st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xff\xc3"]))
def test_any_bytes_have_a_header_or_none(data: bytes, start: bytes) -> None:
    assert isinstance(codestream_header(start + data), Codestream | None)


# Fuzzing, in short; `python -m tests.sweeps.fuzz_reader` goes on for 20 minutes


def test_damaged_files_come_to_nothing_but_our_own_errors(tmp_path: Path) -> None:
    codes, findings = fuzz(LONGEST_S, seed=2, keep=tmp_path, cases=FUZZED)
    assert findings == []
    assert sum(codes.values()) == FUZZED
