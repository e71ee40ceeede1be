"""Copies out of a folder that others write into, and back: what is ours is an inode that nobody else has open."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.beneath import looks_like, opened_below, opened_folder, subfolder
from scanside_appliance.files.signature import Signature

BLOCK = 2**20
FILE_MODE = 0o640
FICLONE = 0x40049409  # ioctl_ficlone(2)
SYNC_FILE_RANGE_WRITE = 2  # sync_file_range(2)
_WRITTEN = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class SourceChanged(Exception):
    """What lies there now is not what was seen there, or can't be read any more. gone: nothing lies there."""

    def __init__(self, *, gone: bool = False) -> None:
        super().__init__("it is gone" if gone else "it changed")
        self.gone = gone


@dataclass(frozen=True, slots=True)
class Copied:
    """The sum of a copy, and its time: whoever writes to it changes that."""

    sha256: str
    mtime_ns: int


def copy_below(
    root: Path, name: str, target: Path, seen: Signature, progressed: Callable[[], None] = lambda: None
) -> Copied:
    """Copy the file `name` below `root`, as it was seen, to `target`. It is not synced yet.

    progressed: called after each block, for who waits for a sign of life.

    Where the file system can, the copy shares the blocks of its source (reflink), else it is written. The sum is of the
    bytes that are ours now, whoever may still write to the source.

    Raises SourceChanged, and OSError for the target alone.
    """
    with ExitStack() as opened:
        with _of_the_source():
            source = opened.enter_context(opened_below(root, name))
            _check(source, seen)
        handle = os.open(target, _WRITTEN, FILE_MODE)
        opened.callback(os.close, handle)
        sha256 = _cloned(source, handle, seen.size, progressed) or _written(source, handle, seen.size, progressed)
        _begin_to_write(handle)
        _check(source, seen)
        return Copied(sha256, Signature.of(os.fstat(handle)).mtime_ns)


def _begin_to_write(handle: int) -> None:
    """The disk begins while the next file is copied, so that syncing them all has less to wait for; a hint, no more."""
    ctypes.CDLL(None).sync_file_range(handle, ctypes.c_int64(0), ctypes.c_int64(0), SYNC_FILE_RANGE_WRITE)


def _check(source: int, seen: Signature) -> None:
    """Raises SourceChanged."""
    with _of_the_source():
        if Signature.of(os.fstat(source)) != seen:
            raise SourceChanged


@contextmanager
def _of_the_source() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SourceChanged(gone=True) from error
    except OSError as error:
        raise SourceChanged from error


def _cloned(source: int, target: int, size: int, progressed: Callable[[], None]) -> str | None:
    """The sum of a reflink, None where the file system makes none."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError:
        return None
    return _read(target, size, lambda _: progressed())


def _written(source: int, target: int, size: int, progressed: Callable[[], None]) -> str:
    """The sum of what is read and written."""

    def heard(block: bytes) -> None:
        _write(target, block)
        progressed()

    return _read(source, size, heard)


def _write(target: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(target, view) :]


def _read(source: int, size: int, heard: Callable[[bytes], None]) -> str:
    """The sum of so many bytes, neither more nor fewer."""
    digest, left = hashlib.sha256(), size
    while block := _block(source):
        left -= len(block)
        if left < 0:
            raise SourceChanged
        digest.update(block)
        heard(block)
    if left:
        raise SourceChanged
    return digest.hexdigest()


def _block(source: int) -> bytes:
    with _of_the_source():
        return os.read(source, BLOCK)


def sum_below(root: Path, name: str, seen: Signature, progressed: Callable[[], None] = lambda: None) -> str | None:
    """The sum of the file `name` below `root`; None where it is not as it was seen, or can't be read.

    progressed: called after each block.
    """
    try:
        with opened_below(root, name) as handle:
            _check(handle, seen)
            sha256 = _read(handle, seen.size, lambda _: progressed())
            _check(handle, seen)
    except (OSError, SourceChanged):
        return None
    return sha256


def put_back(source: Path, root: Path, home: str, progressed: Callable[[], None] = lambda: None) -> None:
    """Bring a file of ours into a folder directly below `root`. What others have there keeps its name.

    Until it lies there it lies at `source`. progressed: called after each block that has to be written. Raises OSError.
    """
    with ExitStack() as opened:
        above = opened.enter_context(opened_folder(root))
        folder = _home(above, home)
        opened.callback(os.close, folder)
        name = source.name
        if looks_like(folder, name) is not None:
            name = f"{source.stem}-{os.urandom(4).hex()}{source.suffix}"
        try:
            os.rename(source, name, dst_dir_fd=folder)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy_into(folder, source, name, progressed)
            source.unlink()
        os.fsync(folder)
        os.fsync(above)


def _home(above: int, home: str) -> int:
    """The folder, made where it is missing; one of another name where others have its name for something else."""
    with suppress(FileExistsError):
        os.mkdir(home, 0o750, dir_fd=above)
    try:
        return subfolder(above, home)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
    other = f"{home}-{os.urandom(4).hex()}"
    os.mkdir(other, 0o750, dir_fd=above)
    return subfolder(above, other)


def _copy_into(folder: int, source: Path, name: str, progressed: Callable[[], None]) -> None:
    """Synced block by block: a share takes long for all of it at once."""
    part = f".{source.name}.part"
    with source.open("rb") as read, os.fdopen(os.open(part, _WRITTEN, FILE_MODE, dir_fd=folder), "wb", 0) as written:
        while block := read.read(BLOCK):
            _write(written.fileno(), block)
            os.fdatasync(written.fileno())
            progressed()
        os.fsync(written.fileno())
    os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
