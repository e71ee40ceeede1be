"""The DICOM objects of a result beside its Segmentation, each made from the result document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

from pydicom.dataset import Dataset

from scanside_appliance.dicom_out.identity import ObjectUids, derived_uid, object_uids, result_digest
from scanside_appliance.dicom_out.secondary_capture import KeyPicture, capture_bytes
from scanside_appliance.dicom_out.source import patient_and_study, references
from scanside_appliance.dicom_out.structured_report import report_bytes
from scanside_appliance.pictures.draw import Pictures, SlicePicture
from scanside_runtime.dicom.series import Series

SEGMENTATION, REPORT, CAPTURES = "seg.dcm", "sr.dcm", "sc_*.dcm"
MOST_SLICES = 6
Maker = Callable[[dict[str, Any]], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class ArchiveObjects:
    """What report and key pictures have in common: whose they are, the source slices, the pictures.

    found: the digest of the Segmentation. The pictures show nothing else, and go with it; the report says more, the
    course of the patient too, and goes by the document.
    """

    patient: Dataset
    slices: tuple[Dataset, ...]
    keys: tuple[KeyPicture, ...]
    found: str

    @classmethod
    def of(cls, series: Series, pictures: Pictures, found: str) -> ArchiveObjects:
        """Of an analysed series."""
        patient = patient_and_study(series)
        slices = tuple(references(series.slices, patient))
        return cls(patient, slices, _key_pictures(pictures, slices), found)

    def makers(self) -> dict[str, Maker]:
        """By file name, what makes an object's bytes from the result document."""
        captures = {f"sc_{number:02d}.dcm": partial(self.capture, number) for number in range(1, len(self.keys) + 1)}
        return {REPORT: self.report, **captures}

    def report(self, document: Mapping[str, Any]) -> bytes:
        """The Structured Report."""
        segmentation, own = object_uids(self.found, "seg"), object_uids(result_digest(document), "sr")
        return report_bytes(document, self.patient, self.slices, segmentation, own)

    def capture(self, number: int, document: Mapping[str, Any]) -> bytes:
        """A key picture as a Secondary Capture, by its number from 1 on."""
        key, version = self.keys[number - 1], str(document["provenance"]["version"])
        uids = _uids_of(key, object_uids(self.found, "sc"))
        return capture_bytes(key, self.patient, uids, number=number, software_version=version)


def _uids_of(key: KeyPicture, series: ObjectUids) -> ObjectUids:
    """A picture that is drawn otherwise, by whatever version, is another object."""
    drawn = sha256(key.picture.tobytes()).hexdigest()
    return replace(series, instance=derived_uid(series.series, key.caption, drawn))


def _spread(pictures: tuple[SlicePicture, ...]) -> list[SlicePicture]:
    """So many of them, from the first to the last: the archive has the slices themselves, and the Segmentation."""
    last, most = len(pictures) - 1, min(MOST_SLICES, len(pictures))
    return [pictures[round(place * last / max(most - 1, 1))] for place in range(most)]


def _key_pictures(pictures: Pictures, slices: tuple[Dataset, ...]) -> tuple[KeyPicture, ...]:
    """The slices from the head down, then the coronal view. slices: the sources, from the feet up."""
    axial = [
        KeyPicture(
            one.picture,
            f"Slice {one.number} of {len(slices)}, z {one.position_mm:+.1f} mm",
            ("L", "P"),
            (slices[len(slices) - one.number],),
        )
        for one in _spread(pictures.slices)
    ]
    return (*axial, KeyPicture(pictures.coronal, "Coronal view", ("L", "F"), slices))
