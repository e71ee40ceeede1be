"""A study that came to a result is measured again from the archive, as a new revision."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from scanside_appliance.files.durable_files import lies_at, may_lie_at
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.audit import note
from scanside_appliance.jobs.book.rows import ACTIVE, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxArchiveMissing, BoxNoSuchStudy, InputBaseGone, InputFilesGone
from scanside_appliance.jobs.intake import Intake

log = logging.getLogger("scanside")


def measure_archived_again(
    layout: BoxLayout,
    store: Store,
    intake: Intake,
    job: Job,
    is_there: Callable[[Path], bool] = lies_at,
    **facts: str,
) -> Job:
    """Queued, with a row of the audit. facts: what that says of it.

    Raises BoxNoSuchStudy while the study is under way, InputBaseGone where files were cleaned from the archive,
    InputFilesGone where later ones are gone, BoxArchiveMissing where the archive's are, OSError, sqlite3.Error.
    """
    jobs = store.jobs_of_study(job.study)
    if any(one.state in ACTIVE for one in jobs):
        raise BoxNoSuchStudy(study=job.study)
    rows = [row for one in jobs if one.revision is not None for row in store.files(one.id)]
    gone = [row for row in rows if row.place.startswith("archive/") and not is_there(row.path(layout.root))]
    if gone or not rows:
        raise BoxArchiveMissing(study=job.study, count=len(gone) or "all")
    with store.transaction():
        again = intake.measure_again(job)
        note(store, "redone", job.study, revision=job.revision, **facts)
    return again


def bring_later_scans_up_to_date(
    layout: BoxLayout, store: Store, intake: Intake, came: Job, study_uids: Iterable[str]
) -> None:
    """What was measured before an earlier scan of the patient came is measured again, and knows that one then.

    study_uids: in the order in which they are to be measured. One that a person set apart is compared with none. What
    is under way will know it, if a result comes of it; what lacks files, or has a result and is not archived yet, stays
    as it is. The audit says so of each. Where the archive can't be looked at, that is told when the files are to be
    moved: it is no reason to give up the result that came. Raises sqlite3.Error.
    """
    results = sorted(store.jobs_of_patient(came.patient), key=lambda job: job.revision or 0)
    newest = {job.study_uid: job for job in results}
    for job in (newest[uid] for uid in study_uids if uid in newest):
        if job.alone:
            continue
        if job.verdict != "analysed" or job.state == State.archiving:
            because = "not archived yet" if job.verdict == "analysed" else f"measured again it was {job.verdict}"
            _note_outdated(store, job, came, because)
            continue
        try:
            measure_archived_again(layout, store, intake, job, may_lie_at, earlier_scan=came.study)
            log.info("study %s: an earlier scan came, it is measured again", job.study)
        except BoxNoSuchStudy:
            _note_outdated(store, job, came, "under way", logging.INFO)
        except (BoxArchiveMissing, InputBaseGone, InputFilesGone) as error:
            _note_outdated(store, job, came, error.code)


def _note_outdated(store: Store, job: Job, came: Job, because: str, level: int = logging.WARNING) -> None:
    """For the worklist and the doctor, which name it until there is a result again."""
    log.log(level, "study %s: an earlier scan came, its course lacks that one: %s", job.study, because)
    note(store, "not redone", job.study, earlier_scan=came.study, why=because)
