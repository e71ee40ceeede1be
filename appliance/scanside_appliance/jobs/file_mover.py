"""Brings the folders to what the book says. Every step can be cut short at any moment and is simply done again.

state         what is done                                    then
claiming      their copies go to work/<job>                   queued
publishing    the finished result gets its name               archiving
archiving     files go to archive/<patient>/<study>           done
holding       files go to quarantine/<code>/<job>             held
quarantining  the same                                        quarantined
returning     files go to inbox/returned-<job>                the job is forgotten
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from itertools import filterfalse
from pathlib import Path
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.atomic import replace_file, sync_directory
from scanside_appliance.files.durable_files import (
    PART,
    file_sha256,
    is_folder,
    is_there,
    lies_at,
    make_folder,
    move_file,
    sync_folders,
)
from scanside_appliance.files.layout import RESULT, BoxLayout, archive_place, quarantine_place, work_place
from scanside_appliance.files.names import harmless
from scanside_appliance.inbox.errands import Done, GiveBack, together
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.jobs.book.audit import Event, note
from scanside_appliance.jobs.book.rows import CLEANED, FileRow, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxAnalysisDied, InputFilesGone
from scanside_appliance.jobs.result_folder import unsound

REASON = "reason.txt"
GIVE_BACK_S = 0.5
"""The inbox is waited for so long at a time."""
TIRED = 20
"""A job is put aside after so many interruptions: the study may be what brings the box down."""
AFTER = {
    State.claiming: State.queued,
    State.archiving: State.done,
    State.holding: State.held,
    State.quarantining: State.quarantined,
}
TOLD: Mapping[State, Event] = {State.held: "held", State.quarantined: "put aside"}
log = logging.getLogger("scanside")


class FileMover:
    """Moves files and results to where their job's state says. Raises OSError and sqlite3.Error; call again then."""

    def __init__(self, layout: BoxLayout, store: Store, clock: Clock, porter: Porter) -> None:
        self._layout, self._store, self._clock, self._porter = layout, store, clock, porter
        self._orphans: list[Path] = []

    def recover(self) -> None:
        """After a start: what was running is queued again, what nobody owns is put right, all moves are finished."""
        for job in self._store.jobs([State.running]):
            self._interrupted(job)
        self._clear_unfinished()
        self._find_orphans()
        _clear(self._forsaken())
        for part in self._layout.root.glob(".*.part"):
            part.unlink(missing_ok=True)

    def _interrupted(self, job: Job) -> None:
        """Queued again; put aside when it went on like that for too long."""
        count = job.interruptions + 1
        if count < TIRED:
            self._store.change(job.id, state=State.queued, interruptions=count)
            return
        died = BoxAnalysisDied(how="together with the whole box", attempts=count)
        self._store.change(job.id, state=State.quarantining, interruptions=count, code=died.code, reason=died.in_words)

    def _clear_unfinished(self) -> None:
        wanted = {job.result_dir for job in self._store.jobs([State.publishing])}
        for folder in self._layout.unfinished.iterdir():
            if folder.name not in wanted:
                shutil.rmtree(folder)

    def _find_orphans(self) -> None:
        """Files in work that no job has (the book was lost) go back to the inbox; copies that were cut short go."""
        for folder in filter(is_folder, (self._layout.root / "work").iterdir()):
            known = self._known_in_work(folder.name)
            for file in sorted(filterfalse(is_folder, folder.iterdir())):
                if file.name.endswith(PART):
                    file.unlink()
                elif file.name not in known:
                    self._orphans.append(file)
            _clear([folder])
        self._orphans.sort(key=lambda file: file.lstat().st_size)  # those of one size in one errand
        self.return_orphans()

    @property
    def any_orphans(self) -> bool:
        """Whether files wait for the inbox to take them back."""
        return bool(self._orphans)

    def return_orphans(self) -> None:
        """As far as the inbox takes them now."""
        if self._orphans and self._are_given_back((file, f"returned-{file.parent.name}") for file in self._orphans):
            folders = {file.parent for file in self._orphans}
            self._orphans.clear()
            sync_folders(*folders)
            _clear(folders)

    def _are_given_back(self, files: Iterable[tuple[Path, str]]) -> bool:
        """Whether they lie in the inbox again; else call again, the inbox may not answer. Raises OSError."""
        work = self._layout.root / "work"
        left = [(Path(os.path.relpath(file, work)), home) for file, home in files if lies_at(file)]
        for some in together(left, lambda one: len(os.fsencode(one[0]))):
            ended: list[Done] = []
            if not self._porter.do(GiveBack(tuple(some)), ended.append, GIVE_BACK_S) or not ended:
                return False
            ended[0].check()
        return True

    def _known_in_work(self, folder: str) -> set[str]:
        """The names of files that the book has there, or that are on their way to it: a claim may be half done."""
        on_their_way = self._store.files(int(folder)) if folder.isdecimal() else []
        return {row.name for row in (*self._store.files_at(f"work/{folder}"), *on_their_way)}

    def _forsaken(self) -> list[Path]:
        """Folders in quarantine that hold no file, and no job has one there."""
        root = self._layout.root
        folders = [one for one in root.glob("quarantine/*/*") if _holds_a_reason_at_most(one)]
        return [one for one in folders if not self._store.files_at(one.relative_to(root).as_posix())]

    def advance(self, job: Job) -> Job | None:
        """The next step of a job in motion; None when it is forgotten."""
        steps: Mapping[State, Callable[[Job], Job | None]] = {
            State.claiming: lambda one: self._bring(one, work_place(one.id)),
            State.archiving: lambda one: self._bring(one, archive_place(one.patient, one.study)),
            State.holding: self._put_aside,
            State.quarantining: self._put_aside,
            State.publishing: self._publish,
            State.returning: self._return,
        }
        return steps[job.state](job)

    def _bring(self, job: Job, place: str) -> Job | None:
        """All files of a job to a place; then its next state. What can't be measured without some is held."""
        left, gone = self._move_all(job, place)
        with self._store.transaction():
            self._store.moved(job.id, place)
            if gone:
                self._note_gone(job, gone)
            if gone and job.state == State.claiming:
                return self._held_without(job, gone)
            if not self._store.files(job.id) and job.revision is None:
                self._store.remove_job(job.id)
                return None
            changed = self._store.change(job.id, state=AFTER[job.state], rested_h=self._store.hours_run())
            if changed.state in TOLD:
                note(self._store, TOLD[changed.state], job.study, code=job.code)
        _clear(left)
        return changed

    def _move_all(self, job: Job, place: str) -> tuple[set[Path], list[FileRow]]:
        """The folders that the files left, and the files that lie nowhere."""
        root = self._layout.root
        rows = [row for row in self._store.files(job.id) if row.place != CLEANED]
        if rows or job.state != State.holding:
            make_folder(root / place, root)
        gone = [row for row in rows if not move_file(row.path(root), root / place / row.name, row.sha256)]
        left = {row.path(root).parent for row in rows if row.place != place}
        sync_folders(root / place, *(row.path(root).parent for row in rows))
        return left, gone

    def _note_gone(self, job: Job, gone: list[FileRow]) -> None:
        """Somebody took them away, or the backup that was put back lacks them. Of no study, they are nobody's."""
        log.error("study %s: %d file(s) are no longer where they were", job.study or "(none)", len(gone))
        self._store.count("files_missing", len(gone))
        if not job.study:
            self._store.forget([row.id for row in gone])

    def hold_without_its_files(self, job: Job) -> Job | None:
        """Hold a job whose files in work are gone; None where all of them are there. Raises OSError, sqlite3.Error."""
        gone = [row for row in self._store.files(job.id) if not lies_at(row.path(self._layout.root))]
        if not gone:
            return None
        with self._store.transaction():
            self._note_gone(job, gone)
            return self._held_without(job, gone)

    def _held_without(self, job: Job, gone: list[FileRow]) -> Job:
        """Until they are sent again, or a person gives them up: what is known of them stays."""
        self._store.put([row.id for row in gone], CLEANED)
        reason = InputFilesGone(count=len(gone))
        return self._store.change(job.id, state=State.holding, code=reason.code, reason=reason.in_words)

    def _put_aside(self, job: Job) -> Job | None:
        place = quarantine_place(job.code or "BOX_DEFECT", job.id)
        folder = self._layout.root / place
        if any(row.place != CLEANED for row in self._store.files(job.id)):
            make_folder(folder, self._layout.root)
            if not lies_at(folder / REASON):
                replace_file(folder / REASON, self._reason_text(job).encode())
        return self._bring(job, place)

    def _reason_text(self, job: Job) -> str:
        """Why the files lie here, and what they were called."""
        study = f"Study {job.study}\n" if job.study else ""
        when = f"Put here at {self._clock.now_text()} by the box's clock. Nothing was changed in the files."
        names = "".join(f"{row.name}  was  {harmless(os.fsdecode(row.source))}\n" for row in self._store.files(job.id))
        return f"{job.code}\n\n{job.reason}\n\n{study}{when}\n\nIn the inbox the files were called:\n{names}"

    def hand_over_result(
        self, job: Job, folder: Path, also: Callable[[], None] = lambda: None, **columns: str | None
    ) -> Job:
        """Commit to a finished result: synced, every file hashed, the input still what was taken.

        also: what is written into the book with it, all or nothing.

        What was measured, and what goes to the archive now, is what was sent: the copy was summed when it was made,
        nobody else has had it open, and its time says that nobody has written to it since. Where the time says nothing
        (files that an earlier revision had, or a box that was copied to another disk), the bytes are summed. Where they
        changed, the result is worth nothing and the files go back to the inbox; where they are gone, the job is held.
        """
        if held := self.hold_without_its_files(job):
            shutil.rmtree(folder)
            return held
        if not all(_is_as_taken(row, row.path(self._layout.root)) for row in self._store.files(job.id)):
            log.warning("study %s: files changed while they were analysed; they go back to the inbox", job.study)
            shutil.rmtree(folder)
            return self._store.change(job.id, state=State.returning)
        hashes = {file.name: _synced_sha256(file) for file in sorted(folder.iterdir())}
        sync_directory(folder)
        sync_directory(folder.parent)
        with self._store.transaction():
            self._store.write_result(job.id, hashes)
            also()
            return self._store.change(job.id, state=State.publishing, result_dir=folder.name, **columns)

    def _publish(self, job: Job) -> Job:
        """The one moment in which a result becomes visible: whole, and with a sound document, or not at all."""
        hashes = self._store.result(job.id)
        target = job.published_in(self._layout)
        finished = self._layout.unfinished / (job.result_dir or "")
        if not _holds(target, hashes):
            if lies_at(target) or not _holds(finished, hashes) or unsound(finished, job.verdict, job.revision):
                log.warning("study %s: the finished result is gone or is none; analysed again", job.study)
                return self._store.change(job.id, state=State.queued, result_dir=None)
            make_folder(target.parent, self._layout.root)
            finished.rename(target)
            sync_folders(target.parent, self._layout.unfinished)
        with self._store.transaction():
            note(self._store, "result", job.study, **_told_of(job, hashes))
            return self._store.change(
                job.id, state=State.archiving, result_dir=None, finished_at=self._clock.now_text()
            )

    def _return(self, job: Job) -> Job | None:
        """The job as it is, where the inbox does not take all of it back now."""
        rows = self._store.files(job.id)
        if not self._are_given_back((row.path(self._layout.root), f"returned-{job.id}") for row in rows):
            return job
        left = {row.path(self._layout.root).parent for row in rows}
        sync_folders(*left)
        with self._store.transaction():
            self._store.forget([row.id for row in rows])
            self._store.remove_job(job.id)
        _clear(left)
        return None

    def next_revision(self, job: Job) -> int:
        """One more than the highest that the book or the folder knows."""
        published = [
            one.revision or 0
            for one in self._store.jobs_of_study(job.study)
            if one.id != job.id and one.state in (State.archiving, State.done, State.publishing)
        ]
        folder = self._layout.results / job.patient / job.study
        there = [int(one.name) for one in folder.iterdir() if one.name.isdecimal()] if is_folder(folder) else []
        return 1 + max([0, *published, *there])


def _is_as_taken(row: FileRow, path: Path) -> bool:
    """Raises OSError where that can't be told."""
    if not lies_at(path):
        return False
    seen = path.lstat()
    is_untouched = row.mtime_ns > 0 and (seen.st_size, seen.st_mtime_ns) == (row.size, row.mtime_ns)
    return is_untouched or is_there(path, row.sha256)


def _told_of(job: Job, hashes: Mapping[str, str]) -> dict[str, Any]:
    """What the audit keeps of a result: what was decided, and the sum of the document that says all of it."""
    return {
        "revision": job.revision,
        "verdict": job.verdict,
        "severity": job.severity,
        "code": job.code,
        "document_sha256": hashes.get(RESULT),
    }


def _clear(folders: Iterable[Path]) -> None:
    """Remove folders that a job's files left, with the reason why they lay there."""
    for folder in folders:
        if _holds_a_reason_at_most(folder):
            (folder / REASON).unlink(missing_ok=True)
            folder.rmdir()


def _holds_a_reason_at_most(folder: Path) -> bool:
    return is_folder(folder) and {file.name for file in folder.iterdir()} <= {REASON}


def _holds(folder: Path, hashes: Mapping[str, str]) -> bool:
    """Whether a folder holds exactly these files."""
    if not is_folder(folder) or {file.name for file in folder.iterdir()} != set(hashes):
        return False
    return all(is_there(folder / name, sha256) for name, sha256 in hashes.items())


def _synced_sha256(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return file_sha256(path)
