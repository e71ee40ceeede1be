"""Files that were gone for a while only: a disk that was not mounted, a folder that somebody moved away and back."""

from __future__ import annotations

from collections.abc import Iterable

from scanside_appliance.files.durable_files import is_there
from scanside_appliance.files.layout import BoxLayout, archive_place, work_place
from scanside_appliance.jobs.book.rows import CLEANED, FileRow, Job
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import InputFilesGone


def put_back_what_is_found(layout: BoxLayout, store: Store, held: Iterable[Job]) -> None:
    """What held jobs lack and lies where it lay has its place again. Raises OSError, sqlite3.Error."""
    for job in held:
        if job.code == InputFilesGone.code:
            for row in store.files(job.id):
                if row.place == CLEANED and (place := _place_of(layout, job, row)):
                    store.put([row.id], place)


def _place_of(layout: BoxLayout, job: Job, row: FileRow) -> str | None:
    """Where it lies with the bytes that it had."""
    places = work_place(job.id), archive_place(job.patient, job.study)
    return next((one for one in places if is_there(layout.root / one / row.name, row.sha256)), None)
