"""The slices that a result was made from, read once more, and its masks put back on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset

from scanside_appliance.dicom_out.objects import SEGMENTATION
from scanside_appliance.files.layout import BoxLayout, archive_place
from scanside_appliance.referral.errors import BoxPackNoSource, PackBurnedIn, PackSourceChanged, PackUnmeasured
from scanside_appliance.results.dicom_seg import LABELS
from scanside_runtime.dicom.reader import StudyReader
from scanside_runtime.dicom.series import Series, choose_series
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.volume import Masks, Volume

TWO_PERSONS = frozenset({"PATIENT_TWO_BODIES", "PATIENT_MIXED"})
_MUST_NOT_SAY_YES = ("BurnedInAnnotation", "RecognizableVisualFeatures")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A study as it was measured; masks are None where it was refused: nothing that was found in it is believed."""

    series: Series
    volume: Volume
    masks: Masks | None


def source_folder(layout: BoxLayout, result: Path) -> Path:
    """Where the box keeps the files of a result's study. Raises BoxPackNoSource."""
    patient, study = result.parent.parent.name, result.parent.name
    folder = layout.root / archive_place(patient, study)
    if not result.is_relative_to(layout.results) or not folder.is_dir():
        raise BoxPackNoSource(folder=folder)
    return folder


def read_source(folder: Path, result: Path, document: Mapping[str, Any], limits: ReadingSettings) -> Source:
    """The series of a result from a folder, in the reader's own process, and its masks where it was measured.

    Raises what reading raises, PackSourceChanged, PackBurnedIn, PackUnmeasured.
    """
    _check_can_be_packed(result, document)
    with StudyReader(limits) as reader:
        found = reader.find(folder)
        series = choose_series(
            found, study_uid=document["study"]["study_uid"], series_uid=document["series"]["uid"], limits=limits
        )
        _check_nothing_burned_in(series)
        volume = reader.read_volume(series)
    if volume.input_sha256 != document["provenance"]["input_sha256"]:
        raise PackSourceChanged(folder=folder)
    measured = document["verdict"] == "analysed"
    return Source(series, volume, _masks(result, series, volume) if measured else None)


def _check_can_be_packed(result: Path, document: Mapping[str, Any]) -> None:
    """Raises PackUnmeasured where there is no series to show, or it is not one person's for certain."""
    verdict = document["verdict"]
    codes = {(document.get("reason") or {}).get("code"), *(flag["code"] for flag in document.get("flags", ()))}
    if verdict == "held":
        why = "it is held for a person, and may be another patient's"
    elif verdict == "analysed" and not (result / SEGMENTATION).is_file():
        why = "its DICOM objects were left out, so that there are no masks"
    elif codes & TWO_PERSONS:
        why = "it may show two patients, and one pseudonym would make them one"
    elif not document.get("series") or not document["provenance"].get("input_sha256"):
        why = "it was refused before its pictures could be read"
    else:
        return
    raise PackUnmeasured(folder=result, why=why)


def _check_nothing_burned_in(series: Series) -> None:
    for header in series.slices:
        for keyword in _MUST_NOT_SAY_YES:
            if header.stated.get(keyword, "").strip().upper() == "YES":
                raise PackBurnedIn(keyword=keyword, value="YES")


def _masks(result: Path, series: Series, volume: Volume) -> Masks:
    """Raises PackUnmeasured where the Segmentation is not that of the series."""
    ds = dcmread(result / SEGMENTATION)
    segments = {label: np.zeros(volume.hu.shape, np.bool_) for label in LABELS}
    labels = {int(item.SegmentNumber): str(item.SegmentLabel) for item in ds.SegmentSequence}
    places = np.array([header.image_position_patient for header in series.slices], np.float64)  # (n, 3) mm
    if (ds.Rows, ds.Columns) != (series.slices[0].rows, series.slices[0].columns):
        raise PackUnmeasured(folder=result, why="its Segmentation is not that of its slices")
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        label = labels[int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
        segments[label][_nearest(item, places)] = series.grid.layout.to_lps(frame) > 0
    left, right, infection = (volume.with_mask(segments[label]) for label in LABELS)
    return Masks(right, left, infection)


def _nearest(item: Dataset, places: npt.NDArray[np.float64]) -> int:
    place = np.array(item.PlanePositionSequence[0].ImagePositionPatient, np.float64)
    return int(np.argmin(np.square(places - place).sum(axis=1)))
