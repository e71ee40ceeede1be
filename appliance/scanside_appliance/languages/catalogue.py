"""Words of the page in the reader's language, from gettext catalogues that lie beside this module.

`<language>/LC_MESSAGES/scanside.po` is what people translate; `.mo`, made of it by `make languages`, is what is read.
The document stays English: its codes and messages are a contract.
"""

from __future__ import annotations

import gettext
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

Translate = Callable[[str], str]


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The catalogue of one of `LANGUAGES`; English is what the code says. Raises ValueError for another language."""
    if language not in LANGUAGES:
        raise ValueError(f"no language of the page: {language}")
    if language == ENGLISH:
        return gettext.NullTranslations()
    return gettext.translation(DOMAIN, FOLDER, [language])


def direction(language: str) -> Literal["ltr", "rtl"]:
    """Which way the language is written, for the page's `dir`."""
    return "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def gap(language: str) -> Literal["", " "]:
    """What parts two sentences: the full stop of Chinese is wide enough."""
    return "" if language in _NO_GAP else " "


def to_translate(text: str) -> str:
    """Marks a text that is translated where it is shown; gives it back as it is."""
    return text
