"""Nothing partly written is ever visible: a file is complete under its name, or it is not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def replace_file(target: Path, content: bytes) -> None:
    """Put `content` at `target` in one step that survives a power cut.

    The temporary file lies in the same directory (a rename across file systems is a copy), its bytes are synced before
    it takes the name, and the directory is synced after it.

    Raises OSError when the directory can't be written; what stood at `target` before stands there still.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def sync_directory(folder: Path) -> None:
    """Make the names in a folder survive a power cut. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
