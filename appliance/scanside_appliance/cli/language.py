"""The language in which this run of the program speaks to the person at the terminal.

Facts for programs (`--json`), codes, names of options and settings, help and the daemon's log stay English.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import typer

from scanside_appliance.languages.catalogue import ENGLISH
from scanside_appliance.languages.words import Message, Words, words
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.tables import LANGUAGES

LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables that say a terminal's language, the first that is set counts (POSIX)."""
NOT_ON_A_CONSOLE = ("zh", "hi")
"""Linux draws the letters of its console itself, and has none of these."""
WITHOUT_LETTERS = ("C", "POSIX")
"""Locales of ASCII alone; C.UTF-8 has no language either, but all letters."""

_spoken: ContextVar[Words] = ContextVar("spoken")


def speak(named: str | None, stated: str | None) -> None:
    """Choose. named: by an option; stated: by the settings."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    _spoken.set(words(choose(named, stated, os.environ, encoding)))


def spoken() -> Words:
    """What was chosen; before that the terminal's own."""
    if _spoken.get(None) is None:
        speak(None, None)
    return _spoken.get()


def say(what: str | Message | ScansideError, /, **values: object) -> None:
    """A line on stdout: a text with its values."""
    typer.echo(spoken()(what, **values))


def choose(named: str | None, stated: str | None, environment: Mapping[str, str], encoding: str) -> str:
    """The language that is named, else that of the settings, else the terminal's; English where it can't show it."""
    locale = next((environment[name] for name in LOCALE if environment.get(name)), "")
    wanted = named or stated or re.split("[_.@-]", locale)[0]
    if wanted not in LANGUAGES or not _has_all_letters(encoding):
        return ENGLISH
    if named:
        return named
    console = environment.get("TERM") == "linux" and wanted in NOT_ON_A_CONSOLE
    return ENGLISH if console or locale in WITHOUT_LETTERS else wanted


def _has_all_letters(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name in ("utf-8", "utf-16", "utf-32", "gb18030")
    except LookupError:
        return False


def stated_language(settings: Path | None) -> str | None:
    """What a settings file says; None where it says nothing or can't be used, which the command itself will tell."""
    from scanside_runtime.errors import SettingsUnusable
    from scanside_runtime.settings.load import read_table

    try:
        site: Any = {} if settings is None else read_table(settings).get("site")
    except SettingsUnusable:
        return None
    language = site.get("language") if isinstance(site, dict) else None
    return language if isinstance(language, str) else None
