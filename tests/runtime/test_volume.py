"""Pixels become HU in one LPS order, the same numbers whatever the coding, and masks find back to the slices."""

from __future__ import annotations

import hashlib
import shutil
import struct
import tracemalloc
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless

from kit.dicom_samples import COLUMNS, LOSSLESS, ROWS, change, make_series, make_slice, picture, transcode, write
from kit.reading import LIMITS, choose_series, find_series, read_volume
from scanside_runtime.dicom.decode import content_digest, to_source_frames
from scanside_runtime.dicom.errors import InputTransferSyntax, InputTruncated, InputUnreadable
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.series import Series
from scanside_runtime.phantom.dicom_writer import FileNames, Orientation, Storage, write_series
from scanside_runtime.volume import Volume

SLICES = 12


def volume_of(folder: Path, slices: list[Dataset]) -> Volume:
    return read_volume(choose_series(find_series(write(folder, slices))))


def expected_hu(slices: int = SLICES) -> npt.NDArray[np.int16]:
    return np.stack([picture(n) - 1024 for n in range(slices)]).astype(np.int16)  # (z, y, x)


def stored(values: npt.NDArray[Any], **changes: Any) -> list[Dataset]:
    """A series in which every slice holds these stored values."""
    return [make_slice(n, pixels=values, **changes) for n in range(SLICES)]


def corner(*values: int, dtype: type[np.generic] = np.int16) -> npt.NDArray[Any]:
    """(rows, columns) of zeros with some values at the beginning."""
    frame = np.zeros((ROWS, COLUMNS), dtype=dtype)
    frame.ravel()[: len(values)] = values
    return frame


# Values


def test_stored_values_become_hu(tmp_path: Path) -> None:
    volume = volume_of(tmp_path, make_series())
    np.testing.assert_array_equal(volume.hu, expected_hu())
    assert volume.hu.dtype == np.int16
    assert not volume.hu.flags.writeable
    assert volume.hu_mean == pytest.approx(expected_hu().mean())


def test_each_slice_is_rescaled_by_its_own_slope_and_intercept(tmp_path: Path) -> None:
    slices = make_series()
    change(slices[3], RescaleSlope="2", RescaleIntercept="-1000")
    change(slices[4], RescaleSlope="0.25")
    hu = volume_of(tmp_path, slices).hu
    np.testing.assert_array_equal(hu[3], np.minimum(2 * picture(3).astype(int) - 1000, 3071))
    np.testing.assert_array_equal(hu[4], np.rint(picture(4) / 4 - 1024))
    np.testing.assert_array_equal(hu[5], expected_hu()[5])


def test_hu_are_clamped_to_the_range_of_ct(tmp_path: Path) -> None:
    hu = volume_of(tmp_path, stored(corner(-32768, -2000, 0, 4095, 4096, 32767))).hu
    assert hu[0].ravel()[:6].tolist() == [-1024, -1024, -1024, 3071, 3071, 3071]


@pytest.mark.parametrize(
    ("dtype", "vr", "bytes_stated"),
    [
        (np.int16, "SS", struct.pack("<h", 700)),
        (np.uint16, "US", struct.pack("<H", 700)),
        (np.uint16, "SS", struct.pack("<h", 700)),
    ],
)
def test_padding_becomes_air_though_it_would_be_bone(
    tmp_path: Path, dtype: type[np.generic], vr: str, bytes_stated: bytes
) -> None:
    slices = stored(corner(700, 701, dtype=dtype), RescaleIntercept="0")
    for ds in slices:
        ds.add_new("PixelPaddingValue", vr, struct.unpack("<h" if vr == "SS" else "<H", bytes_stated)[0])
    assert volume_of(tmp_path, slices).hu[0].ravel()[:3].tolist() == [-1024, 701, 0]


@pytest.mark.parametrize("padding", [0, 3071])
def test_padding_that_a_patient_measures_too_is_padding_around_him_alone(tmp_path: Path, padding: int) -> None:
    values = np.full_like(picture(0), 40, dtype=np.int16)
    values[[0, -1]] = values[:, [0, -1]] = padding  # around
    values[2:4, 2:4] = padding  # inside
    slices = stored(values, RescaleIntercept="0")
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", padding)
    hu = volume_of(tmp_path, slices).hu[0]
    assert (hu[2:4, 2:4] == padding).all()
    assert (hu[[0, -1]] == -1024).all()
    assert (hu[:, [0, -1]] == -1024).all()
    assert np.count_nonzero(hu == -1024) == hu.size - (hu.shape[0] - 2) * (hu.shape[1] - 2)


def test_padding_stated_unsigned_is_read_in_the_sign_of_the_pixels(tmp_path: Path) -> None:
    slices = stored(corner(-500, -499), RescaleIntercept="0")
    for ds in slices:
        ds.add_new("PixelPaddingValue", "US", 65536 - 500)
    assert volume_of(tmp_path, slices).hu[0].ravel()[:3].tolist() == [-1024, -499, 0]


def test_padding_stated_signed_is_read_in_unsigned_pixels(tmp_path: Path) -> None:
    slices = stored(corner(63536, 63535, dtype=np.uint16), RescaleSlope="0.01", RescaleIntercept="0")
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", -2000)
    assert volume_of(tmp_path, slices).hu[0].ravel()[:3].tolist() == [-1024, 635, 0]


def test_a_padding_range_is_padding_from_end_to_end(tmp_path: Path) -> None:
    slices = stored(corner(-300, -250, -200, -199, -301), RescaleIntercept="0")
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", -300)
        ds.add_new("PixelPaddingRangeLimit", "SS", -200)
    assert volume_of(tmp_path, slices).hu[0].ravel()[:5].tolist() == [-1024, -1024, -1024, -199, -301]


@pytest.mark.parametrize("transfer_syntax", [None, LOSSLESS["RLE"]])
def test_what_lies_outside_the_stored_bits_is_cut_off(tmp_path: Path, transfer_syntax: str | None) -> None:
    values = picture(5).astype(np.uint16)
    shifted = (values << 2) | np.uint16(0xC001)
    slices = stored(shifted, BitsStored=12, HighBit=13)
    for ds in slices:
        if transfer_syntax:
            ds.compress(transfer_syntax, generate_instance_uid=False)
    np.testing.assert_array_equal(volume_of(tmp_path, slices).hu[0], np.minimum(values, 4095).astype(int) - 1024)


def test_signed_values_of_12_bits_keep_their_sign(tmp_path: Path) -> None:
    frame = corner(-1000, 1500).astype(np.int16)
    slices = stored((frame.view(np.uint16) & 0x0FFF).view(np.int16), BitsStored=12, HighBit=11, RescaleIntercept="0")
    assert volume_of(tmp_path, slices).hu[0].ravel()[:3].tolist() == [-1000, 1500, 0]


# Codings


@pytest.mark.usefixtures("warm_readers")
@pytest.mark.parametrize("coding", LOSSLESS)
def test_every_lossless_coding_gives_the_same_numbers(tmp_path: Path, coding: str) -> None:
    def one_slice(number: int) -> Dataset:
        return make_slice(number, pixels=(picture(number) - 1100).astype(np.int16), RescaleIntercept="10")

    plain = write(tmp_path / "plain", (one_slice(n) for n in range(SLICES)))
    coded = transcode(plain, tmp_path / "coded", LOSSLESS[coding])
    with StudyReader(LIMITS) as reader:  # which has other libraries than this process: no PIL
        series = choose_series(reader.find(coded))
        hu = reader.read_volume(series).hu
    assert series.transfer_syntax == LOSSLESS[coding]
    np.testing.assert_array_equal(hu, read_volume(choose_series(find_series(plain))).hu)


def test_a_coding_that_can_not_be_decoded_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, make_series())
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.9\x00"))
    with pytest.raises(InputTransferSyntax):
        choose_series(find_series(folder))


@pytest.mark.parametrize("lost_bytes", [1, 2, 100, 219])
def test_a_truncated_slice_is_refused_by_name(tmp_path: Path, lost_bytes: int) -> None:
    folder = write(tmp_path, make_series())
    file = folder / "004.dcm"
    file.write_bytes(file.read_bytes()[:-lost_bytes])
    with pytest.raises(InputTruncated, match=r"004\.dcm"):
        read_volume(choose_series(find_series(folder)))


@pytest.mark.parametrize("coding", ["RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000", "deflated"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_truncated_compressed_slice_is_refused_and_never_a_traceback(
    tmp_path: Path, coding: str, kept: float
) -> None:
    pixels = np.random.default_rng(0).integers(0, 2000, (128, 130), dtype=np.int16)
    plain = write(tmp_path / "plain", (make_slice(n, pixels=pixels) for n in range(SLICES)))
    coded = transcode(plain, tmp_path / "coded", LOSSLESS[coding])
    data = (coded / "004.dcm").read_bytes()
    (coded / "004.dcm").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises((InputTruncated, InputUnreadable), match=r"004\.dcm"):
        read_volume(choose_series(find_series(coded)))


def test_a_picture_damaged_inside_a_sound_file_is_refused(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", make_series())
    coded = transcode(plain, tmp_path / "coded", JPEGLSLossless)
    data = bytearray((coded / "002.dcm").read_bytes())
    start = data.rindex(b"\xff\xd8\xff")
    data[start : start + 24] = bytes(24)
    (coded / "002.dcm").write_bytes(data)
    with pytest.raises(InputTruncated, match=r"002\.dcm"):
        read_volume(choose_series(find_series(coded)))


def test_a_slice_without_pixels_is_refused(tmp_path: Path) -> None:
    slices = make_series()
    del slices[7].PixelData
    with pytest.raises(InputTruncated, match="no pixel data"):
        volume_of(tmp_path, slices)


def test_a_file_that_changes_between_header_and_pixels_is_refused(tmp_path: Path) -> None:
    series = choose_series(find_series(write(tmp_path, make_series())))
    write(tmp_path, [make_slice(0, SOPInstanceUID="1.2.3")])
    with pytest.raises(InputUnreadable, match="changed"):
        read_volume(series)
    (tmp_path / "000.dcm").unlink()
    with pytest.raises(InputUnreadable):
        read_volume(series)


# Place


def source_series(row: tuple[int, int, int], column: tuple[int, int, int]) -> list[Dataset]:
    """The same body stored with rows and columns along other axes: the voxel (z, y, x) stays where it was.

    Only directions along x and y; the grid is square pixels of 0.75 mm, origin (-100, -90) mm.
    """
    slices = []
    for n in range(SLICES):
        frame = picture(n)  # (y, x)
        transposed = row[0] == 0
        source = frame.T if transposed else frame
        source = source[:: sum(column), :: sum(row)]
        origin = np.array([-100.0, -90.0, 10.0 * n])
        for axis, cells in ((row, source.shape[1]), (column, source.shape[0])):
            if sum(axis) < 0:
                origin -= np.array(axis) * (cells - 1) * 0.75
        slices.append(
            make_slice(
                n,
                pixels=np.ascontiguousarray(source),
                ImageOrientationPatient=[*row, *column],
                ImagePositionPatient=list(origin),
                PixelSpacing=[0.75, 0.75],
            )
        )
    return slices


ORIENTATIONS = [
    ((sign_row * (1 - turned), sign_row * turned, 0), (sign_column * turned, sign_column * (1 - turned), 0))
    for turned in (0, 1)
    for sign_row in (1, -1)
    for sign_column in (1, -1)
]


@pytest.mark.parametrize(("row", "column"), ORIENTATIONS)
@pytest.mark.parametrize("feet_first", [False, True])
def test_every_orientation_arrives_in_one_order_and_finds_back(
    tmp_path: Path, row: tuple[int, int, int], column: tuple[int, int, int], feet_first: bool
) -> None:
    slices = source_series(row, column)
    sources = {ds.SOPInstanceUID: np.frombuffer(ds.PixelData, np.int16).reshape(ds.Rows, ds.Columns) for ds in slices}
    series = choose_series(find_series(write(tmp_path, slices[:: -1 if feet_first else 1])))
    volume = read_volume(series)
    np.testing.assert_array_equal(volume.hu, expected_hu())
    np.testing.assert_allclose(volume.affine @ [0, 0, 0, 1], [-100, -90, 0, 1])
    np.testing.assert_allclose(volume.affine @ [2, 3, 4, 1], [-100 + 1.5, -90 + 2.25, 40, 1])
    back = to_source_frames(series, volume.hu)
    for frame, header in zip(back, series.slices, strict=True):
        np.testing.assert_array_equal(frame, sources[header.sop_instance_uid] - 1024)


def test_pixels_that_are_not_square_keep_their_sides_when_rows_and_columns_are_exchanged(tmp_path: Path) -> None:
    straight = volume_of(tmp_path / "straight", make_series())
    assert straight.spacing_mm == pytest.approx((10.0, 0.8, 0.7))
    turned = volume_of(tmp_path / "turned", make_series(ImageOrientationPatient=[0, 1, 0, 1, 0, 0]))
    assert turned.hu.shape == (SLICES, COLUMNS, ROWS)
    assert turned.spacing_mm == pytest.approx((10.0, 0.7, 0.8))


def test_the_affine_takes_each_slice_to_its_own_position(tmp_path: Path) -> None:
    series = choose_series(find_series(write(tmp_path, make_series())))
    for z, header in enumerate(series.slices):
        assert header.image_position_patient is not None
        place_mm = (series.grid.affine @ np.array([0.0, 0.0, z, 1.0]))[:3]
        np.testing.assert_allclose(place_mm, np.array(header.image_position_patient), atol=1e-9)


def test_a_mask_of_another_shape_does_not_find_back(tmp_path: Path) -> None:
    series = choose_series(find_series(write(tmp_path, make_series())))
    with pytest.raises(ValueError, match="native grid"):
        to_source_frames(series, np.zeros((SLICES, COLUMNS, ROWS), dtype=np.bool_))


# Reading


def test_names_order_and_a_zip_change_neither_hu_nor_digest(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain", make_series())
    shuffled = tmp_path / "shuffled"
    for number, file in enumerate(sorted(plain.iterdir())):
        target = shuffled / str(number % 3) / f"{(number * 7) % SLICES}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    archive = Path(shutil.make_archive(str(tmp_path / "study"), "zip", shuffled))
    volumes = [read_volume(choose_series(find_series(path))) for path in (plain, shuffled, archive)]
    for volume in volumes[1:]:
        np.testing.assert_array_equal(volume.hu, volumes[0].hu)
        np.testing.assert_array_equal(volume.affine, volumes[0].affine)
        assert volume.input_sha256 == volumes[0].input_sha256


def test_the_digest_is_that_of_the_sorted_sums_of_the_files(tmp_path: Path) -> None:
    folder = write(tmp_path, make_series())
    sums = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir())
    expected = hashlib.sha256("\n".join(sums).encode()).hexdigest()
    series = choose_series(find_series(folder))
    assert read_volume(series).input_sha256 == content_digest(series) == expected


def test_progress_counts_the_slices(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    series: Series = choose_series(find_series(write(tmp_path, make_series())))
    read_volume(series, lambda done, total: calls.append((done, total)))
    assert calls == [(n + 1, SLICES) for n in range(SLICES)]


def test_memory_stays_near_that_of_the_volume(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2000, (256, 256), dtype=np.int16)
    folder = write(tmp_path, (make_slice(n, pixels=pixels) for n in range(40)))
    series = choose_series(find_series(folder))
    tracemalloc.start()
    try:
        volume = read_volume(series)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < volume.hu.nbytes + 16 * pixels.nbytes


# What the phantom's writer writes


@pytest.mark.parametrize("orientation", get_args(Orientation))
@pytest.mark.parametrize("file_names", get_args(FileNames))
def test_a_written_series_comes_back_as_it_was(tmp_path: Path, orientation: Orientation, file_names: FileNames) -> None:
    hu = np.clip(expected_hu(), -1000, 1400).astype(np.int16)
    origin_mm = (-120.0, -80.0, -300.0)
    write_series(
        hu,
        (10.0, 0.8, 0.7),
        tmp_path,
        origin_mm=origin_mm,
        stored=Storage(orientation=orientation, file_names=file_names, scramble_instance_numbers=True),
    )
    volume = read_volume(choose_series(find_series(tmp_path)))
    np.testing.assert_array_equal(volume.hu, hu)
    assert volume.spacing_mm == pytest.approx((10.0, 0.8, 0.7))
    np.testing.assert_allclose(volume.affine[:3, 3], origin_mm, atol=1e-6)
    np.testing.assert_allclose(np.diag(volume.affine), [0.7, 0.8, 10.0, 1.0], atol=1e-9)


def test_written_padding_is_air_for_signed_and_unsigned_pixels(tmp_path: Path) -> None:
    hu = np.full((SLICES, 20, 20), 40, dtype=np.int16)
    for intercept, padding in ((0.0, -2000), (-1024.0, 3000)):
        folder = tmp_path / str(padding)
        write_series(
            hu, (10.0, 1.0, 1.0), folder, stored=Storage(rescale=(1.0, intercept), pixel_padding_value=padding)
        )
        volume = read_volume(choose_series(find_series(folder)))
        assert (volume.hu[0, 0, 0], volume.hu[0, 10, 10]) == (-1024, 40)
        assert set(np.unique(volume.hu)) == {-1024, 40}
