"""Who is next: severe and rising patients first, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from scanside_appliance.jobs.book.rows import Job

EXTENSIVE = "extensive"
"""In place of a severity flag: nothing could be measured, but much of the lungs looks infected."""
SEVERITY_RANK = {"severe": 4, EXTENSIVE: 4, "watch": 1}
RISING_RANK = 2
KNOWN_RANK = -1
"""What was measured before and is measured once more, of whomever: nobody whose scan has no result waits for it."""
PATIENCE = 20
"""A study that was passed over so often is next, whoever else waits."""


def rank(earlier: Sequence[Job]) -> int:
    """How grave a patient is by the last result that says so: severe or extensive 4, watch 1, rising 2 more, else 0."""
    known = [job for job in earlier if job.severity in ("none", *SEVERITY_RANK)]
    if not known:
        return 0
    last = known[-1]
    return SEVERITY_RANK.get(last.severity or "", 0) + (RISING_RANK if last.trend == "rising" else 0)


def turn_rank(job: Job, known: Collection[int], earlier: Sequence[Job]) -> int:
    """How soon a job's turn is: by its patient's `earlier` results, unless it is one that is measured once more."""
    return KNOWN_RANK if job.id in known else rank(earlier)


def next_job(queued: Sequence[Job], rank_of: Callable[[Job], int]) -> Job | None:
    """The job to take: the one passed over too often, else the gravest, least often tried, not put off, oldest.

    `queued`: oldest first.
    """
    if not queued:
        return None
    overdue = [job for job in queued if job.passed_over >= PATIENCE]
    if overdue:
        return overdue[0]
    return max(queued, key=lambda job: (rank_of(job), -job.attempts, job.code is None, -job.id))


def passed_over(queued: Sequence[Job], known: Collection[int], taken: Job) -> list[Job]:
    """What waits for longer than the job that was taken; of what is measured once more (`known`) the oldest alone.

    Else a whole course of scans would be overdue at once, and everybody new would wait for all of it.
    """
    older = [job for job in queued if job.id < taken.id]
    first = next((job.id for job in older if job.id in known), None)
    return [job for job in older if job.id not in known or job.id == first]


def is_due(job: Job, now: float, boot: str) -> bool:
    """Whether its wait is over; a wait does not outlive the boot whose clock measured it."""
    return job.boot != boot or job.not_before <= now
