"""Limits that follow from each other: what the box may use for one analysis says how much one analysis may be."""

from __future__ import annotations

from dataclasses import replace

from scanside_runtime.settings.tables import Settings

ANALYSIS_MB = 400
ANALYSIS_BYTES_A_VOXEL = 6
"""Nearly twice what is measured: 1 182 MB for 970 slices of 512 x 512 (254 million voxels), 598 MB for 250, page and
DICOM objects included; 3.2 bytes a voxel, two of them HU that lie in shared memory."""
PASSES = 2
"""Over all files of a study: headers, then pixels."""


def fitting(settings: Settings) -> Settings:
    """The same, with no study allowed that `[jobs]` has no memory or time for.

    Such a study is refused as what it is, before it is measured, instead of ending the process that measures it.
    """
    reading, jobs = settings.reading, settings.jobs
    holds_m = int((jobs.memory_limit_mb - ANALYSIS_MB) * 2**20 / ANALYSIS_BYTES_A_VOXEL / 1e6)
    allowed = replace(
        reading,
        max_voxels_m=min(reading.max_voxels_m, max(1, holds_m)),
        study_seconds=min(reading.study_seconds, jobs.time_limit_s / PASSES),
    )
    return settings if allowed == reading else replace(settings, reading=allowed)
