"""Pictures as files: for the result folder, and for a page that may have so many bytes and no more."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from scanside_appliance.pictures.plane import Picture

QUALITY, TILE_QUALITY = 90, 82
_QUALITIES = (QUALITY, TILE_QUALITY, 70, 55, 40)
_SMALLER = 0.8
_LEAST_PX = 32


def png_bytes(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes()


def jpeg_bytes(picture: Picture, quality: int) -> bytes:
    """The picture as a JPEG file, for pages that carry many."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def jpegs_within(pictures: Sequence[Picture], most_bytes: int, best: int = TILE_QUALITY) -> list[bytes]:
    """All pictures as JPEG files, as good as `most_bytes` for all of them together allow.

    best: the quality to begin with. What does not fit at quality 40 is made smaller until it does, to 32 pixels.
    """
    files: list[bytes] = []
    for quality in (one for one in _QUALITIES if one <= best):
        files = [jpeg_bytes(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= most_bytes:
            return files
    if min((min(picture.shape[:2]) for picture in pictures), default=0) * _SMALLER < _LEAST_PX:
        return files
    return jpegs_within([_smaller(picture) for picture in pictures], most_bytes, _QUALITIES[-1])


def _smaller(picture: Picture) -> Picture:
    return np.asarray(cv2.resize(picture, None, fx=_SMALLER, fy=_SMALLER, interpolation=cv2.INTER_AREA), np.uint8)
