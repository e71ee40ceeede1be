"""Every lossless coding gives what native pixels give, whatever lies in the bits above BitsStored (PS3.5 8.1.1)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from kit.dicom_samples import COLUMNS, ROWS, make_slice, transcode, write
from kit.reading import LIMITS, choose_series, find_series, read_volume
from scanside_runtime.dicom.codings.pixels import signed_or_unsigned, stored_values
from scanside_runtime.dicom.errors import InputUnreadable
from scanside_runtime.dicom.headers import lenient, read_dataset

CODINGS = {
    "RLE": RLELossless,
    "JPEG lossless": JPEGLossless,
    "JPEG lossless, first-order": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}
Words = npt.NDArray[np.uint16]


def words(bits: int, *, signed: bool, overlay: bool) -> Words:
    """(rows, columns) random values of so many bits in words of 16: sign extended, or with an overlay above them."""
    rng = np.random.default_rng(bits)
    values = rng.integers(0, 1 << bits, (ROWS, COLUMNS))
    if overlay:
        return (values | rng.integers(0, 1 << (16 - bits), values.shape) << bits).astype(np.uint16)
    return (values - (signed << bits) * (values >> (bits - 1)) & 0xFFFF).astype(np.uint16)


def header(bits: int, *, signed: bool, high_bit: int | None = None) -> dict[str, int]:
    return {
        "BitsStored": bits,
        "HighBit": bits - 1 if high_bit is None else high_bit,
        "PixelRepresentation": int(signed),
    }


def coded(folder: Path, pixels: Words, transfer_syntax: str, precision: int, **stated: int) -> Dataset:
    """A slice coded with a precision, sign included, that its header then knows nothing of."""
    signed = stated["PixelRepresentation"] == 1
    as_coded = make_slice(0, pixels=pixels.view(np.int16) if signed else pixels, **header(precision, signed=signed))
    transcode(write(folder / "plain", [as_coded]), folder / "coded", transfer_syntax)
    with lenient():
        ds = dcmread(folder / "coded" / "000.dcm")
        for keyword, value in stated.items():
            setattr(ds, keyword, value)
    return ds


def decoded(ds: Dataset) -> npt.NDArray[Any]:
    stream = BytesIO()
    with lenient():
        ds.save_as(stream)
        stream.seek(0)
        read = read_dataset(stream, pixels=True, max_inflated_mb=LIMITS.max_inflated_mb)
        return signed_or_unsigned(stored_values(read, "it"), read, "it").astype(np.int32)


def native(pixels: Words, **stated: int) -> npt.NDArray[Any]:
    return decoded(make_slice(0, pixels=pixels, **stated))


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("overlay", [False, True], ids=["clean", "overlay"])
def test_a_lossless_coding_equals_the_native_pixels(
    tmp_path: Path, coding: str, bits: int, signed: bool, overlay: bool
) -> None:
    pixels, stated = words(bits, signed=signed, overlay=overlay), header(bits, signed=signed)
    expected = native(pixels, **stated)
    low = -(1 << (bits - 1)) if signed else 0
    assert low <= expected.min() < expected.max() < low + (1 << bits)
    np.testing.assert_array_equal(decoded(coded(tmp_path, pixels, CODINGS[coding], 16, **stated)), expected)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("precision", range(8, 16))
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_picture_coded_with_the_stored_bits_equals_the_native_pixels(
    tmp_path: Path, coding: str, precision: int, signed: bool
) -> None:
    pixels, stated = words(precision, signed=signed, overlay=False), header(precision, signed=signed)
    ds = coded(tmp_path, pixels, CODINGS[coding], precision, **stated)
    np.testing.assert_array_equal(decoded(ds), native(pixels, **stated))


@pytest.mark.parametrize("precision", [8, 10, 12, 13])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_a_jpeg_2000_picture_of_fewer_bits_than_the_header_says_has_the_sign_of_its_own(
    tmp_path: Path, precision: int, signed: bool
) -> None:
    pixels = words(precision, signed=signed, overlay=False)
    ds = coded(tmp_path, pixels, JPEG2000Lossless, precision, **header(16, signed=signed))
    np.testing.assert_array_equal(decoded(ds), native(pixels, **header(16, signed=signed)))


@pytest.mark.parametrize("coding", ["JPEG-LS", "JPEG 2000", "JPEG lossless"])
def test_two_s_complement_coded_as_unsigned_is_signed_where_the_header_says_so(tmp_path: Path, coding: str) -> None:
    pixels = words(12, signed=True, overlay=False)
    ds = coded(tmp_path, pixels, CODINGS[coding], 16, **header(12, signed=False))
    ds.PixelRepresentation = 1
    np.testing.assert_array_equal(decoded(ds), native(pixels, **header(12, signed=True)))


@pytest.mark.parametrize("coding", CODINGS)
def test_stored_bits_that_do_not_begin_at_the_lowest_are_found_in_every_coding(tmp_path: Path, coding: str) -> None:
    pixels, stated = words(16, signed=False, overlay=False), header(12, signed=False, high_bit=13)
    ds = coded(tmp_path, pixels, CODINGS[coding], 16, **stated)
    np.testing.assert_array_equal(decoded(ds), native(pixels, **stated))
    assert native(pixels, **stated).tolist() == ((pixels >> 2) & 0xFFF).tolist()


@pytest.mark.parametrize("coding", CODINGS)
def test_padding_beyond_the_stored_bits_is_air_in_every_coding(tmp_path: Path, coding: str) -> None:
    pixels = words(11, signed=False, overlay=False)
    pixels[:2] = 63536
    slices = [coded(tmp_path / str(n), pixels, CODINGS[coding], 16, **header(12, signed=False)) for n in range(12)]
    for number, ds in enumerate(slices):
        own = make_slice(number)
        ds.SOPInstanceUID, ds.ImagePositionPatient = own.SOPInstanceUID, own.ImagePositionPatient
        ds.add_new("PixelPaddingValue", "US", 63536)
    hu = read_volume(choose_series(find_series(write(tmp_path / "series", slices)))).hu
    assert set(hu[0, :2].ravel().tolist()) == {-1024}
    np.testing.assert_array_equal(hu[0, 2:], pixels[2:].astype(np.int32) - 1024)


def test_loss_overshoots_the_stored_bits_by_a_little_and_does_not_wrap(tmp_path: Path) -> None:
    pixels = np.full((ROWS, COLUMNS), 4095, np.uint16)
    pixels[::2] = 4101
    ds = coded(tmp_path, pixels, JPEG2000, 16, **header(12, signed=False))
    assert np.unique(decoded(ds)).tolist() == [4095]


def test_overlay_bits_that_were_compressed_with_loss_are_refused(tmp_path: Path) -> None:
    pixels = words(12, signed=False, overlay=True)
    with pytest.raises(InputUnreadable, match="compressed with loss"):
        decoded(coded(tmp_path, pixels, JPEG2000, 16, **header(12, signed=False)))
