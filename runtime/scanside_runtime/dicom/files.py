"""Where files come from: a folder at any depth, one file, or an archive (zip, tar, gzipped tar).

What is opened, and what is not:

- a folder is walked at any depth; symbolic links, devices, pipes and hidden files are passed over, never opened;
- a file is opened so that a link put in its place is not followed and a pipe can't hang the reader;
- a single file stands for itself, its neighbours are not looked at;
- a single gzipped file (`slice.dcm.gz`), alone or in a folder, stands for what it holds;
- an archive is never unpacked under its members' names, so that none can lead anywhere; an encrypted or damaged one is
  refused, and an archive in an archive or in a folder is not looked into;
- how many files, how large each, and how much an archive may unpack to: `ReadingSettings`.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, BinaryIO, Self

from scanside_runtime.dicom.archives.contained import BAD_ARCHIVE, Archive, Member
from scanside_runtime.dicom.archives.tars import BLOCK, GZIP, TarArchive, TooMuch, inflated, inflated_start, is_tar
from scanside_runtime.dicom.archives.zips import ZipArchive
from scanside_runtime.dicom.errors import InputFileTooLarge, InputNotFound, InputTooLarge, InputUnreadable
from scanside_runtime.errors import shown
from scanside_runtime.settings.reading import ReadingSettings

HEAD_BYTES = 132
MIB = 2**20
UNBOUNDED_MB = 2**30
ZIP = b"PK\x03\x04"
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz")
_TAR_SUFFIXES = (".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True, order=True)
class SourceFile:
    """One file of the input: on disk (`member` is empty), or a member of the archive at `path`.

    gzipped: the file on disk holds one file, gzipped.
    """

    path: Path
    member: str = ""
    gzipped: bool = False

    @property
    def name(self) -> str:
        """What a person would call it, as it may be shown."""
        return shown(self.member or self.path.name)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an input in a fixed order, and what was passed over without being opened.

    archive: they are members of one; passed_over: of that, the members that are no plain files.
    """

    files: tuple[SourceFile, ...]
    not_opened: int = 0
    archive: bool = False
    passed_over: tuple[str, ...] = ()


def open_regular(path: Path) -> io.BufferedReader:
    """A regular file for reading. Raises OSError, for a link, a pipe or a device too."""
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is no regular file")
    return os.fdopen(number, "rb")


class SourceReader:
    """Reads source files; keeps an archive open between its members. A context manager.

    A whole file is read within `limits`; the start of one needs none, it is as long as the caller says.
    """

    def __init__(self) -> None:
        self._archive: Archive | None = None
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
        return io.BytesIO(self.read(file, limits)) if file.member or file.gzipped else open_regular(file.path)

    def start(self, file: SourceFile, count: int = HEAD_BYTES) -> bytes:
        """The first bytes, by default enough to tell DICOM from anything else. Raises as `read`."""
        if file.member:
            return self._member(file, None, count)
        with open_regular(file.path) as stream:
            return _gunzipped(file, stream, count) if file.gzipped else stream.read(count)

    def read(self, file: SourceFile, limits: ReadingSettings) -> bytes:
        """All bytes of the file. Raises OSError, InputTooLarge, or InputUnreadable for a damaged archive."""
        if file.member:
            return self._member(file, limits)
        with open_regular(file.path) as stream:
            if file.gzipped:
                data = _gunzipped(file, stream, limits.max_file_mb * MIB + 1)
                _allowed(file, len(data) + MIB - 1, limits)
                return data
            return stream.read(_allowed(file, os.fstat(stream.fileno()).st_size, limits))

    def read_where(self, file: SourceFile, limits: ReadingSettings, wanted: Callable[[bytes], bool]) -> bytes | None:
        """As `read`, where its first bytes are wanted, else None. A file on disk is opened once for both."""
        if file.member or file.gzipped:
            return self.read(file, limits) if wanted(self.start(file)) else None
        with open_regular(file.path) as stream:
            if not wanted(stream.read(HEAD_BYTES)):
                return None
            stream.seek(0)
            return stream.read(_allowed(file, os.fstat(stream.fileno()).st_size, limits))

    def _member(self, file: SourceFile, limits: ReadingSettings | None, count: int = 0) -> bytes:
        """So many bytes of a member, or all of it where there are limits."""
        try:
            archive = self._opened(file.path, limits)
            if limits is not None:
                count = _allowed(file, archive.size(file.member), limits)
            with archive.open(file.member) as member:
                return member.read(count)
        except (*BAD_ARCHIVE, KeyError) as error:
            raise InputUnreadable(name=file.name, why=f"damaged or encrypted in the archive ({error})") from error

    def _opened(self, path: Path, limits: ReadingSettings | None) -> Archive:
        if self._archive is None or self._archive_path != path:
            stream = self._open_files.enter_context(open_regular(path))
            most_mb = limits.max_archive_mb if limits else UNBOUNDED_MB  # without: the reader's child has read it
            archive = _archive_in(stream, path, most_mb, self._open_files)
            if archive is None:
                raise ValueError("it is no archive any more")
            self._archive, self._archive_path = archive, path
        return self._archive


def _gunzipped(file: SourceFile, stream: IO[bytes], count: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=stream) as inflating:
            return inflating.read(count)
    except (*BAD_ARCHIVE, gzip.BadGzipFile) as error:
        raise InputUnreadable(name=file.name, why=f"the gzipped file is damaged ({error})") from error


def _archive_in(stream: IO[bytes], path: Path, most_mb: int, opened: ExitStack) -> Archive | None:
    """The archive that a file is, by its bytes; None for any other file. Raises InputTooLarge, any of BAD_ARCHIVE."""
    start = stream.read(BLOCK)
    stream.seek(0)
    if start[:2] == GZIP and is_tar(inflated_start(stream)):
        try:
            return TarArchive(opened.enter_context(inflated(stream, most_mb * MIB)))
        except TooMuch:
            raise InputTooLarge(what=f"{path.name} unpacks to more than {most_mb} MB") from None
    if is_tar(start):
        return TarArchive(stream)
    return ZipArchive(stream) if zipfile.is_zipfile(stream) else None


def _allowed(file: SourceFile, size: int, limits: ReadingSettings) -> int:
    """The size of a file where it may be read. Raises InputFileTooLarge."""
    if size > limits.max_file_mb * MIB:
        raise InputFileTooLarge(what=f"{file.name}: {size // MIB} MB, at most {limits.max_file_mb} are read")
    return size


def list_files(path: Path, limits: ReadingSettings) -> Listing:
    """The files of a folder, of an archive, or the one file itself, sorted by name.

    Raises InputNotFound, InputUnreadable (not permitted, damaged archive) and InputTooLarge.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _list_folder(path, limits)
        if not stat.S_ISREG(mode):
            raise InputUnreadable(name=path.name, why="neither a folder nor a regular file")
        return _list_file(path.resolve(), limits)  # whoever names a link means the file; links below are not followed
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputNotFound(name=path.absolute()) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InputUnreadable(name=path.name, why=getattr(error, "strerror", None) or "can't be opened") from error


def _list_file(path: Path, limits: ReadingSettings) -> Listing:
    with ExitStack() as opened:
        stream = opened.enter_context(open_regular(path))
        start = stream.read(HEAD_BYTES)
        stream.seek(0)
        if start[128:] == b"DICM":  # it may carry a zip behind its preamble, and is read as what it says first
            return Listing((SourceFile(path),))
        try:
            archive = _archive_in(stream, path, limits.max_archive_mb, opened)
            if archive is not None:
                return _list_archive(path, archive, limits)
        except (*BAD_ARCHIVE, gzip.BadGzipFile) as error:
            raise InputUnreadable(name=path.name, why=f"the archive is damaged ({error})") from error
    if start[:2] == GZIP:
        return Listing((SourceFile(path, gzipped=True),))
    if start[:4] == ZIP or path.suffix.lower() in _ARCHIVE_SUFFIXES:
        raise InputUnreadable(name=path.name, why="the archive breaks off or is none; copy it again")
    return Listing((SourceFile(path),))


def _list_folder(folder: Path, limits: ReadingSettings) -> Listing:
    files: list[SourceFile] = []
    not_opened = 0
    for entry in _walk(folder):
        if entry.name.startswith(".") or not entry.is_file(follow_symlinks=False):
            not_opened += 1
        else:
            files.append(SourceFile(Path(entry.path), gzipped=_is_gzipped_file(Path(entry.path))))
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


def _is_gzipped_file(path: Path) -> bool:
    """By its name and its first bytes; no gzipped tar."""
    if path.suffix.lower() != ".gz" or path.name.lower().endswith(_TAR_SUFFIXES):
        return False
    try:
        with open_regular(path) as stream:
            return stream.read(2) == GZIP
    except OSError:  # reading it says what is wrong
        return False


def _list_archive(path: Path, archive: Archive, limits: ReadingSettings) -> Listing:
    members = archive.members(limits.max_files)
    _check_archive(path, archive.kind, members, limits)
    kept = [one for one in members if one.plain]
    files = sorted(SourceFile(path, one.name) for one in kept)
    passed_over = tuple(one.name for one in members if not one.plain)
    return Listing(tuple(files), len(passed_over), archive=True, passed_over=passed_over)


def _check_archive(path: Path, kind: str, members: list[Member], limits: ReadingSettings) -> None:
    if len(members) > limits.max_files:
        raise InputTooLarge(what=f"the {kind} holds more than {limits.max_files} files")
    if sum(one.size for one in members) > limits.max_archive_mb * MIB:
        raise InputTooLarge(what=f"the {kind} unpacks to more than {limits.max_archive_mb} MB")
    if len({one.name for one in members}) != len(members):
        raise InputUnreadable(name=path.name, why=f"the {kind} holds two files of the same name")
    if any(one.encrypted for one in members):
        raise InputUnreadable(name=path.name, why=f"the {kind} is encrypted")
