"""The child process in which foreign bytes are parsed, started by `reader`.

`python -m scanside_runtime.dicom.reader_process`.

What is asked and answered: `messages`. Before each file its name is said. Before it touches the first foreign byte the
process limits itself and is locked in (`process.cell`) with what its first question names: further ones stay within it.
It ends with its stdin.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from scanside_runtime.dicom.archives.tars import SPOOL
from scanside_runtime.dicom.decode import decoded
from scanside_runtime.dicom.errors import BoxReader, InputMemory
from scanside_runtime.dicom.headers import import_encodings
from scanside_runtime.dicom.index import find_series
from scanside_runtime.dicom.messages import QUESTIONS, At, Decode, Decoded, Done, Find, NameStudies, NotDicom, Question
from scanside_runtime.dicom.study_uids import studies_of
from scanside_runtime.errors import ScansideError
from scanside_runtime.process.cell import lock_in
from scanside_runtime.process.child_side import Channel
from scanside_runtime.process.limits import MIB
from scanside_runtime.process.messages import Failed
from scanside_runtime.process.settle import needed
from scanside_runtime.process.typed import typed
from scanside_runtime.settings.reading import ReadingSettings

HEADERS_AT_ONCE = 32
"""Some 64 KiB, as a pipe holds."""
KEPT_BYTES = 32 * MIB
"""Of the files of plain words whose headers were read so much stays for the pixels, the first ones: 60 slices of
512 x 512. The rest is read twice. A file that is changed after its header was read is refused where it is read twice;
one that stayed is decoded as it was, and its sum is the sum of these bytes."""
SAID_TOGETHER = 16
"""Of such slices: nothing is parsed any more and no disk is waited for. To wake the parent costs as much as a slice."""


class Session:
    """Answers questions; for `Decode` it has some of the files that the last `Find` read (`KEPT_BYTES`)."""

    def __init__(self, channel: Channel, reading: ReadingSettings, pixels_fd: int) -> None:
        self._channel, self._reading, self._pixels_fd = channel, reading, pixels_fd
        self._locked_in = False
        self._kept: dict[str, bytes] = {}
        self._room = KEPT_BYTES

    def answer(self, question: Question) -> None:
        """All answers to one question. Raises ScansideError, MemoryError."""
        if not self._locked_in and (named := _named_in(question)):
            _lock_in_with(named)
            self._locked_in = True
        match question:
            case Find(path):
                self._find(path)
            case NameStudies(paths):
                self._name_studies(paths)
            case Decode():
                self._decode(question)
        self._channel.send(Done())

    def _at(self, name: str) -> None:
        self._channel.send(At(name))

    def _find(self, path: Path) -> None:
        self._kept.clear()
        self._room = KEPT_BYTES
        found = find_series(path, self._reading, self._at, self._keep)
        for first in range(0, len(found.headers), HEADERS_AT_ONCE):
            self._channel.send(*found.headers[first : first + HEADERS_AT_ONCE])
        for passed_over in found.unreadable:
            self._channel.send(passed_over)
        self._channel.send(NotDicom(found.not_dicom))

    def _keep(self, sha256: str, data: bytes) -> None:
        if len(data) <= self._room:
            self._kept[sha256], self._room = data, self._room - len(data)

    def _name_studies(self, paths: Sequence[Path]) -> None:
        for study_uids in studies_of(paths, self._reading, self._at):
            self._channel.send(study_uids)

    def _decode(self, question: Decode) -> None:
        slices = question.slices
        self._kept = {one.sha256: self._kept[one.sha256] for one in slices if one.sha256 in self._kept}
        from_disk = {one.sha256 for one in slices} - self._kept.keys()
        os.lseek(self._pixels_fd, 0, os.SEEK_SET)
        self._at(slices[0].file.name)
        for done, plane in enumerate(decoded(slices, question.layout, self._reading, self._kept), start=1):
            _write(self._pixels_fd, plane)
            following = slices[min(done, len(slices) - 1)]
            if following.sha256 in from_disk or done % SAID_TOGETHER == 0 or done == len(slices):
                self._channel.send(Decoded(done), At(following.file.name))


def _write(pixels_fd: int, plane: npt.NDArray[np.int16]) -> None:
    """To the pixels that the parent maps. Written, not mapped here: a page that is new costs more than its copy.

    Raises BoxReader where the box has no memory for them.
    """
    data = np.ascontiguousarray(plane).data.cast("B")
    try:
        while data:
            data = data[os.write(pixels_fd, data) :]
    except OSError as error:
        raise BoxReader(why=f"pixels can't be handed over ({error.strerror})") from error


def _named_in(question: Question) -> set[Path]:
    """The files and folders that the question is about."""
    match question:
        case Find(path):
            return {path}
        case NameStudies(paths):
            return set(paths)
        case Decode(slices):
            return {header.file.path for header in slices}


def _lock_in_with(readable: set[Path]) -> None:
    """These may be read from now on, and nothing else. Raises BoxReader."""
    with suppress(OSError):  # a box without room for one: what is unpacked into it is refused
        SPOOL.open_now()
    try:
        lock_in(sorted(readable))
    except OSError as error:
        raise BoxReader(why=f"the kernel does not lock it in ({error.strerror})") from error


def _import_the_rest() -> None:
    """What is imported only when it is needed: letters of DICOM, and of names in a zip, and the decoder."""
    import_encodings()
    needed("gdcm")
    codecs.lookup("cp437")


def main() -> None:
    """Answer until stdin ends."""
    _import_the_rest()
    channel = Channel.open()
    pixels_fd, reading = int(sys.argv[1]), typed(ReadingSettings, json.loads(sys.argv[2]))
    session = Session(channel, reading, pixels_fd)
    for question in channel.questions(QUESTIONS):
        try:
            session.answer(question)
        except ScansideError as error:
            channel.send(Failed.of(error))
        except MemoryError:
            channel.send(Failed.of(InputMemory(name="", limit_mb=reading.memory_mb)))


if __name__ == "__main__":
    main()
