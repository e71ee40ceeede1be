"""Pictures as files: for the result folder, and for a page that may have so many bytes and no more."""

from __future__ import annotations

from collections.abc import Sequence

import cv2

from scanside_appliance.pictures.plane import Picture

QUALITY = 90
_QUALITIES = (82, 70, 55, 40)


def png_bytes(picture: Picture) -> bytes:
    """The picture as a PNG file."""
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes()


def jpeg_bytes(picture: Picture, quality: int = QUALITY) -> bytes:
    """The picture as a JPEG file, for pages that carry many."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def jpegs_within(pictures: Sequence[Picture], most_bytes: int) -> list[bytes]:
    """All pictures as JPEG files, as good as `most_bytes` for all of them together allow; never below quality 40."""
    files: list[bytes] = []
    for quality in _QUALITIES:
        files = [jpeg_bytes(picture, quality) for picture in pictures]
        if sum(map(len, files)) <= most_bytes:
            break
    return files
