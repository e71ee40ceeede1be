"""Where files come from: a folder at any depth, one file, or a zip.

What is opened, and what is not:

- a folder is walked at any depth; symbolic links, devices, pipes and hidden files are passed over, never opened;
- a file is opened so that a link put in its place is not followed and a pipe can't hang the reader;
- a single file stands for itself, its neighbours are not looked at;
- a zip is never unpacked to disk, so that no member's name can lead anywhere; an encrypted or damaged zip is refused;
- how many files, how large each, and how much a zip may unpack to: `ReadingSettings`.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import BinaryIO, Self

from scanside_runtime.dicom.errors import InputFileTooLarge, InputNotFound, InputTooLarge, InputUnreadable
from scanside_runtime.errors import shown
from scanside_runtime.settings.tables import ReadingSettings

HEAD_BYTES = 132
MIB = 2**20

_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, LZMAError, NotImplementedError, RuntimeError, EOFError, ValueError)


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file of the input: on disk (`member` is empty), or a member of the zip at `path`."""

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """What a person would call it, as it may be shown."""
        return shown(self.member or self.path.name)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an input in a fixed order, and how many were passed over without being opened."""

    files: tuple[SourceFile, ...]
    not_opened: int = 0


def open_regular(path: Path) -> io.BufferedReader:
    """A regular file for reading. Raises OSError, for a link, a pipe or a device too."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(number, "rb")


class SourceReader:
    """Reads source files; keeps a zip open between its members. A context manager.

    A whole file is read within `limits`; the start of one needs none, it is as long as the caller says.
    """

    def __init__(self) -> None:
        self._archive: zipfile.ZipFile | None = None
        self._archive_path: Path | None = None
        self._open_files = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open_files.close()

    def open(self, file: SourceFile, limits: ReadingSettings) -> BinaryIO:
        """The file as a seekable stream, for whoever needs its beginning only. Raises as `read`."""
        return io.BytesIO(self.read(file, limits)) if file.member else open_regular(file.path)

    def start(self, file: SourceFile, count: int = HEAD_BYTES) -> bytes:
        """The first bytes, by default enough to tell DICOM from anything else. Raises as `read`."""
        if file.member:
            return self._member(file, None, count)
        with open_regular(file.path) as stream:
            return stream.read(count)

    def read(self, file: SourceFile, limits: ReadingSettings) -> bytes:
        """All bytes of the file. Raises OSError, InputTooLarge, or InputUnreadable for a damaged member of a zip."""
        if file.member:
            return self._member(file, limits)
        with open_regular(file.path) as stream:
            return stream.read(_allowed(file, os.fstat(stream.fileno()).st_size, limits))

    def _member(self, file: SourceFile, limits: ReadingSettings | None, count: int = 0) -> bytes:
        """So many bytes of a member, or all of it where there are limits."""
        try:
            archive = self._opened(file.path)
            if limits is not None:
                count = _allowed(file, archive.getinfo(file.member).file_size, limits)
            with archive.open(file.member) as member:
                return member.read(count)
        except (*_BAD_ARCHIVE, KeyError) as error:
            raise InputUnreadable(name=file.name, why=f"damaged or encrypted in the zip ({error})") from error

    def _opened(self, path: Path) -> zipfile.ZipFile:
        if self._archive is None or self._archive_path != path:
            stream = self._open_files.enter_context(open_regular(path))
            self._archive, self._archive_path = zipfile.ZipFile(stream), path
        return self._archive


def _allowed(file: SourceFile, size: int, limits: ReadingSettings) -> int:
    """The size of a file where it may be read. Raises InputFileTooLarge."""
    if size > limits.max_file_mb * MIB:
        raise InputFileTooLarge(what=f"{file.name} has {size // MIB} MB, at most {limits.max_file_mb} are read")
    return size


def list_files(path: Path, limits: ReadingSettings) -> Listing:
    """The files of a folder, of a zip, or the one file itself, sorted by name.

    Raises InputNotFound, InputUnreadable (not permitted, damaged zip) and InputTooLarge.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _list_folder(path, limits)
        if not stat.S_ISREG(mode):
            raise InputUnreadable(name=path.name, why="neither a folder nor a regular file")
        path = path.resolve()  # whoever names a link means the file; links inside a folder are never followed
        dicom = _is_dicom(path)
        if not dicom and zipfile.is_zipfile(path):
            return _list_archive(path, limits)
        if not dicom and _claims_to_be_a_zip(path):
            raise InputUnreadable(name=path.name, why="the zip breaks off or is none; copy it again")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputNotFound(name=path.absolute()) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputUnreadable(name=path.name, why=getattr(error, "strerror", None) or "can't be opened") from error
    return Listing((SourceFile(path),))


def _is_dicom(path: Path) -> bool:
    """A DICOM file may carry a zip behind its preamble; it is read as what it says first."""
    with open_regular(path) as stream:
        return stream.read(HEAD_BYTES)[128:] == b"DICM"


def _claims_to_be_a_zip(path: Path) -> bool:
    """By its name or its first bytes, though no zip's end is found in it."""
    with open_regular(path) as stream:
        return path.suffix.lower() == ".zip" or stream.read(4) == b"PK\x03\x04"


def _list_folder(folder: Path, limits: ReadingSettings) -> Listing:
    files: list[SourceFile] = []
    not_opened = 0
    for entry in _walk(folder):
        if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
            not_opened += 1
        else:
            files.append(SourceFile(Path(entry.path)))
        if len(files) > limits.max_files:
            raise InputTooLarge(what=f"the folder holds more than {limits.max_files} files")
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


def _list_archive(path: Path, limits: ReadingSettings) -> Listing:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except _BAD_ARCHIVE as error:
        raise InputUnreadable(name=path.name, why=f"the zip is damaged ({error})") from error
    _check_archive(path, members, limits)
    kept = [info for info in members if _is_plain_member(info)]
    return Listing(tuple(sorted(SourceFile(path, info.filename) for info in kept)), len(members) - len(kept))


def _check_archive(path: Path, members: list[zipfile.ZipInfo], limits: ReadingSettings) -> None:
    if len(members) > limits.max_files:
        raise InputTooLarge(what=f"the zip holds more than {limits.max_files} files")
    if sum(info.file_size for info in members) > limits.max_archive_mb * MIB:
        raise InputTooLarge(what=f"the zip unpacks to more than {limits.max_archive_mb} MB")
    if len({info.filename for info in members}) != len(members):
        raise InputUnreadable(name=path.name, why="the zip holds two files of the same name")
    if any(info.flag_bits & 0x1 for info in members):
        raise InputUnreadable(name=path.name, why="the zip is encrypted")


def _is_plain_member(info: zipfile.ZipInfo) -> bool:
    """Not hidden, and no link or device (a zip made on Unix keeps the mode in the upper 16 bits)."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return not PurePosixPath(info.filename).name.startswith(".") and kind in (0, stat.S_IFREG)
