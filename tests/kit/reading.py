"""Reading with the limits that a box has by itself, for tests that are about something else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scanside_appliance.cohort import studies
from scanside_appliance.cohort.studies import CohortStudy, Noticed
from scanside_appliance.cohort.walk import Passed
from scanside_runtime.dicom import decode, index, series
from scanside_runtime.dicom.decode import Progress
from scanside_runtime.dicom.index import Found
from scanside_runtime.dicom.series import Series
from scanside_runtime.settings.reading import ReadingSettings
from scanside_runtime.volume import Volume

LIMITS = ReadingSettings()


def find_series(path: Path, limits: ReadingSettings = LIMITS) -> Found:
    return index.find_series(path, limits)


def choose_series(
    found: Found, *, limits: ReadingSettings = LIMITS, study_uid: str | None = None, series_uid: str | None = None
) -> Series:
    return series.choose_series(found, limits=limits, study_uid=study_uid, series_uid=series_uid)


def read_volume(chosen: Series, progress: Progress | None = None, limits: ReadingSettings = LIMITS) -> Volume:
    return decode.read_volume(chosen, limits, progress)


def find_studies(
    folders: Iterable[Path],
    noticed: Noticed | None = None,
    limits: ReadingSettings = LIMITS,
    passed_over: Passed | None = None,
) -> list[CohortStudy]:
    return studies.find_studies(folders, limits=limits, noticed=noticed, passed_over=passed_over)
