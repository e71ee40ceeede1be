"""How sharp a convolution kernel is, by its name. Names are data: another vendor's is one more entry."""

from __future__ import annotations

import re
from enum import IntEnum

_SOFT_NAMES = {"SOFT", "STANDARD", "STND", "DETAIL", "A", "B", "C", "UA", "UB", "SA", "SB", "SMOOTH"}
_SHARP_NAMES = {
    *("LUNG", "BONE", "BONEPLUS", "EDGE", "ULTRA", "SHARP", "Y-SHARP"),
    *("D", "E", "L", "YA", "YB", "YC", "YD", "YL"),
}
_SIEMENS = re.compile(r"[A-Z]{1,2}(\d{2,3})[A-Z]?")
_CANON = re.compile(r"FC(\d{2})")
_UNITED_IMAGING = re.compile(r"[A-Z]{1,2}_V?(SOFT|SHARP)_[A-Z]{1,2}")


class Sharpness(IntEnum):
    """What the convolution kernel does to lung, ordered from best to worst for measuring HU."""

    SOFT = 0
    UNSTATED = 1
    SHARP = 2


def sharpness(kernel: str | None) -> Sharpness:
    """Soft, sharp, or unstated, by the names of GE, Philips, Siemens (soft below 50), Canon and United Imaging."""
    name = re.split(r"[\s\\,;(]", (kernel or "").upper().strip())[0]
    if name in _SOFT_NAMES:
        return Sharpness.SOFT
    if name in _SHARP_NAMES:
        return Sharpness.SHARP
    if canon := _CANON.match(name):
        return Sharpness.SOFT if int(canon[1]) < 30 else Sharpness.SHARP
    if siemens := _SIEMENS.fullmatch(name):
        return Sharpness.SOFT if int(siemens[1]) < 50 else Sharpness.SHARP
    if united_imaging := _UNITED_IMAGING.fullmatch(name):
        return Sharpness.SOFT if united_imaging[1] == "SOFT" else Sharpness.SHARP
    return Sharpness.UNSTATED
