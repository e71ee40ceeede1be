"""The disk: when to stop taking, what may be removed, and a reserve so that the book can always be written."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.durable_files import is_folder, is_there, lies_at
from scanside_appliance.files.layout import BoxLayout, archive_place, quarantine_place
from scanside_appliance.jobs.book.audit import note
from scanside_appliance.jobs.book.rows import CLEANED, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import InputArchive, InputBroken, InputNotDicom, InputOwnResult
from scanside_appliance.jobs.file_mover import REASON
from scanside_runtime.settings.box import DiskSettings

STUDIES_AT_ONCE = 20
MIB = 2**20
JUNK = (InputNotDicom.code, InputOwnResult.code, InputArchive.code, InputBroken.code)
"""What in quarantine nobody will ask for again: no slice that could be measured, nothing that waits for a person."""
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


def make_room(layout: BoxLayout, store: Store, settings: DiskSettings) -> int:
    """On a full disk: junk goes first; then, where a person allowed it, the input of studies that are reported.

    Oldest first, none younger than `least_age_h`, and no more than is needed. How many jobs lost their files.
    Raises OSError, sqlite3.Error.
    """
    until_h = store.hours_run() - settings.least_age_h
    removed = 0
    for job in store.junk(JUNK, until_h):
        if _has_room(layout, settings):
            return removed
        _remove_junk(layout, store, job)
        removed += 1
    return removed + (_clean_archive(layout, store, settings, until_h) if settings.clean_archive else 0)


def keep_quota(layout: BoxLayout, store: Store, settings: DiskSettings) -> int:
    """However empty the disk is: junk beyond the quota goes, oldest first; how many jobs.

    Raises OSError, sqlite3.Error.
    """
    over = store.bytes_put_aside(JUNK) - settings.quarantine_quota_mb * MIB
    removed = 0
    if over > 0:
        for job in store.junk(JUNK, store.hours_run() - settings.least_age_h):
            over -= sum(row.size for row in store.files(job.id))
            _remove_junk(layout, store, job)
            removed += 1
            if over <= 0:
                break
    return removed


def over_quota(store: Store, settings: DiskSettings, inbox_bytes: int) -> list[str]:
    """What holds more than it should, in words. Raises sqlite3.Error."""
    aside = store.bytes_put_aside(JUNK)
    held = {
        "inbox": (inbox_bytes, settings.inbox_quota_mb, "more is sent than is measured, or it can't be taken"),
        "quarantine": (aside, settings.quarantine_quota_mb, "what lies there is too new to be removed"),
    }
    return [
        f"the {name} holds {size / MIB:.0f} MB, more than disk.{name}_quota_mb = {quota_mb}: {why}"
        for name, (size, quota_mb, why) in held.items()
        if size > quota_mb * MIB
    ]


def finish_cleaning(layout: BoxLayout, store: Store) -> None:
    """After a start: remove what the book says is removed. Raises OSError, sqlite3.Error."""
    for job in store.cleaned():
        if job.state == State.quarantined:
            _remove_junk(layout, store, job)
        else:
            _remove_cleaned(layout, store, job)


def _has_room(layout: BoxLayout, settings: DiskSettings) -> bool:
    return look(layout.root, settings).used_percent <= settings.clean_to_percent


def _clean_archive(layout: BoxLayout, store: Store, settings: DiskSettings, until_h: int) -> int:
    """Never what is not reported: each result is read and compared with the book first. Results stay."""
    cleaned = 0
    for job in store.oldest_archived(STUDIES_AT_ONCE, until_h):
        if _has_room(layout, settings):
            break
        if not _is_reported(layout, store, job):
            log.error("study %s: its result is not what was written; its input is kept", job.study)
            continue
        _say_cleaned(store, job, "studies_cleaned")
        _remove_cleaned(layout, store, job)
        log.warning("study %s: archived and reported, removed from the archive to make room", job.study)
        cleaned += 1
    return cleaned


def _say_cleaned(store: Store, job: Job, counter: str) -> None:
    """In the book before anything goes."""
    rows = [row.id for row in store.files(job.id)]
    with store.transaction():
        store.put(rows, CLEANED)
        store.count(counter)
        note(store, "removed", job.study, files=len(rows), code=job.code)


def _remove_cleaned(layout: BoxLayout, store: Store, job: Job) -> None:
    """The files of a job that the book says are removed from the archive."""
    folder = layout.root / archive_place(job.patient, job.study)
    if not is_folder(folder):
        return
    for row in store.files(job.id):
        if row.place == CLEANED:
            (folder / row.name).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def _remove_junk(layout: BoxLayout, store: Store, job: Job) -> None:
    """Its files, then the reason why they lay there, then the job: it was no study's."""
    rows = store.files(job.id)
    if any(row.place != CLEANED for row in rows):
        _say_cleaned(store, job, "junk_removed")
    folder = layout.root / quarantine_place(job.code or "", job.id)
    for name in (*(row.name for row in rows), REASON):
        (folder / name).unlink(missing_ok=True)
    if is_folder(folder) and not any(folder.iterdir()):
        folder.rmdir()
    with store.transaction():
        store.forget([row.id for row in rows])
        store.remove_job(job.id)
    log.warning("quarantine: %d file(s) put aside as %s are removed", len(rows), job.code)


def _is_reported(layout: BoxLayout, store: Store, job: Job) -> bool:
    hashes = store.result(job.id)
    folder = job.published_in(layout)
    return bool(hashes) and all(is_there(folder / name, sha256) for name, sha256 in hashes.items())
