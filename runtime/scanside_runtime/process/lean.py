"""What libraries import and a process of ours never uses is not imported: it would cost a third of a child's start."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def _not_here(*_: object) -> None:
    raise FileNotFoundError("pydicom's sample files are left out")


_NEVER_USED = ("jpeg_ls",)
"""What pydicom imports where it is installed, and nothing here asks for: GDCM decodes JPEG-LS."""
_INSTEAD: Mapping[str, Mapping[str, object]] = {
    # pydicom's own sample files, and what downloads more of them: urllib, ssl, e-mail. Nothing here may go out.
    "pydicom.data": dict.fromkeys(("get_palette_files", "get_testdata_file"), _not_here),
    "pydicom.examples": {},
    # Jinja's pattern of every letter that a name may have takes 45 ms to compile. Letters and digits do for ours.
    "jinja2._identifier": {"pattern": re.compile(r"\w+")},
}


def import_less(*unused: str) -> None:
    """For a program or a child of ours, before all other imports.

    unused: what pydicom imports where it is installed, and this process hardly ever uses; `needed` gets it even so.
    """
    for name in (*_NEVER_USED, *unused):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    for name, members in _INSTEAD.items():
        stub = ModuleType(name)
        vars(stub).update(members)
        sys.modules.setdefault(name, stub)


def needed(name: str) -> Any:
    """A module that may have been left out; pydicom goes on without it."""
    if name in sys.modules and sys.modules[name] is None:
        del sys.modules[name]
    return import_module(name)
