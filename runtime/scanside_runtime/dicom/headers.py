"""The header of one DICOM file, read leniently: what is needed is typed, what is invalid is None.

Nothing here raises on a header value. Values that Scanside can do without (dates, sex, names) become None with a note;
values that it can't do without become None and are refused by name where they are needed (`geometry`, `pixels`).
"""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from typing import BinaryIO

from pydicom.charset import python_encoding
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from scanside_runtime.dicom.codings.deflated import Plain, plain
from scanside_runtime.dicom.codings.plain_header import plain_header
from scanside_runtime.dicom.codings.words import StoredWords
from scanside_runtime.dicom.files import HEAD_BYTES, SourceFile
from scanside_runtime.dicom.mending import decimal_comma, read_header, read_whole
from scanside_runtime.dicom.values.dates import age_between, first_moment, parsed_date, stated_age_years
from scanside_runtime.dicom.values.elements import numbers, rescale, single, tag_of, text, value_of, whole
from scanside_runtime.findings import Finding

_KEYWORDS = """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality ImageType
    StudyDate StudyTime SeriesDate SeriesTime AcquisitionDate AcquisitionTime AcquisitionDateTime TimezoneOffsetFromUTC
    PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex PatientAge
    StudyDescription SeriesDescription ProtocolName BodyPartExamined
    Manufacturer ManufacturerModelName ConvolutionKernel SliceThickness ContrastBolusAgent
    ImagePositionPatient ImageOrientationPatient PatientPosition PixelSpacing Rows Columns NumberOfFrames
    SamplesPerPixel PhotometricInterpretation BitsAllocated RescaleSlope RescaleIntercept RescaleType
    AcquisitionNumber BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit
    LossyImageCompression
""".split()  # noqa: SIM905 - so many read better as words
PASSED_ON = """
    PatientID IssuerOfPatientID PatientName PatientBirthDate PatientSex PatientAge ReferringPhysicianName
    StudyDate StudyTime StudyID StudyDescription AccessionNumber SeriesNumber SliceThickness
    BurnedInAnnotation RecognizableVisualFeatures
""".split()  # noqa: SIM905
_TAGS = {int(tag): tag for tag in map(tag_of, ["SpecificCharacterSet", *_KEYWORDS, *PASSED_ON])}

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # a DICOMDIR; where it leads to is never followed


@dataclass(frozen=True, slots=True)
class PatientHeader:
    """Who was scanned and when, as one file says it; None where it is not said or is invalid."""

    patient_id: str | None
    issuer: str | None
    patient_name: str | None
    study_date: str | None  # ISO 8601
    acquired_at: str | None  # ISO 8601, as precise as the header is
    birth_date: str | None  # ISO 8601
    age_years: float | None
    sex: str | None


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """What the file of one CT slice says about itself, without its pixels.

    image_position_patient: mm, LPS, centre of the first pixel (DICOM PS3.3 C.7.6.2.1.1).
    image_orientation_patient: direction cosines along a row, then along a column.
    pixel_spacing_mm: (between rows, between columns).
    rescale: (slope, intercept).
    sha256: of the file at first sight; what is decoded later must be the same bytes.
    pixels_sha256: of the pixel data as stored, where another slice of the series lies at the same place; else None.
    damage: why the pixel data is not complete, None where it is.
    words: where the pixels lie and what they mean, where nothing about them is out of the ordinary.
    was_lossy: compressed with loss at some time, however it is stored now (PS3.3 C.7.6.1.1.5).
    decimal_comma: a needed number that is written with decimal commas, as `keyword value`.
    stated: of a CT slice, single texts of `PASSED_ON` as the file has them, for the objects that repeat them.
    """

    file: SourceFile
    sha256: str
    pixels_sha256: str | None
    damage: str | None
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str | None
    transfer_syntax: str
    modality: str | None
    image_type: tuple[str, ...]
    rows: int
    columns: int
    frames: int
    samples_per_pixel: int
    photometric_interpretation: str | None
    image_position_patient: tuple[float, ...] | None
    image_orientation_patient: tuple[float, ...] | None
    patient_position: str | None
    pixel_spacing_mm: tuple[float, ...] | None
    rescale: tuple[float, ...] | None
    rescale_type: str | None
    acquisition_number: int
    slice_thickness_mm: float | None
    study_description: str | None
    series_description: str | None
    protocol_name: str | None
    body_part_examined: str | None
    manufacturer: str | None
    model: str | None
    kernel: str | None
    contrast_bolus_agent: str | None
    patient: PatientHeader
    notes: tuple[Finding, ...]
    words: StoredWords | None = None
    was_lossy: bool = False
    decimal_comma: str | None = None
    stated: dict[str, str] = field(default_factory=dict, hash=False)


def import_encodings() -> None:
    """What is imported only when a file states it (PS3.3 C.12.1.1.2), or has an odd name: before the lock."""
    for encoding in {*python_encoding.values(), "unicode_escape"}:
        codecs.lookup(encoding)


@contextmanager
def lenient() -> Iterator[None]:
    """Inside, pydicom neither warns nor raises about header values that break their VR's rules."""
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def is_dicom(stream: BinaryIO) -> bool:
    """Does it look like DICOM: `DICM` behind a preamble, or a data set that begins in group 2 or 8 without one."""
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    return head[128:] == b"DICM" or head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def read_dataset(stream: BinaryIO, *, pixels: bool, max_inflated_mb: int) -> Dataset:
    """The data set, its transfer syntax filled in where the file does not state it; with pixels: mended (`mending`).

    Without pixels the stream is left at the pixel data, unless the data set is deflated.
    Raises any of BAD_DICOM, and InputFileTooLarge where a deflated data set has more than `max_inflated_mb`, or too
    many items.
    """
    return parsed(plain(stream, max_inflated_mb), pixels=pixels)


def parsed(file: Plain, *, pixels: bool) -> Dataset:
    """The same, of what was unpacked already: its stream is left at the pixel data in any case."""
    ds = read_whole(file.stream) if pixels else _header(file.stream)
    if file.inflated_bytes:
        ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    if not ds.file_meta.get("TransferSyntaxUID"):
        ds.file_meta.TransferSyntaxUID = _guessed_transfer_syntax(ds)
    return ds


def _header(stream: BinaryIO) -> Dataset:
    """A file that is in memory is walked where it is an ordinary one; of others no more is read than is wanted."""
    ds = plain_header(stream, _TAGS) if isinstance(stream, BytesIO) else None
    if ds is None:
        stream.seek(0)
        ds = read_header(stream, list(_TAGS.values()))
    return ds


def _guessed_transfer_syntax(ds: Dataset) -> UID:
    implicit, little_endian = ds.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


@dataclass(frozen=True, slots=True)
class FileState:
    """What is known of a file besides its header; the fields are those of `SliceHeader`, sha256 empty if not taken."""

    sha256: str = ""
    pixels_sha256: str | None = None
    damage: str | None = None
    words: StoredWords | None = None


def slice_header(ds: Dataset, file: SourceFile, state: FileState | None = None) -> SliceHeader:
    """The typed header; call it inside `lenient()`."""
    state = state or FileState()
    patient, notes = _patient_header(ds)
    return SliceHeader(
        file=file,
        sha256=state.sha256,
        pixels_sha256=state.pixels_sha256,
        damage=state.damage,
        sop_class_uid=text(ds, "SOPClassUID") or "",
        sop_instance_uid=text(ds, "SOPInstanceUID") or "",
        study_uid=text(ds, "StudyInstanceUID") or "",
        series_uid=text(ds, "SeriesInstanceUID") or "",
        frame_of_reference_uid=text(ds, "FrameOfReferenceUID"),
        transfer_syntax=str(ds.file_meta.TransferSyntaxUID),
        modality=text(ds, "Modality"),
        image_type=tuple(part.strip().upper() for part in (text(ds, "ImageType") or "").split("\\")),
        rows=whole(ds, "Rows"),
        columns=whole(ds, "Columns"),
        frames=whole(ds, "NumberOfFrames", missing=1),
        samples_per_pixel=whole(ds, "SamplesPerPixel", missing=1),
        photometric_interpretation=text(ds, "PhotometricInterpretation"),
        image_position_patient=numbers(ds, "ImagePositionPatient", 3),
        image_orientation_patient=numbers(ds, "ImageOrientationPatient", 6),
        patient_position=text(ds, "PatientPosition"),
        pixel_spacing_mm=numbers(ds, "PixelSpacing", 2),
        rescale=rescale(ds),
        rescale_type=text(ds, "RescaleType"),
        acquisition_number=whole(ds, "AcquisitionNumber"),
        slice_thickness_mm=_positive(numbers(ds, "SliceThickness", 1)),
        study_description=text(ds, "StudyDescription"),
        series_description=text(ds, "SeriesDescription"),
        protocol_name=text(ds, "ProtocolName"),
        body_part_examined=text(ds, "BodyPartExamined"),
        manufacturer=text(ds, "Manufacturer"),
        model=text(ds, "ManufacturerModelName"),
        kernel=text(ds, "ConvolutionKernel"),
        contrast_bolus_agent=text(ds, "ContrastBolusAgent"),
        patient=patient,
        notes=tuple(notes),
        words=state.words,
        was_lossy=text(ds, "LossyImageCompression") == "01",
        decimal_comma=decimal_comma(ds),
        stated=_stated(ds) if text(ds, "SOPClassUID") == CT_IMAGE else {},
    )


def _stated(ds: Dataset) -> dict[str, str]:
    values = {keyword: single(ds, keyword) for keyword in PASSED_ON}
    return {keyword: value for keyword, value in values.items() if value is not None}


def _positive(numbers: tuple[float, ...] | None) -> float | None:
    """To 0.0001: writers turn 10 into 10.0000001, which is no other length and beyond no limit."""
    return round(numbers[0], 4) if numbers is not None and numbers[0] > 0 else None


def _patient_header(ds: Dataset) -> tuple[PatientHeader, list[Finding]]:
    notes: list[Finding] = []
    study_date = _noted_date(ds, "StudyDate", notes)
    birth_date = _noted_date(ds, "PatientBirthDate", notes)
    patient = PatientHeader(
        patient_id=text(ds, "PatientID"),
        issuer=text(ds, "IssuerOfPatientID"),
        patient_name=_noted_name(ds, notes),
        study_date=study_date.isoformat() if study_date else None,
        acquired_at=acquired_at(ds),
        birth_date=birth_date.isoformat() if birth_date else None,
        age_years=_age_years(ds, birth_date, study_date, notes),
        sex=_sex(ds, notes),
    )
    return patient, notes


def _noted(keyword: str, value: str, what: str) -> Finding:
    return Finding("INPUT_HEADER_VALUE", "note", f'{keyword} "{value[:64]}" is not {what}; taken as not stated.')


def _noted_date(ds: Dataset, keyword: str, notes: list[Finding]) -> date | None:
    stated = text(ds, keyword)
    found = parsed_date(stated)
    if stated and found is None:
        notes.append(_noted(keyword, stated, "a date"))
    return found


def _noted_name(ds: Dataset, notes: list[Finding]) -> str | None:
    name = text(ds, "PatientName")
    if name is None and "PatientName" in ds and value_of(ds, "PatientName") is None:
        notes.append(_noted("PatientName", "", "readable"))
    return name


def _sex(ds: Dataset, notes: list[Finding]) -> str | None:
    stated = text(ds, "PatientSex")
    if stated is None or stated.upper() in ("M", "F", "O"):
        return stated and stated.upper()
    notes.append(_noted("PatientSex", stated, "M, F or O"))
    return None


def _age_years(ds: Dataset, birth: date | None, study: date | None, notes: list[Finding]) -> float | None:
    """From PatientAge or the dates of birth and study, the younger; an age of 0 counts where the others give none."""
    stated = text(ds, "PatientAge")
    age = stated_age_years(stated)
    if stated and age is None:
        notes.append(_noted("PatientAge", stated, "an age"))
    known = [one for one in (age, age_between(birth, study)) if one is not None]
    return min(filter(None, known), default=min(known, default=None))


def acquired_at(ds: Dataset) -> str | None:
    """When the slice was acquired, ISO 8601: the acquisition's own moment, else the series', else the study's."""
    levels = [
        (text(ds, f"{level}Date") or "", text(ds, f"{level}Time") or "") for level in ("Acquisition", "Series", "Study")
    ]
    stated, offset = text(ds, "AcquisitionDateTime") or "", text(ds, "TimezoneOffsetFromUTC") or ""
    return first_moment(stated, offset, levels)
