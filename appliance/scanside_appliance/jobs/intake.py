"""What is ready in the inbox becomes a job, is known already, is held, or is put aside.

The book is written here; the conveyor moves what the book says.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from scanside_appliance.clock import Clock
from scanside_appliance.files.durable_files import make_folder, move_file, sync_folders
from scanside_appliance.files.layout import BoxLayout, archive_place, patient_key
from scanside_appliance.inbox.facts import Facts, is_one_stack
from scanside_appliance.inbox.readiness import Arrival
from scanside_appliance.jobs.errors import (
    InputArchive,
    InputBaseGone,
    InputBroken,
    InputConflict,
    InputDuplicateUid,
    InputNotDicom,
    InputOwnResult,
    InputSuperseded,
)
from scanside_appliance.jobs.store import ACTIVE, CLEANED, FileRow, Job, NewFile, State, Store
from scanside_runtime.dicom.errors import PatientMixed
from scanside_runtime.errors import ScansideError

NAME_LETTERS = 40
SHARED = "#"
"""Behind a SOP Instance UID that several slices carry: then the sum of the file's bytes goes with it."""
SAME_PLACE_MM = 0.05
"""As in `scanside_runtime.dicom.geometry`, which the daemon does not import: it needs NumPy."""
JOINED = (InputDuplicateUid.code, PatientMixed.code)
"""Held for one of these in several arrivals: a release takes them all."""
HELD_CODES = (InputConflict.code, InputDuplicateUid.code, InputBaseGone.code, PatientMixed.code)
"""Why slices wait in quarantine for a person; what lies there for another reason was put aside."""
REST = (State.done, State.held, State.quarantined, State.replaced)


@dataclass(frozen=True, slots=True)
class Sorted:
    """The files of an arrival, by what is to be done with them.

    again: with the file of the same bytes that is known. replaced: known files that break off and came whole now.
    """

    new: dict[str, Facts]
    again: dict[str, FileRow]
    cut_off: dict[str, Facts]
    conflicting: dict[str, Facts]
    replaced: list[FileRow]


class Intake:
    """The one way from the inbox into the book."""

    def __init__(self, layout: BoxLayout, store: Store, clock: Clock) -> None:
        self._layout, self._store, self._clock = layout, store, clock

    def take(self, arrival: Arrival) -> list[Job]:
        """Write down what is to be done with an arrival; the jobs that came of it.

        Nothing is done while a job of the study is under way: it is taken afterwards. Raises OSError, sqlite3.Error.
        """
        if not arrival.study:
            return self._put_aside(arrival.files)
        under_way = [job for job in self._store.jobs_of_study(arrival.study) if job.state in ACTIVE]
        if any(job.state != State.queued for job in under_way):
            return []
        found = self._sorted(arrival)
        for name, known in found.again.items():  # first, for what is new may need what was cleaned and came again
            self._known_already(name, known)
        with self._store.transaction():
            return self._written_down(arrival, self._sorted(arrival), under_way)

    def _sorted(self, arrival: Arrival) -> Sorted:
        return sort_files(arrival.files, self._store.files_of_study(arrival.study))

    def _written_down(self, arrival: Arrival, found: Sorted, under_way: list[Job]) -> list[Job]:
        """What becomes of files that are not known yet."""
        jobs: list[Job] = []
        if found.cut_off:
            jobs.append(self._aside(InputBroken(), found.cut_off, arrival.study))
        known = self._store.jobs_of_study(arrival.study)
        strangers = {} if any(job.alone for job in known) else _of_other_patients(known, found.new)
        if strangers:  # they alone: the rest of the arrival, and the study, go on without them
            jobs.append(self._hold(arrival.study, strangers, PatientMixed(patients=_patients(known, strangers))))
            found = _without_strangers(found, strangers)
        if found.conflicting:
            reason = InputConflict(count=len(found.conflicting))
            jobs.append(self._hold(arrival.study, {**found.new, **found.conflicting}, reason))
        elif found.new and (doubt := self._doubt(arrival.study, found.new.values())):
            jobs.append(self._hold(arrival.study, found.new, doubt))
        elif found.new and (gone := self._gone(arrival.study, {one.sop_uid for one in found.new.values()})):
            jobs.append(self._hold(arrival.study, found.new, InputBaseGone(count=gone)))
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

    def _gone(self, study: str, others: Collection[str]) -> int:
        """How many slices, beside these, the study lacks since the archive was cleaned."""
        rows = self._store.files_of_study(study)
        return sum(row.place == CLEANED and row.sop_uid not in others for row in rows)

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
        self._store.add_files(job, _new_files(found.new))
        return job

    def _take_over(self, job: Job) -> None:
        """Every file of the study but those that a person must judge; its patient stays the first that it had."""
        others = [one for one in self._store.jobs_of_study(job.study) if one.id != job.id]
        for one in (one for one in others if _is_taken_along(one, job)):
            self._give_all(one, job)
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
        self._store.give(rows, job.id)

    def _supersede(self, job: Job, replaced: list[FileRow]) -> None:
        """Put what another content took the place of aside, unless it was removed from the archive before."""
        rows = [row.id for row in replaced if row.place != CLEANED]
        if not rows:
            return
        reason = InputSuperseded()
        aside = self._new(State.quarantining, job.study, job.study_uid, job.patient, code=reason.code)
        self._store.change(aside.id, reason=_words(reason))
        self._store.give(rows, aside.id)

    def release(self, job: Job, series_uid: str | None = None) -> Job:
        """What is held is taken after all: of one slice, what came last counts.

        series_uid: the series that a person chose. Raises InputBaseGone while slices are missing that the archive had,
        sqlite3.Error.
        """
        with self._store.transaction():
            newest = {row.sop_uid: row.id for row in self._store.files(job.id)}
            if gone := self._gone(job.study, newest):
                raise InputBaseGone(count=gone)
            self._take_over(self._store.change(job.id, series_uid=series_uid))
            rows = self._store.files(job.id)
            self._supersede(job, [row for row in rows if newest.get(row.sop_uid, row.id) != row.id])
            return self._store.change(job.id, state=State.claiming, code=None, reason=None)

    def measure_again(self, last: Job, *, alone: bool = False, series_uid: str | None = None) -> Job:
        """A study that came to a result is measured again, as a person says: a new revision.

        alone: by itself, where its result was held. series_uid: this series; "": the one that Scanside chooses.
        Raises InputBaseGone while slices are missing that the archive had, sqlite3.Error.
        """
        with self._store.transaction():
            if gone := self._gone(last.study, ()):
                raise InputBaseGone(count=gone)
            job = self._new(State.claiming, last.study, last.study_uid, last.patient, incomplete=last.incomplete)
            self._take_over(self._store.change(job.id, alone=int(alone), series_uid=series_uid))
            return self._store.job(job.id)

    def release_what_is_whole_again(self) -> list[Job]:
        """Held because slices were missing that the archive had; they were sent again. Raises sqlite3.Error."""
        first: dict[str, Job] = {}
        for job in filter(_waits_for_its_base, self._store.jobs([State.held])):
            first.setdefault(job.study, job)
        return [self.release(job) for job in first.values() if self._is_whole_again(job.study)]

    def _is_whole_again(self, study: str) -> bool:
        under_way = any(one.state in ACTIVE for one in self._store.jobs_of_study(study))
        return not under_way and not self._gone(study, ())

    def _hold(self, study: str, files: Mapping[str, Facts], reason: ScansideError) -> Job:
        first = next(iter(files.values()))
        patient = patient_key(first.patient_id, first.issuer, first.study_uid)
        job = self._new(State.holding, study, first.study_uid, patient, code=reason.code, reason=_words(reason))
        self._store.add_files(job, _new_files(files))
        return job

    def _put_aside(self, files: Mapping[str, Facts]) -> list[Job]:
        """Files of no study, a job for each reason."""
        reasons: dict[str, ScansideError] = {
            "own": InputOwnResult(),
            "other": InputNotDicom(),
            "zip": InputArchive(),
            "broken": InputBroken(),
        }
        taken = self._store.claimed_sources()
        jobs = []
        for kind, reason in reasons.items():
            some = {name: one for name, one in files.items() if one.kind == kind and os.fsencode(name) not in taken}
            if some:
                with self._store.transaction():
                    jobs.append(self._aside(reason, some, ""))
        return jobs

    def _aside(self, reason: ScansideError, files: Mapping[str, Facts], study: str) -> Job:
        job = self._new(State.quarantining, study, "", "", code=reason.code, reason=_words(reason))
        self._store.add_files(job, _new_files(files, numbered=True))
        return job

    def _new(self, state: State, study: str, study_uid: str, patient: str, **columns: str | None) -> Job:
        return self._store.add_job(
            state, self._clock.now_text(), study=study, study_uid=study_uid, patient=patient, **columns
        )

    def _known_already(self, name: str, known: FileRow) -> None:
        """The same bytes once more: they are kept once. Where the kept file is gone, this one takes its place."""
        source, kept = self._layout.inbox / name, known.path(self._layout.root)
        job = self._store.job(known.job)
        if job.state not in REST or kept == source:
            return
        if known.place == CLEANED:
            place = archive_place(job.patient, job.study)
            kept = self._layout.root / place / known.name
        make_folder(kept.parent, self._layout.root)
        if move_file(source, kept, known.sha256):
            sync_folders(kept.parent, source.parent)
        with self._store.transaction():
            if known.place == CLEANED:
                self._store.put([known.id], place)
            self._store.count("files_known_already")


def _waits_for_its_base(job: Job) -> bool:
    return job.state == State.held and job.code == InputBaseGone.code


def _is_taken_along(held: Job, job: Job) -> bool:
    """What waited for its base goes with any job of the study, what else is held with a release for its reason."""
    return _waits_for_its_base(held) or (held.state == State.held and held.code in JOINED and held.code == job.code)


def _of_other_patients(jobs: Iterable[Job], new: Mapping[str, Facts]) -> dict[str, Facts]:
    """The slices that come late to a study that is another patient's: measured, or in the queue.

    An issuer that was not stated before makes no other patient. A slice that names no patient may be anybody's, what is
    no slice goes with the study. Of a study that stands by itself, or is nobody's, nothing is asked: the analysis
    refuses two patients.
    """
    known = _known_patients(jobs)
    asked = {name: one for name, one in new.items() if one.patient_id or one.along_mm is not None}
    return {name: one for name, one in asked.items() if known and not known & _may_be(one)}


def _known_patients(jobs: Iterable[Job]) -> set[str]:
    accepted = [job for job in jobs if job.revision is not None or job.state == State.queued]
    return {job.patient for job in accepted} - {patient_key(None, None, job.study_uid) for job in accepted}


def _may_be(one: Facts) -> set[str]:
    """The names on this box of the patient whose a file is: with its issuer, or as one who was known without."""
    issuers = (one.issuer, None) if one.patient_id else ()
    return {patient_key(one.patient_id, issuer, one.study_uid) for issuer in issuers}


def _patients(jobs: Iterable[Job], strangers: Mapping[str, Facts]) -> str:
    """All of them by their names on this box: no ID stands on a screen."""
    named = {patient_key(one.patient_id, one.issuer, one.study_uid) for one in strangers.values()}
    return ", ".join(sorted(_known_patients(jobs) | named))


def _without_strangers(found: Sorted, strangers: Mapping[str, Facts]) -> Sorted:
    new = {name: one for name, one in found.new.items() if name not in strangers}
    stays = {one.sop_uid for one in new.values()}
    return replace(found, new=new, replaced=[row for row in found.replaced if row.sop_uid in stays])


def told_apart(files: Mapping[str, Facts], known: Iterable[FileRow]) -> dict[str, Facts]:
    """Slices whose UID does not name them get the sum of their bytes beside it: one UID at several places, or none."""
    shared = {row.sop_uid.partition(SHARED)[0] for row in known if SHARED in row.sop_uid}
    places: dict[str, list[Facts]] = {}
    for one in files.values():
        if one.along_mm is not None:
            places.setdefault(one.sop_uid, []).append(one)
    shared |= {uid for uid, some in places.items() if not uid or _at_several_places(some)}
    return {
        name: replace(one, sop_uid=f"{one.sop_uid}{SHARED}{one.sha256}") if one.sop_uid in shared else one
        for name, one in files.items()
    }


def _at_several_places(slices: Collection[Facts]) -> bool:
    along = [one.along_mm or 0.0 for one in slices]
    first = next(iter(slices)).stack
    return not all(is_one_stack(first, one.stack) for one in slices) or max(along) - min(along) >= SAME_PLACE_MM


def sort_files(files: Mapping[str, Facts], known: Iterable[FileRow]) -> Sorted:
    """Sort the files of an arrival by UID and content, against what is known of the study and among themselves."""
    found, known = Sorted({}, {}, {}, {}, []), list(known)
    files = told_apart(files, known)
    by_uid: dict[str, list[FileRow]] = {}
    by_sum: dict[str, FileRow] = {}
    for row in known:
        by_uid.setdefault(row.sop_uid or row.sha256, []).append(row)
        by_sum.setdefault(row.sha256, row)
    accepted: dict[str, str] = {}
    for name, facts in sorted(files.items(), key=lambda one: (not one[1].whole, one[0])):  # whole ones first
        uid = facts.sop_uid or facts.sha256
        same_uid = by_uid.get(uid, [])
        is_other_content = accepted.setdefault(uid, facts.sha256) != facts.sha256
        if facts.sha256 in by_sum:
            found.again[name] = by_sum[facts.sha256]
        elif not facts.whole and (same_uid or is_other_content):
            found.cut_off[name] = facts
        elif is_other_content or any(row.whole for row in same_uid):
            found.conflicting[name] = facts
        else:
            found.new[name] = facts
            found.replaced.extend(same_uid)
    return found


def _new_files(files: Mapping[str, Facts], *, numbered: bool = False) -> list[NewFile]:
    """Rows for files; their names are their hashes, with a number where the same bytes are kept more than once."""
    rows: dict[str, NewFile] = {}
    for number, (name, facts) in enumerate(sorted(files.items())):
        suffix = f"-{number:03d}" if numbered else ".dcm"
        kept_as = facts.sha256[:NAME_LETTERS] + suffix
        source = os.fsencode(PurePosixPath(name))
        rows.setdefault(kept_as, NewFile(source, facts.sop_uid, facts.sha256, facts.size, facts.whole, kept_as))
    return list(rows.values())


def _words(reason: ScansideError) -> str:
    return f"{reason.message} {reason.advice}"
