"""English texts of one thing or of many, in the form that the number asks for: `{count} slice(s) are missing`."""

from __future__ import annotations

import re

PLACE = re.compile(r"\{(\w+)(?::([^}]*))?\}")
_COUNTED = re.compile(r"\(s\)|y\(ies\)")
"""How a text writes what may be one or many: the number is the place before it."""
_ONE, _SEVERAL = {"(s)": "", "y(ies)": "y"}, {"(s)": "s", "y(ies)": "ies"}
_OF_ONE = {"are": "is", "were": "was", "carry": "carries", "hold": "holds", "break": "breaks"}
_VERB = re.compile(rf"(?<![{{\w])(?:{'|'.join(_OF_ONE)})\b")


def told(text: str, /, **values: object) -> str:
    """The text with its values, each printed as its place asks, and in the form that its number asks for."""
    place = counted(text)
    if place is None:
        return text.format(**values)
    return in_english(text, one=format(values[place], spec_of(text, place)) == "1").format(**values)


def counted(text: str) -> str | None:
    """The name of the place whose number decides on the plural form; None in a text that has but one form."""
    sign = _COUNTED.search(text)
    names = [place[1] for place in PLACE.finditer(text) if sign and place.start() < sign.start()]
    return names[-1] if names else None


def spec_of(text: str, name: str) -> str:
    """How the place of that name is printed."""
    return next(place[2] or "" for place in PLACE.finditer(text) if place[1] == name)


def in_english(text: str, *, one: bool) -> str:
    """A text of both forms in the one that its number asks for, with the verbs behind it."""
    if not one:
        return _COUNTED.sub(lambda sign: _SEVERAL[sign[0]], text)
    singular = _COUNTED.sub(lambda sign: _ONE[sign[0]], text)
    sign = _COUNTED.search(text)
    noun_ends = len(singular) if sign is None else sign.start()
    return singular[:noun_ends] + _VERB.sub(lambda verb: _OF_ONE[verb[0]], singular[noun_ends:])
