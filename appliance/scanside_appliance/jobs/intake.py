"""What is ready in the inbox becomes a job, is known already, is held, or is put aside.

Copies are made first; then the book is written, the files in the inbox go, and the file mover moves what the book says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from scanside_appliance.clock import Clock
from scanside_appliance.files.alike import may_be_dicom
from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import BoxLayout, patient_key
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Arrival
from scanside_appliance.jobs.book.rows import ACTIVE, CLEANED, NAME_LETTERS, FileRow, Job, NewFile, State, TakenSource
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import (
    InputArchive,
    InputBaseGone,
    InputBroken,
    InputConflict,
    InputDuplicateUid,
    InputFilesGone,
    InputNotDicom,
    InputOwnResult,
    InputSuperseded,
)
from scanside_appliance.jobs.found_again import put_back_what_is_found
from scanside_appliance.jobs.sorting import (
    SHARED,
    Sorted,
    of_other_patients,
    patients_in_words,
    sort_files,
    without_strangers,
)
from scanside_appliance.jobs.sources import KnownAlready, TakenSources
from scanside_appliance.jobs.staging import Copies, Staging
from scanside_runtime.dicom.errors import PatientMixed
from scanside_runtime.errors import ScansideError

SOURCE_LETTERS = 16
JOINED = (InputDuplicateUid.code, PatientMixed.code)
"""Held for one of these in several arrivals: a release takes them all."""
WAITS_FOR_FILES = (InputBaseGone.code, InputFilesGone.code)
LACK_NOT_KNOWN = "the book was made anew, and what is missing is not known"
"""Why a study is incomplete that waited for files when the book was lost. It goes on when it is sent or released."""
HELD_CODES = (InputConflict.code, InputDuplicateUid.code, *WAITS_FOR_FILES, PatientMixed.code)
"""Why slices wait in quarantine for a person; what lies there for another reason was put aside."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The copies of an arrival under the names that they keep; rows: of some of them, for the book."""

    files: Mapping[str, NewFile]

    def rows(self, files: Iterable[str]) -> list[NewFile]:
        """In the order of their names in the inbox."""
        return [self.files[name] for name in sorted(files) if name in self.files]


class Intake:
    """The one way from the inbox into the book.

    unfinished: there is more to be copied of what was to be taken. doubted: files that were not what they were known to
    be. belied: what did not change since: whoever read it said of it what it is not. suspected: what looks like DICOM
    and was to be put aside, on the word of a child that had read other files, too.
    sources: what of the inbox is taken.
    """

    def __init__(
        self,
        layout: BoxLayout,
        store: Store,
        clock: Clock,
        porter: Porter | None = None,
        progressed: Callable[[], None] = lambda: None,
        is_sure: Callable[[str, str], bool] = lambda *_: True,
    ) -> None:
        """is_sure: of a name and a sum, whether a child that had read no other file said what is known of it."""
        self._layout, self._store, self._clock = layout, store, clock
        porter = porter or Porter(layout, clock.monotonic)
        self._staging = Staging(layout, porter, clock.monotonic, progressed)
        self._staged = Staged({})
        self.sources = TakenSources(store, porter)
        self._known = KnownAlready(layout, store, self._staging, self.sources)
        self.unfinished, self._is_sure = False, is_sure
        self.doubted: list[str] = []
        self.belied: set[str] = set()
        self.suspected: list[str] = []

    def begin_turn(self) -> None:
        """Before the arrivals of a scan."""
        self.unfinished, self.doubted, self.belied, self.suspected = False, [], set(), []

    def end_turn(self, studies: Collection[str]) -> None:
        """These were ready: what was begun of others is given up."""
        self._staging.keep_only(studies)

    def take(self, arrival: Arrival) -> list[Job]:
        """Write down what is to be done with an arrival; the jobs that came of it.

        Nothing is done while a job of the study is under way, it is taken afterwards; nor while there is more to be
        copied, or where a file is not what it was: then it is looked at anew. What went while it was copied is missing,
        and the study says so. Raises OSError, sqlite3.Error.
        """
        known = self._store.jobs_of_study(arrival.study) if arrival.study else []
        under_way = [job for job in known if job.state in ACTIVE]
        if any(job.state != State.queued for job in under_way):
            return []
        found = self._sorted(arrival)
        if found.again:  # first, for what is new may need what was cleaned and came again
            files = self._known.take(arrival.study, arrival.files, found.again)
            self.doubted.extend(self._known.doubted)
            self.belied |= self._known.belied
            if files is None:
                self.unfinished |= not self._known.doubted
                return []
            arrival = replace(arrival, files=files)
            found = self._sorted(arrival)
        copies = self._copied(arrival, found)
        if copies is None or not copies.made:
            return []
        with self._store.transaction():
            jobs = self._written_down(_without(arrival, copies), under_way)
            self.sources.add(_sources(arrival, copies))
        self._staging.done(arrival.study)
        self.sources.advance()
        return jobs

    def _sorted(self, arrival: Arrival) -> Sorted:
        return sort_files(arrival.files, self._store.files_of_study(arrival.study) if arrival.study else [])

    def _copied(self, arrival: Arrival, found: Sorted) -> Copies | None:
        """Copies of what is not known yet, each content once; what is put aside as it is once for each file."""
        aside = arrival.files if not arrival.study else found.cut_off
        once = {one.sha256: name for name, one in sorted({**found.new, **found.conflicting}.items(), reverse=True)}
        wanted = {*aside, *(once.values() if arrival.study else ())}
        if not wanted:
            return None
        copies = self._staging.copy(arrival.study, {name: arrival.files[name] for name in sorted(wanted)})
        if copies is None:
            self.unfinished = True
            return None
        if copies.changed:
            self.doubted.extend(copies.changed)
            self.belied |= copies.belied
            return None
        if suspected := [name for name in aside if self._is_suspect(name, arrival.files[name], copies)]:
            self.suspected.extend(suspected)
            self._staging.drop(arrival.study)
            return None
        if not self._is_settled(arrival, copies, aside):
            self.unfinished = True
            return None
        return copies

    def _is_suspect(self, name: str, facts: Facts, copies: Copies) -> bool:
        """A file takes over who reads it, and calls good slices nothing to be measured: nobody would look for them."""
        copy = self._staging.part(copies, name)
        return not self._is_sure(name, facts.sha256) and lies_at(copy) and may_be_dicom(copy)

    def _is_settled(self, arrival: Arrival, copies: Copies, aside: Collection[str]) -> bool:
        """Their names are their sums, and where the same bytes are kept more than once, of their names in the inbox.

        A name depends on no other file: this is asked again, when others may have come or gone.
        """
        rows = {}
        for name, (_, copied) in copies.made.items():
            facts, source = arrival.files[name], os.fsencode(name)
            suffix = f"-{hashlib.sha256(source).hexdigest()[:SOURCE_LETTERS]}" if name in aside else ".dcm"
            kept_as = copied.sha256[:NAME_LETTERS] + suffix
            rows[name] = NewFile(
                source, facts.sop_uid, copied.sha256, facts.size, facts.whole, copies.place, kept_as,
                copied.mtime_ns, facts.data_sha256,
            )  # fmt: skip
        self._staged = Staged(rows)
        return self._staging.settle(arrival.study, {name: row.name for name, row in rows.items()})

    def _written_down(self, arrival: Arrival, under_way: list[Job]) -> list[Job]:
        """What becomes of files that are not known yet, all of them copied."""
        if not arrival.study:
            return self._put_aside(arrival.files)
        found, jobs = self._sorted(arrival), list[Job]()
        if found.cut_off:
            jobs.append(self._aside(InputBroken(), found.cut_off, arrival.study))
        known = self._store.jobs_of_study(arrival.study)
        strangers = {} if any(job.alone for job in known) else of_other_patients(known, found.new)
        if strangers:  # they alone: the rest of the arrival, and the study, go on without them
            reason = PatientMixed(patients=patients_in_words(known, strangers))
            jobs.append(self._hold(arrival.study, strangers, reason))
            found = without_strangers(found, strangers)
        if found.conflicting:
            conflict = InputConflict(count=len(found.conflicting))
            jobs.append(self._hold(arrival.study, {**found.new, **found.conflicting}, conflict))
        elif found.new and (doubt := self._doubt(arrival.study, found.new.values())):
            jobs.append(self._hold(arrival.study, found.new, doubt))
        elif found.new and (lack := self._lack(arrival.study, {one.sop_uid for one in found.new.values()})):
            jobs.append(self._hold(arrival.study, found.new, lack))
        elif found.new:
            jobs.append(self._claim(arrival, found, under_way))
        return jobs

    def _doubt(self, study: str, new: Collection[Facts]) -> ScansideError | None:
        """What a person must decide about new slices: may one UID stand for many."""
        jobs = self._store.jobs_of_study(study)
        accepted = {job.id for job in jobs if job.state != State.held}
        known = [row for row in self._store.files_of_study(study) if SHARED in row.sop_uid]
        shared = sum(SHARED in one.sop_uid for one in new)
        undecided = any(job.state == State.held and job.code == InputDuplicateUid.code for job in jobs)
        if undecided or (shared and not any(row.job in accepted for row in known)):
            return InputDuplicateUid(count=shared + len(known))
        return None

    def _lack(self, study: str, others: Collection[str]) -> InputBaseGone | InputFilesGone | None:
        """Whether the study lacks slices beside these: cleaned from the archive, or gone before they were measured."""
        rows = self._store.files_of_study(study)
        gone = [row for row in rows if row.place == CLEANED and row.sop_uid not in others]
        if not gone:
            return None
        of_unmeasured = any(self._store.job(row.job).code == InputFilesGone.code for row in gone)
        return (InputFilesGone if of_unmeasured else InputBaseGone)(count=len(gone))

    def _claim(self, arrival: Arrival, found: Sorted, under_way: list[Job]) -> Job:
        """The study's job: the one that waits, or a new one that takes over every file of the study."""
        first = next(iter(found.new.values()))
        patient = patient_key(first.patient_id, first.issuer, first.study_uid)
        if under_way:
            job = self._store.change(under_way[0].id, state=State.claiming, incomplete=arrival.incomplete)
        else:
            job = self._new(State.claiming, arrival.study, first.study_uid, patient, incomplete=arrival.incomplete)
            self._take_over(job)
        self._supersede(job, found.replaced)
        self._store.add_files(job, self._rows(found.new))
        return job

    def _rows(self, files: Mapping[str, Facts]) -> list[NewFile]:
        """For the book, with the UIDs by which they were sorted."""
        return [replace(row, sop_uid=files[os.fsdecode(row.source)].sop_uid) for row in self._staged.rows(files)]

    def _take_over(self, job: Job) -> None:
        """Every file of the study but those that a person must judge; its patient stays the first that it had."""
        others = [one for one in self._store.jobs_of_study(job.study) if one.id != job.id]
        for one in (one for one in others if _is_taken_along(one, job)):
            self._give_all(one, job)
            self._forget_gone(one)
            self._store.remove_job(one.id)
        earlier = [one for one in others if one.revision is not None]
        for one in earlier:
            self._give_all(one, job)
            if one.state == State.quarantined:
                self._store.change(one.id, state=State.replaced)
        if earlier:
            alone = max(job.alone, *(one.alone for one in earlier))
            chosen = [one.series_uid for one in (*earlier, job) if one.series_uid is not None]
            nobodys = patient_key(None, None, job.study_uid)
            patient = next((one.patient for one in earlier if one.patient != nobodys), job.patient)
            series_uid = chosen[-1] if chosen else None
            self._store.change(job.id, patient=patient, alone=alone, series_uid=series_uid)

    def _give_all(self, one: Job, job: Job) -> None:
        rows = [row.id for row in self._store.files(one.id) if row.place != CLEANED]
        self._store.give(rows, job.id, measured=one.state == State.done)

    def _forget_gone(self, held: Job) -> None:
        """Others came in their place, or a person gave them up."""
        self._store.forget([row.id for row in self._store.files(held.id) if row.place == CLEANED])

    def _supersede(self, job: Job, replaced: list[FileRow]) -> None:
        """Put what another content took the place of aside, unless it was removed from the archive before."""
        rows = [row.id for row in replaced if row.place != CLEANED]
        if not rows:
            return
        reason = InputSuperseded()
        aside = self._new(State.quarantining, job.study, job.study_uid, job.patient, code=reason.code)
        self._store.change(aside.id, reason=reason.in_words)
        self._store.give(rows, aside.id, measured=False)

    def release(self, job: Job, series_uid: str | None = None) -> Job:
        """What is held is taken after all: of one slice, what came last counts.

        series_uid: the series that a person chose. Raises InputBaseGone while slices are missing that the archive had,
        InputFilesGone while such are gone that were to be measured, sqlite3.Error.
        """
        with self._store.transaction():
            newest = {row.sop_uid: row.id for row in self._store.files(job.id)}
            if lack := self._lack(job.study, newest):
                raise lack
            self._take_over(self._store.change(job.id, series_uid=series_uid))
            rows = self._store.files(job.id)
            self._supersede(job, [row for row in rows if newest.get(row.sop_uid, row.id) != row.id])
            return self._store.change(job.id, state=State.claiming, code=None, reason=None)

    def measure_again(self, last: Job, *, alone: bool = False, series_uid: str | None = None) -> Job:
        """A study that came to a result is measured again, as a person says: a new revision.

        alone: by itself, where its result was held. series_uid: this series; "": the one that Scanside chooses.
        Raises InputBaseGone while slices are missing that the archive had, InputFilesGone while such are gone that were
        to be measured, sqlite3.Error.
        """
        with self._store.transaction():
            if lack := self._lack(last.study, ()):
                raise lack
            job = self._new(State.claiming, last.study, last.study_uid, last.patient, incomplete=last.incomplete)
            self._take_over(self._store.change(job.id, alone=int(alone), series_uid=series_uid))
            return self._store.job(job.id)

    def release_what_is_whole_again(self) -> list[Job]:
        """Held because slices were missing that are there again. Raises OSError, sqlite3.Error."""
        waiting = list(filter(_waits_for_its_base, self._store.jobs([State.held])))
        put_back_what_is_found(self._layout, self._store, waiting)
        first: dict[str, Job] = {}
        for job in waiting:
            first.setdefault(job.study, job)
        return [self.release(job) for job in first.values() if self._is_whole_again(job.study)]

    def _is_whole_again(self, study: str) -> bool:
        jobs = self._store.jobs_of_study(study)
        if any(one.state in ACTIVE or (one.state, one.incomplete) == (State.held, LACK_NOT_KNOWN) for one in jobs):
            return False
        return self._lack(study, ()) is None

    def _hold(self, study: str, files: Mapping[str, Facts], reason: ScansideError) -> Job:
        first = next(iter(files.values()))
        patient = patient_key(first.patient_id, first.issuer, first.study_uid)
        job = self._new(State.holding, study, first.study_uid, patient, code=reason.code, reason=reason.in_words)
        self._store.add_files(job, self._rows(files))
        return job

    def _put_aside(self, files: Mapping[str, Facts]) -> list[Job]:
        """Files of no study, a job for each reason."""
        reasons: dict[str, ScansideError] = {
            "own": InputOwnResult(),
            "other": InputNotDicom(),
            "zip": InputArchive(),
            "broken": InputBroken(),
        }
        jobs = []
        for kind, reason in reasons.items():
            if some := {name: one for name, one in files.items() if one.kind == kind}:
                jobs.append(self._aside(reason, some, ""))
        return jobs

    def _aside(self, reason: ScansideError, files: Mapping[str, Facts], study: str) -> Job:
        job = self._new(State.quarantining, study, "", "", code=reason.code, reason=reason.in_words)
        self._store.add_files(job, self._rows(files))
        return job

    def _new(self, state: State, study: str, study_uid: str, patient: str, **columns: str | None) -> Job:
        return self._store.add_job(
            state, self._clock.now_text(), study=study, study_uid=study_uid, patient=patient, **columns
        )


def _without(arrival: Arrival, copies: Copies) -> Arrival:
    """The files that were copied; what went meanwhile makes a study incomplete."""
    files = {name: replace(arrival.files[name], sha256=one.sha256) for name, (_, one) in copies.made.items()}
    why = f"{len(copies.gone)} file(s) were taken away while it was taken in"
    return Arrival(arrival.study, files, arrival.incomplete or (why if copies.gone else None))


def _sources(arrival: Arrival, copies: Copies) -> list[TakenSource]:
    made = [(os.fsencode(name), seen) for name, (seen, _) in copies.made.items()]
    return [TakenSource(name, seen.size, seen.mtime_ns, seen.inode) for name, seen in made]


def _waits_for_its_base(job: Job) -> bool:
    return job.state == State.held and job.code in WAITS_FOR_FILES


def _is_taken_along(held: Job, job: Job) -> bool:
    """What waited for its base goes with any job of the study, what else is held with a release for its reason."""
    return _waits_for_its_base(held) or (held.state == State.held and held.code in JOINED and held.code == job.code)
