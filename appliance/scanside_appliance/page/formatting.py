"""Numbers, moments and names as people read them, and foreign text made harmless."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from jinja2 import Undefined
from markupsafe import Markup, escape

NOT_MEASURED = "\N{EN DASH}"
LONGEST_TEXT = 600
_WHOLE = re.compile(r"CT-\d|\d{4}-\d\d-\d\d(?: \d\d:\d\d)?|[+\u2212-]?\d+(?:\.\d+)? (?:%|HU|ml|mm)(?!\w)")
_MINUS = re.compile(r"(?<![0-9A-Za-z_.)\]-])-(?=\d)")
_FROM_THE_RIGHT = r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001eeff]+"
_APART = re.compile(rf"{_FROM_THE_RIGHT}(?:[\s\d.,^\u200c\u200d-]+{_FROM_THE_RIGHT})*")
"""Words of Arabic, Hebrew and the like: what stands beside them would change its place."""
_HARMFUL = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, lone surrogates, private and unassigned, line separators
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # they turn the text that follows


def number(value: float | Undefined | None, digits: int = 0, unit: str = "") -> str:
    """A number as it is printed: fixed digits, a true minus sign, a thin space before the unit, a dash for None."""
    if value is None or isinstance(value, Undefined):  # a refusal lacks whole blocks of the document
        return NOT_MEASURED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    text = text.replace("-", "\N{MINUS SIGN}")
    return f"{text}\N{NARROW NO-BREAK SPACE}{unit}" if unit else text


def signed(value: float | Undefined | None, digits: int = 0, unit: str = "") -> str:
    """A change as it is printed: as `number`, with a plus before what rose."""
    text = number(value, digits, unit)
    return f"+{text}" if isinstance(value, (int, float)) and round(value, digits) > 0 else text


def moment(text: str) -> str:
    """ISO 8601 to the minute."""
    return text[:16].replace("T", " ")


def with_minus_signs(text: str) -> str:
    """A true minus sign before each negative number, whatever script the letter before it is of."""
    return _MINUS.sub("\N{MINUS SIGN}", text)


def unbroken(text: str) -> Markup:
    """A sentence for a page: true minus signs, words that are written from the right set apart.

    No line ends within a date, a grade, or between a number and its unit.
    """
    whole = _WHOLE.sub(r'<span class="unbroken">\g<0></span>', with_minus_signs(str(escape(text))))
    return Markup(_APART.sub(r"<bdi>\g<0></bdi>", whole))


def apart(text: str) -> Markup:
    """A name or an ID within a sentence of a page: in its own direction, whatever stands beside it."""
    return Markup("<bdi>{}</bdi>").format(text)


def person(name: str | None) -> str:
    """A DICOM person name (PS3.5 6.2.1) for the eye: family name first, then how it is written in its own script."""
    groups = [" ".join(group.replace("^", " ").split()) for group in (name or "").split("=")[:2]]
    first, *others = [group for group in groups if group] or [""]
    return f"{first} ({others[0]})" if others else first


def readable(value: Any) -> Any:
    """A document in which every text is a line that can only be read: no control and no turning characters.

    What is longer than 600 letters is cut, with an ellipsis.
    """
    if isinstance(value, str):
        return _readable_text(value)
    if isinstance(value, Mapping):
        return {key: readable(one) for key, one in value.items()}
    return [readable(one) for one in value] if isinstance(value, (list, tuple)) else value


def _readable_text(text: str) -> str:
    cut = text[:LONGEST_TEXT]
    plain = cut.isascii() and cut.isprintable()
    kept = cut if plain else "".join(letter if _can_be_read(letter) else " " for letter in cut)
    return kept if len(text) <= LONGEST_TEXT else f"{kept}\N{HORIZONTAL ELLIPSIS}"


def _can_be_read(letter: str) -> bool:
    return unicodedata.category(letter) not in _HARMFUL and unicodedata.bidirectional(letter) not in _TURNING
