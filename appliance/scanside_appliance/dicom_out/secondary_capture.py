"""Key pictures as DICOM Secondary Captures (PS3.3 A.8.1), for archives whose viewers show no Segmentation.

Notice, place, sides and scale are burned into every picture as it is drawn, and nothing that names a patient.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from scanside_appliance.dicom_out.identity import NOTICE, ObjectUids, series_number
from scanside_appliance.dicom_out.own import MANUFACTURER
from scanside_appliance.dicom_out.source import source_number
from scanside_appliance.dicom_out.standard_tables import parse_tables_by_module
from scanside_appliance.pictures.plane import Picture
from scanside_runtime.dicom.headers import lenient

_DERIVATION = "Outlines of lungs and infection, found by software, drawn over a slice in a lung window"


@dataclass(frozen=True, slots=True, eq=False)
class KeyPicture:
    """A picture, what it shows in words, and the source slices that it shows.

    orientation: where the patient's side is towards the end of a row and of a column (PS3.3 C.7.6.1.1.1).
    """

    picture: Picture
    caption: str
    orientation: tuple[str, str]
    shown: tuple[Dataset, ...]


def capture_bytes(key: KeyPicture, patient: Dataset, uids: ObjectUids, *, number: int, software_version: str) -> bytes:
    """One key picture as the bytes of a DICOM file; it does without compression, so that every archive takes it.

    patient: as `source.patient_and_study` gives it. number: in the series, from 1 on.
    """
    with lenient():
        capture = _capture(key, patient, uids, number, software_version)
        buffer = io.BytesIO()
        capture.save_as(buffer)
    return buffer.getvalue()


def _capture(key: KeyPicture, patient: Dataset, uids: ObjectUids, number: int, software_version: str) -> SCImage:
    parse_tables_by_module()
    capture = SCImage(
        pixel_array=np.ascontiguousarray(key.picture[..., ::-1]),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=key.orientation,
        study_instance_uid=patient.StudyInstanceUID,
        series_instance_uid=uids.series,
        series_number=series_number(source_number(patient), 2),
        sop_instance_uid=uids.instance,
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=software_version,
        series_description="Scanside key pictures, research use only",
        specific_character_set="ISO_IR 192",
    )
    capture.copy_patient_and_study_information(key.shown[0])
    capture.BodyPartExamined = "CHEST"
    capture.ConversionType = "WSD"
    capture.BurnedInAnnotation = "YES"
    capture.ImageComments = f"{key.caption}. {NOTICE}."
    capture.DerivationDescription = _DERIVATION
    capture.DerivationCodeSequence = [_item(codes.DCM.SegmentationImageDerivation)]
    capture.SourceImageSequence = [_reference(one) for one in key.shown]
    return capture


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [_item(Code("121322", "DCM", "Source image for image processing operation"))]
    return item


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
