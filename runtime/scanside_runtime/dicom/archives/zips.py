"""Zip."""

from __future__ import annotations

import stat
import zipfile
from typing import IO

from scanside_runtime.dicom.archives.contained import Member, is_hidden


class ZipArchive:
    """A zip over a seekable stream."""

    kind = "zip"

    def __init__(self, stream: IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(stream)

    def members(self, most: int) -> list[Member]:
        """As `Archive.members`; the directory of a zip says all at once."""
        return [_member(info) for info in self._archive.infolist() if not info.is_dir()]

    def size(self, name: str) -> int:
        """As `Archive.size`."""
        return self._archive.getinfo(name).file_size

    def open(self, name: str) -> IO[bytes]:
        """As `Archive.open`."""
        return self._archive.open(name)


def _member(info: zipfile.ZipInfo) -> Member:
    kind = stat.S_IFMT(info.external_attr >> 16)  # a zip made on Unix keeps the mode in the upper 16 bits
    plain = not is_hidden(info.filename) and kind in (0, stat.S_IFREG)
    return Member(info.filename, info.file_size, plain, encrypted=bool(info.flag_bits & 0x1))
