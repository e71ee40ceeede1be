"""Numbers and moments as people read them."""

from __future__ import annotations

from jinja2 import Undefined

NOT_MEASURED = "\N{EN DASH}"


def number(value: float | Undefined | None, digits: int = 0, unit: str = "") -> str:
    """A number as it is printed: fixed digits, a true minus sign, a thin space before the unit, a dash for None."""
    if value is None or isinstance(value, Undefined):  # a refusal lacks whole blocks of the document
        return NOT_MEASURED
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    text = text.replace("-", "\N{MINUS SIGN}")
    return f"{text}\N{NARROW NO-BREAK SPACE}{unit}" if unit else text


def signed(value: float | Undefined | None, digits: int = 0, unit: str = "") -> str:
    """A change as it is printed: as `number`, with a plus before what rose."""
    text = number(value, digits, unit)
    return f"+{text}" if isinstance(value, (int, float)) and round(value, digits) > 0 else text


def moment(text: str) -> str:
    """ISO 8601 to the minute."""
    return text[:16].replace("T", " ")


def person(name: str | None) -> str:
    """A DICOM person name (PS3.5 6.2.1) for the eye: first group, family name first."""
    return " ".join((name or "").split("=")[0].replace("^", " ").split())
