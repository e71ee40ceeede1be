"""Where files come from: a folder at any depth, one file, or a zip.

What is opened, and what is not:

- a folder is walked at any depth; symbolic links, devices, pipes and hidden files are passed over, never opened;
- a single file stands for itself, its neighbours are not looked at;
- a zip has at most 20 000 members, none larger than 512 MiB unpacked, 8 GiB in all; it is never unpacked to disk, so
  that no member's name can lead anywhere; an encrypted or damaged zip is refused.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self

from scanside_runtime.errors import InputNotFound, InputTooLarge, InputUnreadable

MAX_FILES = 20_000
MAX_MEMBER_BYTES = 512 * 2**20
MAX_ARCHIVE_BYTES = 8 * 2**30

_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError)


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file of the input: on disk (`member` is empty), or a member of the zip at `path`."""

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self.member or self.path.name


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an input in a fixed order, and how many were passed over without being opened."""

    files: tuple[SourceFile, ...]
    not_opened: int = 0


class Reader:
    """Opens source files; keeps a zip open between its members. A context manager."""

    def __init__(self) -> None:
        self._archive: zipfile.ZipFile | None = None
        self._archive_path: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._archive is not None:
            self._archive.close()

    def open(self, file: SourceFile) -> BinaryIO:
        """The file as a seekable stream. Raises OSError, or InputUnreadable for a damaged member of a zip."""
        if not file.member:
            return file.path.open("rb")
        return io.BytesIO(self._member(file))

    def read(self, file: SourceFile) -> bytes:
        """All bytes of the file. Raises as `open`."""
        with self.open(file) as stream:
            return stream.read()

    def _member(self, file: SourceFile) -> bytes:
        try:
            if self._archive is None or self._archive_path != file.path:
                self._archive, self._archive_path = zipfile.ZipFile(file.path), file.path
            return self._archive.read(file.member)
        except (*_BAD_ARCHIVE, KeyError) as error:
            raise InputUnreadable(name=file.name, why=f"damaged or encrypted in the zip ({error})") from error


def list_files(path: Path) -> Listing:
    """The files of a folder, of a zip, or the one file itself, sorted by name.

    Raises InputNotFound, InputUnreadable (not permitted, damaged zip) and InputTooLarge (see the module's caps).
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _list_folder(path)
        if not stat.S_ISREG(mode):
            raise InputUnreadable(name=path.name, why="neither a folder nor a regular file")
        if zipfile.is_zipfile(path) and not _is_dicom(path):
            return _list_archive(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputNotFound(name=path.name) from error
    except OSError as error:
        raise InputUnreadable(name=path.name, why=error.strerror or "can't be opened") from error
    return Listing((SourceFile(path),))


def _is_dicom(path: Path) -> bool:
    """A DICOM file may carry a zip behind its preamble; it is read as what it says first."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _list_folder(folder: Path) -> Listing:
    files: list[SourceFile] = []
    not_opened = 0
    for entry in _walk(folder):
        if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
            not_opened += 1
        else:
            files.append(SourceFile(Path(entry.path)))
        if len(files) > MAX_FILES:
            raise InputTooLarge(what=f"the folder holds more than {MAX_FILES} files")
    return Listing(tuple(sorted(files)), not_opened)


def _walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every entry below the folder that is not itself a folder; links are entries, never ways."""
    pending = [os.fspath(folder)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    yield entry


def _list_archive(path: Path) -> Listing:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except _BAD_ARCHIVE as error:
        raise InputUnreadable(name=path.name, why=f"the zip is damaged ({error})") from error
    _check_archive(path, members)
    kept = [info for info in members if _is_plain_member(info)]
    return Listing(tuple(sorted(SourceFile(path, info.filename) for info in kept)), len(members) - len(kept))


def _check_archive(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise InputTooLarge(what=f"the zip holds more than {MAX_FILES} files")
    largest = max((info.file_size for info in members), default=0)
    if largest > MAX_MEMBER_BYTES or sum(info.file_size for info in members) > MAX_ARCHIVE_BYTES:
        raise InputTooLarge(what="the zip unpacks to more than 512 MiB a file or 8 GiB in all")
    if len({info.filename for info in members}) != len(members):
        raise InputUnreadable(name=path.name, why="the zip holds two files of the same name")
    if any(info.flag_bits & 0x1 for info in members):
        raise InputUnreadable(name=path.name, why="the zip is encrypted")


def _is_plain_member(info: zipfile.ZipInfo) -> bool:
    """Not hidden, and no link or device (a zip made on Unix keeps the mode in the upper 16 bits)."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return not PurePosixPath(info.filename).name.startswith(".") and kind in (0, stat.S_IFREG)
