"""The masks as a DICOM Segmentation on the source slices' own grid (PS3.3 A.51, C.8.20)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DS

from scanside_appliance.dicom_out.identity import ObjectUids, derived_uid, new_uids, series_number
from scanside_appliance.dicom_out.source import clean, header_of, source_number, valid
from scanside_appliance.dicom_out.standard_tables import parse_tables_by_module
from scanside_appliance.results.seg_frames import MODELS, add_references, frames_of, pixel_element
from scanside_runtime.dicom.decode import to_source_frames
from scanside_runtime.dicom.headers import SliceHeader, lenient
from scanside_runtime.dicom.series import Series
from scanside_runtime.volume import Bools, Masks

LABELS = ("Left lung", "Right lung", "Infection")

# Recommended display values (PS3.3 C.8.20.2): calm colours for the lungs, a warm one for what is looked for.
_COLOURS_RGB = {"Left lung": (94, 170, 214), "Right lung": (110, 190, 150), "Infection": (226, 110, 60)}
_LUNG = Code("39607008", "SCT", "Lung")
# What is measured is opacity whatever its cause, so the type is a lesion of the lung (CID 7159), not a diagnosis.
_LESION = Code("52988006", "SCT", "Lesion")

_OF_THE_SERIES = (
    "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient",
)  # fmt: skip
_OF_EACH_SLICE = ("SOPClassUID", "SOPInstanceUID")
_MADE_BY = ("version", "commit", "bundle")


def series_segmentation(
    series: Series, masks: Masks, *, algorithm_version: str, software_version: str, uids: ObjectUids | None = None
) -> bytes:
    """The masks of an analysed series as the bytes of a DICOM file. uids: those of a result; else new ones."""
    return segmentation_bytes(
        _headers(series),
        (to_source_frames(series, mask.array) for mask in (masks.left_lung, masks.right_lung, masks.infection)),
        slice_spacing_mm=series.spacing_mm[0],
        algorithm_version=algorithm_version,
        software_version=software_version,
        uids=uids,
    )


def segmentation_digest(series: Series, masks: Masks, provenance: Mapping[str, Any]) -> str:
    """SHA-256 of all that decides what the Segmentation holds: source slices, masks, and what made them.

    Not of the grade or the course of the patient: a study that is measured again for these alone has the same masks,
    and an archive keeps one of them.
    """
    made_by = {name: provenance[name] for name in _MADE_BY}
    digest = sha256(repr((made_by, series.spacing_mm[0], series.grid.layout)).encode())
    with lenient():
        for header in _headers(series):
            digest.update(repr([(element.tag, element.value) for element in header]).encode())
    for mask in (masks.left_lung, masks.right_lung, masks.infection):
        digest.update(repr((mask.shape, mask.box)).encode() + mask.bits.tobytes())
    return digest.hexdigest()


def _headers(series: Series) -> list[Dataset]:
    """The source slices' headers, as far as a Segmentation needs them; feet first like the series.

    Made of what the reader's own process has read: no foreign byte is parsed in this one.
    """
    first, *others = series.slices
    with lenient():
        whole = header_of(first)
        whole.Modality, whole.Rows, whole.Columns = "CT", first.rows, first.columns
        whole.PixelSpacing = _decimals(first.pixel_spacing_mm)
        whole.ImageOrientationPatient = _decimals(first.image_orientation_patient)
        whole.ImagePositionPatient = _decimals(first.image_position_patient)
        return [whole, *map(_place_of, others)]


def _place_of(one: SliceHeader) -> Dataset:
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    header.ImagePositionPatient = _decimals(one.image_position_patient)
    return header


def _decimals(numbers: Sequence[float] | None) -> list[Any]:
    """Numbers as the decimal strings of DICOM: 16 letters at most. A series on a grid has them all."""
    return [DS(number, auto_format=True) for number in numbers or ()]


def segmentation_bytes(
    headers: Sequence[Dataset],
    segments: Iterable[Bools],
    *,
    slice_spacing_mm: float,
    algorithm_version: str,
    software_version: str,
    uids: ObjectUids | None = None,
) -> bytes:
    """One BINARY Segmentation of all three segments, as the bytes of a DICOM file.

    headers: the n source slices, without pixels. segments: in the order of `LABELS`, each (n, rows, columns) bool with
    slices in the order of `headers`, rows and columns as the slices store them; taken one after the other.

    - Every slice has a frame of every segment, empty ones too: readers then see each segment on the whole source grid,
      and a segment in which nothing was found is there and says so.
    - The lungs include the infection, so the segments overlap (SegmentsOverlap, PS3.3 C.8.20.2).
    - Orientation and frame of reference are the first slice's: the series was checked for one grid before, and what
      rounding leaves between slices would make the object invalid.

    Raises ValueError when headers and segments differ in number or size.
    """
    shape = (len(headers), int(headers[0].Rows), int(headers[0].Columns))
    with lenient():  # the reader of the series has judged its header values; they make no noise a second time
        sources = _clean_sources(headers, slice_spacing_mm)
        seg = _described(sources[:MODELS], shape[1:], uids or new_uids(), algorithm_version, software_version)
        add_references(seg, sources)
        frames = frames_of(seg, sources, len(LABELS))
        pixels, overlap = _packed(frames.order, segments, shape)
        for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
            item.DimensionOrganizationUID = derived_uid(str(seg.SOPInstanceUID), "dimensions")  # else new each time
        seg.SegmentsOverlap = "YES" if overlap else "NO"
        del seg.PixelData
        buffer = io.BytesIO()
        seg.save_as(buffer)
    return buffer.getvalue() + frames.encoded + pixel_element(pixels)  # the last two elements, in this order


def _described(
    sources: Sequence[Dataset],
    plane: tuple[int, ...],
    uids: ObjectUids,
    algorithm_version: str,
    software_version: str,
) -> Segmentation:
    """The object as of these slices alone, (rows, columns) each, with every pixel still 0.

    All that it says of slices and pixels is put in afterwards; the array of zeros is a single byte seen many times.
    """
    parse_tables_by_module()
    return Segmentation(
        source_images=sources,
        pixel_array=np.broadcast_to(np.uint8(0), (len(sources), *plane, len(LABELS))),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(algorithm_version),
        series_instance_uid=uids.series,
        series_number=series_number(source_number(sources[0]), 0),
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer="Scanside",
        manufacturer_model_name="Scanside",
        software_versions=software_version,
        device_serial_number="0",
        content_label="LUNG_INFECTION",
        content_description="Lungs and infection, research use only",
        series_description="Scanside lungs and infection",
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )


def _packed(order: Sequence[int], segments: Iterable[Bools], shape: tuple[int, int, int]) -> tuple[bytes, bool]:
    """The slices of each segment in this order, one bit a pixel; and whether segments overlap.

    Nothing pads a frame (PS3.5 8.2); eight at a time are whole bytes whatever the matrix. One segment at a time is held
    as bools.
    """
    packed: list[bytes] = []
    waiting: list[Bools] = []
    seen = np.zeros((shape[0], -(-shape[1] * shape[2] // 8)), np.uint8)  # bits of each slice, in any segment yet
    overlap, taken = False, iter(segments)
    for _ in LABELS:
        segment = next(taken, None)
        if segment is None or segment.shape != shape:
            raise ValueError(f"{len(LABELS)} segments are needed, each {shape}")
        for number in order:
            bits = np.packbits(segment[number])
            overlap = overlap or bool((seen[number] & bits).any())
            seen[number] |= bits
            waiting.append(segment[number].copy())
            if len(waiting) == 8:
                packed.append(_eight(waiting))
        del segment  # the next one is made before this name is given to it
    if next(taken, None) is not None:
        raise ValueError(f"more segments than {len(LABELS)}")
    whole = b"".join((*packed, _eight(waiting)))
    return whole + b"\0" * (len(whole) % 2), overlap  # values have an even length (PS3.5 6.2)


def _eight(waiting: list[Bools]) -> bytes:
    """The bits of the frames that wait, which then wait no longer."""
    bits = np.packbits(np.stack(waiting), axis=None, bitorder="little").tobytes() if waiting else b""
    waiting.clear()
    return bits


def _segments(algorithm_version: str) -> list[SegmentDescription]:
    lung = {"segmented_property_category": codes.SCT.AnatomicalStructure, "segmented_property_type": _LUNG}
    lesion = {
        "segmented_property_category": codes.SCT.MorphologicallyAbnormalStructure,
        "segmented_property_type": _LESION,
        "anatomic_regions": [_LUNG],
    }
    algorithm = hd.AlgorithmIdentificationSequence(
        name="Scanside", family=codes.DCM.ArtificialIntelligence, version=algorithm_version
    )
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=label,
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=hd.color.CIELabColor.from_rgb(*_COLOURS_RGB[label]),
            **(lesion if label == "Infection" else lung),
        )
        for number, label in enumerate(LABELS, start=1)
    ]
    for segment, side in zip(described, (codes.SCT.Left, codes.SCT.Right), strict=False):
        segment.SegmentedPropertyTypeModifierCodeSequence = [
            CodedConcept(side.value, side.scheme_designator, side.meaning)
        ]
    return described


def _clean_sources(headers: Sequence[Dataset], slice_spacing_mm: float) -> list[Dataset]:
    """Copies of the headers with what a Segmentation takes over: every value valid, and one grid for all."""
    shared = _shared(headers[0], slice_spacing_mm)
    sources = []
    for header in headers:
        source = Dataset()
        source.update(shared)
        source.update({header[keyword].tag: header[keyword] for keyword in _OF_EACH_SLICE})
        # one spelling of a number for all: highdicom keeps "-100" where it stood so, and the frames must be alike
        source.ImagePositionPatient = _decimals([float(one) for one in header.ImagePositionPatient])
        sources.append(source)
    return sources


def _shared(first: Dataset, slice_spacing_mm: float) -> Dataset:
    shared = clean(first)
    shared.update({first[keyword].tag: first[keyword] for keyword in _OF_THE_SERIES})
    shared.SliceThickness = valid(first, "SliceThickness") or f"{slice_spacing_mm:.6g}"
    shared.SpacingBetweenSlices = f"{slice_spacing_mm:.6g}"
    return shared
