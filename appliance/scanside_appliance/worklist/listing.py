"""Which studies are on the list, and in which order: who is sick first, then what waits, then what came last."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from scanside_appliance.files.layout import RESULT, BoxLayout
from scanside_appliance.jobs.book.audit import outdated
from scanside_appliance.jobs.book.rows import ACTIVE, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.priority import EXTENSIVE, SEVERITY_RANK, rank
from scanside_appliance.results.archive import read_result
from scanside_appliance.worklist.care import with_course
from scanside_appliance.worklist.entry import ATTENTION, NO_FACTS, Entry, Facts, Group
from scanside_appliance.worklist.known_facts import KnownFacts

NEWEST = 1000
"""The first page has so many of the results that came last, whatever they say."""
EARLIER = 500
"""And so many older ones: all that wait for a person, then those who were sick when they were last seen."""
LEARNT_AT_ONCE = 500
WATCH_RANK = SEVERITY_RANK["watch"]


@dataclass(frozen=True, slots=True)
class Underway:
    """What has no result yet. failed: studies whose analysis failed; trouble: of the box, in words."""

    arriving: int = 0
    measured: int = 0
    failed: tuple[Job, ...] = ()
    trouble: str | None = None

    def to_document(self) -> dict[str, Any]:
        """As in `scanside worklist --json`."""
        failed = [{"study": job.study, "code": job.code} for job in self.failed]
        return {"arriving": self.arriving, "being_measured": self.measured, "failed": failed, "trouble": self.trouble}


@dataclass(frozen=True, slots=True)
class Worklist:
    """Every study with a result or waiting for a person, oldest result first, and what is under way."""

    entries: tuple[Entry, ...]
    underway: Underway

    def first_page(self) -> list[Entry]:
        """The newest, all that wait for a person, and older sick ones, in the order of the list."""
        newest = list(self.entries[-NEWEST:])
        older = self.entries[: len(self.entries) - len(newest)]
        held = [one for one in older if one.group == Group.held]
        sick = [replace(one, group=Group.earlier) for one in older if one.group in (Group.sick, Group.extensive)]
        room = max(EARLIER - len(held), 0)
        return in_order([*newest, *held, *sick[len(sick) - min(room, len(sick)) :]])


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """By group; the gravest of a group first where the queue would take them first, then the newest result."""
    places = {group: number for number, group in enumerate(Group)}
    newest_first = sorted(entries, key=lambda one: one.age, reverse=True)
    return sorted(newest_first, key=lambda one: (places[one.group], -one.rank if one.group in ATTENTION else 0))


def list_studies(
    layout: BoxLayout, store: Store, known: KnownFacts, *, arriving: int = 0, trouble: str | None = None
) -> Worklist:
    """From the book and the documents; of those only what is not known yet is read. Raises sqlite3.Error."""
    jobs = store.jobs(State)
    active = {job.study for job in jobs if job.state in ACTIVE and job.study}
    counting = [*_counting(jobs), *(job for job in jobs if job.state == State.held and job.study_uid)]
    facts = _facts(layout, store, known, counting)
    first_at = _first_times(jobs)
    lacking = set(outdated(store))
    entries = [
        Entry(job, _with_care(facts.get(job.id, NO_FACTS), job, lacking), first_at.get(_kind(job))) for job in counting
    ]
    last = _last_of_patients(entries)
    grouped = [_grouped(one, last, active) for one in entries]
    failed = tuple(job for job in jobs if job.state == State.quarantined and job.revision is not None)
    underway = Underway(arriving, len(active), failed, trouble)
    return Worklist(tuple(sorted(grouped, key=lambda one: one.age)), underway)


def _with_care(facts: Facts, job: Job, lacking: Collection[str]) -> Facts:
    return replace(facts, cautions=" ".join(with_course(facts.cautions.split(), job, lacking)))


def _counting(jobs: Sequence[Job]) -> list[Job]:
    """Of each study the newest result; one that was refused hides none that was measured."""
    in_turn = sorted(filter(_is_published, jobs), key=lambda job: (job.verdict != "refused", job.revision or 0))
    return list({job.study: job for job in in_turn}.values())


def _is_published(job: Job) -> bool:
    return job.state in (State.archiving, State.done)


def _first_times(jobs: Iterable[Job]) -> dict[tuple[str, ...], str]:
    """By study and kind of result, when the first of that kind was there: measured again it is no news."""
    newest_first = sorted(filter(_is_published, jobs), key=lambda job: job.revision or 0, reverse=True)
    return {_kind(job): job.finished_at or job.created_at for job in newest_first}


def _kind(job: Job) -> tuple[str, ...]:
    return job.study, job.verdict or "", job.series_uid or ""


def _facts(layout: BoxLayout, store: Store, known: KnownFacts, jobs: Sequence[Job]) -> dict[int, Facts]:
    """By job. A document that can't be read has none, and is tried again for the next list."""
    sums, before = store.hashes_of(RESULT), known.facts()
    found = {job.id: before[sums[job.id]] for job in jobs if sums.get(job.id) in before}
    unread = (job for job in jobs if job.id not in found and job.state != State.held)
    while batch := list(islice(unread, LEARNT_AT_ONCE)):
        read = {job.id: facts for job in batch if (facts := _read(layout, job, sums.get(job.id))) is not None}
        known.learn({sums[number]: facts for number, facts in read.items() if number in sums})
        found |= read
    return found


def _read(layout: BoxLayout, job: Job, sha256: str | None) -> Facts | None:
    path = job.published_in(layout) / RESULT
    try:
        return Facts.of(read_result(path, sha256))
    except (OSError, ValueError):
        return None


def _last_of_patients(entries: Iterable[Entry]) -> dict[str, int]:
    """By patient the job of the last scan that says how grave he is: what was found before no longer counts."""
    known = [one for one in entries if one.job.severity in ("none", *SEVERITY_RANK)]
    in_turn = sorted(known, key=lambda one: (one.facts.scanned_at or "", one.job.id))
    return {one.job.patient: one.job.id for one in in_turn}


def _grouped(entry: Entry, last: dict[str, int], active: set[str]) -> Entry:
    job = entry.job
    if job.state == State.held or (job.verdict == "held" and job.study not in active):
        return replace(entry, group=Group.held)
    grade = rank([job])
    if not grade:
        return entry
    if last.get(job.patient) != job.id:
        return replace(entry, past=True)
    if job.severity == EXTENSIVE:
        return replace(entry, group=Group.extensive, rank=grade)
    return replace(entry, group=Group.sick if grade > WATCH_RANK else Group.watch, rank=grade)
