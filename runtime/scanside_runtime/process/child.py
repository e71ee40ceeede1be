"""The parent's end: a child is started with limits, asked, believed by type alone, and ended with its group."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Literal, TypeVar

from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import Birth, Hello, decode, encode, own_hello

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind")
LONGEST_ANSWER = 2**20
LONGEST_END_S = 5.0
"""A child whose pipe is closed has so long to end by itself; then nobody will know why."""
LONGEST_POLL_MS = 2**31 - 1
_HELD: list[subprocess.Popen[bytes]] = []
"""Children that were killed and did not end: they wait in the kernel for a disk that does not answer."""
MOST_HELD = 3
_OUT_OF_MEMORY = ("MemoryError", "bad_alloc")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child came to its end.

    cause: "memory" and "time" (of the processor) where its limits ended it, else "signal" or "exit"; "answer" where it
    was ended by us, for an answer that can't be read or a pipe without one; "start" where it never came to its first
    word, "replaced" where that word is of another software: neither is a fault of what it was asked.
    how: in words, to be read after "it ended". number: the signal or the exit code.
    last_words: the last line on its stderr where that was kept; it may quote a header.
    """

    cause: Literal["memory", "time", "signal", "exit", "answer", "start", "replaced"]
    how: str
    number: int = 0
    last_words: str = ""


class ChildDied(Exception):
    """The child is gone, and all that it started; `ending` says how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.how)
        self.ending = ending


def module(name: str) -> tuple[str, ...]:
    """The command of a child that is a module of ours, bound to us from the start.

    -P: a module that lies in the folder where one stands is never imported.
    """
    return (sys.executable, "-P", "-m", "scanside_runtime.process.start", name)


class Child:
    """A running child. It is the head of its own process group, so that what it starts ends with it.

    command: `module` of one that begins with `Channel.open()`; a `Birth` is added as its last argument.
    keep_stderr: in a nameless file, so that `Ending` knows of memory and last words; else nobody hears it, as a
    library's complaint may quote a header.

    A child that nobody ended is ended when this object goes. Raises OSError where it can't be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: Limits,
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        keep_stderr: bool = False,
    ) -> None:
        _reap_held()
        with ExitStack() as unless_started:
            self._stderr = unless_started.enter_context(TemporaryFile()) if keep_stderr else None
            self._process = subprocess.Popen(
                [*command, encode(Birth(os.getpid(), limits)).decode("ascii").strip()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr or subprocess.DEVNULL,
                pass_fds=pass_fds,
                env=environment,
                start_new_session=True,
                bufsize=0,
            )
            unless_started.pop_all()
        pipes = [one for one in (self._process.stdin, self._process.stdout, self._stderr) if one is not None]
        self._finalizer = weakref.finalize(self, _end, self._process, pipes)
        self._stdin, self._stdout = pipes[:2]
        for pipe in pipes[:2]:
            os.set_blocking(pipe.fileno(), False)
        self._limits, self._unread, self._unsent, self._has_begun = limits, b"", b"", False
        self._ending = Ending("answer", "when it was needed no longer")

    def fileno(self) -> int:
        """For `select`: readable when there is an answer, or when it ended."""
        return self._stdout.fileno()

    def ask(self, question: DataclassInstance) -> None:
        """Send a question; what a child that does not read leaves of it is sent by `answer`. Raises ChildDied."""
        self._check_alive()
        self._unsent += encode(question)
        self._send()

    def _send(self) -> None:
        """As much of what was asked as the pipe takes now."""
        try:
            while self._unsent and (sent := self._stdin.write(self._unsent)):
                self._unsent = self._unsent[sent:]
        except OSError as error:
            raise self._ended() from error

    def answer(self, kinds: tuple[type[Kind], ...], wait_s: float) -> Kind | None:
        """The next answer, None when there is none in time.

        Raises ChildDied where it ended, or answered what is none of these kinds; then it was killed with its group.
        """
        self._check_alive()
        until = time.monotonic() + wait_s
        if not self._has_begun and not self._greeted(until):
            return None
        line = self._line(until)
        return None if line is None else self._decoded(line, kinds)

    def _greeted(self, until: float) -> bool:
        """Whether it has said its first word, of this very software."""
        line = self._line(until)
        if line is None:
            return False
        said, ours = self._decoded(line, (Hello,)), own_hello()
        if said.is_of_another(ours):
            raise self._given_up(f"as it is {said}, started by {ours}", "replaced")
        self._has_begun = True
        return True

    def _decoded(self, line: bytes, kinds: tuple[type[Kind], ...]) -> Kind:
        try:
            return decode(line, kinds)
        except ValueError as error:
            raise self._given_up("with an answer that can't be read") from error

    def _line(self, until: float) -> bytes | None:
        while b"\n" not in self._unread:
            if not self._hears(until):
                if not _has_ended(self._process.pid):
                    return None
                if not _is_readable(self._stdout, 0.0):  # what it started holds the pipe open
                    raise self._ended()
            self._read()
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _hears(self, until: float) -> bool:
        """Whether there is something to read, or the end, in time; what is unsent of a question is sent meanwhile."""
        while self._unsent:
            told, room = _ready(self._stdout, self._stdin, until - time.monotonic())
            if room:
                self._send()
            if told or not room:
                return told
        return _is_readable(self._stdout, until - time.monotonic())

    def _read(self) -> None:
        """What the pipe holds. One that fails is given up: the answer left in it would be taken for the next one's."""
        try:
            block = self._stdout.read(2**16)
        except OSError as error:
            raise self._given_up(f"with a pipe that can't be read ({error.strerror})") from error
        if block == b"":
            raise self._ended()
        self._unread += block or b""  # None where there was nothing after all
        if len(self._unread) > LONGEST_ANSWER and b"\n" not in self._unread:
            raise self._given_up("with an answer that has no end")

    def memory_mb(self) -> float:
        """Resident memory of the child and of what it started; 0 when it is gone."""
        return sum(_resident_mb(pid) for pid in _descendants(self._process.pid))

    def processor_s(self) -> float:
        """Processor time that the child has had so far; 0 when it is gone. One that waits for a disk has none."""
        try:
            times = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except (OSError, ValueError):
            return 0.0
        return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Kill it with everything that it started, and reap it; safe to call twice.

        One that waits for a disk or a share may not be to be ended: it is left after 5 s, see `check_held`.
        """
        self._finalizer()

    def _given_up(self, how: str, cause: Literal["answer", "replaced"] = "answer") -> ChildDied:
        self.end()
        self._ending = Ending(cause, how)
        return ChildDied(self._ending)

    def _check_alive(self) -> None:
        if not self._finalizer.alive:
            raise ChildDied(self._ending)

    def _ended(self) -> ChildDied:
        """It is gone, or closed its pipe: why. It is reaped with its group, so that nobody can have got its number."""
        if not _ends_within(self._process.pid, LONGEST_END_S):
            return self._given_up("without an answer")
        said = _said(self._stderr)
        self.end()
        ending = _ending(self._process.returncode, said)
        self._ending = ending if self._has_begun else replace(ending, cause="start", how=f"{ending.how} at its start")
        return ChildDied(self._ending)


def one_thread() -> dict[str, str]:
    """The environment of a child whose address space is limited: each thread of a library would take some of it."""
    return {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}


def _ending(returncode: int, said: str) -> Ending:
    """Memory first: a child that has none left ends in many ways."""
    last_words = said.splitlines()[-1] if said else ""
    number = abs(returncode)
    how = f"by {_signal_name(number)}" if returncode < 0 else f"with exit code {number}"
    if any(word in said for word in _OUT_OF_MEMORY):
        return Ending("memory", "at the limit of its memory", number, last_words)
    if returncode == -signal.SIGXCPU:
        return Ending("time", "at the limit of its processor time", number, last_words)
    return Ending("signal" if returncode < 0 else "exit", how, number, last_words)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _said(stderr: IO[bytes] | None) -> str:
    if stderr is None:
        return ""
    stderr.seek(0)
    return stderr.read().decode("utf-8", "replace").strip()


def _is_readable(stream: IO[bytes], wait_s: float) -> bool:
    """There is something to read, or the end, within the time."""
    return _ready(stream, None, wait_s)[0]


def _ready(readable: IO[bytes], writable: IO[bytes] | None, wait_s: float) -> tuple[bool, bool]:
    """Which of the two pipes is ready, or at its end, within the time."""
    waiting = select.poll()
    waiting.register(readable, select.POLLIN)
    if writable is not None:
        waiting.register(writable, select.POLLOUT)
    found = {one for one, _ in waiting.poll(min(max(0.0, 1000.0 * wait_s), LONGEST_POLL_MS))}
    return readable.fileno() in found, writable is not None and writable.fileno() in found


def _ends_within(pid: int, wait_s: float) -> bool:
    """Whether a child ends in time. It stays unreaped."""
    until = time.monotonic() + wait_s
    while not _has_ended(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes], pipes: Sequence[IO[bytes]]) -> None:
    """Kill a child with its group and reap it; one that a hung disk or share holds is left, and reaped later."""
    for pid in (process.pid, *_descendants(process.pid)):
        _kill_group(pid)
    if _ends_within(process.pid, LONGEST_END_S):
        process.wait()
    else:
        _HELD.append(process)
    for pipe in pipes:
        pipe.close()


def check_held() -> None:
    """For who would start one more child that may be held as well. Raises OSError where `MOST_HELD` are already."""
    _reap_held()
    if len(_HELD) >= MOST_HELD:
        raise OSError(errno.EBUSY, f"{len(_HELD)} processes wait for a disk or a share and can't be ended")


def _reap_held() -> None:
    """Those that were held and have ended since."""
    _HELD[:] = [process for process in _HELD if process.poll() is None]


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return [pid]
    return [pid, *(found for child in children for found in _descendants(int(child)))]


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
