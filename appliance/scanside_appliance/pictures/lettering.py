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
FROM_WIDTH_PX = 400
"""Of a picture so wide on the letters grow with it."""
SCALE_MM = 50.0
INK = (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


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
    """The picture between two bands of letters, (h + two bands, w, 3) uint8 BGR; what has no room below is left out.

    A band is 20 pixels high, and higher above a large picture, which is seen smaller than it is.
    """
    width = picture.shape[1]
    above = np.zeros((round(BAND_PX * max(width / FROM_WIDTH_PX, 1.0)), width, 3), np.uint8)
    below = above.copy()
    gap = _gap(above)
    right, left = ("R", "L") if words.sides else ("R?", "L?")
    _write(above, right, gap)
    _write(above, NOTICE, (width - _width(above, NOTICE)) // 2)
    _write(above, left, width - gap - _width(above, left))
    _write(below, words.place, gap)
    taken = 2 * gap + _width(below, words.place)
    free = _draw_scale(below, round(SCALE_MM / words.pixel_mm), width - taken)
    if _width(below, window_in_words()) + gap <= free:
        _write(below, window_in_words(), taken)
    return np.asarray(np.vstack([above, picture, below]), np.uint8)


def _draw_scale(band: Picture, bar: int, free: int) -> int:
    """A bar of 5 cm at the right end, before it its name; gives how much stays free of what was, in pixels."""
    gap, middle = _gap(band), band.shape[0] // 2
    start, name = band.shape[1] - gap - bar, f"{SCALE_MM / 10.0:.0f} cm"
    if bar + gap > free:
        return free
    cv2.line(band, (start, middle), (start + bar, middle), INK, 1)
    for end in (start, start + bar):
        cv2.line(band, (end, middle - gap + 2), (end, middle + gap - 2), INK, 1)
    free -= bar + gap
    if _width(band, name) + gap > free:
        return free
    _write(band, name, start - gap - _width(band, name))
    return free - gap - _width(band, name)


def _size(band: Picture) -> float:
    """Of OpenCV's letters in a band."""
    return 0.37 * len(band) / BAND_PX


def _gap(band: Picture) -> int:
    return round(0.3 * len(band))


def _width(band: Picture, text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _size(band), 1)[0][0])


def _write(band: Picture, text: str, x: int) -> None:
    cv2.putText(band, text, (x, band.shape[0] - _gap(band)), _FONT, _size(band), INK, 1, cv2.LINE_AA)
