"""What a report says of the change since the scan before: expanded, contracted, denser, fainter, and whether in part.

The phrases are data: `phrases/*.toml` beside this module, and further files of the same form.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from scanside_appliance.statistics.errors import CohortTable

KINDS = ("expanded", "contracted", "density_up", "density_down")
"""What a phrase can say; the first two of extent, the last two of density."""

_STOPS = r".,;:\n\u3002\uff0c\uff1b\uff1a\u3001"  # Latin and Chinese stops and commas


@dataclass(frozen=True, slots=True)
class PhraseList:
    """The phrases of one language. reach: within so many characters before a phrase a negation is its own.

    partial_after, negations_after: the same where they follow upon a phrase at once.
    """

    language: str
    whole_words: bool
    reach: int
    expanded: tuple[str, ...]
    contracted: tuple[str, ...]
    density_up: tuple[str, ...]
    density_down: tuple[str, ...]
    partial: tuple[str, ...]
    negations: tuple[str, ...]
    partial_after: tuple[str, ...] = ()
    negations_after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One thing that a report says. partial: of a part of the lesions only."""

    kind: str
    partial: bool


def phrase_lists(more: Sequence[Path] = ()) -> tuple[PhraseList, ...]:
    """The lists that come with Scanside, and those of further files. Raises CohortTable for a file of another form."""
    own = files("scanside_appliance.statistics.phrases")
    texts = [(one.name, one.read_text(encoding="utf-8")) for one in own.iterdir() if one.name.endswith(".toml")]
    return tuple(_phrase_list(name, text) for name, text in [*sorted(texts), *(_read(path) for path in more)])


def statements(report: str, lists: Iterable[PhraseList]) -> frozenset[Statement]:
    """What a report says, in any of the languages; whole where the same is said in part and whole."""
    found = {statement for one in lists for statement in _found(report.casefold(), one)}
    return frozenset(one for one in found if not one.partial or Statement(one.kind, False) not in found)


def _found(report: str, one: PhraseList) -> Iterator[Statement]:
    """Every phrase that no longer phrase covers and no negation cancels."""
    taken: list[range] = []
    for pattern, kind in _phrases(one):
        for match in pattern.finditer(report):
            place = range(*match.span())
            if any(place[0] in other or other[0] in place for other in taken):
                continue
            taken.append(place)
            before = _clause(report[max(0, place.start - one.reach) : place.start])
            after = report[place.stop :].lstrip()
            if not (_any(one.negations, one, before) or _begins(one.negations_after, one, after)):
                in_part = _any(one.partial, one, before + match[0]) or _begins(one.partial_after, one, after)
                yield Statement(kind, in_part)


@cache
def _phrases(one: PhraseList) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Every phrase as a pattern with what it says, the longest first."""
    pairs = [(phrase, kind) for kind in KINDS for phrase in getattr(one, kind)]
    return tuple((_pattern(phrase, one), kind) for phrase, kind in sorted(pairs, key=lambda pair: -len(pair[0])))


@cache
def _pattern(phrase: str, one: PhraseList) -> re.Pattern[str]:
    """A phrase; `*` stands for up to 16 characters of the same clause."""
    inner = rf"[^{_STOPS}]{{0,16}}?".join(re.escape(part) for part in phrase.casefold().split("*"))
    return re.compile(rf"(?<!\w){inner}(?!\w)" if one.whole_words else inner)


def _any(phrases: Iterable[str], one: PhraseList, text: str) -> bool:
    return any(_pattern(phrase, one).search(text) for phrase in phrases)


def _begins(phrases: Iterable[str], one: PhraseList, text: str) -> bool:
    return any(_pattern(phrase, one).match(text) for phrase in phrases)


def _clause(before: str) -> str:
    """What stands between the last stop or comma and the phrase: a negation does not reach over them."""
    return re.split(rf"[{_STOPS}]|\b(?:but|and|with)\b", before)[-1]


def _read(path: Path) -> tuple[str, str]:
    try:
        return path.name, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CohortTable(name=path.name, why=f"it can't be read ({error})") from error


def _phrase_list(name: str, text: str) -> PhraseList:
    try:
        table = tomllib.loads(text)
        needed, more = (*KINDS, "partial", "negations"), ("partial_after", "negations_after")
        lists = {key: tuple(map(str, table[key])) for key in (*needed, *(key for key in more if key in table))}
        return PhraseList(str(table["language"]), bool(table["whole_words"]), int(table["reach"]), **lists)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise CohortTable(name=name, why=f"it is no list of phrases ({error})") from error
