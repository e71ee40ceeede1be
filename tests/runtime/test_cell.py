"""The reader's cell: code inside it, with all that a decoder could do, gets nowhere."""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from kit.dicom_samples import make_series, write
from kit.escapes import DONE, ESCAPES, Places, make_places
from kit.reading import LIMITS
from scanside_runtime.dicom import reader_child
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.process.cell import CellStrength, cell_strength
from scanside_runtime.process.seccomp import MACHINES, Instruction, instructions

TESTS = Path(__file__).parents[1]
STRENGTH = cell_strength()
whole_cell = pytest.mark.skipif(bool(STRENGTH.lacks), reason=STRENGTH.lacks or "")
on_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="the escapes know the calls of x86-64")


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """A box with an archive, a book and two sockets on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        unix.listen()
        study, archive, book, path = (str(tmp_path / name) for name in ("study", "archive", "scanside.db", "socket"))
        there = Places(study, archive, book, tcp.getsockname()[1], path, os.getpid())
        make_places(there)
        yield there


@whole_cell
@on_x86
def test_nothing_that_is_tried_from_inside_the_reader_succeeds(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setattr(reader_child, "MODULE", "kit.escapes")
    box = sorted(path for path in Path(places.study).parent.rglob("*"))
    with StudyReader(LIMITS) as reader:
        outcome = {tried.name: tried.why for tried in reader.find(Path(places.study)).unreadable}
        children = Path(f"/proc/{reader._child._process.pid}/task/{reader._child._process.pid}/children").read_text()
    assert {name for name, why in outcome.items() if why == DONE} == set()
    assert (len(outcome), children) == (len(ESCAPES), "")
    assert sorted(path for path in Path(places.study).parent.rglob("*")) == box


# What each lock stops by itself; without any, all of it is done

FILES = {
    *("read the box's users", "list the archive", "read another study", "delete from the archive"),
    *("rename the archive", "write into the book", "make a file in the study", "make a file elsewhere"),
    *("make a file without a name", "link the book into the study", "open the parent's memory"),
}
READS = {"read the box's users", "list the archive", "read another study"}
LANDLOCK = FILES | {"connect to a port of the box", "leave a process behind", "become another program"}
LANDLOCK |= {"trace the parent", "read the parent's memory", "signal the parent"}
TRIES = """
import json, os, resource, sys
from kit.escapes import ESCAPES, Places, make_places, tried
from scanside_runtime.process import landlock, seccomp
place = Places(**json.loads(sys.argv[2]))
locks = {"landlock": lambda: landlock.keep_to([place.study]), "seccomp": seccomp.keep_to_reading, "none": int}
for what, most in ((resource.RLIMIT_AS, 2**32), (resource.RLIMIT_CPU, 600), (resource.RLIMIT_NOFILE, 64)):
    resource.setrlimit(what, (most, most + 1))
for name in ESCAPES:
    make_places(place)
    answers, says = os.pipe()
    if os.fork() == 0:
        locks[sys.argv[1]]()
        os.set_inheritable(says, False)
        os.write(says, tried(name, place).encode())
        os._exit(0)
    os.close(says)
    outcome = os.read(answers, 1000).decode()
    os.close(answers)
    became_another = not outcome and os.wait()[1] == 0
    print(json.dumps([name, "done" if became_another else outcome]))
"""


def done_with(lock: str, places: Places) -> set[str]:
    """What succeeds, each tried in a process of its own."""
    run = [sys.executable, "-c", TRIES, lock, json.dumps(asdict(places))]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    said = subprocess.run(run, capture_output=True, text=True, env=environment, check=True).stdout.splitlines()
    outcome = dict(map(json.loads, said))
    assert outcome.keys() == ESCAPES.keys()
    return {name for name, how in outcome.items() if how == DONE}


@whole_cell
@on_x86
def test_each_lock_by_itself_stops_what_it_is_there_for(places: Places) -> None:
    assert done_with("landlock", places) & LANDLOCK == set()
    assert done_with("seccomp", places) <= READS


@on_x86
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may do all of it where nothing is locked")
def test_without_a_lock_all_of_it_is_done(places: Places) -> None:
    assert done_with("none", places) == set(ESCAPES)


# The kernel


def test_what_a_kernel_lacks_is_said() -> None:
    assert CellStrength(7, True).lacks is None
    assert CellStrength(0, True).lacks == "the kernel offers no Landlock"
    assert CellStrength(0, False).lacks == "the kernel offers no Landlock and no seccomp"


def test_a_reader_without_landlock_still_reads_and_has_its_other_lock(tmp_path: Path) -> None:
    program = """
from pathlib import Path
import sys
from scanside_runtime.process import cell
cell.landlock_version = lambda: 0
cell.lock_in([])
assert Path(sys.argv[1]).read_text() == "read"
try:
    Path(sys.argv[1]).write_text("")
except PermissionError:
    print("locked")
"""
    (tmp_path / "file").write_text("read")
    run = [sys.executable, "-c", program, str(tmp_path / "file")]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert said == ("locked\n" if STRENGTH.seccomp else "")


@whole_cell
def test_a_second_question_stays_within_the_first(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, make_series(3)) for name in ("one", "other"))
    with StudyReader(LIMITS) as reader:
        assert len(reader.find(one).headers) == 3
        with pytest.raises(Exception, match="ermission denied"):
            reader.find(other)


# The filter as a program, for a processor that is not here: what it answers to a call


def answer(program: list[Instruction], machine: int, number: int, *arguments: int) -> str:
    """What the kernel would do (linux/filter.h): the five operations that the filter uses."""
    words = [number, machine, 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32]
    at = loaded = 0
    while True:
        operation, if_so, if_not, operand = program[at]
        at += 1
        if operation == 0x20:
            loaded = words[operand // 4]
        elif operation == 0x06:
            return {0x7FFF: "allowed", 0x5: "refused", 0x8000: "killed"}[operand >> 16]
        else:
            holds = {0x15: loaded == operand, 0x35: loaded >= operand, 0x45: bool(loaded & operand)}[operation]
            at += if_so if holds else if_not


# unistd.h of Linux: read, openat, socket, clone, clone3, execve, ptrace, prlimit64, tgkill, mprotect, kill, unlinkat
NUMBERS = {
    "x86_64": (0, 257, 41, 56, 435, 59, 101, 302, 234, 10, 62, 263),
    "aarch64": (63, 56, 198, 220, 435, 221, 117, 261, 131, 226, 129, 35),
}
OTHER = {"x86_64": 0x40000003, "aarch64": 0x40000028}  # the same processors with 32 bits


@pytest.mark.parametrize("name", MACHINES)
def test_the_filter_of_each_processor_lets_reading_pass_and_nothing_else(name: str) -> None:
    machine, pid = MACHINES[name], 4711
    program = instructions(machine, pid)

    def says(number: int, *arguments: int) -> str:
        return answer(program, machine.audit, number, *arguments)

    read, openat, connect, clone, clone3, execve, ptrace, prlimit, tgkill, mprotect, kill, unlinkat = NUMBERS[name]
    assert (says(read), says(openat, 0, 0, os.O_RDONLY | os.O_CLOEXEC)) == ("allowed", "allowed")
    assert {says(openat, 0, 0, flag) for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC)} == {"refused"}
    assert {says(one) for one in (connect, clone, clone3, execve, ptrace, kill, unlinkat)} == {"refused"}
    assert (says(prlimit, 0, 9, 0), says(prlimit, 0, 9, 1), says(prlimit, 0, 9, 1 << 32)) == (
        *("allowed", "refused", "refused"),
    )
    aborts, kills, other = (says(tgkill, pid, pid, 6), says(tgkill, pid, pid, 9), says(tgkill, pid + 1, pid, 6))
    assert (aborts, kills, other) == ("allowed", "refused", "refused")
    assert (says(mprotect, 0, 0, 3), says(mprotect, 0, 0, 5)) == ("allowed", "refused")
    assert answer(program, OTHER[name], read) == "killed"
    assert says(0x40000000 | read) == "killed"
    assert len(program) < 4096  # as many as the kernel takes
