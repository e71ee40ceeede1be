"""What a compressed picture says of itself, read from its own first markers without decoding it.

JPEG and JPEG-LS: the frame header (ITU-T T.81 B.2.2, T.87 C.2.2). JPEG 2000: the SIZ segment (ITU-T T.800 A.5.1).
A decoder believes the picture, not the DICOM header: a size that is wrong costs memory, a precision that is wrong ends
the process or shifts every value.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
# SOF0 to SOF15 without DHT, JPG and DAC, and SOF55 of JPEG-LS.
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ENDS_OF_HEADERS = {0xD9, 0xDA}


@dataclass(frozen=True, slots=True)
class Codestream:
    """The size and the precision of a compressed picture; bits: of a sample."""

    rows: int
    columns: int
    components: int
    bits: int


def codestream_header(frame: bytes) -> Codestream | None:
    """What the picture says of itself, or None where it says nothing."""
    try:
        if frame.startswith(_JPEG_START):
            return _jpeg_header(frame)
        start = frame.find(_JPEG_2000_START)
        return None if start < 0 else _jpeg_2000_header(frame, start)
    except struct.error:  # it breaks off inside its headers
        return None


def _jpeg_header(frame: bytes) -> Codestream | None:
    """Marker segments are passed over by their lengths up to the frame header."""
    at = len(_JPEG_START)
    while frame[at : at + 1] == b"\xff":
        marker = frame[at + 1] if at + 1 < len(frame) else 0xD9
        if marker in _FRAME_MARKERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return Codestream(rows, columns, components, bits)
        if marker in _ENDS_OF_HEADERS:
            return None
        fill = marker == 0xFF  # any number of them may stand before a marker
        at += 1 if fill else 2 + int(struct.unpack_from(">H", frame, at + 2)[0])
    return None


def _jpeg_2000_header(frame: bytes, start: int) -> Codestream:
    x_end, y_end, x_start, y_start = struct.unpack_from(">4I", frame, start + 8)
    components, signed_bits = struct.unpack_from(">HB", frame, start + 40)
    return Codestream(y_end - y_start, x_end - x_start, components, (signed_bits & 0x7F) + 1)
