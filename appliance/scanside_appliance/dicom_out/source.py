"""What our objects take over from the source: patient, study, frame of reference, and references to its slices."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.config import RAISE
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import validate_value

from scanside_runtime.dicom.headers import SliceHeader, lenient
from scanside_runtime.dicom.series import Series
from scanside_runtime.dicom.values.elements import BAD_DICOM
from scanside_runtime.errors import can_be_shown

# Type 2 attributes of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): empty when unknown or invalid.
MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
    "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
TAKEN_WHEN_VALID = ("IssuerOfPatientID", "StudyDescription", "PatientAge")
_TEXTS = (*MAY_BE_EMPTY, *TAKEN_WHEN_VALID, "SeriesNumber", "SliceThickness")


def patient_and_study(series: Series) -> Dataset:
    """Whose the source is, of what study and series, as its first slice says it: every value is valid or empty.

    Made of what the reader's own process has read: no foreign byte is parsed in this one.
    """
    with lenient():
        return clean(header_of(series.slices[0]))


def header_of(one: SliceHeader) -> Dataset:
    """A slice's UIDs and the texts that objects repeat, each as its VR allows; call it inside `lenient()`."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    header.StudyInstanceUID, header.SeriesInstanceUID = one.study_uid, one.series_uid
    texts = {**one.stated, "FrameOfReferenceUID": one.frame_of_reference_uid or ""}
    for keyword in (*_TEXTS, "FrameOfReferenceUID"):
        text = _one_line(texts.get(keyword, ""))
        if text and _fits(dictionary_VR(keyword), text):
            setattr(header, keyword, text)
    return header


def clean(first: Dataset) -> Dataset:
    """Patient, study and series of a header; call it inside `lenient()`."""
    shared = Dataset()
    shared.update({first[keyword].tag: first[keyword] for keyword in ("StudyInstanceUID", "SeriesInstanceUID")})
    for keyword in MAY_BE_EMPTY:
        setattr(shared, keyword, valid(first, keyword) or "")
    for keyword in TAKEN_WHEN_VALID:
        value = valid(first, keyword)
        if value is not None:
            setattr(shared, keyword, value)
    if shared.PatientSex not in ("M", "F", "O"):
        shared.PatientSex = ""
    # Type 1, but some de-identification drops it; derived from the series, so that all objects of the series agree.
    shared.FrameOfReferenceUID = valid(first, "FrameOfReferenceUID") or generate_uid(
        entropy_srcs=[str(first.SeriesInstanceUID), "frame of reference"]
    )
    shared.SeriesNumber = valid(first, "SeriesNumber")
    return shared


def valid(header: Dataset, keyword: str) -> str | None:
    """The value as text where it is there, single and allowed by its VR (PS3.5 6.2)."""
    if keyword not in header:
        return None
    try:
        element = header[keyword]
        text = str(element.value)
    except BAD_DICOM:
        return None
    return text if text and _fits(element.VR, text) else None


def _one_line(text: str) -> str:
    """As the document has it: what can't be shown is a space. pydicom lets control characters pass in names."""
    return "".join(letter if can_be_shown(letter) else " " for letter in text).strip()


def _fits(vr: str, text: str) -> bool:
    try:
        validate_value(vr, text, RAISE)
    except BAD_DICOM:
        return False
    return True


def source_number(header: Dataset) -> int:
    """The number of the source series; 0 where it has none."""
    return int(valid(header, "SeriesNumber") or 0)


def references(slices: Iterable[SliceHeader], patient: Dataset) -> list[Dataset]:
    """A data set for each source slice, as far as an object needs it that refers to the slice."""
    with lenient():  # the reader has taken UIDs as they are, so do references to them
        return [_reference(header, patient) for header in slices]


def _reference(header: SliceHeader, patient: Dataset) -> Dataset:
    reference = Dataset()
    reference.update(patient)
    reference.SeriesInstanceUID, reference.Modality = header.series_uid, "CT"
    reference.SOPClassUID, reference.SOPInstanceUID = header.sop_class_uid, header.sop_instance_uid
    return reference
