"""What libraries import and a process of ours never uses is not imported: it would cost a third of a child's start."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_SAMPLES = {"pydicom.data": ("get_palette_files", "get_testdata_file"), "pydicom.examples": ()}
"""pydicom's own sample files, and what downloads more of them: urllib, ssl, e-mail. Nothing here may go out."""

_NEVER_USED = ("jpeg_ls",)
"""What pydicom imports where it is installed, and nothing here asks for: GDCM decodes JPEG-LS."""


def import_less(*unused: str) -> None:
    """For a program or a child of ours, before all other imports.

    unused: what pydicom imports where it is installed, and this process hardly ever uses; `needed` gets it even so.
    """
    for name in (*_NEVER_USED, *unused):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    for name, members in _SAMPLES.items():
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
