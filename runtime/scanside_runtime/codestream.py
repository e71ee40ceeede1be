"""How large a compressed picture says it is, read from its own first markers without decoding it.

JPEG and JPEG-LS: the frame header (ITU-T T.81 B.2.2, T.87 C.2.2). JPEG 2000: the SIZ segment (ITU-T T.800 A.5.1).
"""

from __future__ import annotations

import struct

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
# SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ENDS_OF_HEADERS = {0xD9, 0xDA}

Size = tuple[int, int, int]


def codestream_size(frame: bytes) -> Size | None:
    """(rows, columns, components), or None where no size is stated."""
    try:
        if frame.startswith(_JPEG_START):
            return _jpeg_size(frame)
        start = frame.find(_JPEG_2000_START)
        return None if start < 0 else _jpeg_2000_size(frame, start)
    except struct.error:  # it breaks off inside its headers
        return None


def _jpeg_size(frame: bytes) -> Size | None:
    """Marker segments are passed over by their lengths up to the frame header."""
    at = len(_JPEG_START)
    while frame[at : at + 1] == b"\xff":
        marker = frame[at + 1] if at + 1 < len(frame) else 0xD9
        if marker in _FRAME_MARKERS:
            rows, columns, components = struct.unpack_from(">HHB", frame, at + 5)
            return rows, columns, components
        if marker in _ENDS_OF_HEADERS:
            return None
        fill = marker == 0xFF  # any number of them may stand before a marker
        at += 1 if fill else 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return None


def _jpeg_2000_size(frame: bytes, start: int) -> Size:
    x_end, y_end, x_start, y_start = struct.unpack_from(">4I", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    return y_end - y_start, x_end - x_start, components
