"""Text that a sender, a file's name or a damaged document may bring, and how it is told that it does no harm."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

MARK = "GIFT"
"""Stands in each of them, so that its ways can be followed."""
BEGUN = "FORGED"
"""Begins a line where a line's end was not made harmless."""
HOSTILE = (
    f"={MARK}(\"http://x\")<script>document.title='{MARK}'</script>'\"><img src=x onerror=document.title='{MARK}'>"
    f"\x1b[2J\x1b[31m\x1b]0;{MARK}\x07\x9b31m\x00\x08\r\n{BEGUN} verdict analysed\u2028\u202egpj.exe\u2066\u200f\u061c"
    "{{ 7*7 }}{name}{0}%(x)s%s$(reboot)`reboot`../../etc/passwd"
)
SHORT = f"={MARK}<script>\x1b[2J\x1b]0;x\x07\r\n{BEGUN}\u202egpj\u2066'\"{{{{0}}}}%s$(reboot)"
"""What a header can hold: 64 letters."""
FILE_NAME = SHORT + "[red]\u200f\x9b"
LONG = MARK + "x" * 10_000
SURROGATE = f"{MARK}\ud800{HOSTILE}\udcff"
"""Halves of letters: JSON may hold them, and names of files that are no UTF-8 do."""
ALL = {"all at once": HOSTILE, "10 kB": LONG, "halves of letters": SURROGATE}

_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
OWN_WORDS = ("schema", "verdict", "flag", "basis", "code", "level", "trend", "density_trend", "acquired_at",
             "study_date", "previous_acquired_at", "ct_extent_grade")  # fmt: skip


def spoiled(value: Any, text: str, key: str = "") -> Any:
    """A document in which every text is hostile that is no word of ours or date."""
    if isinstance(value, dict):
        return {name: spoiled(one, text, name) for name, one in value.items()}
    if isinstance(value, list):
        return [spoiled(one, text, key) for one in value]
    return text if isinstance(value, str) and key not in OWN_WORDS else value


def obeyed(text: str, *, kept: str = "\n") -> set[str]:
    """What a terminal, an editor or a browser would obey and not show. kept: controls that are ours to give."""
    return {
        letter
        for letter in set(text) - set(kept)
        if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNING
    }


def begun_lines(text: str) -> list[str]:
    """Lines that hostile text has begun: it may stand in a line of ours, never make one."""
    return [line for line in text.splitlines() if line.startswith(BEGUN)]


def acting(page: str) -> list[str]:
    """Tags of a page that hostile text has made."""
    return re.findall(rf"<[^>]*{MARK}[^>]*>|<script>[^<]*{MARK}", re.sub(r'(?:alt|data-name)="[^"<>]*"', "", page))
