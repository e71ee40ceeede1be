"""Made cases: files that can't be read or used, and those made to do harm."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from kit.case_kit import case, chest, cut, directory, overwrite, put, redeclared, scan

# What can't be read


@case("INPUT_NOT_FOUND")
def nothing_there(folder: Path) -> Path:
    return folder / "nowhere"


@case("INPUT_EMPTY")
def an_empty_folder(folder: Path) -> None:
    pass


@case("INPUT_EMPTY")
def words_only(folder: Path) -> None:
    (folder / "notes.txt").write_text("no pictures")


@case("INPUT_EMPTY")
def links_only(folder: Path) -> None:
    for path in scan(folder.parent / "elsewhere"):
        (folder / path.name).symlink_to(path)


@case("INPUT_EMPTY")
def a_dicomdir_alone(folder: Path) -> None:
    directory(folder / "DICOMDIR")


@case("INPUT_UNREADABLE")
def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


@case("INPUT_UNREADABLE")
def a_device(folder: Path) -> Path:
    return Path("/dev/zero")


@case("INPUT_UNREADABLE")
def a_name_too_long_for_any_file(folder: Path) -> Path:
    return folder / ("x" * 5000)


@case("INPUT_UNREADABLE")
def a_zip_that_breaks_off(folder: Path) -> Path:
    archive = Path(shutil.make_archive(str(folder / "study"), "zip", scan(folder / "files")[0].parent))
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    return archive


@case("INPUT_UNREADABLE")
def a_damaged_zip(folder: Path) -> Path:
    archive = Path(shutil.make_archive(str(folder / "study"), "zip", scan(folder / "files")[0].parent))
    data = bytearray(archive.read_bytes())
    data[4000:4100] = b"\xff" * 100
    archive.write_bytes(data)
    return archive


@case("INPUT_TOO_LARGE")
def a_zip_that_unpacks_to_five_gigabytes(folder: Path) -> Path:
    """Each member says how large it is; 10 MB of zeros pack to 10 kB."""
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(500):
            archive.writestr(f"{number}.dcm", bytes(10 * 2**20) if number == 0 else b"")
    data = (folder / "bomb.zip").read_bytes()
    start = data.index(b"PK\x01\x02")
    central = bytearray(data[start:])
    at = central.find(b"PK\x01\x02")
    while at >= 0:
        central[at + 24 : at + 28] = (10 * 2**20).to_bytes(4, "little")
        at = central.find(b"PK\x01\x02", at + 4)
    (folder / "bomb.zip").write_bytes(data[:start] + central)
    return folder / "bomb.zip"


@case("INPUT_UNREADABLE")
def a_zip_that_lies_about_the_size_of_its_files(folder: Path) -> Path:
    scan(folder / "files")
    archive = Path(shutil.make_archive(str(folder / "study"), "zip", folder / "files"))
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (200).to_bytes(4, "little")
    archive.write_bytes(data)
    return archive


@case("INPUT_TOO_LARGE", reading={"max_files": 10})
def more_files_than_allowed(folder: Path) -> None:
    scan(folder)


@case("INPUT_FILE_TOO_LARGE")
def one_file_of_a_gigabyte(folder: Path) -> None:
    path = scan(folder)[3]
    with path.open("r+b") as stream:
        stream.truncate(2**30)


@case("INPUT_FILE_TOO_LARGE")
def a_deflated_file_that_unpacks_to_800_megabytes(folder: Path) -> None:
    """As a naive reader would: the header, then zeros without end."""
    path = scan(folder, transfer_syntax="1.2.840.10008.1.2.1.99")[2]
    data = path.read_bytes()
    start = 144 + int.from_bytes(data[140:144], "little")
    body = zlib.decompress(data[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(body) + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)  # leans on nothing before it
    bomb += 800 * megabyte + packer.flush()
    path.write_bytes(data[:start] + bomb)


def resize_codestream(path: Path, size: int) -> None:
    """Makes the picture of a JPEG 2000 file say that it is `size` pixels each way (ITU-T T.800 A.5.1)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\x4f\xff\x51") + 8
    data[at : at + 8] = size.to_bytes(4, "big") * 2
    data[at + 16 : at + 24] = size.to_bytes(4, "big") * 2
    path.write_bytes(data)


@case("INPUT_UNREADABLE")
def a_jpeg_2000_picture_larger_than_its_header_says(folder: Path) -> None:
    resize_codestream(scan(folder, transfer_syntax=JPEG2000Lossless)[4], 20_000)


@case("INPUT_FILE_TOO_LARGE")
def a_jpeg_2000_picture_of_20000_pixels_each_way(folder: Path) -> None:
    paths = scan(folder, transfer_syntax=JPEG2000Lossless)
    for path in paths:
        resize_codestream(path, 20_000)
    put(paths, Rows=20_000, Columns=20_000)


@case("INPUT_TRUNCATED")
def a_jpeg_2000_picture_that_is_small_but_says_2048(folder: Path) -> None:
    paths = scan(folder, transfer_syntax=JPEG2000Lossless)
    for path in paths:
        resize_codestream(path, 2048)
    put(paths, Rows=2048, Columns=2048)


@case("INPUT_MEMORY", reading={"memory_mb": 256})
def a_header_that_needs_more_memory_than_allowed(folder: Path) -> None:
    path = scan(folder)[1]
    data = path.read_bytes()
    at = data.index(b"\x08\x00\x05\x00CS")
    private = b"\x07\x00\x01\x10OB\x00\x00" + (300 * 2**20).to_bytes(4, "little")
    with path.open("wb") as stream:
        stream.write(data[:at] + private)
        stream.seek(300 * 2**20, os.SEEK_CUR)
        stream.write(data[at:])


@case("INPUT_TIMEOUT", reading={"study_seconds": 0.001})
def a_study_that_takes_longer_than_allowed(folder: Path) -> None:
    scan(folder)


@case("INPUT_UNREADABLE")
def sequences_nested_5000_deep(folder: Path) -> None:
    path = scan(folder)[0]
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    deep = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    path.write_bytes(data[:at] + deep + data[at:])


for share, code in ((0.01, "INPUT_UNREADABLE"), (0.5, "INPUT_TRUNCATED"), (0.999, "INPUT_TRUNCATED")):
    for coding, syntax in {"plain": None, "JPEG lossless": JPEGLosslessSV1, "JPEG 2000": JPEG2000Lossless}.items():

        def truncated(folder: Path, share: float = share, syntax: str | None = syntax) -> None:
            options = {} if syntax is None else {"transfer_syntax": syntax}
            cut(scan(folder, np.repeat(np.repeat(chest(), 4, axis=1), 4, axis=2), **options)[7], share)

        truncated.__name__ = f"a_{coding.replace(' ', '_')}_file_cut_to_{100 * share:g}_percent"
        case(code)(truncated)


@case("INPUT_TRUNCATED")
def a_file_cut_inside_its_header(folder: Path) -> None:
    path = scan(folder)[7]
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x28\x00\x02\x00US")])


@case("INPUT_TRUNCATED")
def a_slice_without_pixels(folder: Path) -> None:
    put(scan(folder), only=3, PixelData=None)


@case("INPUT_TRUNCATED")
def a_damaged_jpeg_picture(folder: Path) -> None:
    path = scan(folder, transfer_syntax=JPEGLosslessSV1)[3]
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xd8\xff")
    data[at : at + 16] = bytes(16)
    path.write_bytes(data)


for coding, (syntax, marker, at, value) in {
    "JPEG_lossless": (JPEGLosslessSV1, b"\xff\xc3", 4, 180),
    "JPEG_LS": (JPEGLSLossless, b"\xff\xf7", 4, 17),
    "JPEG_2000": (JPEG2000Lossless, b"\xff\x4f\xff\x51", 42, 40),
    "JPEG_lossless_of_too_few_bits": (JPEGLosslessSV1, b"\xff\xc3", 4, 9),
}.items():

    def imprecise(folder: Path, syntax: str = syntax, marker: bytes = marker, at: int = at, value: int = value) -> None:
        """One byte, the precision of the picture: GDCM ends the process, or gives other values without a word."""
        path = scan(folder, transfer_syntax=syntax)[3]
        data = bytearray(path.read_bytes())
        data[data.rindex(marker) + at] = value
        path.write_bytes(data)

    imprecise.__name__ = f"a_{coding}_picture_of_{value}_bits"
    case("INPUT_UNREADABLE")(imprecise)


@case("INPUT_TRANSFER_SYNTAX")
def a_coding_that_nobody_knows(folder: Path) -> None:
    for path in scan(folder):
        overwrite(path, b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.9\x00")


@case("INPUT_NOT_GREYSCALE")
def grey_values_that_run_backwards(folder: Path) -> None:
    put(scan(folder), PhotometricInterpretation="MONOCHROME1")


for lacking in ("RescaleSlope", "RescaleIntercept"):

    def lacks(folder: Path, keyword: str = lacking) -> None:
        put(scan(folder), only=5, **{keyword: None})

    lacks.__name__ = f"{lacking}_is_missing_in_one_slice"
    case("INPUT_NO_RESCALE")(lacks)


@case("INPUT_NO_RESCALE")
def a_slope_of_zero(folder: Path) -> None:
    put(scan(folder), RescaleSlope="0")


@case("INPUT_NOT_HU")
def an_iodine_map(folder: Path) -> None:
    put(scan(folder), RescaleType="MGML")


for unit in ("Z_EFF", "mg/ml", "Iodine [mg/ml]", "HU_MOD"):

    def another_quantity(folder: Path, unit: str = unit) -> None:
        put(scan(folder), RescaleType=unit)

    another_quantity.__name__ = f"a_map_of_{unit}"
    case("INPUT_NOT_HU")(another_quantity)


for unit in ("US", "UNSPECIFIED", "hu"):

    def a_map_unnamed(folder: Path, unit: str = unit) -> None:
        """Iodine of blood, nothing elsewhere: no air at -1000."""
        put(scan(folder, np.where(chest() > 60, chest() // 2, np.int16(0))), RescaleType=unit)

    a_map_unnamed.__name__ = f"an_iodine_map_that_says_{unit}"
    case("INPUT_NOT_HU")(a_map_unnamed)


@case("INPUT_NOT_HU")
def signed_values_declared_unsigned(folder: Path) -> None:
    put(scan(folder, rescale=(1.0, 0.0)), PixelRepresentation=0)


@case("INPUT_NOT_HU")
def signed_values_declared_unsigned_with_padding(folder: Path) -> None:
    put(scan(folder, rescale=(1.0, 0.0), pixel_padding_value=-2000), PixelRepresentation=0)


@case("INPUT_NOT_HU")
def an_intercept_that_was_lost(folder: Path) -> None:
    put(scan(folder), RescaleIntercept="0")


@case("INPUT_NOT_HU")
def a_slope_that_turns_the_scale_round(folder: Path) -> None:
    put(scan(folder), RescaleSlope="-1", RescaleIntercept="1024")


@case("INPUT_RESCALE_CONTRADICTS")
def an_intercept_that_changes_and_the_pixels_do_not(folder: Path) -> None:
    put(scan(folder), only=6, RescaleIntercept="0")


@case("INPUT_RESCALE_CONTRADICTS")
def a_slope_that_doubles_half_way(folder: Path) -> None:
    put(scan(folder)[7:], RescaleSlope="2")


@case("GEOMETRY_NO_POSITION")
def a_bit_flipped_in_a_position(folder: Path) -> None:
    path = scan(folder, origin_mm=(-100.0, -80.0, -63.25))[4]
    overwrite(path, b"-100.0\\-80.0", b"-1p0.0\\-80.0")


@case("INPUT_TRANSFER_SYNTAX")
def a_bit_flipped_in_the_transfer_syntax(folder: Path) -> None:
    overwrite(scan(folder)[4], b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.3\x00")


@case("INPUT_TRUNCATED")
def a_bit_flipped_in_the_length_of_the_pixels(folder: Path) -> None:
    path = scan(folder)[4]
    data = bytearray(path.read_bytes())
    at = data.index(b"\xe0\x7f\x10\x00OW\x00\x00") + 8
    data[at + 1] ^= 0x08
    path.write_bytes(data)


# What no second sending mends: the fault is named, and who can mend it


for keyword in ("BitsAllocated", "BitsStored", "PixelRepresentation", "PhotometricInterpretation", "Rows"):

    def undescribed(folder: Path, keyword: str = keyword) -> None:
        put(scan(folder), **{keyword: None})

    undescribed.__name__ = f"a_header_without_{keyword}"
    case("INPUT_HEADER_LACKS")(undescribed)


@case("INPUT_CODING_CONTRADICTS")
def plain_pixels_declared_jpeg(folder: Path) -> None:
    for path in scan(folder):
        redeclared(path, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70")


for number, (point, comma) in enumerate(
    ((b"-100.0\\-80.0", b"-100,0\\-80,0"), (b"DS\x08\x004.0\\5.0 ", b"DS\x08\x004,0\\5,0 "))
):

    def with_commas(folder: Path, point: bytes = point, comma: bytes = comma) -> None:
        for path in scan(folder, origin_mm=(-100.0, -80.0, -63.25)):
            overwrite(path, point, comma)

    with_commas.__name__ = f"numbers_with_decimal_commas_{number}"
    case("INPUT_DECIMAL_COMMA")(with_commas)


@case("INPUT_DECIMAL_COMMA")
def an_intercept_with_a_decimal_comma(folder: Path) -> None:
    paths = scan(folder)
    put(paths, RescaleIntercept="-1024.0")
    for path in paths:
        overwrite(path, b"-1024.0", b"-1024,0")


@case("INPUT_TRUNCATED")
def a_picture_without_its_end_and_without_a_delimiter(folder: Path) -> None:
    """Zeros follow a fragment that is no end of a picture: here the transfer was broken off."""
    for path in scan(folder, transfer_syntax=JPEGLosslessSV1):
        data = path.read_bytes()
        at = data.rindex(b"\xff\xd9")
        path.write_bytes(data[:at] + bytes(64))


@case("INPUT_UNREADABLE")
def a_sequence_in_the_header_without_end(folder: Path) -> None:
    path = scan(folder)[0]
    data = path.read_bytes()
    at = data.index(b"\x10\x00\x10\x00PN")
    path.write_bytes(data[:at] + b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + data[at:])
