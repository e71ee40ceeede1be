"""What is a defect of ours and what is the disk's, and how a defect is told: by type and place alone.

Its message may quote a header or a file's name.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from scanside_runtime.errors import BoxDisk

_FAILS = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO, errno.EUCLEAN, errno.EBADMSG)
_DISK = {
    *_FAILS,
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN),
}
"""What a disk, a stick or a share says, or its rights: no defect of ours."""


def raised_at(error: BaseException) -> str:
    """For example "KeyError at volume.py:120"."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def what_it_says(error: OSError) -> str:
    """An error of the disk, with the file that it is about."""
    words = error.strerror or str(error)
    return f"{error.filename}: {words}" if isinstance(error.filename, str) else words


def of_the_disk(error: BaseException) -> BoxDisk | None:
    """The error of the box that this is where a disk is behind it; None for a defect of ours.

    Python says of a module that the disk does not give that there is none; the system's loader says it in words.
    """
    if isinstance(error, OSError):
        return BoxDisk(why=what_it_says(error)) if error.errno in _DISK else None
    if not isinstance(error, ImportError):
        return None
    if any(os.strerror(number) in str(error) for number in _FAILS):
        return BoxDisk(why=str(error))
    for path in _places(error.name) if isinstance(error, ModuleNotFoundError) else ():
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as of_disk:
            return BoxDisk(why=what_it_says(of_disk))
        return BoxDisk(why=f"{path}: it could not be found at first")
    return None


def _places(module: str | None) -> Iterator[Path]:
    """Where the file of a module may lie."""
    package, _, last = (module or "").rpartition(".")
    folders = getattr(sys.modules.get(package), "__path__", ()) if package else sys.path
    for folder in folders:
        yield from (Path(folder, f"{last}.py"), Path(folder, last, "__init__.py"))
