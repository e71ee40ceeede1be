"""May two names be one person's? Spelling varies and family names change; another given name is another person's."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from scanside_runtime.dicom.values.person_name import components

NAMES_KNOWN = 20_000
"""Of so many the words are known: under an ID that is given to many each name is held against each."""


def is_one_person_by_name(one: str | None, other: str | None) -> bool:
    """Twins are told apart; a marriage, a middle name, initials and swapped parts are not.

    - A name that is not stated, or stands in another script, is no other name.
    - The words of one are all among those of the other, in whatever order: DOE^JOHN and JOHN DOE^A.
    - Else the given names, or all words where none is marked as one, must be the same but for those that one of the
      two leaves out or shortens: DOE^ANNA and ROE^ANNA^M, DOE^J and DOE^JOHN, but not DOE^ANNA and DOE^BERTA.
    """
    a, b = _words(one), _words(other)
    if not a or not b or a <= b or b <= a or _is_latin(a) != _is_latin(b):
        return True
    given, others = _given(one) or a, _given(other) or b
    mine, theirs = given - others, others - given
    return not mine or not theirs or any(x.startswith(y) or y.startswith(x) for x in mine for y in theirs)


@lru_cache(NAMES_KNOWN)
def _words(name: str | None) -> frozenset[str]:
    """The words of family, given and middle name."""
    return _parts(_group(name)[:3])


@lru_cache(NAMES_KNOWN)
def _given(name: str | None) -> frozenset[str]:
    return _parts(_group(name)[1:3])


def _group(name: str | None) -> tuple[str, ...]:
    """The components of the first group that is stated."""
    return next((group for group in components(name) if group), ())


def _parts(stated: tuple[str, ...]) -> frozenset[str]:
    """The words, without accents and signs."""
    letters = (sign for sign in unicodedata.normalize("NFKD", " ".join(stated)) if not unicodedata.combining(sign))
    return frozenset("".join(sign if sign.isalnum() else " " for sign in letters).split())


def _is_latin(words: frozenset[str]) -> bool:
    return all(word.isascii() for word in words)
