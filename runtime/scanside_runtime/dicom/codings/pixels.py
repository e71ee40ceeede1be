"""Stored pixel values of one CT slice, for every transfer syntax that can be decoded here.

Each transfer syntax has exactly one decoder, so the same file gives the same numbers wherever Scanside is installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from scanside_runtime.dicom.codings.codestream import codestream_header
from scanside_runtime.dicom.codings.words import without_unused_bits
from scanside_runtime.dicom.completeness import NATIVE, damage_refusal, pixel_damage
from scanside_runtime.dicom.errors import InputNotGreyscale, InputTransferSyntax, InputTruncated, InputUnreadable
from scanside_runtime.dicom.values.elements import BAD_DICOM, text, whole
from scanside_runtime.process.settle import needed

Stored = npt.NDArray[Any]

_BY_PYDICOM = NATIVE | {RLELossless}
_BY_GDCM_IN_PYDICOM = {
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
}
# Lossy JPEG of 12 bits, two of them retired: GDCM decodes them, pydicom does not hand them over.
_BY_GDCM = {JPEGExtended12Bit, "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}
# A precision that is off by a bit shifts every value of these (ITU-T T.81 H.1.2.1).
_STATES_ITS_BITS = frozenset(str(uid) for uid in (JPEGLossless, JPEGLosslessSV1, JPEGLSLossless))
LOSSY = frozenset({JPEGBaseline8Bit, JPEGLSNearLossless, JPEG2000}) | frozenset(_BY_GDCM)
DECODABLE = frozenset(str(uid) for uid in _BY_PYDICOM | _BY_GDCM_IN_PYDICOM | _BY_GDCM)


def stored_values(ds: Dataset, name: str) -> Stored:
    """(rows, columns) integers as stored, unused bits still as they are.

    Raises InputNotGreyscale, InputTransferSyntax, and InputTruncated where bytes are missing or do not decode.
    """
    transfer_syntax = str(ds.file_meta.TransferSyntaxUID)
    if transfer_syntax not in DECODABLE:
        raise InputTransferSyntax(transfer_syntax=transfer_syntax)
    try:
        damage = pixel_damage(ds, ds.get("PixelData"))
        if damage:
            raise damage_refusal(name, damage)
        check_greyscale(text(ds, "PhotometricInterpretation"), whole(ds, "SamplesPerPixel", missing=1))
        if transfer_syntax not in _BY_PYDICOM:
            _check_codestream(ds, name)
        return _decoded(ds, transfer_syntax)
    except (RuntimeError, *BAD_DICOM) as error:
        raise InputTruncated(name=name, why="what is there does not decode") from error


def check_greyscale(photometric: str | None, samples: int) -> None:
    """One sample of MONOCHROME2 each. Raises InputNotGreyscale."""
    if photometric != "MONOCHROME2" or samples != 1:
        raise InputNotGreyscale(photometric=photometric, samples=samples)


def signed_or_unsigned(values: Stored, ds: Dataset, name: str) -> Stored:
    """The values with their unused bits put right: what lies above HighBit and below the stored bits is not theirs.

    DICOM PS3.5 8.1.1, for every coding: overlay planes in the upper bits are coded like all others. A picture coded
    with no more bits than BitsStored has none that are unused; its decoder has extended the sign by its own precision.
    Raises InputUnreadable where pixels compressed with loss have such bits: what they were is lost.
    """
    container = values.dtype.itemsize * 8
    coded = _coded_bits(ds, container)
    stored = whole(ds, "BitsStored", missing=container)
    if not 0 < stored < coded:
        return values
    if str(ds.file_meta.TransferSyntaxUID) in LOSSY:
        return _within_range(values, stored, name)
    return without_unused_bits(values, stored, whole(ds, "HighBit"), coded)


def _coded_bits(ds: Dataset, container: int) -> int:
    """The precision with which the picture was coded; for native and RLE pixels the container's bits."""
    if str(ds.file_meta.TransferSyntaxUID) in _BY_PYDICOM:
        return container
    picture = codestream_header(get_frame(ds.PixelData, 0, number_of_frames=1))
    return container if picture is None else min(picture.bits, container)


def _within_range(values: Stored, stored: int, name: str) -> Stored:
    """Values clamped to the range of the stored bits: loss lets them overshoot by a little at sharp edges.

    Raises InputUnreadable where they overshoot by more than an eighth of the range: then those are bits of their own.
    """
    least = -(2 ** (stored - 1)) if values.dtype.kind == "i" else 0
    most = least + 2**stored - 1
    slack = 2 ** (stored - 3)
    if int(values.min()) < least - slack or int(values.max()) > most + slack:
        raise InputUnreadable(name=name, why=f"bits above its {stored} stored ones were compressed with loss")
    return np.clip(values, least, most)


def _check_codestream(ds: Dataset, name: str) -> None:
    """The compressed picture is what the header says, in size and precision: its decoder believes the picture.

    A lossless picture has at least the stored bits (PS3.5 8.2); coders write the allocated ones, too.
    """
    picture = codestream_header(get_frame(ds.PixelData, 0, number_of_frames=1))
    if picture is None:
        raise InputTruncated(name=name, why="what is there does not decode")
    rows, columns = whole(ds, "Rows"), whole(ds, "Columns")
    if (picture.rows, picture.columns, picture.components) != (rows, columns, 1):
        found = f"{picture.rows} x {picture.columns} x {picture.components}"
        raise InputUnreadable(name=name, why=f"its compressed picture is {found}, its header says {rows} x {columns}")
    least = whole(ds, "BitsStored") if str(ds.file_meta.TransferSyntaxUID) in _STATES_ITS_BITS else 1
    if not least <= picture.bits <= 16:
        why = f"its compressed picture has {picture.bits} bits, its header says {whole(ds, 'BitsStored')}"
        raise InputUnreadable(name=name, why=why)


def _decoded(ds: Dataset, transfer_syntax: str) -> Stored:
    if transfer_syntax in _BY_GDCM:
        return _decoded_by_gdcm(ds, transfer_syntax)
    if transfer_syntax in _BY_GDCM_IN_PYDICOM:
        coded = _coded_bits(ds, int(ds.BitsAllocated))  # told fewer, GDCM would cut the others off by itself
        values = pixel_array(ds, decoding_plugin="gdcm", bits_stored=coded, correct_unused_bits=False)
    else:
        values = pixel_array(ds, correct_unused_bits=False)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _decoded_by_gdcm(ds: Dataset, transfer_syntax: str) -> Stored:
    gdcm = needed("gdcm")
    rows, columns, bits_stored = int(ds.Rows), int(ds.Columns), int(ds.BitsStored)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(get_frame(ds.PixelData, 0, number_of_frames=1))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(transfer_syntax)))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits_stored, bits_stored - 1, int(ds.PixelRepresentation)))
    data = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands its bytes over as text
    if len(data) != rows * columns * 2:
        raise EOFError(f"{len(data)} of {rows * columns * 2} bytes decoded")
    return np.frombuffer(data, "<i2" if ds.PixelRepresentation else "<u2").reshape(rows, columns)
