"""A header that is walked says what pydicom's parser finds in it; what is unusual is left to that parser."""

from __future__ import annotations

import random
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from kit.dicom_samples import make_slice, transcode, write
from scanside_runtime.dicom.codings.plain_header import plain_header
from scanside_runtime.dicom.headers import lenient
from scanside_runtime.dicom.mending import read_header
from scanside_runtime.dicom.values.elements import BAD_DICOM, tag_of
from sweeps.fuzz_reader import mutated

TAGS = {
    int(tag): tag
    for tag in map(tag_of, ("SpecificCharacterSet", "PatientName", "StudyDescription", "SliceThickness", "Rows"))
}


def with_everything(ds: Dataset) -> Dataset:
    """A name in Japanese, empty values, a private element, sequences and items with and without a stated length."""
    ds.SpecificCharacterSet, ds.PatientName = ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"
    ds.StudyDescription, ds.SliceThickness = "", None
    ds.private_block(0x0009, "SOMEBODY", create=True).add_new(1, "UN", b"what it is")
    for keyword, is_undefined in (("ReferencedStudySequence", True), ("ReferencedImageSequence", False)):
        item, code = Dataset(), Dataset()
        code.CodeValue, item.ReferencedSOPInstanceUID = "121311", "1.2.3"
        item.PurposeOfReferenceCodeSequence = Sequence([code, code])
        item["PurposeOfReferenceCodeSequence"].is_undefined_length = True
        item.is_undefined_length_sequence_item = is_undefined
        setattr(ds, keyword, Sequence([item]))
        ds[keyword].is_undefined_length = is_undefined
    return ds


def data_of(folder: Path, ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    ds.file_meta.TransferSyntaxUID = syntax
    return (write(folder, [ds]) / "000.dcm").read_bytes()


def found_in(ds: Dataset, stream: BytesIO) -> dict[str, Any]:
    """All that is asked of a header that was read, and where its pixels begin."""
    elements = {
        int(one.tag): (one.VR, one.value, one.is_implicit_VR, one.is_little_endian)
        for one in ds.values()
        if isinstance(one, RawDataElement) and one.tag != tag_of("SpecificCharacterSet")
    }
    return {
        "elements": elements,
        "meta": [str(ds.file_meta.get(name)) for name in ("TransferSyntaxUID", "MediaStorageSOPClassUID")],
        "encoding": (ds.original_encoding, ds.original_character_set),
        "pixels at": stream.tell(),
    }


def walked(data: bytes) -> dict[str, Any] | None:
    stream = BytesIO(data)
    ds = plain_header(stream, TAGS)
    return None if ds is None else found_in(ds, stream)


def parsed(data: bytes) -> dict[str, Any] | str:
    stream = BytesIO(data)
    try:
        return found_in(read_header(stream, list(TAGS.values())), stream)
    except BAD_DICOM as error:
        return repr(error)


ORDINARY = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian}


@pytest.mark.parametrize("syntax", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_header_is_walked_and_says_the_same(tmp_path: Path, syntax: str) -> None:
    data = data_of(tmp_path, make_slice(), syntax)
    with lenient():
        assert walked(data) == parsed(data)


def test_one_with_compressed_pixels_is_too(tmp_path: Path) -> None:
    (path,) = transcode(write(tmp_path / "plain", [make_slice()]), tmp_path / "coded", JPEGLSLossless).iterdir()
    with lenient():
        assert walked(path.read_bytes()) == parsed(path.read_bytes())


def test_letters_empty_values_and_sequences_are_found_the_same(tmp_path: Path) -> None:
    data = data_of(tmp_path, with_everything(make_slice()))
    with lenient():
        assert walked(data) == parsed(data)


@pytest.mark.parametrize("syntax", ORDINARY.values(), ids=ORDINARY)
def test_a_damaged_header_says_the_same_wherever_it_is_walked(tmp_path: Path, syntax: str) -> None:
    rng, count = random.Random(0), 0
    data = data_of(tmp_path, with_everything(make_slice()), syntax)
    header = data.index(b"\xe0\x7f\x10\x00")
    with lenient():
        for _ in range(600):
            damaged = mutated(data[:header], rng) + data[header:]
            found = walked(damaged)
            assert found is None or found == parsed(damaged)
            count += found is not None
    assert count > 100


CHARSET = b"\x08\x00\x05\x00CS"


def nested(depth: int) -> bytes:
    begins = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return begins * depth + (b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)) * depth


UNUSUAL: dict[str, Callable[[bytes], bytes]] = {
    "an item with letters of its own": lambda data: data.replace(b"\x08\x00\x00\x01SH", b"\x08\x00\x05\x00CS"),
    "a sequence where a value belongs": lambda data: data.replace(b"\x08\x00\x10\x11SQ", b"\x18\x00\x50\x00SQ"),
    "a command before the data set": lambda data: data.replace(
        CHARSET, b"\x00\x00\x02\x00UI\x02\x001\x00" + CHARSET, 1
    ),
    "no preamble": lambda data: data[132:],
    "a file meta of another length": lambda data: data[:140] + b"\x10" + data[141:],
    "a VR that nobody knows": lambda data: data.replace(b"\x10\x00\x10\x00PN", b"\x10\x00\x10\x00QQ"),
    "sequences in one another, as deep as pydicom can't go": lambda data: data.replace(
        CHARSET, nested(300) + CHARSET, 1
    ),
    "more letters of character sets than are kept": lambda data: data.replace(
        CHARSET + b"\x10\x00", CHARSET + b"\xf4\x01" + b" " * (500 - 16), 1
    ),
    "an end within the header": lambda data: data[: data.index(b"\x28\x00\x10\x00US") + 4],
    "an end where the pixels begin": lambda data: data[: data.index(b"\xe0\x7f\x10\x00") + 8],
    "explicit where implicit is said": lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0"),
    "big-endian, as it says": lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"),
}


@pytest.mark.parametrize("change", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_unusual_is_left_to_the_parser(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    data = data_of(tmp_path, with_everything(make_slice()))
    with lenient():
        assert walked(data) is not None
        assert walked(change(data)) is None


@pytest.mark.parametrize(
    "first",
    [b"\x08\x00\x01\x00AA\x00\x00" + bytes(0x4141), b"\xfe\xff\x0d\xe0" + bytes(4)],
    ids=["a length that reads as a VR", "the end of an item"],
)
def test_an_implicit_header_that_begins_oddly_is_too(tmp_path: Path, first: bytes) -> None:
    data = data_of(tmp_path, make_slice(), ImplicitVRLittleEndian)
    begins = data.index(b"\x08\x00\x08\x00")
    assert walked(data[:begins] + first + data[begins:]) is None
