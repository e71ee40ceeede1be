"""What is asked of the book and written into it. Jobs and files are frozen rows, altered by `change` alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from scanside_appliance.jobs.book.database import Database
from scanside_appliance.jobs.book.database_errors import damage
from scanside_appliance.jobs.book.rows import (
    ACTIVE,
    CLEANED,
    MEASURED,
    NEVER_MEASURED,
    FileRow,
    Job,
    NewFile,
    State,
    TakenSource,
)

HOURS_RUN = "hours_run"

_JOB = ", ".join(one.name for one in fields(Job))
_FILE = ", ".join(one.name for one in fields(FileRow))
_NEW_FILE = tuple(one.name for one in fields(NewFile))
_UNTIMED = f"CASE mtime_ns WHEN {MEASURED} THEN {MEASURED} ELSE {NEVER_MEASURED} END"
_JOB_COLUMNS = {one.name for one in fields(Job)} - {"id"}


class Store(Database):
    """The open book, row by row."""

    def add_job(self, state: State, created_at: str, **columns: Any) -> Job:
        """A new job; the texts that are not given are empty."""
        values = {"study": "", "study_uid": "", "patient": "", "state": state, "created_at": created_at, **columns}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        row = self._sql.execute(f"INSERT INTO jobs ({names}) VALUES ({marks}) RETURNING {_JOB}", [*values.values()])
        return Job(*row.fetchone())

    def change(self, job_id: int, **columns: Any) -> Job:
        """Alter a job. Raises KeyError for a column or a job that there is not."""
        if not set(columns) <= _JOB_COLUMNS:
            raise KeyError(*set(columns) - _JOB_COLUMNS)
        changes = ", ".join(f"{name} = ?" for name in columns)
        row = self._sql.execute(f"UPDATE jobs SET {changes} WHERE id = ? RETURNING {_JOB}", [*columns.values(), job_id])
        found = row.fetchone()
        if found is None:
            raise KeyError(job_id)
        return Job(*found)

    def remove_job(self, job_id: int) -> None:
        """Forget a job that has no files left."""
        self._sql.execute("DELETE FROM result_files WHERE job = ?", (job_id,))
        self._sql.execute("DELETE FROM jobs WHERE id = ?", (job_id,))

    def job(self, job_id: int) -> Job:
        """One job. Raises KeyError."""
        found = self._jobs("id = ?", [job_id])
        if not found:
            raise KeyError(job_id)
        return found[0]

    def jobs(self, states: Iterable[State]) -> list[Job]:
        """The jobs in these states, oldest first."""
        wanted = list(states)
        return self._jobs(f"state IN ({_marks(wanted)})", wanted)

    def jobs_of_study(self, study: str) -> list[Job]:
        """All jobs of a study, oldest first."""
        return self._jobs("study = ?", [study])

    def jobs_of_patient(self, patient: str) -> list[Job]:
        """The jobs of a patient that ended in a result, oldest first."""
        return self._jobs("patient = ? AND state IN (?, ?)", [patient, State.archiving, State.done])

    def results_of_waiting_patients(self) -> dict[str, list[Job]]:
        """By patient, the jobs that ended in a result, oldest first, of those who have a study in the queue."""
        waiting = "patient IN (SELECT patient FROM jobs WHERE state = ?) AND state IN (?, ?)"
        found: dict[str, list[Job]] = {}
        for job in self._jobs(waiting, [State.queued, State.archiving, State.done]):
            found.setdefault(job.patient, []).append(job)
        return found

    def measured_once_more(self) -> set[int]:
        """Queued jobs of which all was measured before, in the same way: at most a trend will be new."""
        found = self._sql.execute(
            "SELECT id FROM jobs WHERE state = 'queued' AND EXISTS (SELECT 1 FROM jobs AS last WHERE "
            "last.study = jobs.study AND last.state = 'done' AND last.verdict = 'analysed' "
            "AND last.series_uid IS jobs.series_uid AND last.alone = jobs.alone) "
            "AND NOT EXISTS (SELECT 1 FROM files WHERE files.job = jobs.id AND mtime_ns <> ?)",
            (MEASURED,),
        )
        return {number for (number,) in found}

    def is_at_rest(self) -> bool:
        """Whether no job is under way."""
        active = f"SELECT 1 FROM jobs WHERE state IN ({_marks(ACTIVE)}) LIMIT 1"
        return self._sql.execute(active, ACTIVE).fetchone() is None

    def _jobs(self, condition: str, values: Sequence[Any]) -> list[Job]:
        rows = self._sql.execute(f"SELECT {_JOB} FROM jobs WHERE {condition} ORDER BY id", values)
        try:
            return [Job(*row) for row in rows]
        except ValueError as error:
            raise damage(self._path, error) from error

    def add_files(self, job: Job, new: Iterable[NewFile]) -> None:
        """Copies of files in the inbox that from now on belong to a job."""
        self._sql.executemany(
            f"INSERT INTO files (job, study, {', '.join(_NEW_FILE)}) VALUES ({_marks(('job', 'study', *_NEW_FILE))})",
            [(job.id, job.study, *(getattr(one, name) for name in _NEW_FILE)) for one in new],
        )

    def add_taken(self, sources: Iterable[TakenSource]) -> None:
        """Files in the inbox of which the box has a copy: they are to be removed there."""
        rows = [(one.source, one.size, one.mtime_ns, one.inode) for one in sources]
        self._sql.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?)", rows)

    def taken(self, limit: int) -> list[TakenSource]:
        """Some of them, in no order: one that can't be removed must not keep the others from their turn."""
        rows = self._sql.execute("SELECT * FROM taken ORDER BY random() LIMIT ?", (limit,))
        return [TakenSource(*row) for row in rows]

    def is_taken(self, source: TakenSource) -> bool:
        """Whether the box has a copy of this very file."""
        row = (source.source, source.size, source.mtime_ns, source.inode)
        asked = "SELECT 1 FROM taken WHERE source = ? AND size = ? AND mtime_ns = ? AND inode = ?"
        return self._sql.execute(asked, row).fetchone() is not None

    def number_taken(self) -> int:
        """How many the inbox still has."""
        return int(self._sql.execute("SELECT count(*) FROM taken").fetchone()[0])

    def forget_taken(self, sources: Iterable[bytes]) -> None:
        """They are gone from the inbox, or others lie there."""
        self._sql.executemany("DELETE FROM taken WHERE source = ?", [(one,) for one in sources])

    def files(self, job_id: int) -> list[FileRow]:
        """The files of a job, in the order in which they were seen."""
        return self._files("job = ?", [job_id])

    def files_of_study(self, study: str) -> list[FileRow]:
        """Every file of a study, whichever job has it."""
        return self._files("study = ?", [study])

    def files_at(self, place: str) -> list[FileRow]:
        """Every file that lies at a place."""
        return self._files("place = ?", [place])

    def studies_at(self, pattern: str) -> set[str]:
        """The studies that have a file at a place like this (SQL's LIKE)."""
        found = self._sql.execute("SELECT DISTINCT study FROM files WHERE place LIKE ?", (pattern,))
        return {study for (study,) in found}

    def _files(self, condition: str, values: Sequence[Any]) -> list[FileRow]:
        rows = self._sql.execute(f"SELECT {_FILE} FROM files WHERE {condition} ORDER BY id", values)
        return [FileRow(*row) for row in rows]

    def moved(self, job_id: int, place: str) -> None:
        """All files of a job that lie anywhere lie at a place now."""
        self._sql.execute("UPDATE files SET place = ? WHERE job = ? AND place <> ?", (place, job_id, CLEANED))

    def put(self, file_ids: Iterable[int], place: str) -> None:
        """These files lie at a place now."""
        self._sql.executemany("UPDATE files SET place = ? WHERE id = ?", [(place, one) for one in file_ids])

    def came_again(self, file_id: int, place: str, name: str, sha256: str, size: int) -> None:
        """The copy that was gone is there again, from another file around the same data set."""
        changed = f"place = ?, name = ?, sha256 = ?, size = ?, mtime_ns = {_UNTIMED}"
        self._sql.execute(f"UPDATE files SET {changed} WHERE id = ?", (place, name, sha256, size, file_id))

    def give(self, file_ids: Iterable[int], job_id: int, *, measured: bool) -> None:
        """These files belong to another job from now on; whether they are what they were is for it to see.

        measured: whether the job that had them came to a result.
        """
        time = str(MEASURED) if measured else _UNTIMED
        self._sql.executemany(
            f"UPDATE files SET job = ?, mtime_ns = {time} WHERE id = ?", [(job_id, one) for one in file_ids]
        )

    def forget(self, file_ids: Iterable[int]) -> None:
        """Files that are the inbox's again, or nobody's."""
        self._sql.executemany("DELETE FROM files WHERE id = ?", [(one,) for one in file_ids])

    def write_result(self, job_id: int, hashes: Mapping[str, str]) -> None:
        """The files of a result, before it becomes visible."""
        self._sql.execute("DELETE FROM result_files WHERE job = ?", (job_id,))
        rows = [(job_id, name, sha256) for name, sha256 in hashes.items()]
        self._sql.executemany("INSERT INTO result_files (job, name, sha256) VALUES (?, ?, ?)", rows)

    def result(self, job_id: int) -> dict[str, str]:
        """SHA-256 of a result's files by name."""
        return dict(self._sql.execute("SELECT name, sha256 FROM result_files WHERE job = ?", (job_id,)))

    def hashes_of(self, name: str) -> dict[int, str]:
        """SHA-256 of the file of this name of every result, by job."""
        return dict(self._sql.execute("SELECT job, sha256 FROM result_files WHERE name = ?", (name,)))

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter that outlives the daemon."""
        self._sql.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (name, by),
        )

    def counters(self) -> dict[str, int]:
        """All counters."""
        return dict(self._sql.execute("SELECT name, value FROM counters ORDER BY name"))

    def numbers(self) -> dict[State, int]:
        """How many jobs are in each state."""
        return {State(state): n for state, n in self._sql.execute("SELECT state, count(*) FROM jobs GROUP BY state")}

    def hours_run(self) -> int:
        """How long the box has run in all, by its own count: what ages are told by."""
        return self.counters().get(HOURS_RUN, 0)

    def put_aside(self) -> dict[str, int]:
        """How many files are in quarantine, by reason code; what is held is not counted."""
        rows = self._sql.execute(
            "SELECT code, count(*) FROM jobs JOIN files ON job = jobs.id "
            "WHERE state IN ('quarantined', 'quarantining') GROUP BY code ORDER BY code"
        )
        return dict(rows.fetchall())

    def held_results(self) -> list[Job]:
        """Studies whose newest result says that a person must decide, while nothing of them is under way."""
        return self._jobs(
            "state = 'done' AND verdict = 'held' AND NOT EXISTS (SELECT 1 FROM jobs AS other WHERE "
            "other.study = jobs.study AND (other.state = 'done' AND other.revision > jobs.revision "
            f"OR other.state IN ({_marks(ACTIVE)})))",
            ACTIVE,
        )

    def last_result(self, study: str) -> Job | None:
        """The newest job of a study that came to a result, whatever it says."""
        found = self._jobs("study = ? AND state = 'done'", [study])
        return max(found, key=lambda job: job.revision or 0, default=None)

    def oldest_archived(self, limit: int, until_h: int) -> list[Job]:
        """Studies that are archived and reported and still have files in the archive, oldest first.

        Not those that were refused or wait for a person: their files may be needed once more. until_h: those that came
        to rest when the box had run for so long, or before.
        """
        return self._jobs(
            "state = 'done' AND verdict = 'analysed' AND rested_h <= ? "
            "AND id IN (SELECT job FROM files WHERE place LIKE 'archive/%') "
            "AND study NOT IN (SELECT study FROM jobs WHERE state NOT IN ('done', 'replaced'))",
            [until_h],
        )[:limit]

    def junk(self, codes: Sequence[str], until_h: int) -> list[Job]:
        """What was put aside for one of these codes, oldest first; until_h as above."""
        condition = f"state = 'quarantined' AND rested_h <= ? AND code IN ({_marks(codes)})"
        return self._jobs(condition, [until_h, *codes])

    def bytes_put_aside(self, codes: Sequence[str]) -> int:
        """How much it holds, of whatever age."""
        asked = f"SELECT total(size) FROM files JOIN jobs ON job = jobs.id WHERE code IN ({_marks(codes)})"
        return int(self._sql.execute(asked, codes).fetchone()[0])

    def cleaned(self) -> list[Job]:
        """Jobs of which files were removed from archive or quarantine, oldest first."""
        return self._jobs("id IN (SELECT job FROM files WHERE place = ?)", [CLEANED])


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
