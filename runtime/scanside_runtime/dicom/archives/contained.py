"""What zip and tar have in common: which files they hold, and the bytes of one. The caller knows what is allowed."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import PurePosixPath
from typing import IO, Protocol

BAD_ARCHIVE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError),
    *(NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError),
)
"""What damage and foreign methods raise."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive. plain: a regular one that is not hidden; no link, no device."""

    name: str
    size: int
    plain: bool
    encrypted: bool = False


class Archive(Protocol):
    """An open zip or tar. Damage raises any of BAD_ARCHIVE, here and while a member is read."""

    kind: str

    def members(self, most: int) -> list[Member]:
        """Its files, folders left out; where there are more than `most`, at least one more than that."""
        ...

    def size(self, name: str) -> int:
        """How many bytes one has by the archive's word. Raises KeyError."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """The bytes of one, from its beginning. Raises KeyError where there is none of that name."""
        ...


def is_hidden(name: str) -> bool:
    """Named like what no person put there."""
    return PurePosixPath(name).name.startswith(".")
