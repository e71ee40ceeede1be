"""Names of persons as DICOM writes them (PS3.5 6.2, VR PN): compared without what only fills them up."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import zip_longest

Name = tuple[tuple[str, ...], ...]


def components(name: str | None) -> Name:
    """The components of each component group, in small letters, without spaces and delimiters that fill them up.

    Groups are parted by `=` (alphabetic, ideographic, phonetic), components by `^` (family, given, middle, prefix,
    suffix). Trailing empty ones may be left out (PS3.5 6.2.1.1), and spaces around a component mean nothing.
    """
    groups = [_filled(group.split("^")) for group in (name or "").split("=")]
    while groups and not groups[-1]:
        groups.pop()
    return tuple(groups)


def is_one_name(names: Iterable[str | None]) -> bool:
    """Nothing that two of them state differs: of each component group there is one. Unstated is no other name."""
    groups = zip_longest(*map(components, names))
    return all(len({stated for stated in group if stated}) <= 1 for group in groups)


def _filled(parts: list[str]) -> tuple[str, ...]:
    stated = [" ".join(unicodedata.normalize("NFKC", part).split()).casefold() for part in parts]
    while stated and not stated[-1]:
        stated.pop()
    return tuple(stated)
