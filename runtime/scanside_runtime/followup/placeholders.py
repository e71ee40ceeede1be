"""Texts that stand where an ID or a name should: given to everybody, they are nobody's."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import replace

from scanside_runtime.followup.scan import Person


def without_placeholders(person: Person, listed: Collection[str]) -> Person:
    """The person with a name that is given to everybody taken out, and an ID that is nobody's marked as such."""
    name = None if person.name and is_placeholder(person.name, listed) else person.name
    is_anybody = bool(person.patient_id) and is_placeholder(person.patient_id or "", listed)
    return replace(person, name=name, is_anybody=is_anybody)


def is_placeholder(text: str, listed: Collection[str]) -> bool:
    """One of the list, whatever its case, accents, spaces, signs and zeros around it; or one sign over and over."""
    return len(set(_plain(text))) <= 1 or is_listed(text, listed)


def is_listed(text: str, listed: Collection[str]) -> bool:
    """Nothing but zeros, or one of the list whatever its case, accents, spaces, signs and zeros around it."""
    plain = _plain(text)
    return not plain.strip("0") or {plain, plain.strip("0")} & {_plain(one) for one in listed} != set()


def _plain(text: str) -> str:
    """Letters and digits alone, small, without accents."""
    return "".join(sign for sign in unicodedata.normalize("NFKD", text).casefold() if sign.isalnum())
