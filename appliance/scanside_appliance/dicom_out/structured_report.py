"""The numbers as a DICOM Structured Report, TID 1500 (PS3.16) in a Comprehensive SR (PS3.3 A.35.3).

Only what was measured stands in it: a value that is null in the document is not there, and a group without one neither.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import SegmentationStorage

from scanside_appliance.dicom_out import concepts
from scanside_appliance.dicom_out.concepts import Quantity
from scanside_appliance.dicom_out.identity import NOTICE, ObjectUids, derived_uid, series_number
from scanside_appliance.dicom_out.own import MANUFACTURER
from scanside_appliance.dicom_out.source import source_number
from scanside_appliance.dicom_out.standard_tables import parse_tables_by_module
from scanside_appliance.files.names import harmless
from scanside_runtime.dicom.headers import lenient

Document = Mapping[str, Any]
Group = MeasurementsAndQualitativeEvaluations | VolumetricROIMeasurementsAndQualitativeEvaluations


@dataclass(frozen=True, slots=True)
class Region:
    """A place that numbers belong to. block: the part of the document that has them. segment: where it is a segment."""

    name: str
    block: Document
    quantities: tuple[Quantity, ...]
    sites: tuple[FindingSite, ...]
    finding: Code = concepts.LUNG
    segment: int | None = None


def report_bytes(
    document: Document, patient: Dataset, slices: Sequence[Dataset], segmentation: ObjectUids, uids: ObjectUids
) -> bytes:
    """The report on an analysed study as the bytes of a DICOM file.

    patient: as `source.patient_and_study` gives it. slices: as `source.references`. segmentation: the UIDs of the
    Segmentation that belongs to the result.
    """
    with lenient():
        report = _report(document, patient, slices, segmentation, uids)
        buffer = io.BytesIO()
        report.save_as(buffer)
    return buffer.getvalue()


def _report(
    document: Document, patient: Dataset, slices: Sequence[Dataset], segmentation: ObjectUids, uids: ObjectUids
) -> ComprehensiveSR:
    version = str(document["provenance"]["version"])
    parse_tables_by_module()
    content = _content(document, segmentation)[0]
    report = ComprehensiveSR(
        evidence=[*slices, _segmentation_reference(patient, segmentation)],
        content=_without_items(content),
        series_instance_uid=uids.series,
        series_number=series_number(source_number(patient), 1),
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=version,
        device_serial_number="0",
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="Scanside measurements, research use only",
        specific_character_set="ISO_IR 192",
        coding_schemes=[_own_scheme()],
    )
    report.ContentSequence = content.ContentSequence
    return report


def _without_items(content: Dataset) -> Dataset:
    """The root alone: highdicom copies what it is given, builds it anew and searches it three times, a third of all."""
    root = Dataset({tag: content[tag] for tag in content.keys() - {Tag("ContentSequence")}})
    root.ContentSequence = []
    return root


def _segmentation_reference(patient: Dataset, segmentation: ObjectUids) -> Dataset:
    reference = Dataset()
    reference.update(patient)
    reference.SeriesInstanceUID, reference.SOPInstanceUID = segmentation.series, segmentation.instance
    reference.SOPClassUID, reference.Modality = SegmentationStorage, "SEG"
    return reference


def _own_scheme() -> CodingSchemeIdentificationItem:
    return CodingSchemeIdentificationItem(
        designator=concepts.OWN_SCHEME,
        name="Codes of Scanside, for what SNOMED CT, DICOM and RadLex have no concept of",
        responsible_organization=MANUFACTURER,
    )


def _content(document: Document, segmentation: ObjectUids) -> MeasurementReport:
    device = DeviceObserverIdentifyingAttributes(
        uid=derived_uid("software", str(document["provenance"]["version"])),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER,
    )
    content = MeasurementReport(
        observation_context=ObservationContext(ObserverContext(codes.DCM.Device, device)),
        procedure_reported=concepts.CT_OF_CHEST,
        imaging_measurements=list(_groups(document, segmentation)),
    )
    content[0].ContentSequence.extend(_comment(text) for text in _texts(document))
    return content


def _groups(document: Document, segmentation: ObjectUids) -> Iterator[Group]:
    algorithm = _algorithm(document)
    for region in _regions(document["biomarkers"]):
        measurements = _measurements(region)
        evaluations = list(_evaluations(document)) if region.name == "Lungs" else []
        if not measurements:
            continue
        common: dict[str, Any] = {
            "tracking_identifier": _tracking(document, region),
            "finding_type": region.finding,
            "finding_sites": region.sites,
            "algorithm_id": algorithm,
            "measurements": measurements,
            "qualitative_evaluations": evaluations or None,
        }
        if region.segment is None:
            yield MeasurementsAndQualitativeEvaluations(**common)
        else:
            common["referenced_segment"] = _segment(document, segmentation, region.segment)
            yield VolumetricROIMeasurementsAndQualitativeEvaluations(**common)


def _regions(biomarkers: Document) -> Iterator[Region]:
    """Both lungs, each lung, the infection, the six zones."""
    whole, lungs = concepts.OF_A_LUNG, (FindingSite(concepts.LUNG, codes.SCT.Bilateral),)
    yield Region("Lungs", biomarkers, (*whole, concepts.SIX_ZONE_SCORE), lungs)
    for segment, side in enumerate(("left", "right"), start=1):
        site = FindingSite(concepts.LUNG, concepts.SIDES[side])
        yield Region(f"{side.capitalize()} lung", biomarkers[side], whole, (site,), segment=segment)
    infection = concepts.OF_THE_INFECTION
    yield Region("Infection", biomarkers, infection, lungs, concepts.OPACITY, segment=3)
    for name, zone in biomarkers["zones"].items():
        side, third = name.split("_")
        site = FindingSite(concepts.LUNG, concepts.SIDES[side], concepts.THIRDS[third])
        yield Region(f"Zone {side} {third}", zone, (*whole, concepts.ZONE_SCORE), (site,))


def _measurements(region: Region) -> list[Measurement]:
    found = ((quantity, region.block.get(quantity.field)) for quantity in region.quantities)
    return [
        Measurement(name=quantity.concept, value=value, unit=quantity.unit)
        for quantity, value in found
        if value is not None
    ]


def _evaluations(document: Document) -> Iterator[QualitativeEvaluation]:
    grade = document["biomarkers"]["ct_extent_grade"]
    if grade is not None:
        yield QualitativeEvaluation(concepts.EXTENT_GRADE, concepts.GRADES[grade])
    yield QualitativeEvaluation(concepts.SEVERITY_FLAG, concepts.FLAGS[document["severity"]["flag"]])


def _tracking(document: Document, region: Region) -> TrackingIdentifier:
    """Of one study and series a region is one thing, whatever the revision; patients are never joined by it."""
    where = (document["study"]["study_uid"], document["series"]["uid"], region.name)
    return TrackingIdentifier(uid=derived_uid("tracking", *where), identifier=region.name)


def _segment(document: Document, segmentation: ObjectUids, number: int) -> ReferencedSegment:
    return ReferencedSegment(
        sop_class_uid=SegmentationStorage,
        sop_instance_uid=segmentation.instance,
        segment_number=number,
        source_series=SourceSeriesForSegmentation(document["series"]["uid"]),
    )


def _algorithm(document: Document) -> AlgorithmIdentification:
    provenance = document["provenance"]
    bundle, engine = provenance["bundle"], provenance["engine"]
    return AlgorithmIdentification(
        name=MANUFACTURER,
        version=str(provenance["version"]),
        manufacturer=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        parameters=[
            f"model bundle {bundle['name']} {bundle['version']} sha256 {bundle['sha256']}",
            f"engine {engine['name']} {engine['version']}, {engine['precision']}",
            f"input sha256 {provenance['input_sha256']}",
        ],
    )


def _texts(document: Document) -> Iterator[str]:
    """What a reader of the numbers must know: the notice, the cautions, what changed."""
    yield f"{NOTICE}. Made by software, not verified by a person."
    yield from (_caution(flag) for flag in document["flags"] if flag["level"] == "caution")
    change = document["progression"]
    if change is not None:
        trend, density = (change[name].replace("_", " ") for name in ("trend", "density_trend"))
        yield harmless(f"Since the scan before: POI {trend}, iHU {density}. {change['why']}")


def _caution(flag: Mapping[str, str]) -> str:
    return harmless(f"Caution {flag['code']}: {flag['message']}")


def _comment(text: str) -> TextContentItem:
    name = CodedConcept.from_code(codes.DCM.Comment)
    return TextContentItem(name=name, value=text, relationship_type=RelationshipTypeValues.CONTAINS)
