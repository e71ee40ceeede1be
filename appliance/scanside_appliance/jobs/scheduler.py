"""Who is next, what the worker made of it, and what follows from that: a result, another try, or quarantine."""

from __future__ import annotations

import logging
import math
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from scanside_appliance.clock import Clock, ClockWatch
from scanside_appliance.files.layout import RESULT, BoxLayout, patient_key
from scanside_appliance.jobs.again import bring_later_scans_up_to_date
from scanside_appliance.jobs.book.audit import is_redone_for_another
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxAnalysisDied, BoxSameDefect
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.jobs.intake import Intake
from scanside_appliance.jobs.messages import EarlierResult
from scanside_appliance.jobs.priority import is_due, next_job, passed_over, turn_rank
from scanside_appliance.jobs.result_folder import unsound
from scanside_appliance.jobs.worker_client import Outcome, WorkerClient
from scanside_runtime.dicom.errors import PatientMixed
from scanside_runtime.errors import BoxOutput, ScansideError
from scanside_runtime.settings.box import JobSettings
from scanside_runtime.settings.tables import Settings

BOX_RETRY_S = 30.0
LONGEST_PAUSE = 16
"""The box that is to blame again and again is tried after 1, 2, 4 ... 16 times as long."""
log = logging.getLogger("scanside")


class Scheduler:
    """Gives the worker one study after the other. Raises OSError and sqlite3.Error; call again then.

    current: the study that the worker has. box_failures: how often in a row the box was to blame that there is no
    result; box_trouble: why.
    """

    def __init__(
        self, layout: BoxLayout, store: Store, clock: Clock, file_mover: FileMover, worker_client: WorkerClient
    ) -> None:
        self._layout, self._store, self._clock = layout, store, clock
        self._file_mover, self._worker_client = file_mover, worker_client
        self._clock_watch = ClockWatch(clock)
        self.current: Job | None = None
        self.box_failures = 0
        self.box_trouble: str | None = None
        self._begin_at = -math.inf
        self._defect: str | None = None
        self._ended_in_it: set[str | None] = set()

    def clock_trouble(self) -> str | None:
        """What is wrong with the wall clock."""
        return self._clock_watch.look()

    def begin_next(self, settings: Settings) -> None:
        """Send the next study to the worker, where it has none."""
        if self._worker_client.busy or self._clock.monotonic() < self._begin_at:
            return
        self._take_back_unattended()
        now = self._clock.monotonic()
        half_known = {job.patient for job in self._store.jobs([State.publishing])}  # it is no earlier result yet
        waiting = [job for job in self._store.jobs([State.queued]) if job.patient not in half_known]
        queued = [job for job in waiting if is_due(job, now, self._clock.boot)]
        earlier = self._store.results_of_waiting_patients() if len(queued) > 1 else {}
        known = self._store.measured_once_more() if queued else set()
        job = next_job(queued, lambda one: turn_rank(one, known, earlier.get(one.patient, [])))
        if job is None:
            return
        if self._file_mover.hold_without_its_files(job) is not None:
            return
        revision = self._file_mover.next_revision(job)
        with self._store.transaction():
            for other in passed_over(queued, known, job):
                self._store.change(other.id, passed_over=other.passed_over + 1)
            job = self._store.change(job.id, state=State.running, revision=revision, passed_over=0)
        self._worker_client.begin(
            job,
            settings,
            supersedes=str(revision - 1) if revision > 1 else None,
            clock_trouble=self._clock_watch.look(),
            today=_day(self._clock),
            earlier=self._earlier(job),
            for_earlier_scan=job.id in known and is_redone_for_another(self._store, job.study),
        )
        self.current = job

    def _take_back_unattended(self) -> None:
        """A job can't be running while the worker has none: a trouble of the box came between. It is queued again."""
        self.current = None
        for job in self._store.jobs([State.running]):
            self._store.change(job.id, state=State.queued)

    def _earlier(self, job: Job) -> list[EarlierResult]:
        """The result that counts of each other study of the patient, oldest first: a refused one hides no other."""
        others = [one for one in self._store.jobs_of_patient(job.patient) if one.study != job.study]
        counts = {one.study: one for one in sorted(others, key=lambda one: (one.verdict != "refused", one.id))}
        in_order = sorted(counts.values(), key=lambda one: one.id)
        return [self._result_of(one) for one in in_order]

    def _result_of(self, job: Job) -> EarlierResult:
        return EarlierResult(job.published_in(self._layout), self._store.result(job.id).get(RESULT))

    def advance(self, settings: Settings) -> bool:
        """Whether the worker came to an end with its study; what follows is done."""
        outcome = self._worker_client.poll(settings)
        job = self.current
        if job is None or outcome is None:
            return False
        if outcome.blame == "box" and self._file_mover.hold_without_its_files(job) is not None:
            self.current = None  # what is gone is no fault of the box, and proves nothing of it
            return True
        outcome = self._kept(job, outcome) if outcome.blame == "nobody" else self._judged(job, outcome)
        self._note_blame(outcome, settings.jobs)
        if outcome.blame != "nobody":
            log.warning("study %s: no result: %s", job.study, outcome.reason)
            self._failed(job, outcome, settings.jobs)
        self.current = None
        return True

    def _judged(self, job: Job, outcome: Outcome) -> Outcome:
        """A defect that two studies end in, with no result in between, is the box's: none is put aside for it."""
        if outcome.code != ScansideError.code:
            return outcome
        if outcome.reason != self._defect:
            self._defect, self._ended_in_it = outcome.reason, set()
        self._ended_in_it.add(job.study)
        if len(self._ended_in_it) < 2:
            return outcome
        error = BoxSameDefect(where=outcome.reason)
        return replace(outcome, blame="box", code=error.code, reason=error.in_words)

    def _note_blame(self, outcome: Outcome, limits: JobSettings) -> None:
        """While the box is to blame nothing is begun but one study now and then, to see."""
        if outcome.blame == "nobody":
            self._defect = None
        if outcome.blame != "box":
            self.box_failures, self.box_trouble, self._begin_at = 0, None, -math.inf
            return
        self.box_failures, self.box_trouble = self.box_failures + 1, outcome.reason
        self._begin_at = self._clock.monotonic() + self._pause_s(limits)

    def _pause_s(self, limits: JobSettings) -> float:
        return float(min(limits.retry_after_s, BOX_RETRY_S) * min(2 ** (self.box_failures - 1), LONGEST_PAUSE))

    def _kept(self, job: Job, outcome: Outcome) -> Outcome:
        """The result is committed; where the box can't do that, it is to blame, and the result is made again.

        Where there is no sound result, whatever was answered, the analysis counts as died.
        """
        found = {"verdict": outcome.verdict, "severity": outcome.severity, "trend": outcome.trend}
        found |= {"code": outcome.code, "reason": None}
        if outcome.code == PatientMixed.code:  # two patients' files: in neither's folder
            found["patient"] = patient_key(None, None, job.study_uid)
        try:
            wrong = unsound(outcome.folder, outcome.verdict, job.revision)
            if wrong is not None:
                shutil.rmtree(outcome.folder, ignore_errors=True)
                return Outcome("study", outcome.folder, BoxAnalysisDied.code, f"without a result ({wrong})")
            self._file_mover.hand_over_result(job, outcome.folder, partial(self._note_later, job, outcome), **found)
            return outcome
        except OSError as error:
            shutil.rmtree(outcome.folder, ignore_errors=True)
            why = BoxOutput(folder="results", why=error.strerror or type(error).__name__)
            return Outcome("box", outcome.folder, why.code, why.message)
        except sqlite3.Error:
            shutil.rmtree(outcome.folder, ignore_errors=True)
            raise

    def _note_later(self, job: Job, outcome: Outcome) -> None:
        """An earlier scan that comes after later ones is in none of their courses."""
        if outcome.outdated:
            intake = Intake(self._layout, self._store, self._clock)
            bring_later_scans_up_to_date(self._layout, self._store, intake, job, outcome.outdated)

    def _failed(self, job: Job, outcome: Outcome, limits: JobSettings) -> Job:
        """Try again later: for ever where the box is to blame, as often as the settings say where the study may be."""
        retry_s = limits.retry_after_s
        code, reason = outcome.code or ScansideError.code, outcome.reason or ""
        if outcome.blame == "box":
            return self._wait(job, 2 * self._pause_s(limits), code, reason, job.attempts)  # others first
        attempts = job.attempts + 1
        died = BoxAnalysisDied(how=reason, attempts=attempts)
        words = died.in_words
        if attempts >= limits.attempts:
            return self._store.change(
                job.id, state=State.quarantining, attempts=attempts, code=BoxAnalysisDied.code, reason=words
            )
        return self._wait(job, retry_s * 4.0 ** (attempts - 1), code, words, attempts)

    def _wait(self, job: Job, seconds: float, code: str, reason: str, attempts: int) -> Job:
        return self._store.change(
            job.id,
            state=State.queued,
            attempts=attempts,
            code=code,
            reason=reason,
            not_before=self._clock.monotonic() + seconds,
            boot=self._clock.boot,
        )

    def hand_back(self) -> None:
        """Give up what is being analysed; it is queued again, and nobody is to blame."""
        self._worker_client.abandon()
        if self.current is not None:
            self._store.change(self.current.id, state=State.queued)
            self.current = None


def _day(clock: Clock) -> str:
    try:
        return datetime.fromtimestamp(clock.wall(), UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return "9999-12-31"
