"""The child process in which foreign bytes are parsed, started by `reader`.

`python -m scanside_runtime.dicom.reader_process`.

A request is a line of JSON on stdin: `find` lists and reads headers, `decode` decodes slices into the shared pixels, by
their headers, `study_uids` says of many files which studies they belong to. Answers are lines of JSON on stdout; before
each file its name is said, so that whoever waits knows where it stopped. The process limits itself before it touches
the first foreign byte.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scanside_runtime.dicom.decode import decode_into
from scanside_runtime.dicom.errors import InputMemory
from scanside_runtime.dicom.files import MIB
from scanside_runtime.dicom.geometry import Layout
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.index import find_series
from scanside_runtime.dicom.messages import Message, encode, error_message, typed
from scanside_runtime.dicom.study_uids import studies_of
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings import ReadingSettings

MAX_SAID_BYTES = MIB  # on stderr; no file that this process writes may be larger
Say = Callable[[Message], None]


class Session:
    """Answers requests, each from what it says alone."""

    def __init__(self, pixels_fd: int, limits: ReadingSettings, say: Say) -> None:
        self._pixels_fd = pixels_fd
        self._limits = limits
        self._say = say

    def answer(self, request: Message) -> None:
        """One request; its end is said by a message with `done`. Raises ScansideError, MemoryError."""
        if "find" in request:
            self._find(Path(request["find"]))
        elif "study_uids" in request:
            self._studies_of([Path(path) for path in request["study_uids"]])
        else:
            slices = [typed(SliceHeader, header) for header in request["decode"]]
            self._decode(slices, typed(Layout, request["layout"]), request["shape"])
        self._say({"done": True})

    def _find(self, path: Path) -> None:
        found = find_series(path, self._limits, lambda name: self._say({"at": name}))
        for header in found.headers:
            self._say({"header": header})
        for passed in found.unreadable:
            self._say({"unreadable": passed})
        self._say({"not_dicom": found.not_dicom})

    def _studies_of(self, paths: list[Path]) -> None:
        for found in studies_of(paths, self._limits, lambda name: self._say({"at": name})):
            self._say({"study_uids": found})

    def _decode(self, slices: list[SliceHeader], layout: Layout, shape: list[int]) -> None:
        count = shape[0] * shape[1] * shape[2]
        limit_memory(self._limits, shared_bytes=2 * count)
        hu = np.frombuffer(mmap.mmap(self._pixels_fd, 2 * count), np.int16).reshape(shape)  # (z, y, x)
        self._say({"at": slices[0].file.name})
        for done, _ in enumerate(decode_into(hu, slices, layout, self._limits), start=1):
            following = slices[min(done, len(slices) - 1)]
            self._say({"decoded": done, "at": following.file.name})


def limit_memory(limits: ReadingSettings, shared_bytes: int = 0) -> None:
    """No more address space than is allowed, beside what is shared (RLIMIT_AS, getrlimit(2))."""
    _limit(resource.RLIMIT_AS, limits.memory_mb * MIB + shared_bytes)


def _limit(what: int, value: int) -> None:
    """The soft limit, never above the hard one that the box sets."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def limit_rest(limits: ReadingSettings) -> None:
    """No core dumps with patients in them, no large files, and an end even if nobody waits any more."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, MAX_SAID_BYTES)
    _limit(resource.RLIMIT_CPU, int(2 * limits.study_seconds) + 1)


def main() -> None:
    """Answers requests until stdin ends. A decoder that prints would spoil the answers: stdout is stderr for it."""
    pixels_fd, limits = int(sys.argv[1]), typed(ReadingSettings, json.loads(sys.argv[2]))
    with os.fdopen(os.dup(1), "wb", buffering=0) as channel:
        os.dup2(2, 1)
        limit_rest(limits)
        limit_memory(limits)
        session = Session(pixels_fd, limits, lambda message: _write_all(channel.fileno(), encode(message)))
        for line in sys.stdin.buffer:
            try:
                session.answer(json.loads(line))
            except ScansideError as error:
                channel.write(encode(error_message(error)))
            except MemoryError:
                channel.write(encode(error_message(InputMemory(name="", limit_mb=limits.memory_mb))))


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


if __name__ == "__main__":
    main()
