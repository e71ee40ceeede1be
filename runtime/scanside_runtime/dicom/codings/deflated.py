"""A file before it is parsed: the deflated transfer syntax (DICOM PS3.5 A.5) is unpacked once, and items are counted.

What a few bytes may grow to is limited before anything grows: one file here, all files of a study by `index`.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator, read_preamble
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from scanside_runtime.dicom.errors import InputFileTooLarge
from scanside_runtime.dicom.files import MIB

MOST_ITEMS = 500_000
"""Of sequences in one file; pydicom takes some 850 bytes and 20 microseconds for an empty one. A Segmentation of a
chest in a hundred parts has some 160 000; no slice has a hundred."""
_ITEM_BYTES = 8
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # PS3.5 7.5, little and big endian
_DEFLATED = DeflatedExplicitVRLittleEndian.encode()
_PLAIN = ExplicitVRLittleEndian.encode().ljust(len(_DEFLATED), b"\x00")


@dataclass(frozen=True, slots=True)
class Plain:
    """A stream that can be parsed as it is. inflated_bytes: what was unpacked for it, 0 where it is the file's own."""

    stream: BinaryIO
    inflated_bytes: int = 0

    def whole(self) -> bytes:
        """All of it; the stream stays where it is."""
        at = self.stream.tell()
        self.stream.seek(0)
        data = self.stream.read()
        self.stream.seek(at)
        return data


def plain(stream: BinaryIO, max_inflated_mb: int) -> Plain:
    """The data set of a file, unpacked and named as what it then is. Raises InputFileTooLarge, zlib.error, EOFError."""
    read_preamble(stream, force=True)
    meta = list(data_element_generator(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2))
    is_deflated = any(_DEFLATED in (one.value or b"") for one in meta if isinstance(one, RawDataElement))
    begins_at, inflated = stream.tell(), b""
    if is_deflated:
        inflated = _inflated(stream.read(), max_inflated_mb)
        stream.seek(0)
        stream = BytesIO(stream.read(begins_at).replace(_DEFLATED, _PLAIN) + inflated)
    _check_items(stream)
    stream.seek(0)
    return Plain(stream, len(inflated))


def _inflated(deflated: bytes, max_mb: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, max_mb * MIB + 1)
    if len(inflated) > max_mb * MIB:
        raise InputFileTooLarge(what=f"a deflated file unpacks to more than {max_mb} MB")
    if not inflater.eof:
        raise EOFError("the deflated data set breaks off")
    return inflated


def _check_items(stream: BinaryIO) -> None:
    """Of a stream that is in memory; whoever reads from a file wants no more than its beginning."""
    if isinstance(stream, BytesIO) and stream.seek(0, os.SEEK_END) > MOST_ITEMS * _ITEM_BYTES:
        items = max(map(stream.getvalue().count, _ITEMS))
        if items > MOST_ITEMS:
            raise InputFileTooLarge(what=f"it has {items} items of sequences, at most {MOST_ITEMS} are read")
