"""A file of the box's own changes its place: whole, verified, and safe from a power cut at any moment."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from scanside_appliance.files.atomic import sync_directory
from scanside_appliance.files.copies import BLOCK, FILE_MODE
from scanside_appliance.files.layout import FOLDER_MODE

PART = ".part"
"""How the name of a copy ends that is not complete."""


def opened_file(path: Path) -> BufferedReader:
    """A file to read; never a pipe or a device, which would be waited for. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal. Raises OSError."""
    with opened_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_there(path: Path, sha256: str) -> bool:
    """Whether a file lies there with these bytes. Raises OSError where it lies there and can't be read."""
    try:
        return file_sha256(path) == sha256
    except FileNotFoundError:
        return False


def lies_at(path: Path) -> bool:
    """Whether there is anything at a path. Raises OSError where that can't be told: "gone" must never be a guess."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def may_lie_at(path: Path) -> bool:
    """Whether there is anything at a path, or that can't be told: then it must be said, not passed over."""
    try:
        return lies_at(path)
    except OSError:
        return True


def is_folder(path: Path) -> bool:
    """Whether a folder lies there. Raises OSError where that can't be told; pathlib guesses, by its version."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def move_file(source: Path, target: Path, sha256: str) -> bool:
    """Bring a file to `target`; False where it lies at neither place. Nothing is ever overwritten.

    On one file system this is a rename: the file is at one place or at the other, and no byte is read. Across file
    systems it is a copy, synced and compared with `sha256` before it gets its name; only then is the source removed, so
    that until then it lies at both. The folders are not synced: see `sync_folders`. What an interrupted call left is
    put right by calling again.

    Raises OSError, FileExistsError where other bytes lie at `target`.
    """
    if not lies_at(source) or _is_one_entry(source, target):
        return lies_at(target)
    if lies_at(target):
        return _settle_copy(source, target, sha256)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy(source, target, sha256)
        sync_directory(target.parent)
        source.unlink()
    _make_private(target)
    return True


def _is_one_entry(source: Path, target: Path) -> bool:
    """Whether both paths are one and the same file, so that to remove one would be to remove the other."""
    if source == target:
        return True
    return lies_at(target) and source.samefile(target) and source.stat().st_nlink == 1


def _make_private(path: Path) -> None:
    """0640, where the file is ours to change: a share may have written it under another name."""
    with suppress(PermissionError):
        path.chmod(FILE_MODE)


def _settle_copy(source: Path, target: Path, sha256: str) -> bool:
    """A copy that was cut short before its source was removed, or the same bytes sent twice.

    Both are summed: only what lies there once more, byte for byte, is removed.
    """
    if not is_there(target, sha256) or not is_there(source, sha256):
        raise FileExistsError(errno.EEXIST, "another file has this name", str(target))
    sync_directory(target.parent)
    source.unlink()
    return True


def _copy(source: Path, target: Path, sha256: str) -> None:
    part = target.with_name(f".{target.name}{PART}")
    try:
        with source.open("rb") as read, part.open("wb") as written:
            shutil.copyfileobj(read, written, BLOCK)
            written.flush()
            os.fsync(written.fileno())
        if file_sha256(part) != sha256:
            raise OSError(errno.EIO, "the copy differs from its source", str(source))
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)


def make_folder(folder: Path, root: Path) -> None:
    """A folder below `root` with everything between, each synced into its parent. Raises OSError."""
    if is_folder(folder):
        return
    if folder != root:
        make_folder(folder.parent, root)
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    sync_directory(folder.parent)


def sync_folders(*folders: Path) -> None:
    """Make moves survive a power cut; a folder that is gone needs no syncing. Raises OSError."""
    for folder in dict.fromkeys(folders):
        if is_folder(folder):
            sync_directory(folder)
