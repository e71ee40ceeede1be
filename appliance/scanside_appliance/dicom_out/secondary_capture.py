"""Key pictures as DICOM Secondary Captures (PS3.3 A.8.1), for archives whose viewers show no Segmentation.

The notice and the place are burned in, and nothing that names a patient.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from scanside_appliance.dicom_out.identity import NOTICE, ObjectUids, series_number
from scanside_appliance.dicom_out.own import MANUFACTURER
from scanside_appliance.dicom_out.source import source_number
from scanside_appliance.pictures.lettering import INK
from scanside_appliance.pictures.plane import Picture
from scanside_runtime.dicom.headers import lenient

STRIP_PX = 22
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


def capture_bytes(
    key: KeyPicture, patient: Dataset, uids: ObjectUids, *, number: int, software_version: str
) -> bytes:
    """One key picture as the bytes of a DICOM file; it does without compression, so that every archive takes it.

    patient: as `source.patient_and_study` gives it. number: in the series, from 1 on.
    """
    with lenient():
        capture = _capture(key, patient, uids, number, software_version)
        buffer = io.BytesIO()
        capture.save_as(buffer)
    return buffer.getvalue()


def _capture(key: KeyPicture, patient: Dataset, uids: ObjectUids, number: int, software_version: str) -> SCImage:
    capture = SCImage(
        pixel_array=np.ascontiguousarray(_with_notice(key)[..., ::-1]),
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


def _with_notice(key: KeyPicture) -> Picture:
    """The picture, which says what it shows, with a dark strip below: whose it is, what it must not be used for."""
    height, width = key.picture.shape[:2]
    shown = np.full((height + STRIP_PX, width, 3), 24, np.uint8)  # (h, w, 3) BGR
    shown[:height] = key.picture
    text, corner = f"{MANUFACTURER}: {NOTICE.lower()}", (8, height + 15)
    cv2.putText(shown, text, corner, cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    return shown


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [_item(Code("121322", "DCM", "Source image for image processing operation"))]
    return item


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
