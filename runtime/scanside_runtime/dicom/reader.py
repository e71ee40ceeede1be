"""Foreign files are read by a child process with limits; this is the side that asks.

with StudyReader(limits) as reader:
    found = reader.find(path)
    volume = reader.read_volume(choose_series(found, limits=limits))
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from scanside_runtime.dicom.decode import Progress, check_complete, stored_slices, volume_of
from scanside_runtime.dicom.errors import BoxReader, InputCrash, InputMemory, InputTimeout
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.index import Found, PassedOver
from scanside_runtime.dicom.messages import At, Decode, Decoded, Done, Find, NameStudies, NotDicom, Question
from scanside_runtime.dicom.reader_child import reader_child
from scanside_runtime.dicom.series import Series
from scanside_runtime.dicom.study_uids import StudyUids
from scanside_runtime.errors import BoxReplaced, ScansideError
from scanside_runtime.process.child import ChildDied, Ending
from scanside_runtime.process.messages import Failed
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.volume import Volume

Answer = At | SliceHeader | PassedOver | NotDicom | StudyUids | Decoded | Done | Failed
_ANSWERS: tuple[type[Answer], ...] = (At, SliceHeader, PassedOver, NotDicom, StudyUids, Decoded, Done, Failed)


class StudyReader:
    """One child process for one study; a context manager that ends it, and whatever it may have started.

    The child starts at once and gets ready while the caller goes on. Limits: `ReadingSettings`. A child that crashes,
    needs too much memory or too much time, or answers what it never should, is a refusal of the study, never of the
    box.
    """

    def __init__(self, limits: ReadingSettings) -> None:
        self._limits = limits
        self._at = "the study"

    def __enter__(self) -> Self:
        try:
            self._started = reader_child(self._limits)
        except OSError as error:
            raise BoxReader(why=error.strerror or error) from error
        self._child, self._pixels_fd = self._started.child, self._started.pixels_fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._started.end()

    def find(self, path: Path) -> Found:
        """As `find_series`. Raises its errors, and InputCrash, InputMemory, InputTimeout."""
        headers: list[SliceHeader] = []
        unreadable: list[PassedOver] = []
        not_dicom = 0
        for answer in self._ask(Find(path.absolute())):
            match answer:
                case SliceHeader():
                    headers.append(answer)
                case PassedOver():
                    unreadable.append(answer)
                case NotDicom(files):
                    not_dicom = files
        return Found(tuple(headers), tuple(unreadable), not_dicom)

    def studies_of(self, paths: Sequence[Path]) -> Iterator[StudyUids]:
        """As `study_uids.studies_of`, one answer a path in their order.

        Raises InputCrash, InputMemory, InputTimeout, BoxReader.

        The time for one file is limited, that for all is not: there may be any number of them.
        """
        for answer in self._ask(NameStudies(tuple(path.absolute() for path in paths)), seconds=math.inf):
            if isinstance(answer, StudyUids):
                yield answer

    def read_volume(self, series: Series, progress: Progress | None = None) -> Volume:
        """As `decode.read_volume`, of a series that this reader or another one found.

        Raises its errors, and those of `find`.
        """
        check_complete(series)
        shape = series.grid.shape
        size_bytes = 2 * shape[0] * shape[1] * shape[2]
        self._make_room(size_bytes)
        for answer in self._ask(Decode(stored_slices(series), series.grid.layout)):
            if isinstance(answer, Decoded) and progress is not None:
                progress(answer.slices, len(series.slices))
        self._child.end()  # nobody else can change the pixels any more
        # All pages at once, as each is looked at. Freed with the volume.
        shared = mmap.mmap(self._pixels_fd, size_bytes, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        return volume_of(series, np.frombuffer(shared, np.int16).reshape(shape))

    def _make_room(self, size_bytes: int) -> None:
        """Shared memory of this size. Nobody can change the size any more: to read beyond its end would end us."""
        os.ftruncate(self._pixels_fd, size_bytes)
        fcntl.fcntl(self._pixels_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)

    def _ask(self, question: Question, seconds: float | None = None) -> Iterator[Answer]:
        """The answers to a question up to its end, within as much time as a study may take if nothing else is said."""
        ends_at = time.monotonic() + (self._limits.study_seconds if seconds is None else seconds)
        try:
            self._child.ask(question)
            while not isinstance(answer := self._next(ends_at), Done):
                yield answer
        except ChildDied as died:
            raise self._why(died.ending) from died

    def _next(self, ends_at: float) -> Answer:
        """The next answer. Raises InputTimeout, ChildDied, and the error that the child raised."""
        limits = self._limits
        left_s = ends_at - time.monotonic()
        answer: Answer | None = self._child.answer(_ANSWERS, min(left_s, limits.file_seconds))
        match answer:
            case None:
                seconds = limits.file_seconds if limits.file_seconds < left_s else limits.study_seconds
                raise InputTimeout(name=self._at, seconds=seconds)
            case At(name):
                self._at = name
            case Failed():
                raise self._located(answer)
        return answer

    def _located(self, failed: Failed) -> ScansideError:
        """The child can't say at which file its memory ran out; this side knows."""
        try:
            error = failed.error()
        except ValueError:
            return InputCrash(name=self._at, how="an error that nobody knows")
        return InputMemory(**{**error.values, "name": self._at}) if isinstance(error, InputMemory) else error

    def _why(self, ending: Ending) -> ScansideError:
        """What the end of the child means: memory first, as one that has none left ends in many ways.

        Whatever else ends it over a file is told of the file: the study is refused and stands in the results.
        """
        if ending.cause == "memory":
            return InputMemory(name=self._at, limit_mb=self._limits.memory_mb)
        if ending.cause == "time":
            return InputTimeout(name=self._at, seconds=2 * self._limits.study_seconds)
        if ending.cause == "replaced":
            return BoxReplaced(how=ending.how)
        if ending.cause == "start":
            return BoxReader(why=f"it ended {ending.how}")
        if ending.cause == "signal" and ending.number == signal.SIGKILL:
            # Its own limits end in other ways: the box took it away, as for memory.
            return BoxReader(why="it was ended from outside, as a box short of memory does")
        kind = ending.last_words.partition(":")[0]  # never the message of an exception: it may quote a header
        how = f"{ending.how}, {kind}" if kind.isidentifier() else ending.how
        return InputCrash(name=self._at, how=how)
