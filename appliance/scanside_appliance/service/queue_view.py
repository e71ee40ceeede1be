"""The box and its queue: facts read from the book and from what the daemon last said. `queue_words` says them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.answering import ANSWER_S, answers
from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import PAGE, RESULT, BoxLayout
from scanside_appliance.files.names import harmless
from scanside_appliance.jobs.book.audit import outdated
from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.errors import BoxDatabaseMissing
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.rows import ACTIVE, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.priority import turn_rank
from scanside_appliance.results.archive import read_results
from scanside_appliance.results.finder import shown_of
from scanside_appliance.service.errors import BoxInbox, BoxInboxSilent
from scanside_appliance.service.root_lock import is_running
from scanside_appliance.service.status import last_said
from scanside_appliance.worklist.care import with_course
from scanside_runtime.errors import BoxFailed
from scanside_runtime.settings.tables import Settings

SHOWN = (*ACTIVE, State.held, State.quarantined)


def box_facts(
    layout: BoxLayout, read_settings: Callable[[], Settings] = Settings, clock: Clock | None = None
) -> dict[str, Any]:
    """What the daemon last said, whether it runs now, what would keep it from its next start, and a clock set wrong."""
    said = last_said(layout) | {"running": is_running(layout)}
    said["clock"] = (clock or Clock()).stands_too_early() or (said["clock"] if said["running"] else None)
    if not said["running"]:
        said |= {"headline": "not running", "analysing": None}
    said["trouble"] = _unusable(layout, read_settings, running=said["running"]) or said["trouble"]
    if not said["running"] and not said["trouble"]:
        try:
            said["trouble"] = _unattended(layout)
        except BoxFailed as error:  # one that starts just now begins its book
            said["trouble"] = error.in_full
    return said


def _unusable(layout: BoxLayout, read_settings: Callable[[], Settings], *, running: bool) -> str | None:
    """What ails root, settings or book, in the words in which a command would end with it."""
    try:
        layout.check()
        layout.check_writable()
        read_settings()
        if running:
            return None  # what ails the inbox, it has said; one that does not answer would hold us, too
        _unattended(layout)
        if not answers(layout.inbox):
            raise BoxInboxSilent(folder=layout.inbox, seconds=ANSWER_S)
        if lies_at(layout.marker) and not lies_at(layout.inbox):
            raise BoxInbox(folder=layout.inbox)
    except BoxFailed as error:
        return error.in_full
    return None


def _unattended(layout: BoxLayout) -> str | None:
    """What waits while nobody works, in words."""
    try:
        with _book(layout) as store:
            waiting = sum(number for state, number in store.numbers().items() if state in ACTIVE)
    except BoxDatabaseMissing:
        return None
    return f"it does not run, and {waiting} job(s) are not finished" if waiting else None


@contextmanager
def _book(layout: BoxLayout) -> Iterator[Store]:
    """Raises BoxFailed."""
    with database_errors(layout.database), existing_book(layout) as store:
        yield store


def queue_facts(layout: BoxLayout, *, every: bool = False, names: bool = True, done: int = 0) -> list[dict[str, Any]]:
    """One entry a job, in the order of their turn; what came to rest last. Raises BoxFailed.

    names: with the patient, the report's path and the folder in the inbox, for who may see them. done: so many of the
    last that are done, too.
    """
    try:
        with _book(layout) as store:
            ranked = _ranked(store, every=every, done=done)
            named = _named(layout, store, [job for job, _ in ranked]) if names else {}
            return [_entry(layout, job, grade) | named.get(job.id, {}) for job, grade in ranked]
    except BoxDatabaseMissing:
        return []


def _ranked(store: Store, *, every: bool, done: int) -> list[tuple[Job, int]]:
    """The jobs to show, each with its patient's rank, in the order of their turn."""
    open_ones = [*filter(_concerns_a_study, store.jobs(SHOWN)), *store.held_results()]
    jobs = store.jobs(State) if every else _with_latest(open_ones, store.jobs([State.done]), done)
    known = store.measured_once_more()
    ranked = [(job, turn_rank(job, known, store.jobs_of_patient(job.patient))) for job in jobs]
    return sorted(ranked, key=lambda one: (_turn(one[0]), -one[1], one[0].id))


def _with_latest(open_ones: list[Job], all_done: list[Job], done: int) -> list[Job]:
    latest = all_done[max(len(all_done) - done, 0) :]
    return [*open_ones, *(job for job in latest if job not in open_ones)]


def _named(layout: BoxLayout, store: Store, jobs: Iterable[Job]) -> dict[int, dict[str, Any]]:
    """By job whose it is and how much was found, once there is a result; and where in the inbox it came from."""
    lacking = set(outdated(store))
    found = {}
    for job in jobs:
        files = store.files(job.id)
        came_from = harmless(os.fsdecode(files[0].source).rpartition("/")[0]) if files else None
        found[job.id] = {"from": came_from, **(_measured(layout, job, lacking) if _is_published(job) else {})}
    return found


def _measured(layout: BoxLayout, job: Job, lacking: Collection[str]) -> dict[str, Any]:
    folder = job.published_in(layout)
    found, _ = read_results([folder / RESULT])
    shown = shown_of(found[0].document) if found else {}
    return {"report": str(folder / PAGE), **shown, "cautions": with_course(shown.get("cautions", ()), job, lacking)}


def _is_published(job: Job) -> bool:
    return job.state in (State.archiving, State.done)


def _concerns_a_study(job: Job) -> bool:
    """Not a stray file that was put aside: `status` counts those."""
    return bool(job.study) and (job.state != State.quarantined or job.revision is not None)


def _turn(job: Job) -> int:
    order = (State.running, State.publishing, State.archiving, State.claiming, State.queued)
    return order.index(job.state) if job.state in order else len(order)


def _entry(layout: BoxLayout, job: Job, grade: int) -> dict[str, Any]:
    result = job.published_in(layout)
    done = _is_published(job)
    return {
        "study": job.study or None,
        "state": job.state.value,
        "revision": job.revision,
        "rank": grade,
        "attempts": job.attempts,
        "code": job.code,
        "reason": job.reason,
        "verdict": job.verdict,
        "result": str(result) if done else None,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    }
