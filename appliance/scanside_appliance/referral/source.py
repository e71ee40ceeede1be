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
from scanside_runtime.settings.tables import ReadingSettings
from scanside_runtime.volume import Masks, Volume

_MUST_NOT_SAY_YES = ("BurnedInAnnotation", "RecognizableVisualFeatures")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A study as it was measured."""

    series: Series
    volume: Volume
    masks: Masks


def source_folder(layout: BoxLayout, result: Path) -> Path:
    """Where the box keeps the files of a result's study. Raises BoxPackNoSource."""
    patient, study = result.parent.parent.name, result.parent.name
    folder = layout.root / archive_place(patient, study)
    if not result.is_relative_to(layout.results) or not folder.is_dir():
        raise BoxPackNoSource(folder=folder)
    return folder


def read_source(folder: Path, result: Path, document: Mapping[str, Any], limits: ReadingSettings) -> Source:
    """The series of a result from a folder, in the reader's own process, and its masks.

    Raises what reading raises, PackSourceChanged, PackBurnedIn, PackUnmeasured.
    """
    if document["verdict"] != "analysed" or not (result / SEGMENTATION).is_file():
        raise PackUnmeasured(folder=result)
    with StudyReader(limits) as reader:
        found = reader.find(folder)
        series = choose_series(
            found, study_uid=document["study"]["study_uid"], series_uid=document["series"]["uid"], limits=limits
        )
        _check_nothing_burned_in(series)
        volume = reader.read_volume(series)
    if volume.input_sha256 != document["provenance"]["input_sha256"]:
        raise PackSourceChanged(folder=folder)
    return Source(series, volume, _masks(result, series, volume))


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
        raise PackUnmeasured(folder=result)
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    for item, frame in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        label = labels[int(item.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
        segments[label][_nearest(item, places)] = series.grid.layout.to_lps(frame) > 0
    left, right, infection = (volume.with_mask(segments[label]) for label in LABELS)
    return Masks(right, left, infection)


def _nearest(item: Dataset, places: npt.NDArray[np.float64]) -> int:
    place = np.array(item.PlanePositionSequence[0].ImagePositionPatient, np.float64)
    return int(np.argmin(np.square(places - place).sum(axis=1)))


