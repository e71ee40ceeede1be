"""Names that others gave, as they may be shown."""

from __future__ import annotations


def harmless(name: str) -> str:
    """The name with whatever a terminal or an editor would obey escaped: control and direction marks, odd bytes."""
    return "".join(one if one.isprintable() and one != "\\" else _escaped(one) for one in name)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
