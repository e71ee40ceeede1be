"""The disk: when to stop taking, what may be removed, and a reserve so that the book can always be written."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.durable_files import is_folder, is_there, lies_at
from scanside_appliance.files.layout import BoxLayout, archive_place
from scanside_appliance.jobs.store import CLEANED, Job, Store
from scanside_runtime.settings.tables import DiskSettings

STUDIES_AT_ONCE = 20
log = logging.getLogger("scanside")


@dataclass(frozen=True, slots=True)
class Disk:
    """How full the file system of the root is. used_percent: of what may be used, as `df` counts."""

    used_percent: float
    free_mb: float
    full: bool


def look(root: Path, settings: DiskSettings) -> Disk:
    """The disk now. Raises OSError."""
    usage = shutil.disk_usage(root)
    used_percent = 100.0 * usage.used / max(usage.used + usage.free, 1)
    return Disk(round(used_percent, 1), round(usage.free / 2**20, 1), used_percent >= settings.stop_percent)


def keep_reserve(layout: BoxLayout, settings: DiskSettings) -> None:
    """Take the reserve where it is not held and there is room. Raises OSError but for a full disk."""
    size = settings.reserve_mb * 2**20
    held = layout.reserve.stat().st_size if lies_at(layout.reserve) else 0
    if held == size or shutil.disk_usage(layout.root).free < 2 * size:
        return
    with layout.reserve.open("wb") as file:
        if size:
            os.posix_fallocate(file.fileno(), 0, size)


def give_reserve(layout: BoxLayout) -> bool:
    """Let the database have the reserve; whether there was one."""
    if not lies_at(layout.reserve):
        return False
    log.warning("the disk is full: the reserve is given to the database")
    layout.reserve.unlink()
    return True


def clean(layout: BoxLayout, store: Store, settings: DiskSettings) -> int:
    """Remove the input of the oldest studies that are archived and reported; how many studies.

    Never what is not reported: each result is read and compared with the book first. Results stay.
    Raises OSError, sqlite3.Error.
    """
    cleaned = 0
    for job in store.oldest_archived(STUDIES_AT_ONCE):
        if look(layout.root, settings).used_percent <= settings.clean_to_percent:
            break
        if not _is_reported(layout, store, job):
            log.error("study %s: its result is not what was written; its input is kept", job.study)
            continue
        rows = [row.id for row in store.files(job.id)]
        with store.transaction():
            store.put(rows, CLEANED)
            store.count("studies_cleaned")
        remove_cleaned(layout, store, job)
        log.warning("study %s: archived and reported, removed from the archive to make room", job.study)
        cleaned += 1
    return cleaned


def finish_cleaning(layout: BoxLayout, store: Store) -> None:
    """After a start: remove what the book says is removed. Raises OSError, sqlite3.Error."""
    for job in store.cleaned():
        remove_cleaned(layout, store, job)


def remove_cleaned(layout: BoxLayout, store: Store, job: Job) -> None:
    """Remove the files of a job that the book says are removed. Raises OSError, sqlite3.Error."""
    folder = layout.root / archive_place(job.patient, job.study)
    if not is_folder(folder):
        return
    for row in store.files(job.id):
        if row.place == CLEANED:
            (folder / row.name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_reported(layout: BoxLayout, store: Store, job: Job) -> bool:
    hashes = store.result(job.id)
    folder = layout.result(job.patient, job.study, job.revision or 0)
    return bool(hashes) and all(is_there(folder / name, sha256) for name, sha256 in hashes.items())
