"""The settings of reading foreign files: apart, as the process that reads them is started with these alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scanside_runtime.settings.bounds import Megabytes, ProcessMegabytes, SomeSeconds, Within
from scanside_runtime.settings.table import Table


@dataclass(frozen=True, slots=True)
class ReadingSettings(Table):
    """`[reading]`: what the reader of foreign files may cost; beyond it a study is refused, never read in part.

    max_files: in a folder or archive. A whole study of thin slices in several reconstructions has some 5 000.
    max_file_mb: one file. An Enhanced CT of 1 000 frames of 512 x 512 has 500 MB.
    max_archive_mb: a zip or tar, unpacked; and all deflated files of one study together.
    max_inflated_mb: one file of the deflated transfer syntax (DICOM PS3.5 A.5), unpacked; deflate grows up to
        1 030 times (RFC 1951), and one slice of 4 096 x 4 096 has 32 MB.
    max_matrix: rows or columns of a slice. 2 048 is the largest that a CT scanner reconstructs (Canon Aquilion
        Precision).
    max_voxels_m: of the chosen series; 1000 slices of 512 x 512 have 262 million. An analysis takes some 4 bytes a
        voxel beside 0.4 GB; the watched folder allows no more than `jobs.memory_limit_mb` holds.
    memory_mb: address space (RLIMIT_AS, getrlimit(2)) of the reader beside the pixels that it hands over. It needs
        some 160 MB for itself.
    file_seconds: for one file.
    study_seconds: for one pass over all files. There are two, headers and pixels; in the watched folder no longer than
        half of `jobs.time_limit_s` each.
    """

    max_files: Annotated[int, Within(1, 100_000_000)] = 20_000
    max_file_mb: Megabytes = 512
    max_archive_mb: Megabytes = 4096
    max_inflated_mb: Megabytes = 64
    max_matrix: Annotated[int, Within(1, 65_535)] = 2048
    max_voxels_m: Annotated[int, Within(1, 100_000)] = 272
    memory_mb: ProcessMegabytes = 768
    file_seconds: SomeSeconds = 30.0
    study_seconds: SomeSeconds = 300.0
