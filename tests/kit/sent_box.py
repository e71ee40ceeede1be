"""A box whose book has done jobs with results, without anything having been measured."""

from __future__ import annotations

import shutil
from pathlib import Path

from scanside_appliance.files.durable_files import file_sha256
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.book.store import Store


def job_with_result(root: Path, result: Path, study: str = "0123456789abcdef", revision: int = 1) -> Job:
    """A study of the box that is done; its result is a copy of a folder."""
    layout = BoxLayout(root.resolve())
    layout.make()
    target = layout.result("fedcba9876543210", study, revision)
    shutil.copytree(result, target)
    with Store(layout.database) as store, store.transaction():
        columns = {"study": study, "study_uid": "1.2.3", "patient": "fedcba9876543210", "revision": revision}
        job = store.add_job(State.done, "2026-01-01T00:00:00+00:00", verdict="analysed", **columns)
        store.write_result(job.id, {path.name: file_sha256(path) for path in target.iterdir()})
    return job
