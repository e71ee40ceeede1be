"""Made cases: studies that lie oddly and are measured all the same, with what must be noticed."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from kit.analysis_samples import SPACING_MM
from kit.case_kit import (
    case,
    chest,
    cut,
    directory,
    edit,
    merged,
    overwrite,
    put,
    redeclared,
    scan,
    second_series,
    split_picture,
    tilted,
    undelimited,
)
from scanside_runtime.volume import Hu

# Good studies, however they lie


@case(None)
def an_untouched_chest(folder: Path) -> None:
    scan(folder)


@case(None)
def names_and_instance_numbers_shuffled(folder: Path) -> None:
    scan(folder, file_names="shuffled", scramble_instance_numbers=True)


@case(None, written=False)
def files_beside_a_pipe_a_link_and_a_device_name(folder: Path) -> None:
    scan(folder)
    os.mkfifo(folder / "pipe.dcm")
    (folder / "zero.dcm").symlink_to("/dev/zero")
    (folder / "loop").symlink_to(folder)


@case(None, written=False)
def a_dicomdir_that_leads_elsewhere(folder: Path) -> None:
    scan(folder)
    directory(folder / "DICOMDIR")
    directory(folder / "index.dcm")


@case(None, written=False)
def a_zip_whose_names_climb_out_of_it(folder: Path) -> Path:
    paths = scan(folder / "files")
    archive = folder / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number, path in enumerate(paths):
            packed.write(path, f"../../../tmp/../{number}.dcm")
    return archive


@case(None, written=False)
def file_names_that_are_no_text(folder: Path) -> None:
    for number, path in enumerate(scan(folder)):
        os.rename(path, os.fsencode(folder) + b"/\xff\xfe\n<b>" + str(number).encode())


@case(None, "INPUT_HEADER_VALUE")
def a_patient_who_is_markup_control_codes_and_another_alphabet(folder: Path) -> None:
    paths = scan(folder)
    put(paths, PatientName="<script>alert(1)</script>^\x1b[31mRed\n", PatientID="../../etc/passwd\x00")
    put(paths, PatientSex="?", StudyDescription="{0.__class__} %s $(reboot)")


@case(None)
def a_character_set_that_does_not_exist_and_bytes_that_fit_none(folder: Path) -> None:
    for path in scan(folder):
        overwrite(path, b"ISO_IR 192", b"ISO_IR 999")
        overwrite(path, b"SCANSIDE^PHANTOM", b"\xff\xfe\x1b$B\x80" + b"\xc3" * 10)


@case(None)
def uids_that_are_paths_and_far_too_long(folder: Path) -> None:
    paths = scan(folder)
    put(paths, StudyInstanceUID="../../../tmp/x", SeriesInstanceUID="1." + "2" * 300, FrameOfReferenceUID="/etc")

    def rename(ds: Dataset, number: int) -> None:
        ds.SOPInstanceUID = f"<img src=x>{number}"

    edit(paths, rename)


for padding in (-2000, -3024, 4095, 63536):

    def padded(folder: Path, value: int = padding) -> None:
        signed = value < 0
        wide = np.pad(chest(), ((0, 0), (16, 16), (16, 16)), constant_values=40)  # so that padding cuts no lung
        scan(folder, wide, rescale=(1.0, 0.0 if signed else -1024.0), pixel_padding_value=value)

    padded.__name__ = f"padding_of_{padding}_around_the_field_of_view"
    case(None, written=padding == 63536)(padded)


@case(None, "INPUT_RESCALE_VARIES")
def slopes_that_change_with_the_pixels(folder: Path) -> None:
    def halve(ds: Dataset, number: int) -> None:
        if number % 3 == 0:
            ds.PixelData = (np.frombuffer(ds.PixelData, np.uint16) * 2).astype(np.uint16).tobytes()
            ds.RescaleSlope, ds.BitsStored, ds.HighBit = "0.5", 16, 15

    edit(scan(folder), halve)


@case(None, "GEOMETRY_COPIES")
def every_file_twice(folder: Path) -> None:
    scan(folder / "a")
    shutil.copytree(folder / "a", folder / "b")


@case(None, "GEOMETRY_GAPS")
def thin_slices_with_gaps(folder: Path) -> None:
    scan(folder, slice_thickness_mm=2.0)


@case(None, "GEOMETRY_OVERLAP")
def thick_slices_that_overlap(folder: Path) -> None:
    scan(folder, spacing_mm=(8.0, 4.0, 5.0), slice_thickness_mm=10.0)


@case(None, "GEOMETRY_TILT_CORRECTED")
def a_gantry_tilted_by_6_degrees(folder: Path) -> None:
    tilted(scan(folder), 6.0)


# Numbers that are the same, whatever digits they are written with


for keyword, ways in {
    "SliceThickness": ("9.4500002", "9.4499998"),
    "PixelSpacing": (["4", "5"], ["4.0000002", "5"]),
    "RescaleIntercept": ("-1024", "-1024.0000001"),
    "ImageOrientationPatient": ([1, 0, 0, 0, 1, 0], ["0.99999999", "0.00000001", 0, 0, 1, 0]),
}.items():

    def in_two_ways(folder: Path, keyword: str = keyword, ways: Sequence[Any] = ways) -> None:
        for number, path in enumerate(scan(folder)):
            put([path], **{keyword: ways[number % 2]})

    in_two_ways.__name__ = f"the_{keyword}_written_in_two_ways"
    case(None, written=keyword == "ImageOrientationPatient")(in_two_ways)


@case(None, "GEOMETRY_COPIES")
def copies_that_another_program_wrote(folder: Path) -> None:
    scan(folder / "a")
    shutil.copytree(folder / "a", folder / "b")
    put(sorted((folder / "b").iterdir()), PixelSpacing=["4.0000001", "5"])


@case(None, "SERIES_SPLIT")
def thick_and_thin_slices_in_one_series(folder: Path) -> None:
    thick = scan(folder / "thick")
    thin = scan(
        folder / "thin", np.repeat(chest(), 4, axis=0), (SPACING_MM[0] / 4, *SPACING_MM[1:]), origin_mm=(0, 0, -3.5625)
    )
    put(thin, StudyInstanceUID=pydicom.dcmread(thick[0]).StudyInstanceUID)
    merged(thin, thick[0])


@case(None, "SERIES_SPLIT")
def two_phases_in_one_series(folder: Path) -> None:
    first = scan(folder / "native")
    later = scan(folder / "late", chest() + np.int16(3))
    put(first, AcquisitionNumber=1)
    put(later, AcquisitionNumber=2, StudyInstanceUID=pydicom.dcmread(first[0]).StudyInstanceUID)
    merged(later, first[0])


@case(None, "SERIES_SPLIT")
def a_coronal_picture_among_the_slices(folder: Path) -> None:
    paths = scan(folder)
    extra = folder / "coronal.dcm"
    shutil.copy(paths[5], extra)
    put(
        [extra],
        ImageOrientationPatient=[1, 0, 0, 0, 0, -1],
        SOPInstanceUID="1.2.3.4",
        ImageType=["DERIVED", "SECONDARY", "MPR"],
    )


@case(None, "SERIES_PASSED_OVER")
def a_broken_soft_series_beside_a_whole_sharp_one(folder: Path) -> None:
    scan(folder / "soft")[6].unlink()
    second_series(folder / "sharp", convolution_kernel="LUNG")


@case(None, "SERIES_PASSED_OVER")
def a_soft_series_cut_off_beside_a_whole_sharp_one(folder: Path) -> None:
    cut(scan(folder / "soft")[6], 0.7)
    second_series(folder / "sharp", convolution_kernel="LUNG")


@case(None, series_uid="1.2.3")
def a_reformatted_series_that_a_person_named(folder: Path) -> None:
    put(scan(folder), ImageType=["DERIVED", "SECONDARY", "MPR"], SeriesInstanceUID="1.2.3")


@case(None, "INPUT_LOSSY")
def pixels_compressed_with_loss(folder: Path) -> None:
    """JPEG-LS without loss that calls itself near-lossless: the decoder does not mind, the reader must warn."""
    for path in scan(folder, transfer_syntax=JPEGLSLossless):
        overwrite(path, b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.1.2.4.81")


# Words that name a chest in other languages, or another part than the one in the picture


for number, (said, body_part) in enumerate(
    (
        ("TÓRAX/ABDOMEN", ""),
        ("TORAKS ABDOMEN", "ABDOMEN"),
        ("ОГК, брюшная полость", ""),
        ("胸部平扫", "HEAD"),
        ("Klatka piersiowa", "ABDOMEN"),
        ("ΘΩΡΑΚΑΣ", "NECK"),
        ("Chest HEAD FIRST ARM DOWN", "CHEST"),
    )
):

    def in_words(folder: Path, said: str = said, body_part: str = body_part) -> None:
        put(scan(folder), SpecificCharacterSet="ISO_IR 192", SeriesDescription=said, BodyPartExamined=body_part)

    in_words.__name__ = f"a_chest_in_words_{number}_{said.split()[0].replace('/', '_')}"
    case(None, written=body_part == "HEAD")(in_words)


for said in ("HEAD", "Schädel", "頭部", "ABDOMEN", "T-Spine"):

    def mislabelled(folder: Path, said: str = said) -> None:
        texts = {"SeriesDescription": said, "BodyPartExamined": "", "ProtocolName": "", "StudyDescription": ""}
        put(scan(folder), SpecificCharacterSet="ISO_IR 192", **texts)

    mislabelled.__name__ = f"a_chest_mislabelled_{said}"
    case(None, "SERIES_LABELLED_OTHERWISE", written=said == "頭部")(mislabelled)


# HU, however RescaleType is spelled


for unit in ("Houndsfield Unit", "hu", "HOUNSFIELD", "UNSPECIFIED", "US", "H.U.", "Hounsfield-Einheiten"):

    def spelled(folder: Path, unit: str = unit) -> None:
        put(scan(folder), RescaleType=unit)

    spelled.__name__ = f"HU_spelled_{unit}"
    case(None, "INPUT_RESCALE_TYPE", written=unit == "US")(spelled)


@case(None, written=False)
def HU_with_a_space_behind(folder: Path) -> None:  # noqa: N802
    put(scan(folder), RescaleType="HU ")


# What a lenient reader reads without doubt


@case(None, "INPUT_MENDED")
def implicit_elements_declared_explicit(folder: Path) -> None:
    for path in scan(folder, large(), (SPACING_MM[0], 1.0, 1.25), transfer_syntax=ImplicitVRLittleEndian):
        redeclared(path, "1.2.840.10008.1.2", "1.2.840.10008.1.2.1")


@case(None, "INPUT_MENDED", written=False)
def explicit_elements_declared_implicit(folder: Path) -> None:
    """The letters OW, taken for a length, are 22 351: the pictures are larger."""
    for path in scan(folder, large(), (SPACING_MM[0], 1.0, 1.25)):
        redeclared(path, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


def large() -> Hu:
    """(14, 160, 176) int16."""
    return np.repeat(np.repeat(chest(), 4, axis=1), 4, axis=2)


for coding, syntax in {
    "JPEG_lossless": JPEGLosslessSV1,
    "JPEG_LS": JPEGLSLossless,
    "JPEG_2000": JPEG2000Lossless,
    "RLE": RLELossless,
}.items():
    for zeros in (0, 64):

        def without_delimiter(folder: Path, syntax: str = syntax, zeros: int = zeros) -> None:
            for path in scan(folder, transfer_syntax=syntax):
                undelimited(path, bytes(zeros))

        without_delimiter.__name__ = f"{coding}_without_a_delimiter_before_{zeros}_zeros"
        case(None, "INPUT_MENDED", written=coding == "JPEG_LS" and not zeros)(without_delimiter)

    def split(folder: Path, syntax: str = syntax) -> None:
        for path in scan(folder, transfer_syntax=syntax):
            split_picture(path)

    split.__name__ = f"a_{coding}_picture_with_two_offsets"
    if coding != "RLE":
        case(None, "INPUT_MENDED", written=coding == "JPEG_2000")(split)


@case(None, "INPUT_MENDED")
def no_samples_per_pixel(folder: Path) -> None:
    put(scan(folder), SamplesPerPixel=None)


@case(None, "INPUT_MENDED", written=False)
def no_samples_per_pixel_in_a_jpeg_picture(folder: Path) -> None:
    put(scan(folder, transfer_syntax=JPEGLosslessSV1), SamplesPerPixel=None)


for number, behind in enumerate(
    (bytes(512), b"\xfa\xff\xfa\xffSQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" + bytes(40))
):

    def with_rubbish_behind(folder: Path, behind: bytes = behind) -> None:
        for path in scan(folder):
            path.write_bytes(path.read_bytes() + behind)

    with_rubbish_behind.__name__ = f"rubbish_behind_the_picture_{number}"
    case(None, written=number == 1)(with_rubbish_behind)
