"""Dates, times and ages as DICOM writes them (PS3.5 6.2: DA, TM, DT, AS); what is none is None."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

FIRST_YEAR, LAST_YEAR = 1850, 2200
"""Dates outside are placeholders (00010101, 99991231), and no clock can count with them."""
OLDEST_YEARS = 125.0
"""An age above is none."""

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2})(?:\.(\d{1,6}))?)?)?")
_OFFSET = re.compile(r"([+-])(\d{2})(\d{2})")
_AGE = re.compile(r"(\d{1,3})([DWMY])")
_AGE_UNITS_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}


def parsed_date(stated: str | None) -> date | None:
    """A DICOM date (the dotted form of old files too)."""
    match = _DATE.fullmatch(stated or "")
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def first_moment(stated: str, offset: str, levels: list[tuple[str, str]]) -> str | None:
    """The first of these that says a time of day, else the first that says a date; ISO 8601.

    stated: a DICOM date and time in one. offset: from UTC, where `stated` carries none. levels: (date, time).
    """
    zone = _OFFSET.search(stated) or _OFFSET.fullmatch(offset)
    moments = [(stated[:8], re.split(r"[+-]", stated[8:])[0]), *levels]
    found = [moment for day, time in moments if (moment := _moment(day, time, zone)) is not None]
    return next((moment for moment in found if "T" in moment), found[0] if found else None)


def _moment(day: str, time: str, zone: re.Match[str] | None) -> str | None:
    """ISO 8601 of a DICOM date and time; the date alone where the time is missing or invalid."""
    on = parsed_date(day)
    if on is None:
        return None
    match = _TIME.fullmatch(time)
    if match is None:
        return on.isoformat()
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    try:
        at = datetime(on.year, on.month, on.day, hour, minute, second, int((match[4] or "").ljust(6, "0")))
        return (at.replace(tzinfo=_zone(zone)) if zone else at).isoformat()
    except ValueError:
        return on.isoformat()


def _zone(match: re.Match[str]) -> timezone:
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def stated_age_years(stated: str | None) -> float | None:
    """An age ("045Y", "018M", "012W", "090D") in years.

    "000Y" is what forms fill in where nothing is known: an infant's age is stated in months, weeks or days. More than
    125 years are no age either ("999Y").
    """
    match = _AGE.fullmatch((stated or "").upper())
    if match is None or (int(match[1]), match[2]) == (0, "Y"):
        return None
    return _human(round(int(match[1]) / _AGE_UNITS_PER_YEAR[match[2]], 2))


def age_between(birth: date | None, study: date | None) -> float | None:
    """The age at the study in years, whole ones from two on; None where birth comes after it or too long before."""
    if birth is None or study is None or birth > study:
        return None
    years = study.year - birth.year - ((study.month, study.day) < (birth.month, birth.day))
    return _human(float(years) if years >= 2 else round((study - birth).days / 365.25, 2))


def _human(years: float) -> float | None:
    return years if years <= OLDEST_YEARS else None
