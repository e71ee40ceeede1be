"""Columns in a terminal: letters of Chinese are two cells wide, signs above a letter none."""

from __future__ import annotations

from rich.cells import cell_len


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text in a column of so many cells; a longer one stays whole. right: numbers, at the column's end."""
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def cells(text: str) -> int:
    """How many cells of a terminal the text takes."""
    return cell_len(text)
