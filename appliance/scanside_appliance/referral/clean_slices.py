"""Slices as CT images that hold pixels and geometry, and nothing that their headers said.

Each is made anew from HU and the volume's affine (PS3.15 E.2, Basic Application Level Confidentiality Profile, by
construction: of all attributes that the profile removes or replaces, the pseudonym and new UIDs alone are here). A
library that goes through a header and takes out what a table lists keeps whatever the table does not list; here nothing
is kept that was not written on purpose.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless

from scanside_appliance.dicom_out.own import MANUFACTURER
from scanside_appliance.referral.pseudonym import Pseudonyms
from scanside_runtime.compression import compressed_file
from scanside_runtime.dicom.series import Series
from scanside_runtime.volume import HU_MIN, Volume

WINDOW_CENTRE_HU, WINDOW_WIDTH_HU = -600, 1500
METHOD = "Made anew of pixels and geometry; no other value of the source"


@dataclass(frozen=True, slots=True, eq=False)
class CleanSeries:
    """A volume under a pseudonym."""

    series: Series
    volume: Volume
    pseudonyms: Pseudonyms
    pseudonym: str

    def headers(self) -> list[Dataset]:
        """Of every slice, feet first, without pixels."""
        return [self.header(z) for z in range(self.volume.hu.shape[0])]

    def header(self, z: int) -> Dataset:
        """All that is said of a slice beside its pixels."""
        header = _patient_and_study(self.pseudonym)
        header.SOPClassUID, header.Modality, header.Manufacturer = CTImageStorage, "CT", MANUFACTURER
        header.BodyPartExamined = "CHEST"
        header.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
        header.StudyInstanceUID = self.pseudonyms.uid(self.series.study.study_uid)
        header.SeriesInstanceUID = self.pseudonyms.uid(self.series.uid)
        header.FrameOfReferenceUID = self.pseudonyms.uid(f"frame of reference of {self.series.uid}")
        header.SOPInstanceUID = self.pseudonyms.uid(self.series.slices[z].sop_instance_uid)
        header.SeriesNumber, header.InstanceNumber = 1, self.volume.hu.shape[0] - z
        header.PositionReferenceIndicator = header.PatientPosition = ""
        self._place(header, z)
        return header

    def _place(self, header: Dataset, z: int) -> None:
        _, dy, dx = self.volume.spacing_mm
        affine = self.volume.affine
        cosines = np.concatenate([affine[:3, 0] / dx, affine[:3, 1] / dy])
        header.Rows, header.Columns = self.volume.hu.shape[1:]
        header.PixelSpacing = [_decimal(dy), _decimal(dx)]
        header.ImageOrientationPatient = [_decimal(value) for value in cosines]
        header.ImagePositionPatient = [_decimal(value) for value in (affine @ np.array([0.0, 0.0, z, 1.0]))[:3]]
        header.SliceThickness = _decimal(self.volume.slice_thickness_mm or self.volume.spacing_mm[0])

    def file(self, z: int) -> bytes:
        """A slice as the bytes of a DICOM file, compressed without loss (JPEG-LS). Raises OSError."""
        slice_ = self.header(z)
        slice_.KVP = slice_.AcquisitionNumber = None
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 12, 11, 0
        slice_.RescaleIntercept, slice_.RescaleSlope, slice_.RescaleType = str(HU_MIN), "1", "HU"
        slice_.WindowCenter, slice_.WindowWidth = str(WINDOW_CENTRE_HU), str(WINDOW_WIDTH_HU)
        slice_.PixelData = (self.volume.hu[z].astype(np.int32) - HU_MIN).astype("<u2").tobytes()
        slice_.file_meta = FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        plain = io.BytesIO()
        slice_.save_as(plain, enforce_file_format=True)
        return compressed_file(plain.getvalue(), JPEGLSLossless)


def _patient_and_study(pseudonym: str) -> Dataset:
    header = Dataset()
    header.PatientID = header.PatientName = pseudonym
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(header, keyword, "")
    header.ReferringPhysicianName = ""
    header.PatientIdentityRemoved, header.DeidentificationMethod = "YES", METHOD
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator = "113100", "DCM"
    method.CodeMeaning = "Basic Application Confidentiality Profile"
    header.DeidentificationMethodCodeSequence = [method]
    header.BurnedInAnnotation, header.LongitudinalTemporalInformationModified = "NO", "REMOVED"
    return header


def _decimal(value: float) -> str:
    """A number as 16 characters at most (PS3.5 6.2, DS)."""
    return f"{float(value):.9g}"
