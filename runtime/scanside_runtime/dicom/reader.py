"""Foreign files are read by a child process with limits; this is the side that asks.

with StudyReader(limits) as reader:
    found = reader.find(path)
    volume = reader.read_volume(choose_series(found))
"""

from __future__ import annotations

import json
import math
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self

import numpy as np

from scanside_runtime.dicom.decode import Progress, check_complete, volume_of
from scanside_runtime.dicom.errors import BoxReader, InputCrash, InputMemory, InputTimeout
from scanside_runtime.dicom.files import MIB
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.index import Found, PassedOver
from scanside_runtime.dicom.messages import Message, encode, raised, typed
from scanside_runtime.dicom.series import Series
from scanside_runtime.dicom.study_uids import StudyUids
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings import ReadingSettings
from scanside_runtime.volume import Volume

MAX_LINE_BYTES = MIB
_SOURCES = Path(__file__).resolve().parents[2]


class StudyReader:
    """One child process for one study; a context manager that ends it, and whatever it may have started.

    The child starts at once and gets ready while the caller goes on. Limits: `ReadingSettings`. A child that crashes,
    needs too much memory or too much time is a refusal of the study, never of the box.
    """

    def __init__(self, limits: ReadingSettings | None = None) -> None:
        self._limits = limits or ReadingSettings()
        self._resources = ExitStack()
        self._unread = b""
        self._at = "the study"

    def __enter__(self) -> Self:
        try:
            self._start()
        except OSError as error:
            self._resources.close()
            raise BoxReader(why=error.strerror or error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def _start(self) -> None:
        self._pixels_fd = os.memfd_create("scanside-pixels")
        self._resources.callback(os.close, self._pixels_fd)
        self._said: IO[bytes] = TemporaryFile()  # noqa: SIM115  # closed with the rest, by the line below
        self._resources.callback(self._said.close)
        # -P: a module that lies in the folder of a study is never imported.
        command = [sys.executable, "-P", "-m", "scanside_runtime.dicom.reader_process", str(self._pixels_fd)]
        self._process = subprocess.Popen(
            [*command, json.dumps(asdict(self._limits))],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            pass_fds=[self._pixels_fd],
            start_new_session=True,
            env=_environment(),
        )
        self._resources.callback(_end, self._process)

    def find(self, path: Path) -> Found:
        """As `find_series`. Raises its errors, and InputCrash, InputMemory, InputTimeout."""
        headers: list[SliceHeader] = []
        unreadable: list[PassedOver] = []
        not_dicom = 0
        for message in self._ask({"find": path.absolute()}):
            if "header" in message:
                headers.append(typed(SliceHeader, message["header"]))
            elif "unreadable" in message:
                unreadable.append(typed(PassedOver, message["unreadable"]))
            elif "not_dicom" in message:
                not_dicom = int(message["not_dicom"])
        return Found(tuple(headers), tuple(unreadable), not_dicom)

    def studies_of(self, paths: Sequence[Path]) -> Iterator[StudyUids]:
        """As `study_uids.studies_of`, one answer a path in their order.

        Raises InputCrash, InputMemory, InputTimeout, BoxReader.

        The time for one file is limited, that for all is not: there may be any number of them.
        """
        for message in self._ask({"study_uids": [path.absolute() for path in paths]}, seconds=math.inf):
            if "study_uids" in message:
                yield typed(StudyUids, message["study_uids"])

    def read_volume(self, series: Series, progress: Progress | None = None) -> Volume:
        """As `decode.read_volume`, of a series that this reader or another one found.

        Raises its errors, and those of `find`.
        """
        check_complete(series)
        shape = series.grid.shape
        size_bytes = 2 * shape[0] * shape[1] * shape[2]
        os.ftruncate(self._pixels_fd, size_bytes)
        for message in self._ask({"decode": series.slices, "layout": series.grid.layout, "shape": shape}):
            if "decoded" in message and progress is not None:
                progress(int(message["decoded"]), len(series.slices))
        _end(self._process)  # nobody else can change the pixels any more
        shared = mmap.mmap(self._pixels_fd, size_bytes)  # freed with the volume
        return volume_of(series, np.frombuffer(shared, np.int16).reshape(shape))

    def _ask(self, request: Message, seconds: float | None = None) -> Iterator[Message]:
        """The answers to a request up to its end, within as much time as a study may take if nothing else is said."""
        ends_at = time.monotonic() + (self._limits.study_seconds if seconds is None else seconds)
        with suppress(BrokenPipeError):  # a child that has ended says why when its answer is read
            _pipe(self._process.stdin).write(encode(request))
        while True:
            message = self._next(ends_at)
            self._at = str(message.get("at") or self._at)
            if message.get("done"):
                return
            if "error" in message:
                raise self._located(raised(message))
            yield message

    def _next(self, ends_at: float) -> Message:
        """The next message. Raises InputTimeout, and what `_ended` says."""
        file_ends_at = time.monotonic() + self._limits.file_seconds
        while b"\n" not in self._unread:
            if not _readable(_pipe(self._process.stdout), min(ends_at, file_ends_at) - time.monotonic()):
                limits = self._limits
                seconds = limits.file_seconds if file_ends_at < ends_at else limits.study_seconds
                raise InputTimeout(name=self._at, seconds=seconds)
            data = _pipe(self._process.stdout).read(2**16)
            if not data or len(self._unread) > MAX_LINE_BYTES:
                raise self._ended()
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        message: Message = json.loads(line)
        return message

    def _located(self, error: ScansideError) -> ScansideError:
        """The child can't say at which file its memory ran out; this side knows."""
        return InputMemory(**{**error.values, "name": self._at}) if isinstance(error, InputMemory) else error

    def _ended(self) -> Exception:
        """Why the child is gone. An error of ours in it is a defect, everything else the fault of the file."""
        returncode = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").strip()
        if returncode > 0:
            return RuntimeError(f"the reader failed at {self._at}: {said.splitlines()[-1] if said else returncode}")
        if "bad_alloc" in said or "MemoryError" in said:
            return InputMemory(name=self._at, limit_mb=self._limits.memory_mb)
        if returncode == -signal.SIGKILL:  # its own limits end in other ways: the box took it away, as for memory
            return BoxReader(why="it was ended from outside, as a box short of memory does")
        if returncode == -signal.SIGXCPU:
            return InputTimeout(name=self._at, seconds=2 * self._limits.study_seconds)
        return InputCrash(name=self._at, how=signal.strsignal(-returncode) or f"signal {-returncode}")


def _environment() -> dict[str, str]:
    """Ours, with one thread for each library, as each thread takes address space, and our own sources in front."""
    path = os.pathsep.join(part for part in (str(_SOURCES), os.environ.get("PYTHONPATH")) if part)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**os.environ, **one_thread, "PYTHONPATH": path}


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("the reader was started without pipes")
    return stream


def _readable(stream: IO[bytes], seconds: float) -> bool:
    """There is something to read, or the end, within the time."""
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    return bool(waiting.poll(max(0.0, 1000.0 * seconds)))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the child with its group; safe to call twice."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
