"""Sentences that were made of a text with places in it: filled in, or found again in English words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache

from scanside_runtime.errors import ScansideError

PLACE = re.compile(r"\{(\w+)(?::([^}]*))?\}")
_COUNTED = re.compile(r"\(s\)|y\(ies\)")
"""How the English texts write what may be one or many: the number is the place before it."""
_ONE, _SEVERAL = {"(s)": "", "y(ies)": "y"}, {"(s)": "s", "y(ies)": "ies"}
_OF_ONE = {"are": "is", "were": "was", "carry": "carries", "hold": "holds", "break": "breaks"}
_VERB = re.compile(rf"(?<![{{\w])(?:{'|'.join(_OF_ONE)})\b")


def message_of(error: type[ScansideError]) -> str:
    """The text that its messages are made from, with places for the figures."""
    return " ".join(inspect.cleandoc(error.__doc__ or "").split())


def counted(text: str) -> str | None:
    """The name of the place whose number decides on the plural form; None in a text that has but one form."""
    sign = _COUNTED.search(text)
    names = [place[1] for place in PLACE.finditer(text) if sign and place.start() < sign.start()]
    return names[-1] if names else None


def in_english(text: str, *, one: bool) -> str:
    """A text of both forms in the one that its number asks for, with the verbs behind it."""
    if not one:
        return _COUNTED.sub(lambda sign: _SEVERAL[sign[0]], text)
    singular = _COUNTED.sub(lambda sign: _ONE[sign[0]], text)
    sign = _COUNTED.search(text)
    noun_ends = len(singular) if sign is None else sign.start()
    return singular[:noun_ends] + _VERB.sub(lambda verb: _OF_ONE[verb[0]], singular[noun_ends:])


def filled(text: str, printed: Mapping[str, str]) -> str:
    """The text with its places filled; a place for which nothing is there stays."""
    return PLACE.sub(lambda place: printed.get(place[1], place[0]), text)


def match(sentence: str, texts: Iterable[str]) -> tuple[str, dict[str, str]] | None:
    """The first text that the sentence was made of, and what stands in its places."""
    for text in texts:
        found = _pattern(text).fullmatch(sentence)
        if found:
            return text, found.groupdict()
    return None


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A text with places as a pattern that finds what stands in them."""
    parts, names = re.split(r"\{(\w+)(?::[^}]*)?\}", text), set[str]()
    pattern = re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        pattern += f"(?P={name})" if name in names else f"(?P<{name}>.*)"
        names.add(name)
        pattern += re.escape(literal)
    return re.compile(pattern, re.DOTALL)
