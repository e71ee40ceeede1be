"""Which number is to be read with care, and how lists mark it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from scanside_appliance.languages.words import said

CARE = "!"
"""Stands beside such a number."""
READ_WITH_CARE = said("{sign} read with care: its page or the worklist says why", sign=CARE)
"""Below a list that has one."""
CODE = re.compile(r"[A-Z][A-Z_]{,39}")


def cautions_of(document: Mapping[str, Any]) -> list[str]:
    """Codes of what asks for care with a number that was given: where there is none, its reason stands in its place."""
    if document.get("verdict") != "analysed":
        return []
    flags = document.get("flags")
    found = [one for one in flags if isinstance(one, dict)] if isinstance(flags, list) else []
    codes = [str(one.get("code")) for one in found if one.get("level") == "caution"]
    return list(dict.fromkeys(filter(CODE.fullmatch, codes)))


def poi_text(percent: float, *, care: bool) -> str:
    """In a list: "12.3 %", with the mark where it is to be read with care."""
    return f"{CARE if care else ''} {percent:.1f} %".lstrip()
