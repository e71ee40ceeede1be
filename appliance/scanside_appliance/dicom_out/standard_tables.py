"""highdicom asks the tables of the DICOM standard which attributes an object has: only what it asks for is parsed.

They are 22 MB of JSON, and parsed as a whole they cost every process 0.3 s and 150 MB, for some thirty of their 436
modules; each slice is asked the same again. highdicom (0.28) has no other way in than the two functions that are
replaced here, by ones with the same answers.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import highdicom.base
import highdicom.image
import highdicom.sr.content
from highdicom import _standard_utils as tables

_is_attribute_in_iod = tables.is_attribute_in_iod
_KEY = b'\n  "'
"""Before a module's name; what stands in a module is further in."""


class ModuleTable:
    """Module name to attributes, as highdicom's table has them; parsed when a module is asked for."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._begins = dict(self._modules())
        self._parsed: dict[str, list[Any]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._begins

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._parsed:
            begins = self._begins[name]
            end = self._text.find(b"\n  ]", begins)
            self._parsed[name] = json.loads(self._text[begins:end] + b"]")
        return self._parsed[name]

    def _modules(self) -> Iterator[tuple[str, int]]:
        """Each module's name and where its attributes begin, in one pass: a look takes as long for each module."""
        name_begins = self._text.find(_KEY) + len(_KEY)
        while name_begins >= len(_KEY):
            name_ends = self._text.find(b'": ', name_begins)
            yield self._text[name_begins:name_ends].decode(), name_ends + 3
            name_begins = self._text.find(_KEY, name_ends) + len(_KEY)


@cache
def module_table() -> ModuleTable:
    """The table that lies in the installed highdicom."""
    return ModuleTable(Path(str(resources.files("highdicom").joinpath("_standard/module_attribute_map.json"))))


def is_attribute_in_iod(attribute: str, sop_class_uid: str, exclude_path_elements: Sequence[str] | None = None) -> bool:
    """As highdicom's, asked once for each kind of object."""
    return _asked_once(attribute, str(sop_class_uid), tuple(exclude_path_elements or ()))


@cache
def _asked_once(attribute: str, sop_class_uid: str, excluded: tuple[str, ...]) -> bool:
    return _is_attribute_in_iod(attribute, sop_class_uid, excluded or None)


def parse_tables_by_module() -> None:
    """From now on highdicom parses the modules that it asks for; to be called before an object is made."""
    for asking in (tables, highdicom.base, highdicom.image):
        asking.__dict__["get_module_attribute_map"] = module_table
    for asking in (tables, highdicom.base, highdicom.sr.content):
        asking.__dict__["is_attribute_in_iod"] = is_attribute_in_iod
