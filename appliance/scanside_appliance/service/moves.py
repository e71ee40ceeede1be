"""The moves that jobs wait for, each as soon as it is due."""

from __future__ import annotations

import logging
from collections.abc import Callable

from scanside_appliance.jobs.book.rows import MOVING, Job
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.service.troubles import Troubles

log = logging.getLogger("scanside")


class Moves:
    """progressed: called after each job. rested: called where one came to rest, or was begun.

    looks_since: how often the inbox was looked at, to its end, since anything moved.
    """

    def __init__(
        self,
        store: Store,
        file_mover: FileMover,
        troubles: Troubles,
        progressed: Callable[[], None],
        rested: Callable[[], None],
    ) -> None:
        self._store, self._file_mover, self._troubles = store, file_mover, troubles
        self._progressed, self._rested = progressed, rested
        self.looks_since = 0

    def advance(self) -> None:
        """Every move that is due. Raises sqlite3.Error."""
        for job in self._store.jobs(MOVING):
            self.bring_on(job)

    def bring_on(self, job: Job) -> None:
        """The moves of a job that are due. One that fails does not stop the others. Raises sqlite3.Error."""
        self.looks_since = 0
        step: Job | None = job
        try:
            while step is not None and step.state in MOVING:
                before, step = step, self._file_mover.advance(step)
                if step == before:
                    return  # it waits for the inbox
        except OSError as error:
            self._troubles.note_moves(error)
            return
        self._progressed()
        if step is not None:
            say(step, step.state.value)
            self._rested()


def say(job: Job, text: str) -> None:
    """A line of the log about a job."""
    log.info("study %s%s: %s", job.study or "(none)", f" revision {job.revision}" if job.revision else "", text)
