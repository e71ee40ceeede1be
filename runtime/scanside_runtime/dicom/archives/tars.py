"""Tar, as it is or gzipped. A gzipped one is inflated into a file without a name: its members lie in any order."""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from contextlib import ExitStack
from typing import IO

from scanside_runtime.dicom.archives.contained import Member, is_hidden

GZIP = b"\x1f\x8b"
BLOCK = 512
CHUNK = 2**20
_MAGIC = slice(257, 262)  # POSIX.1-1988 and GNU alike; older ones have none and are not known


class TooMuch(Exception):
    """More than is allowed comes out of a gzipped file."""


class TarArchive:
    """A tar over a seekable stream."""

    kind = "tar"

    def __init__(self, stream: IO[bytes]) -> None:
        self._archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115  # open as long as its stream

    def members(self, most: int) -> list[Member]:
        """As `Archive.members`; a sparse file's size is what its header claims, so it is none that is read."""
        found: list[Member] = []
        while len(found) <= most and (info := self._archive.next()) is not None:
            if not info.isdir():
                plain = info.isreg() and not info.issparse() and not is_hidden(info.name)
                found.append(Member(info.name, info.size, plain))
        return found

    def size(self, name: str) -> int:
        """As `Archive.size`."""
        return self._archive.getmember(name).size

    def open(self, name: str) -> IO[bytes]:
        """As `Archive.open`."""
        stream = self._archive.extractfile(name)
        if stream is None:
            raise KeyError(name)
        return stream


def is_tar(start: bytes) -> bool:
    """By the first block."""
    return start[_MAGIC] == b"ustar"


def inflated_start(stream: IO[bytes], count: int = BLOCK) -> bytes:
    """The first bytes of what a gzipped stream holds. Raises any of BAD_ARCHIVE, OSError."""
    with gzip.GzipFile(fileobj=stream) as inflating:
        start = inflating.read(count)
    stream.seek(0)
    return start


class Spool:
    """Where gzipped tars are inflated to: a new file without a name each time, or one that was opened before.

    A process that may open no file any more (`process.cell`) opens it while it may; one tar at a time lies in it.
    """

    def __init__(self) -> None:
        self._opened: IO[bytes] | None = None

    def open_now(self) -> None:
        """Use one file from now on. Raises OSError."""
        self._opened = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process

    def empty(self) -> IO[bytes]:
        """A file to write to. Raises OSError."""
        if self._opened is None:
            return tempfile.TemporaryFile()
        own = os.fdopen(os.dup(self._opened.fileno()), "w+b")
        own.seek(0)
        own.truncate()
        return own


SPOOL = Spool()


def inflated(stream: IO[bytes], most_bytes: int) -> IO[bytes]:
    """All that a gzipped stream holds, in a file without a name. Raises TooMuch, any of BAD_ARCHIVE, OSError."""
    with ExitStack() as undo:
        spool = undo.enter_context(SPOOL.empty())
        with gzip.GzipFile(fileobj=stream) as inflating:
            while chunk := inflating.read(CHUNK):
                if spool.tell() + len(chunk) > most_bytes:
                    raise TooMuch
                spool.write(chunk)
        spool.seek(0)
        undo.pop_all()
    return spool
