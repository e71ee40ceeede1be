"""What a process of ours has before it imports what takes time: no needless garbage, threads or modules."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from scanside_runtime.process.system_calls import one_arena

NEW_OBJECTS = 1_000_000
"""Objects made and not freed between two looks. A study makes fewer: by Python's own 700 it costs 400 looks."""
_THREADS = "OPENCV_FOR_THREADS_NUM"
"""OpenCV reads it when it first computes: nobody has to import it for this."""
_DECODES = "scanside_runtime.dicom.reader_process"
"""The one child that decodes pixels, and the one that draws none."""
_EMPTY = {
    "pydicom.data": ("get_palette_files", "get_testdata_file"),
    "pydicom.examples": (),
    "numpy._core._add_newdocs": (),
    "numpy._core._add_newdocs_scalars": (),
}
"""pydicom's own sample files, and what downloads more of them: urllib, ssl, e-mail. Nothing here may go out. And what
NumPy's help says, an eighth of its import."""
_NEVER_USED = "jpeg_ls"
"""What pydicom imports where it is installed, and nothing here asks for: GDCM decodes JPEG-LS."""


def settle_in(name: str) -> None:
    """For a program or a child of ours, before all other imports. name: the module that it is."""
    collect_rarely()
    one_opencv_thread()
    one_arena()
    _import_less("PIL" if name == _DECODES else "gdcm")


def collect_rarely() -> None:
    """How often Python looks for garbage that refers to itself; what nothing refers to goes at once, as ever.

    No volume waits for such a look: none refers to itself. At its end Python would look through all that is there,
    several times: a twelfth of what 60 slices take in all. The memory goes with the process, so that nothing is left
    for it to look at. What is to be removed at the end therefore never waits in a cycle (a temporary file would stay):
    ours are removed by `with` or by name.
    """
    gc.set_threshold(NEW_OBJECTS)
    atexit.register(gc.freeze)


def one_opencv_thread() -> None:
    """The engine has the cores: a plane is soon done, and two threads on one wait for each other.

    Whoever uses `analyze` in a program of his own keeps OpenCV as it is.
    """
    os.environ.setdefault(_THREADS, "1")


def _import_less(unused: str) -> None:
    """What libraries import and is never used is not imported: it would cost a third of a child's start.

    unused: what pydicom imports where it is installed, and this process hardly ever uses; `needed` gets it even so.
    """
    for name in (_NEVER_USED, unused):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    for name, members in _EMPTY.items():
        stub = ModuleType(name)
        vars(stub).update(dict.fromkeys(members, _not_here))
        sys.modules.setdefault(name, stub)


def needed(name: str) -> Any:
    """A module that may have been left out; pydicom goes on without it."""
    if name in sys.modules and sys.modules[name] is None:
        del sys.modules[name]
    return import_module(name)


def _not_here(*_: object) -> None:
    raise FileNotFoundError("pydicom's sample files are left out")
