"""What the book has and the disk lacks: noticed by the daemon now and then, by a look at folders alone."""

from __future__ import annotations

import os
from pathlib import Path

from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import RESULT, BoxLayout, archive_place
from scanside_appliance.jobs.book.rows import CLEANED, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import InputFilesGone


def missing_studies(layout: BoxLayout, store: Store) -> list[str]:
    """Studies that are done and whose newest result, or whole archive, is no longer there, or lost some on the way.

    One that is held for late slices alone has its result and its archive, and is not missing.

    Whether the files in them are what was written, `scanside verify` says. Raises OSError, sqlite3.Error.
    """
    newest = {job.study: job for job in store.jobs([State.done])}
    archived = store.studies_at("archive/%")
    held = {job.study for job in store.jobs([State.holding, State.held]) if _lost_what_it_had(store, job)}
    whole = {one.study for one in newest.values() if _is_whole(layout, one, one.study in archived)} - held
    return [study for study in newest if study not in whole]


def _lost_what_it_had(store: Store, job: Job) -> bool:
    """Held for files that a result was made with."""
    if job.code != InputFilesGone.code:
        return False
    return any(row.place == CLEANED and row.is_in_a_result for row in store.files(job.id))


def _is_whole(layout: BoxLayout, job: Job, archived: bool) -> bool:
    there = lies_at(job.published_in(layout) / RESULT)
    return there and (not archived or _holds_anything(layout.root / archive_place(job.patient, job.study)))


def _holds_anything(folder: Path) -> bool:
    if not lies_at(folder):
        return False
    with os.scandir(folder) as entries:
        return any(entries)
