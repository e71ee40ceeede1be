"""Which part of the body a header's text names, in some forty languages; the words are data (`body_parts.toml`).

Texts rank series and are no proof: of the BodyPartExamined entries of one hospital's archive 15 % were wrong (Gueld et
al., Proc. SPIE 4685:280, 2002). Whether a series is a chest is decided by its picture (`quality.anatomy`).
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from enum import IntEnum
from functools import cache
from importlib import resources

from scanside_runtime.dicom.headers import SliceHeader

_APART = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_LETTERS = re.compile(r"[\W\d_]+")
# Letters that carry no accent which could be taken off, and are written without in the same languages.
_PLAIN = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ə": "e"})  # noqa: RUF001


class BodyPart(IntEnum):
    """What the texts of a series name, ordered from best to worst for measuring a chest."""

    CHEST = 0
    UNSAID = 1
    NEIGHBOUR = 2
    ELSEWHERE = 3


def body_part(header: SliceHeader) -> BodyPart:
    """The part that the texts name; UNSAID where none names one.

    The first text that names a part decides, from the closest to the series to the furthest: SeriesDescription,
    BodyPartExamined, ProtocolName, StudyDescription. An abdomen or a heart that the series itself is not described by
    is left over from a protocol, and decides only when no text says chest.
    """
    parts = [(field, part_named(text)) for field, text in texts(header)]
    named = [one for one in parts if one[1] is not BodyPart.UNSAID]
    if any(part is BodyPart.CHEST for _, part in named):
        named = [one for one in named if one[1] is not BodyPart.NEIGHBOUR or one[0] == "SeriesDescription"]
    return named[0][1] if named else BodyPart.UNSAID


def texts(header: SliceHeader) -> Iterable[tuple[str, str]]:
    """The texts that may name a part, with their keywords, the closest to the series first."""
    fields = {
        "SeriesDescription": header.series_description,
        "BodyPartExamined": header.body_part_examined,
        "ProtocolName": header.protocol_name,
        "StudyDescription": header.study_description,
    }
    return ((field, text) for field, text in fields.items() if text)


@cache
def part_named(text: str) -> BodyPart:
    """The part that one text names; a chest beside another part is a chest."""
    patterns = _patterns()
    rest = patterns["phrase"].sub(" ", words(text))
    other = patterns["spine"].search(rest) is not None
    rest = patterns["spine"].sub(" ", rest)
    if patterns["chest"].search(rest):
        return BodyPart.CHEST
    if other or patterns["elsewhere"].search(rest):
        return BodyPart.ELSEWHERE
    return BodyPart.NEIGHBOUR if patterns["neighbour"].search(rest) else BodyPart.UNSAID


def words(text: str) -> str:
    """Folded, with spaces where words are glued by case, digits or signs ("RoutineChest_5mm", "CTHead")."""
    return _NO_LETTERS.sub(" ", folded(_APART.sub(" ", text)))


def folded(text: str) -> str:
    """Without accents and case: TÓRAX and tórax are torax (Unicode NFKD without its marks)."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.category(letter).startswith("M")).translate(_PLAIN)


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    source = resources.files("scanside_runtime.dicom.values").joinpath("body_parts.toml").read_text(encoding="utf-8")
    return {part: _pattern(languages) for part, languages in tomllib.loads(source).items()}


def _pattern(languages: dict[str, list[str]]) -> re.Pattern[str]:
    known = sorted({word for words_of_one in languages.values() for word in words_of_one})
    return re.compile("|".join(_expression(word) for word in known))


def _expression(word: str) -> str:
    """A word of the file as a regular expression; inside, `*` is the rest of a word."""
    parts = folded(word).split()
    middle = " +".join(re.escape(part.strip("*")) + ("[^ ]*" if part.endswith("*") else "") for part in parts)
    return ("" if word.startswith("*") else r"(?<![^ ])") + middle + ("" if word.endswith("*") else r"(?![^ ])")
