"""Readers that are forks of one process: each is what a started one is, and none knows of another."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.dicom_samples import make_series, write
from kit.escapes import DONE, ESCAPES, Places, make_places
from kit.reading import LIMITS, choose_series
from scanside_runtime.dicom import reader_child
from scanside_runtime.dicom.errors import BoxReader, InputCrash, InputTimeout
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.reader_child import warm_readers
from scanside_runtime.process.cell import cell_strength
from scanside_runtime.volume import Volume

TESTS = Path(__file__).parents[1]
LONGEST_S = 20.0


@pytest.fixture
def warm() -> Iterator[None]:
    warm_readers()
    yield
    if reader_child._WARM.nursery is not None:
        reader_child._WARM.nursery.end()
        reader_child._WARM.nursery = None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "study", make_series())


def pid_of(reader: StudyReader) -> int:
    """Once it has said its first word."""
    assert reader._child._hears(time.monotonic() + LONGEST_S)
    return reader._child._process.pid


def waiting() -> int:
    """The process that forks."""
    assert reader_child._WARM.nursery is not None
    return reader_child._WARM.nursery._waiting._process.pid


def volume_of(folder: Path) -> Volume:
    with StudyReader(LIMITS) as reader:
        return reader.read_volume(choose_series(reader.find(folder)))


def facts(pid: int, name: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    return {line[:26].partition(":")[0].strip(): line[26:].strip() if name == "limits" else line for line in lines}


def until(holds: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < ends_at
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_fork_is_a_child_of_ours_with_the_limits_the_locks_and_the_answers_of_a_started_reader(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    told = []
    for how in ("started", "forked"):
        if how == "forked":
            request.getfixturevalue("warm")
        with StudyReader(LIMITS) as reader:
            pid = pid_of(reader)
            born = facts(pid, "limits"), facts(pid, "status")["PPid"], os.getsid(pid) == pid
            found = reader.find(folder)
            locks = [facts(pid, "status")[name] for name in ("NoNewPrivs", "Seccomp", "Threads")]
            volume = reader.read_volume(choose_series(found))
        assert is_gone(pid)
        told.append((*born, locks, found, volume.hu.tobytes(), volume.input_sha256))
    assert told[1] == told[0]
    assert told[1][1].split()[1] == str(os.getpid())


@pytest.mark.usefixtures("warm")
def test_each_study_has_a_process_of_its_own_that_holds_nothing_of_another() -> None:
    with StudyReader(LIMITS) as one, StudyReader(LIMITS) as other:
        held = {pid: open_files(pid) for pid in (pid_of(one), pid_of(other), waiting())}
    for mine, theirs in itertools.combinations(held.values(), 2):
        assert mine & theirs <= {os.devnull}


def open_files(pid: int) -> set[str]:
    """Pipes and sockets by number, files and memory by device and number."""
    links = list(Path(f"/proc/{pid}/fd").iterdir())
    stats = [(one.readlink(), one.stat()) for one in links]
    return {os.devnull if str(link) == os.devnull else f"{stat.st_dev} {stat.st_ino}" for link, stat in stats}


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGSEGV, InputCrash), (signal.SIGKILL, BoxReader), (signal.SIGSTOP, InputTimeout)]
)
def test_a_fork_that_crashes_is_killed_or_hangs_harms_its_own_study_alone(
    folder: Path, number: int, error: type[Exception]
) -> None:
    before = waiting()
    with StudyReader(LIMITS.__class__(file_seconds=1.0)) as reader:
        pid = pid_of(reader)
        os.kill(pid, number)
        with pytest.raises(error):
            reader.find(folder)
    assert is_gone(pid)
    assert volume_of(folder).hu.any()
    assert waiting() == before


@pytest.mark.usefixtures("warm")
def test_where_the_process_that_forks_is_gone_the_next_study_is_read_by_a_reader_that_is_started(folder: Path) -> None:
    with StudyReader(LIMITS) as reader:
        pid_of(reader)
        os.kill(waiting(), signal.SIGKILL)
        assert reader.find(folder).headers, "its forks go on"
    assert volume_of(folder).hu.any()
    assert reader_child._WARM.nursery is None


PARENT = """
import time
from scanside_runtime.dicom import reader_child
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.settings.reading import ReadingSettings
reader_child.warm_readers()
with StudyReader(ReadingSettings()) as reader:
    print(reader._child._process.pid, reader_child._WARM.nursery._waiting._process.pid, flush=True)
    time.sleep(600)
"""


def test_forks_and_the_process_that_forks_end_with_a_parent_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert not any(map(is_gone, pids))
        parent.kill()
    until(lambda: all(map(is_gone, pids)))


@pytest.mark.skipif(bool(cell_strength().lacks), reason=cell_strength().lacks or "")
def test_nothing_that_is_tried_from_inside_a_fork_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setattr(reader_child, "NURSERY", "kit.escapes")
    request.getfixturevalue("warm")
    study, archive, book = (str(tmp_path / name) for name in ("study", "archive", "scanside.db"))
    make_places(Places(study, archive, book, 9, str(tmp_path / "socket"), waiting()))
    with StudyReader(LIMITS) as reader:
        outcome = {tried.name: tried.why for tried in reader.find(Path(study)).unreadable}
    assert {name for name, why in outcome.items() if why == DONE} == set()
    assert len(outcome) == len(ESCAPES)
