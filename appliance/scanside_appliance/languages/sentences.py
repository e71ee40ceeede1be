"""Sentences that were made of a text with places in it: filled in, or found again in English words."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from functools import cache

from scanside_runtime.errors import ScansideError
from scanside_runtime.plural import PLACE, counted, in_english


def message_of(error: type[ScansideError]) -> str:
    """The text that its messages are made from, with places for the figures."""
    return " ".join(inspect.cleandoc(error.__doc__ or "").split())


def filled(text: str, printed: Mapping[str, str]) -> str:
    """The text with its places filled; a place for which nothing is there stays."""
    return PLACE.sub(lambda place: printed.get(place[1], place[0]), text)


def match(sentence: str, texts: Iterable[str]) -> tuple[str, dict[str, str]] | None:
    """The first text that the sentence was made of, in either form, and what stands in its places."""
    for text in texts:
        for form in _forms(text):
            found = _pattern(form).fullmatch(sentence)
            if found:
                return text, found.groupdict()
    return None


@cache
def _forms(text: str) -> tuple[str, ...]:
    """The text as it may have been written down: of one, of many, and with both, as older documents have it."""
    return (text,) if counted(text) is None else (in_english(text, one=True), in_english(text, one=False), text)


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
