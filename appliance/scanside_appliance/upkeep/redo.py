"""An archived study is measured again, as a new revision: its result is gone, or the networks are better now."""

from __future__ import annotations

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout, patient_folder, study_key
from scanside_appliance.jobs.again import measure_archived_again
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxNoSuchStudy
from scanside_appliance.jobs.intake import Intake


def redo(layout: BoxLayout, store: Store, clock: Clock, wanted: str, issuer: str | None = None) -> list[Job]:
    """Queue what is named again, all of it or nothing: a study, or every study of a patient, oldest first.

    wanted: a study's name on the box or its StudyInstanceUID; a patient's ID (with `issuer`) or name on the box.
    Raises BoxNoSuchStudy where nothing of it came to a result or it is under way, InputBaseGone where files were
    cleaned from the archive, InputFilesGone where later ones are gone, BoxArchiveMissing where the archive's are,
    OSError, sqlite3.Error.
    """
    with store.transaction():
        found = _jobs_of(store, wanted, issuer)
        if not found:
            raise BoxNoSuchStudy(study=wanted)
        intake = Intake(layout, store, clock)
        return [measure_archived_again(layout, store, intake, job) for job in found]


def _jobs_of(store: Store, wanted: str, issuer: str | None) -> list[Job]:
    """The newest result of each study that is meant."""
    jobs = [job for key in (wanted, study_key(wanted)) for job in store.jobs_of_study(key)]
    if not jobs:
        jobs = [job for key in (wanted, patient_folder(wanted, issuer)) for job in store.jobs_of_patient(key)]
    newest = {job.study: job for job in jobs if job.state == State.done}
    return sorted(newest.values(), key=lambda job: min(one.id for one in store.jobs_of_study(job.study)))
