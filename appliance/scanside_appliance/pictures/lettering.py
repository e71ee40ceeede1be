"""What is burned into every picture: the notice, the sides, which slice it is, the window, a scale.

It stands in bands above and below, never on the body. OpenCV's letters are ASCII, so they are English everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from scanside_appliance.pictures.plane import WINDOW_HU, Picture

NOTICE = "RESEARCH USE ONLY"
BAND_PX = 20
SCALE_MM = 50.0
INK = (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_GAP_PX = 6


@dataclass(frozen=True, slots=True)
class Lettering:
    """The words of one picture. pixel_mm: width of one of its pixels.

    sides: False where it is not certain which side is which; then the letters carry a question mark.
    """

    place: str
    pixel_mm: float
    sides: bool = True


def window_in_words() -> str:
    """The lung window as radiologists say it: width and level in HU."""
    low, high = WINDOW_HU
    return f"W {high - low} L {(high + low) // 2}"


def with_letters(picture: Picture, words: Lettering) -> Picture:
    """The picture between two bands of letters, (h + 40, w, 3) uint8 BGR; what has no room below is left out."""
    width = picture.shape[1]
    above = np.zeros((BAND_PX, width, 3), np.uint8)
    below = above.copy()
    right, left = ("R", "L") if words.sides else ("R?", "L?")
    _write(above, right, _GAP_PX)
    _write(above, NOTICE, (width - _width(NOTICE)) // 2)
    _write(above, left, width - _GAP_PX - _width(left))
    _write(below, words.place, _GAP_PX)
    taken = 2 * _GAP_PX + _width(words.place)
    free = _draw_scale(below, round(SCALE_MM / words.pixel_mm), width - taken)
    if _width(window_in_words()) + _GAP_PX <= free:
        _write(below, window_in_words(), taken)
    return np.asarray(np.vstack([above, picture, below]), np.uint8)


def _draw_scale(band: Picture, bar: int, free: int) -> int:
    """A bar of 5 cm at the right end, before it its name; gives how much stays free of what was, in pixels."""
    start, middle = band.shape[1] - _GAP_PX - bar, BAND_PX // 2
    name = f"{SCALE_MM / 10.0:.0f} cm"
    if bar + _GAP_PX > free:
        return free
    cv2.line(band, (start, middle), (start + bar, middle), INK, 1)
    for end in (start, start + bar):
        cv2.line(band, (end, middle - 4), (end, middle + 4), INK, 1)
    free -= bar + _GAP_PX
    if _width(name) + _GAP_PX > free:
        return free
    _write(band, name, start - _GAP_PX - _width(name))
    return free - _GAP_PX - _width(name)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, 0.37, 1)[0][0])


def _write(band: Picture, text: str, x: int) -> None:
    cv2.putText(band, text, (x, BAND_PX - 6), _FONT, 0.37, INK, 1, cv2.LINE_AA)
