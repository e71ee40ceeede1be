"""Nothing partly written is ever visible: a file is complete under its name, or it is not there."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scanside_runtime.errors import BoxOutput


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Around what a command writes. Raises BoxOutput, which names the place, for what the disk says."""
    try:
        yield
    except OSError as error:
        raise BoxOutput(folder=place, why=error.strerror or error) from error


def replace_json(target: Path, document: Mapping[str, Any] | Sequence[Any]) -> None:
    """A document as JSON, line by line. Raises as `replace_file`, and ValueError on NaN or infinity."""
    replace_file(target, (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())


def replace_file(target: Path, content: bytes, begin: Callable[[int], None] | None = None) -> None:
    """Put `content` at `target` in one step that survives a power cut.

    The temporary file lies in the same directory (a rename across file systems is a copy), its bytes are synced before
    it takes the name, and the directory is synced after it.

    begin: gets the handle of the file while there is nothing in it yet, to say whose it is and who may read it.

    Raises OSError when the directory can't be written; what stood at `target` before stands there still.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            if begin is not None:
                begin(file.fileno())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def replace_files(folder: Path, contents: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
    """Put files into `folder`, all or none. The last of them vouches for the others: it is there only with all of them.

    All are written and synced in a hidden folder below `folder` first: that is where space runs out and disks fail.
    Then the last one's predecessor goes, the others take their names, those named `gone` go, and the last one comes.
    The folder is made where it is missing; what else lies in it stays.

    Raises OSError; until all files are written, what stood in `folder` before stands there still.
    """
    folder.mkdir(parents=True, exist_ok=True)
    *names, last = contents
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as part:
        for name, content in contents.items():
            replace_file(Path(part, name), content)
        for name in (last, *gone):
            (folder / name).unlink(missing_ok=True)
        for name in names:
            Path(part, name).replace(folder / name)
        sync_directory(folder)
        Path(part, last).replace(folder / last)
    sync_directory(folder)


def sync_directory(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make the bytes of a file survive a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
