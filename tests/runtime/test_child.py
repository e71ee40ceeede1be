"""One protocol for every child: it is limited, asked, believed by type alone, and ended with all that it started."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kit.child_programs import BEGINS, HELLO
from scanside_runtime.dicom.errors import InputTruncated, InputUnreadable
from scanside_runtime.dicom.geometry import Layout
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.errors import ScansideError
from scanside_runtime.findings import Finding
from scanside_runtime.process import child as process_child
from scanside_runtime.process.child import Child, ChildDied, check_held, module
from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import Birth, Failed, Hello, decode, encode, own_hello
from scanside_runtime.process.start import end_with
from scanside_runtime.process.typed import typed

LIMITS = Limits(1024, "written")
ANSWER_S = 300.0


@dataclass(frozen=True)
class Question:
    text: str


@dataclass(frozen=True)
class Answer:
    text: str
    number: float = 0.0


@contextmanager
def child(program: str, limits: Limits = LIMITS, *, keep_stderr: bool = False) -> Iterator[Child]:
    found = Child([sys.executable, "-c", program], limits, keep_stderr=keep_stderr)
    try:
        yield found
    finally:
        found.end()


def says(text: str) -> str:
    """A child that answers with this line, and then waits."""
    return f"{BEGINS}import sys; sys.stdin.readline(); print({text!r}, flush=True); sys.stdin.read()"


def how_it_ended(program: str, limits: Limits = LIMITS) -> Any:
    with child(program, limits, keep_stderr=True) as asked, pytest.raises(ChildDied) as died:
        asked.answer((Answer,), ANSWER_S)
    return died.value.ending


def is_gone(pid: int) -> bool:
    """Ended, whether or not somebody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def wait_for(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + ANSWER_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_child_answers_in_dataclasses_and_a_default_need_not_be_said() -> None:
    with child(says('{"Answer": {"text": "so"}}')) as asked:
        asked.ask(Question("how?"))
        assert asked.answer((Answer,), ANSWER_S) == Answer("so")
        assert asked.answer((Answer,), 0.0) is None


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[1]",
        "{}",
        '{"Answer": {"text": 3}}',
        '{"Answer": {"text": "a", "number": NaN}}',
        '{"Answer": {"text": "a", "number": 1e999}}',
        '{"Answer": {"text": "a", "number": true}}',
        '{"Other": {"text": "a"}}',
        '{"Answer": {"text": "a"}, "More": {}}',
        "[" * 100_000,
    ],
)
def test_a_child_that_answers_anything_else_is_not_believed_and_ended(line: str) -> None:
    with child(says(line)) as asked:
        asked.ask(Question("how?"))
        with pytest.raises(ChildDied, match="an answer that can't be read") as died:
            asked.answer((Answer,), ANSWER_S)
    assert died.value.ending.cause == "answer"


def test_an_answer_without_an_end_is_not_waited_for() -> None:
    endless = BEGINS + "while True: print('x' * 65536, end='', flush=True)"
    with child(endless) as asked, pytest.raises(ChildDied, match="no end"):
        asked.answer((Answer,), ANSWER_S)


@pytest.mark.parametrize(
    ("program", "cause", "how"),
    [
        ("raise SystemExit(7)", "exit", "with exit code 7"),
        ("pass", "exit", "with exit code 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal", "by SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGRTMIN + 3)", "signal", "by signal 37"),
        ("raise MemoryError", "memory", "at the limit of its memory"),
        ("import os, sys; sys.stderr.write('std::bad_alloc'); sys.stderr.flush(); os.abort()", "memory", "memory"),
    ],
)
def test_how_a_child_ended_is_told_in_one_way(program: str, cause: str, how: str) -> None:
    ending = how_it_ended(BEGINS + program)
    assert (ending.cause, how in ending.how) == (cause, True)


# Before its first word


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("import a_module_that_is_not_there_yet", "with exit code 1 at its start"),
        ("raise MemoryError", "at the limit of its memory at its start"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "by SIGKILL at its start"),
    ],
)
def test_what_ends_before_its_first_word_never_saw_what_it_was_asked(program: str, how: str) -> None:
    ending = how_it_ended(program)
    assert (ending.cause, ending.how) == ("start", how)


def test_a_child_of_another_software_is_not_asked_twice() -> None:
    other = encode(Hello("9.9", "abc")).decode().strip()
    with child(says("").replace(HELLO, other)) as asked, pytest.raises(ChildDied) as died:
        asked.answer((Answer,), ANSWER_S)
    assert died.value.ending.cause == "replaced"
    assert died.value.ending.how == f"as it is Scanside 9.9 (abc), started by {own_hello()}"


def test_a_version_that_nobody_knows_is_no_other_one() -> None:
    ours = Hello("1.0", "abc")
    others = [Hello("1.1", "abc"), Hello("1.0", "def"), Hello("unknown", "def")]
    assert all(one.is_of_another(ours) for one in others)
    assert not any(one.is_of_another(ours) for one in (ours, Hello("unknown", "abc")))


def test_a_module_of_ours_has_opencv_in_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counts.py").write_text("import cv2\nprint(cv2.getNumThreads())")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM", raising=False)
    birth = encode(Birth(os.getpid(), LIMITS))
    done = subprocess.run([*module("counts"), birth], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


# The end of whoever started it

PARENT = """
import sys, time
from scanside_runtime.process.child import Child, module
from scanside_runtime.process.limits import Limits
asked = Child(module("slow_to_import"), Limits(1024, "written"))
print(asked._process.pid, flush=True)
time.sleep(600)
"""


def test_a_child_ends_with_a_parent_that_is_killed_also_while_it_imports(tmp_path: Path) -> None:
    (tmp_path / "slow_to_import.py").write_text("open('imports', 'w').close()\nimport time; time.sleep(600)")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = [sys.executable, "-c", PARENT]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_for((tmp_path / "imports").exists)
        parent.kill()
        wait_for(lambda: is_gone(pid))


def test_a_child_whose_parent_is_gone_before_it_begins_ends_at_once() -> None:
    pid = os.fork()
    if pid == 0:
        end_with(1 if os.getppid() != 1 else 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


LIMITED = "from scanside_runtime.process.child_side import Channel; Channel.open(); "


@pytest.mark.parametrize("counted", ["mapped", "written"])
def test_a_child_gets_no_more_memory_than_it_is_allowed(counted: Any) -> None:
    ending = how_it_ended(LIMITED + "bytearray(2**29)", Limits(400, counted))
    assert ending.cause == "memory"


def test_what_is_mapped_and_never_written_counts_where_foreign_bytes_are_parsed_and_not_where_engines_run() -> None:
    reserves = LIMITED + 'import mmap; mmap.mmap(-1, 2**29, mmap.MAP_SHARED); print(\'{"Answer": {"text": ""}}\')'
    reserves = reserves.replace("print(", "import os; os.write(channel._answers, b'%s\\n' % b")
    reserves = reserves.replace("Channel.open()", "channel = Channel.open()")
    assert how_it_ended(reserves, Limits(400, "mapped")).last_words.startswith("OSError")
    with child(reserves, Limits(400, "written")) as asked:
        assert asked.answer((Answer,), ANSWER_S) == Answer("")


def test_a_child_that_never_stops_computing_is_ended_by_its_limit_of_time() -> None:
    assert how_it_ended(LIMITED + "\nwhile True: pass", Limits(1024, "mapped", processor_s=1)).cause == "time"


def test_what_a_library_prints_is_no_answer() -> None:
    prints = "channel = Channel.open(); print('hello'); import os; os.write(channel._answers, b'{\"Answer\": "
    with child(LIMITED.replace("Channel.open(); ", prints) + '{"text": "so"}}\\n\')') as asked:
        assert asked.answer((Answer,), ANSWER_S) == Answer("so")


STARTS_ANOTHER = (
    BEGINS
    + """
import subprocess, sys
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print('{"Answer": {"text": "%d"}}' % other.pid, flush=True)
sys.stdin.read()
"""
)


@pytest.mark.parametrize("dies_first", [False, True])
def test_what_a_child_started_ends_with_it_also_when_it_ended_by_itself(dies_first: bool) -> None:
    with child(STARTS_ANOTHER) as asked:
        answer = asked.answer((Answer,), ANSWER_S)
        assert answer is not None
        if dies_first:
            os.kill(asked._process.pid, signal.SIGKILL)
            wait_for(lambda: is_gone(asked._process.pid))
            with pytest.raises(ChildDied, match="by SIGKILL"):
                asked.answer((Answer,), 0.1)  # what it started holds the pipe open: nothing says that it ended
        asked.end()
        asked.end()
    wait_for(lambda: is_gone(int(answer.text)))


LISTENS = (
    BEGINS
    + """
import os, signal, sys
os.kill(os.getpid(), signal.SIGSTOP)
print('{"Answer": {"text": "%d"}}' % len(sys.stdin.readline()), flush=True)
sys.stdin.read()
"""
)


def test_a_question_to_a_child_that_does_not_read_is_not_waited_for_and_arrives_whole_when_it_does() -> None:
    with child(LISTENS) as asked:
        question = Question("x" * 2**20)
        asked.ask(question)
        assert asked.answer((Answer,), 0.1) is None
        wait_for(lambda: Path(f"/proc/{asked._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        os.kill(asked._process.pid, signal.SIGCONT)
        assert asked.answer((Answer,), ANSWER_S) == Answer(str(len(encode(question))))


def test_a_child_that_waits_has_no_processor_time_and_one_that_computes_has() -> None:
    with child(BEGINS + "import time; time.sleep(600)") as waits, child(BEGINS + "while True: pass") as computes:
        wait_for(lambda: computes.processor_s() > 0.5)
        assert waits.processor_s() < 0.5
    assert computes.processor_s() == 0.0


def test_a_child_that_is_forgotten_is_ended_without_a_warning() -> None:
    asked = Child([sys.executable, "-c", "import time; time.sleep(600)"], LIMITS)
    pid = asked._process.pid
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        del asked
        gc.collect()
    assert is_gone(pid)


HOLDS = """
import ctypes, sys, time
seized = ctypes.CDLL(None).ptrace(0x4206, int(sys.argv[1]), None, None)  # PTRACE_SEIZE: its end is the tracer's to see
print(seized, flush=True)
time.sleep(600)
"""


def test_a_child_that_nothing_can_end_is_left_after_a_while_and_reaped_when_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that waits for a share that hangs: killed, and still there."""
    monkeypatch.setattr(process_child, "LONGEST_END_S", 0.3)
    with child(BEGINS + "import time; time.sleep(600)") as asked:
        pid = asked._process.pid
        run = [sys.executable, "-c", HOLDS, str(pid)]
        with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            if holder.stdout.readline().strip() != "0":
                holder.kill()
                pytest.skip("this user may not trace")
            asked.end()
            assert Path(f"/proc/{pid}").exists()
            holder.kill()
    wait_for(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None)
    with child(BEGINS):
        assert not Path(f"/proc/{pid}").exists()


def test_no_more_than_three_children_that_nothing_can_end_are_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        ended: int | None = None

        def poll(self) -> int | None:
            return self.ended

    held: list[Any] = [Held(), Held()]
    monkeypatch.setattr(process_child, "_HELD", held)
    check_held()
    held.append(one := Held())
    with pytest.raises(OSError, match="3 processes wait for a disk or a share"):
        check_held()
    one.ended = 0
    check_held()


# What passes between the two


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Finding, {"code": "X", "level": "fatal", "message": "no such level"}),
        (Finding, {"code": 1, "level": "note", "message": "a number"}),
        (Finding, ["code", "note", "message"]),
        (Layout, {"transposed": True}),
        (SliceHeader, {"file": {"path": 3, "member": ""}}),
        (tuple[int, int], [1, True]),
        (dict[str, int], {"a": "b"}),
    ],
)
def test_what_has_not_its_type_is_refused(kind: type[object], value: object) -> None:
    with pytest.raises(ValueError, match="is no"):
        typed(kind, value)


def test_a_tuple_is_as_long_as_its_type_says() -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        typed(tuple[int, int], [1, 2, 3])


def test_errors_arrive_with_their_values_and_only_errors_do() -> None:
    error = decode(encode(Failed.of(InputUnreadable(name=Path("a"), why="b"))), (Failed,)).error()
    assert isinstance(error, InputUnreadable)
    assert error.message == "a can't be read: b."
    for name in ("inspect", "ClassVar", "Nothing"):
        with pytest.raises(ValueError, match="no error"):
            Failed(name, 1, "", {}).error()


@pytest.mark.parametrize("values", [{}, {"name": "a"}])
def test_an_error_without_its_values_is_none(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=InputTruncated.code):
        Failed(InputTruncated.code, 3, "", values).error()


def test_every_error_crosses_the_pipe_with_code_and_words() -> None:
    failed = decode(encode(Failed.of(ScansideError())), (Failed,))
    assert (failed.code, failed.exit_code) == ("BOX_DEFECT", 1)
    assert "could not go on" in failed.words
