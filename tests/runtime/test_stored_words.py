"""Words that lie in their file as they are give what the careful way gives; what is unusual goes that way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from kit.dicom_samples import COLUMNS, ROWS, change, make_series, make_slice, write
from kit.reading import choose_series, find_series, read_volume
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.errors import ScansideError

SLICES = 12


def read_both_ways(folder: Path) -> tuple[Any, Any]:
    """The HU of a series, and the HU of the same without the short way."""
    series = choose_series(find_series(folder))
    assert all(header.words for header in series.slices)
    careful = replace(series, slices=tuple(replace(header, words=None) for header in series.slices))
    return read_volume(series).hu, read_volume(careful).hu


def first_header(folder: Path) -> SliceHeader:
    return find_series(folder).headers[0]


WAYS_TO_HU = [("1", "-1024"), ("1", "0"), ("1", "-8192"), ("1", "3071"), ("1", "40000"), ("1", "-24.5"), ("0.5", "-8")]
PADDINGS: list[dict[str, int]] = [
    {},
    {"PixelPaddingValue": 5},
    {"PixelPaddingValue": 63536},
    {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 90},
]


@pytest.mark.parametrize(("bits", "high_bit"), [(8, 7), (12, 11), (12, 13), (15, 14), (16, 15)])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_words_give_what_the_careful_way_gives(tmp_path: Path, bits: int, high_bit: int, signed: bool) -> None:
    rng, slices = np.random.default_rng(bits), []
    for z, ((slope, intercept), padding) in enumerate(product(WAYS_TO_HU, PADDINGS)):
        words = rng.integers(0, 2**16, (ROWS, COLUMNS), dtype=np.uint16)
        words[0, :8] = (0, 5, 90, 63536, 2**15 - 1, 2**15, 2**16 - 1, 1)
        stated = {"BitsStored": bits, "HighBit": high_bit, "RescaleSlope": slope, "RescaleIntercept": intercept}
        slices.append(make_slice(z, pixels=words.view(np.int16) if signed else words, **stated))
        for keyword, value in padding.items():
            slices[-1].add_new(keyword, "US", value)
    quick, careful = read_both_ways(write(tmp_path, slices))
    np.testing.assert_array_equal(quick, careful)


def test_words_of_an_implicit_file_give_the_same(tmp_path: Path) -> None:
    slices = make_series(SLICES)
    for ds in slices:
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        ds.PixelPaddingValue = 7
    quick, careful = read_both_ways(write(tmp_path, slices))
    np.testing.assert_array_equal(quick, careful)


def test_slices_that_are_stored_turned_lie_as_they_lie_in_the_patient(tmp_path: Path) -> None:
    slices = make_series(SLICES, ImageOrientationPatient=[0, -1, 0, 1, 0, 0])
    quick, careful = read_both_ways(write(tmp_path, slices))
    np.testing.assert_array_equal(quick, careful)


def eight_bits(ds: Dataset) -> None:
    ds.PixelData = bytes(ROWS * COLUMNS)
    change(ds, BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0)


def big_endian(ds: Dataset) -> None:
    ds.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    ds.PixelData = np.frombuffer(ds.PixelData, "<u2").astype(">u2").tobytes()


def begins_like_an_item(ds: Dataset) -> None:
    ds.PixelData = b"\xfe\xff\x00\xe0" + ds.PixelData[4:]


ODD: dict[str, Callable[[Dataset], object]] = {
    "a word too many": lambda ds: change(ds, PixelData=ds.PixelData + b"\x00\x00"),
    "a word too few": lambda ds: change(ds, PixelData=ds.PixelData[:-2]),
    "something behind the picture": lambda ds: ds.add_new(0xFFFCFFFC, "OB", b"\x00\x00"),
    "bytes, by their VR": lambda ds: setattr(ds["PixelData"], "VR", "OB"),
    "8 bits": eight_bits,
    "big-endian": big_endian,
    "a picture that begins like an item of a compressed one": begins_like_an_item,
    "a number of frames": lambda ds: change(ds, NumberOfFrames=1),
    "samples not stated": lambda ds: change(ds, SamplesPerPixel=None),
    "other colours": lambda ds: change(ds, PhotometricInterpretation="MONOCHROME1"),
    "bits not stated": lambda ds: change(ds, BitsStored=None),
    "more bits than there are": lambda ds: change(ds, BitsStored=17),
    "a sign that is neither": lambda ds: change(ds, PixelRepresentation=2),
}


@pytest.mark.parametrize("what", ODD)
def test_what_is_out_of_the_ordinary_goes_the_careful_way(tmp_path: Path, what: str) -> None:
    slices = make_series(1)
    assert first_header(write(tmp_path / "plain", slices)).words is not None
    ODD[what](slices[0])
    assert first_header(write(tmp_path / "odd", slices)).words is None


def test_a_file_that_became_another_one_is_refused_on_the_short_way_too(tmp_path: Path) -> None:
    series = choose_series(find_series(write(tmp_path, make_series(SLICES))))
    data = bytearray((tmp_path / "001.dcm").read_bytes())
    data[-1] ^= 1
    (tmp_path / "001.dcm").write_bytes(data)
    with pytest.raises(ScansideError, match="changed"):
        read_volume(series)


def test_the_same_bytes_are_another_name_in_another_character_set(tmp_path: Path) -> None:
    """What a value means is kept by all that decides it."""
    name = "ÄÖ^é".encode("latin-1")
    slices = make_series(2)
    for ds, charset in zip(slices, ("ISO_IR 100", "ISO_IR 144"), strict=True):
        ds.SpecificCharacterSet = charset
        ds.PatientName = name
    names = [header.patient.patient_name for header in find_series(write(tmp_path, slices)).headers]
    assert names == ["ÄÖ^é", name.decode("iso8859-5")]


@pytest.mark.parametrize(
    ("charset", "stored", "name"),
    [
        ("ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab= ", "Zhang^XiaoDong=张^小东"),
        ("ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
    ],
)
def test_what_designates_a_character_set_is_no_part_of_a_name(
    tmp_path: Path, charset: str, stored: bytes, name: str
) -> None:
    slices = make_series(1, SpecificCharacterSet=["", charset])
    slices[0].PatientName = stored
    (header,) = find_series(write(tmp_path, slices)).headers
    assert header.patient.patient_name == name
