"""Whether two files end in the same picture, by their very bytes: nothing of either is believed, and nothing parsed.

A slice that comes by a share and by the network is one data set in two files, by what a child says that has parsed it.
That word alone must cost nobody a file: whoever took the child over could say it of any two.
"""

from __future__ import annotations

from mmap import ACCESS_READ, mmap
from pathlib import Path

from scanside_appliance.files.copies import BLOCK
from scanside_appliance.files.durable_files import opened_file

PICTURE = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
"""(7FE0,0010) as little and big endian write it; its VR and length are in the 8 bytes behind it (PS3.5 7.1)."""
HEAD_OF_PICTURE = 12
MAGIC_AT, META_AT = 128, 132
WITHOUT_PREAMBLE = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""Group 2 or 8, the last as big endian writes it: what the reader takes for DICOM."""
META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
"""(0002,0000), which says how long the file meta information is (PS3.10 7.1)."""


def ends_alike(copy: Path, kept: Path) -> bool:
    """Whether what is kept ends as the copy does from its picture on, or from its data set on where it has none.

    Raises OSError.
    """
    with opened_file(copy) as one, opened_file(kept) as other:
        if not copy.stat().st_size or not kept.stat().st_size:
            return False
        with mmap(one.fileno(), 0, access=ACCESS_READ) as ours, mmap(other.fileno(), 0, access=ACCESS_READ) as theirs:
            start = _start(ours)
            return 0 < start < len(ours) and _same_end(ours, theirs, len(ours) - start)


def may_be_dicom(copy: Path) -> bool:
    """Whether a file begins as one of DICOM does, with its preamble or, as old ones, without. Raises OSError."""
    with opened_file(copy) as file:
        head = file.read(META_AT)
    return head[MAGIC_AT:] == b"DICM" or head[:2] in WITHOUT_PREAMBLE


def _start(data: mmap) -> int:
    """0 where it can't be told."""
    found = [at for at in map(data.find, PICTURE) if at >= 0]
    if found:
        return min(found) + HEAD_OF_PICTURE
    if data[MAGIC_AT:META_AT] != b"DICM" or data[META_AT : META_AT + 8] != META_LENGTH:
        return 0
    return META_AT + 12 + int.from_bytes(data[META_AT + 8 : META_AT + 12], "little")


def _same_end(one: mmap, other: mmap, size: int) -> bool:
    """Of so many bytes, block by block."""
    if len(other) < size:
        return False
    starts = range(-size, 0, BLOCK)
    return all(one[len(one) + at : _until(one, at)] == other[len(other) + at : _until(other, at)] for at in starts)


def _until(data: mmap, at: int) -> int:
    return len(data) + min(at + BLOCK, 0)
