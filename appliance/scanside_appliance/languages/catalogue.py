"""Words of the page in the reader's language, from gettext catalogues that lie beside this module.

`<language>/LC_MESSAGES/scanside.po` is what people translate; `.mo`, made of it by `make languages`, is what is read.
The document stays English: its codes and messages are a contract.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal

from scanside_runtime.settings.tables import LANGUAGES

DOMAIN = "scanside"
FOLDER = Path(__file__).parent
ENGLISH = "en"
_NO_GAP = {"zh"}
_RIGHT_TO_LEFT = {"ar", "fa", "he", "ur"}
_SET_APART = re.compile(r" (?=[;:!?»])|(?<=«) ")
"""French sets these signs apart, and no line may end or begin with what is within."""

Translate = Callable[[str], str]


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The catalogue of one of `LANGUAGES`; English is what the code says. Raises ValueError for another language."""
    if language not in LANGUAGES:
        raise ValueError(f"no language of the page: {language}")
    if language == ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, [language])


class _Typeset(gettext.NullTranslations):
    """French as pages write it: translators, and terminals, have plain spaces."""

    def __init__(self, plain: gettext.NullTranslations) -> None:
        super().__init__()
        self._plain = plain

    def gettext(self, message: str) -> str:
        return _SET_APART.sub("\N{NARROW NO-BREAK SPACE}", self._plain.gettext(message))

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return _SET_APART.sub("\N{NARROW NO-BREAK SPACE}", self._plain.ngettext(msgid1, msgid2, n))


@cache
def page_catalogue(language: str) -> gettext.NullTranslations:
    """The catalogue as pages show it. Raises ValueError as `catalogue` does."""
    plain = catalogue(language)
    return _Typeset(plain) if language == "fr" else plain


def direction(language: str) -> Literal["ltr", "rtl"]:
    """Which way the language is written, for the page's `dir`."""
    return "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def gap(language: str) -> Literal["", " "]:
    """What parts two sentences: the full stop of Chinese is wide enough."""
    return "" if language in _NO_GAP else " "


def to_translate(text: str) -> str:
    """Marks a text that is translated where it is shown; gives it back as it is."""
    return text
