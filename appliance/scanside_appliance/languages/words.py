"""What is said to a person, in his language: a text with places for values, translated where it is shown.

Facts for programs, the log and the document stay English: `str` of a `Message` is the English sentence.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from scanside_appliance.languages.catalogue import ENGLISH, FOLDER, catalogue, gap, page_catalogue
from scanside_appliance.languages.sentences import filled, match, message_of
from scanside_runtime.errors import ScansideError, registered, shown
from scanside_runtime.plural import PLACE, counted, in_english

MOST_PHRASES = 8
"""So many are told apart in one line; a text with more of them is somebody's else."""


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence, not said yet. text: the English one with `{places}`, which `make languages` collects."""

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return words(ENGLISH)(self)


def said(text: str, /, **values: object) -> Message:
    """A sentence with what stands in it."""
    return Message(text, values)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written down in English, a code before it or not: found again where it is shown."""

    text: str

    def __str__(self) -> str:
        return self.text


Sentence = Message | Written | ScansideError


class Words:
    """All sentences in one language, as a catalogue has them."""

    def __init__(self, language: str, texts: gettext.NullTranslations) -> None:
        self.language = language
        self._catalogue = texts

    def __call__(self, what: str | Sentence, /, **values: object) -> str:
        """A text with its values, a message, or an error's message, as it may be shown on a terminal."""
        if isinstance(what, Written):
            return self.coded(what.text)
        if isinstance(what, ScansideError):
            return self._said(message_of(type(what)), what.values)
        if isinstance(what, Message):
            return self._said(what.text, what.values)
        return self._said(what, values)

    def with_advice(self, error: ScansideError) -> str:
        """What happened and what to do next."""
        return self.together(self(error), self(error.advice))

    def together(self, *sentences: str) -> str:
        """Sentences one after the other, as the language writes them."""
        return gap(self.language).join(sentence for sentence in sentences if sentence)

    def again(self, code: str | None, sentence: str) -> str:
        """An error's message, with or without advice, that was written down in English; else as it was written."""
        error = next((one for one in registered() if one.code == code), None)
        if error is None:
            return shown(sentence)
        told = sentence.removesuffix(f" {error.advice}")
        found = match(told, (message_of(error),))
        if found is None:
            return shown(sentence)
        again = self._filled(*found)
        return again if told == sentence else self.together(again, self(error.advice))

    def coded(self, sentence: str) -> str:
        """The same where the code stands before it."""
        code, _, rest = sentence.partition(": ")
        return f"{code}: {self.again(code, rest)}" if rest and code.isupper() else self.phrase(sentence)

    def phrase(self, sentence: str) -> str:
        """Words that were written down in English, one or a few of `phrases.txt`; else as they were written."""
        whole = self._phrase(sentence)
        if whole is not None or sentence.count("; ") > MOST_PHRASES:
            return whole or shown(sentence)
        return "; ".join(self._phrase(part) or shown(part) for part in sentence.split("; "))

    def _phrase(self, sentence: str) -> str | None:
        found = None if self.language == ENGLISH and "(" not in sentence else match(sentence, phrases())
        return None if found is None else self._filled(*found)

    def _said(self, text: str, values: Mapping[str, object]) -> str:
        specs = {place[1]: place[2] or "" for place in PLACE.finditer(text)}
        printed = {name: self._printed(values[name], spec) for name, spec in specs.items() if name in values}
        return filled(self._text(text, printed), printed)

    def _filled(self, text: str, values: Mapping[str, str]) -> str:
        """With values that were printed before, codes among them."""
        printed = {name: self.coded(value) for name, value in values.items()}
        return filled(self._text(text, values), printed)

    def _text(self, text: str, printed: Mapping[str, str]) -> str:
        place = counted(text)
        if place is None:
            return self._catalogue.gettext(text)
        number = printed.get(place, "")
        several = int(number) if number.isdecimal() else 2
        if self.language == ENGLISH:
            return in_english(text, one=several == 1)
        return self._catalogue.ngettext(text, text, several)

    def _printed(self, value: object, spec: str) -> str:
        if isinstance(value, Sentence):
            return self(value)
        if isinstance(value, str) or not spec:
            return self.phrase(str(value))
        return shown(format(value, spec))


@cache
def phrases() -> tuple[str, ...]:
    """What stands in a message for a reason, and what the daemon says of itself: `make languages` collects it."""
    return tuple((FOLDER / "phrases.txt").read_text(encoding="utf-8").splitlines())


@cache
def words(language: str) -> Words:
    """The sentences in one of `LANGUAGES`. Raises ValueError for another one."""
    return Words(language, catalogue(language))


@cache
def page_words(language: str) -> Words:
    """The same as pages show them."""
    return Words(language, page_catalogue(language))
