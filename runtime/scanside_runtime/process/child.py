"""A child process that is asked by lines of JSON on its stdin and answers by lines of JSON on its stdout."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LONGEST_ANSWER = 2**22


class ChildDied(Exception):
    """The child ended, or answered what is no JSON object; `how` says it in words."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Child:
    """A running child. It is the head of its own process group, so that what it starts ends with it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a library's complaint may quote a header
            start_new_session=True,
            bufsize=0,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise ChildDied("without pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdout.fileno(), False)
        self._unread = b""

    def fileno(self) -> int:
        """For `select`: readable when there is an answer, or when it ended."""
        return self._stdout.fileno()

    def ask(self, question: dict[str, Any]) -> None:
        """Send a line. Raises ChildDied."""
        try:
            self._stdin.write(json.dumps(question).encode() + b"\n")
        except OSError as error:
            raise ChildDied(self._how_it_ended()) from error

    def answer(self, wait_s: float) -> dict[str, Any] | None:
        """The next line, None when there is none in time. Raises ChildDied; the child must be ended then."""
        while b"\n" not in self._unread:
            if not select.select([self._stdout], [], [], wait_s)[0]:
                return None
            block = self._read()
            if not block or len(self._unread) > LONGEST_ANSWER:
                raise ChildDied(self._how_it_ended())
            self._unread += block
        line, _, self._unread = self._unread.partition(b"\n")
        return _object(line)

    def _read(self) -> bytes | None:
        """What the pipe holds. One that fails is given up: the answer left in it would be taken for the next one's."""
        try:
            return self._stdout.read(2**16)
        except OSError as error:
            raise ChildDied(f"with a pipe that can't be read ({error.strerror})") from error

    def memory_mb(self) -> float:
        """Resident memory of the child and of what it started; 0 when it is gone."""
        return sum(_resident_mb(pid) for pid in _descendants(self._process.pid))

    def end(self) -> None:
        """Kill it with everything that it started."""
        for pid in (self._process.pid, *_descendants(self._process.pid)):
            _kill_group(pid)
        self._process.wait()
        self._stdin.close()
        self._stdout.close()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "without an answer"
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _object(line: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise ChildDied("with an answer that can't be read") from error
    if not isinstance(answer, dict):
        raise ChildDied("with an answer that can't be read")
    return answer


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
