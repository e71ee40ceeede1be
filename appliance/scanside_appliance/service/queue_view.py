"""The box and its queue for a person and for programs: read from the book and from what the daemon last said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.database_errors import database_errors
from scanside_appliance.jobs.priority import rank
from scanside_appliance.jobs.store import ACTIVE, Job, State, Store
from scanside_appliance.service.service import is_running
from scanside_appliance.service.status import last_said
from scanside_runtime.errors import BoxFailed
from scanside_runtime.settings import Settings

SHOWN = (*ACTIVE, State.held, State.quarantined)
COLUMNS = ("study", "state", "revision", "rank", "attempts", "reason")


def box_facts(layout: BoxLayout, read_settings: Callable[[], Settings] = Settings) -> dict[str, Any]:
    """What the daemon last said, whether it runs now, and what would keep it from its next start."""
    said = last_said(layout) | {"running": is_running(layout)}
    if not said["running"]:
        said |= {"headline": "not running", "analysing": None}
    said["trouble"] = _unusable(layout, read_settings, running=said["running"]) or said["trouble"]
    if not said["running"]:
        said["trouble"] = said["trouble"] or _unattended(layout)
    return said


def _unusable(layout: BoxLayout, read_settings: Callable[[], Settings], *, running: bool) -> str | None:
    """What ails root, settings or book, in the words in which a command would end with it."""
    try:
        layout.check()
        read_settings()
        if not running:
            _unattended(layout)
    except BoxFailed as error:
        return f"{error.code}: {error.message} {error.advice}"
    return None


def _unattended(layout: BoxLayout) -> str | None:
    """What waits while nobody works, in words."""
    if not layout.database.is_file():
        return None
    with _book(layout) as store:
        waiting = sum(number for state, number in store.numbers().items() if state in ACTIVE)
    return f"it does not run, and {waiting} job(s) are not finished" if waiting else None


@contextmanager
def _book(layout: BoxLayout) -> Iterator[Store]:
    """Raises BoxFailed."""
    with database_errors(layout.database), Store(layout.database) as store:
        yield store


def box_lines(facts: dict[str, Any]) -> list[str]:
    """The same in a few lines."""
    lines = [("box", "running" if facts["running"] else "not running"), ("now", facts["headline"])]
    if facts["trouble"]:
        lines.append(("TROUBLE", facts["trouble"]))
    if facts["clock"]:
        lines.append(("CLOCK", facts["clock"]))
    if facts["disk"]:
        lines.append(("disk", f"{facts['disk']['used_percent']:.0f} % used, {facts['disk']['free_mb']:.0f} MB free"))
    counts = [f"{number} {state}" for state, number in facts["jobs"].items() if number]
    lines.append(("studies", ", ".join(counts) or "none yet"))
    lines.extend(("put aside", f"{number} file(s): {code}") for code, number in facts["put_aside"].items())
    for one in facts["waiting"]:
        lines.append(("arriving", f"{one['study']}  {one['files']} files, {one['why']}"))
    lines.append(("said", facts["at"] or "never"))
    return [f"{name:<10}{text}" for name, text in lines]


def queue_facts(layout: BoxLayout, *, every: bool = False) -> list[dict[str, Any]]:
    """One entry a job, in the order of their turn; what came to rest last. Raises BoxFailed."""
    if not layout.database.is_file():
        return []
    with _book(layout) as store:
        open_ones = [*filter(_concerns_a_study, store.jobs(SHOWN)), *store.held_results()]
        jobs = store.jobs(State) if every else open_ones
        ranked = [(job, rank(store.jobs_of_patient(job.patient))) for job in jobs]
    ranked.sort(key=lambda one: (_turn(one[0]), -one[1], one[0].id))
    return [_entry(layout, job, grade) for job, grade in ranked]


def _concerns_a_study(job: Job) -> bool:
    """Not a stray file that was put aside: `status` counts those."""
    return bool(job.study) and (job.state != State.quarantined or job.revision is not None)


def _turn(job: Job) -> int:
    order = (State.running, State.publishing, State.archiving, State.claiming, State.queued)
    return order.index(job.state) if job.state in order else len(order)


def _entry(layout: BoxLayout, job: Job, grade: int) -> dict[str, Any]:
    result = layout.result(job.patient, job.study, job.revision or 0)
    done = job.state in (State.archiving, State.done)
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


def queue_lines(facts: Sequence[dict[str, Any]]) -> list[str]:
    """A line a job."""
    if not facts:
        return ["nothing waits"]
    return [_queue_line(one) for one in facts]


def _queue_line(one: dict[str, Any]) -> str:
    more = " ".join(filter(None, (one["verdict"], one["code"]))) if one["verdict"] else one["reason"] or ""
    return f"{one['study'] or '(no study)':<17} {one['state']:<12} {more}".rstrip()


def show_live(layout: BoxLayout, *, every: bool) -> None:
    """The queue as a screen that is drawn again each second, until Ctrl-C."""
    from rich.live import Live
    from rich.table import Table

    def table() -> Table:
        shown = Table(title=str(box_facts(layout)["headline"]), expand=True)
        for column in COLUMNS:
            shown.add_column(column)
        for one in queue_facts(layout, every=every):
            shown.add_row(*("" if one[column] is None else str(one[column]) for column in COLUMNS))
        return shown

    try:
        with Live(table(), refresh_per_second=1) as screen:
            while True:
                time.sleep(1.0)
                screen.update(table())
    except KeyboardInterrupt:
        return
