"""Is a file stored in the byte order that its transfer syntax says? Told by bytes: no parser reads such a file."""

from __future__ import annotations

BIG_AS_LITTLE = "its bytes are big-endian, and its transfer syntax says little-endian"
LITTLE_AS_BIG = "its bytes are little-endian, and its transfer syntax says big-endian"
_META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_TRANSFER_SYNTAX = b"\x02\x00\x10\x00UI"
_META_AT = 132
_BIG_ENDIAN, _DEFLATED = b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99"


def byte_order_fault(data: bytes) -> str | None:
    """What contradicts what, in words; None where nothing does, or it can't be told.

    The file meta is little-endian always (PS3.10 7.1) and says where the data set begins: with group 8.
    """
    length_at = _META_AT + len(_META_LENGTH)
    if data[_META_AT:length_at] != _META_LENGTH:
        return None
    start = length_at + 4 + int.from_bytes(data[length_at : length_at + 4], "little")
    meta = data[length_at + 4 : start]
    at = meta.find(_TRANSFER_SYNTAX)
    if at < 0:
        return None
    value_at = at + len(_TRANSFER_SYNTAX) + 2
    declared = meta[value_at : value_at + int.from_bytes(meta[value_at - 2 : value_at], "little")].rstrip(b"\0 ")
    group = data[start : start + 2]
    if declared == _BIG_ENDIAN:
        return LITTLE_AS_BIG if group == b"\x08\x00" else None
    return BIG_AS_LITTLE if group == b"\x00\x08" and declared != _DEFLATED else None
