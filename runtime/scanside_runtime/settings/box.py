"""Settings of the watched folder: when a study is complete, what an analysis may cost, what happens to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from scanside_runtime.settings.bounds import (
    Megabytes,
    Percent,
    ProcessMegabytes,
    Seconds,
    SomePercent,
    SomeSeconds,
    Within,
    check,
)
from scanside_runtime.settings.table import Table


@dataclass(frozen=True, slots=True)
class InboxSettings(Table):
    """`[inbox]`: when a study in the watched folder counts as complete; all times are durations.

    quiet_s: nothing of the study changed for so long.
    patience_s: a missing slice or a file that breaks off is waited for so long; then the study goes on as incomplete.
    scan_s: the inbox is looked through so often, whatever the kernel reports.
    leftover_s: after so long a file named like a temporary one (`.part`, `.tmp`) is taken as what it is.
    """

    quiet_s: SomeSeconds = 60.0
    patience_s: SomeSeconds = 900.0
    scan_s: SomeSeconds = 10.0
    leftover_s: Seconds = 3600.0

    def _check_together(self) -> None:
        check(self.quiet_s <= self.patience_s, "inbox.patience_s", "it must not be below quiet_s")


@dataclass(frozen=True, slots=True)
class JobSettings(Table):
    """`[jobs]`: limits of one analysis, and what happens when it fails.

    time_limit_s: for one analysis.
    memory_limit_mb: for one analysis.
    attempts: after so many failures the study is put aside.
    retry_after_s: the wait before the second attempt, four times as long before each further one.
    warm_s: the process that analyses is let go after so long without a study.
    """

    time_limit_s: SomeSeconds = 900.0
    memory_limit_mb: ProcessMegabytes = 3072
    attempts: Annotated[int, Within(1, 1000)] = 3
    retry_after_s: Seconds = 60.0
    warm_s: Seconds = 600.0


@dataclass(frozen=True, slots=True)
class CareSettings(Table):
    """`[care]`: when `status`, `doctor` and the worklist ask a person to do something.

    backup_days: after so many days without a backup (`scanside backup`). 0: never.
    verify_days: after so many days in which not all stored files were read (`scanside verify`, weekly by a timer).
        0: never.
    """

    backup_days: Annotated[float, Within(0.0, 3650.0)] = 30.0
    verify_days: Annotated[float, Within(0.0, 3650.0)] = 21.0


@dataclass(frozen=True, slots=True)
class DiskSettings(Table):
    """`[disk]`: what happens when the disk fills up. Results are never removed, nor is what waits for a person.

    stop_percent: from so much in use on, nothing more is taken in, and junk in quarantine goes, oldest first: files
        that are no image, zips, files that break off.
    clean_archive: whether then the oldest studies that are archived and reported may leave the archive, too; one that
        was refused is not reported.
    clean_to_percent: removing ends when no more than this is in use.
    least_age_h: nothing is removed before the box has run for so long since it was put there; time in which it does
        not run does not count.
    quarantine_quota_mb: junk beyond it goes, oldest first, however empty the disk is.
    inbox_quota_mb: when the inbox holds more than this, it is said: somebody sends more than can be measured, or what
        is sent can't be taken.
    reserve_mb: kept back for the database.
    """

    stop_percent: SomePercent = 90.0
    clean_archive: bool = False
    clean_to_percent: Percent = 80.0
    least_age_h: Annotated[int, Within(0, 87_600)] = 168  # a week; at most ten years
    quarantine_quota_mb: Megabytes = 16_384
    inbox_quota_mb: Megabytes = 65_536
    reserve_mb: Annotated[int, Within(0, 1_048_576)] = 64

    def _check_together(self) -> None:
        below = self.clean_to_percent <= self.stop_percent
        check(below, "disk.clean_to_percent", "it must not exceed stop_percent")
