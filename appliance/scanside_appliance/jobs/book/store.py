"""The job book: SQLite, WAL, every commit synced. Jobs and files are frozen rows, altered by `change` alone.

What is committed here is what holds: after a crash the folders are brought to what the book says (file_mover.py).
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.rows import (
    ACTIVE,
    CLEANED,
    MOVING,
    FileRow,
    Job,
    NewFile,
    State,
    TakenSource,
    with_row_sums,
)
from scanside_appliance.jobs.errors import BoxDatabase, BoxDatabaseLost, BoxDatabaseNewer

__all__ = [
    "ACTIVE",
    "CLEANED",
    "HOURS_RUN",
    "MOVING",
    "SCHEMA_VERSION",
    "FileRow",
    "Job",
    "NewFile",
    "State",
    "Store",
    "TakenSource",
]
SCHEMA_VERSION = 9
BUSY_S = 10.0
HOURS_RUN = "hours_run"

_JOB = ", ".join(one.name for one in fields(Job))
_FILE = ", ".join(one.name for one in fields(FileRow))
_NEW_FILE = tuple(one.name for one in fields(NewFile))
_JOB_COLUMNS = {one.name for one in fields(Job)} - {"id"}
_ALTERED = re.compile(r"row (\d+) (?:missing from|values differ from) index (\w+)_sum")


class Store:
    """The open database. Not for several threads; other processes may open it too."""

    def __init__(self, path: Path, *, make: bool = True) -> None:
        """make: a book that is not there is begun; else it is lost. Raises BoxDatabaseLost and its like."""
        self._path, self._make = path, make
        with database_errors(path):
            self._sql = self._connect()

    def _connect(self) -> sqlite3.Connection:
        mode = "rwc" if self._make else "rw"
        sql = sqlite3.connect(
            f"file:{quote(os.fsencode(self._path))}?mode={mode}", timeout=BUSY_S, isolation_level=None, uri=True
        )
        try:
            self._prepare(sql)
            self._file = _identity(self._path)
        except BaseException:
            sql.close()
            raise
        return sql

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sql.close()

    def _prepare(self, sql: sqlite3.Connection) -> None:
        """Nothing is written before it is known whose book it is."""
        with_row_sums(sql)
        found = int(sql.execute("PRAGMA user_version").fetchone()[0])
        if found > SCHEMA_VERSION:
            raise BoxDatabaseNewer(name=self._path.name, version=found)
        if found == 0 and not self._make:
            raise BoxDatabaseLost(name=self._path.name, how="empty")
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            sql.execute(f"PRAGMA {pragma}")
        if found == 0:
            _run(sql, "schema.sql", SCHEMA_VERSION)
        for version in range(found or SCHEMA_VERSION, SCHEMA_VERSION):
            _run(sql, f"upgrade_{version}.sql", version + 1)

    def problems(self) -> list[str]:
        """All that is wrong in the file, rows that do not fit their sums among it. Raises sqlite3.Error."""
        found = [words for (words,) in self._sql.execute("PRAGMA integrity_check(20)") if words != "ok"]
        broken = self._sql.execute("PRAGMA foreign_key_check").fetchall()
        return [
            *(_ALTERED.sub(lambda row: f"row {row[1]} of {row[2]} is not what was written", words) for words in found),
            *(f"a row of {table} belongs to no row of {parent}" for table, _, parent, _ in broken),
        ]

    @property
    def connection(self) -> sqlite3.Connection:
        """For the tables of other wings in the same book; a transaction is `transaction`."""
        return self._sql

    def check(self) -> None:
        """Read the whole file once, but no row's sum: for each start. Raises BoxDatabase where it is damaged."""
        with database_errors(self._path):
            (answer,) = self._sql.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise BoxDatabase(name=self._path.name, why=answer)

    def is_in_place(self) -> bool | None:
        """Whether the path leads to the file that is open; None where nothing lies there. Raises OSError."""
        found = _identity(self._path)
        return None if found is None else found == self._file

    def copy_to(self, path: Path) -> None:
        """All that is in the open book into a new file, synced. Raises OSError, sqlite3.Error."""
        with closing(sqlite3.connect(path)) as copy:
            self._sql.backup(copy)
        with path.open("rb+") as file:
            os.fsync(file.fileno())

    def open_again(self) -> None:
        """Go on with the file that lies at the path now. Raises what opening raises."""
        with database_errors(self._path):
            before, self._sql = self._sql, self._connect()
        before.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; inside another one, part of it."""
        if self._sql.in_transaction:
            yield
            return
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise

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

    def is_at_rest(self) -> bool:
        """Whether no job is under way."""
        active = f"SELECT 1 FROM jobs WHERE state IN ({_marks(ACTIVE)}) LIMIT 1"
        return self._sql.execute(active, ACTIVE).fetchone() is None

    def _jobs(self, condition: str, values: Sequence[Any]) -> list[Job]:
        rows = self._sql.execute(f"SELECT {_JOB} FROM jobs WHERE {condition} ORDER BY id", values)
        try:
            return [Job(*row) for row in rows]
        except ValueError as error:
            raise BoxDatabase(name=self._path.name, why=error) from error

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
        """All files of a job lie at a place now."""
        self._sql.execute("UPDATE files SET place = ? WHERE job = ?", (place, job_id))

    def put(self, file_ids: Iterable[int], place: str) -> None:
        """These files lie at a place now."""
        self._sql.executemany("UPDATE files SET place = ? WHERE id = ?", [(place, one) for one in file_ids])

    def came_again(self, file_id: int, place: str, name: str, sha256: str, size: int) -> None:
        """The copy that was gone is there again, from another file around the same data set."""
        changed = "place = ?, name = ?, sha256 = ?, size = ?, mtime_ns = 0"
        self._sql.execute(f"UPDATE files SET {changed} WHERE id = ?", (place, name, sha256, size, file_id))

    def give(self, file_ids: Iterable[int], job_id: int) -> None:
        """These files belong to another job from now on; whether they are what they were is for it to see."""
        self._sql.executemany(
            "UPDATE files SET job = ?, mtime_ns = 0 WHERE id = ?", [(job_id, one) for one in file_ids]
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


def _run(sql: sqlite3.Connection, script: str, version: int) -> None:
    """A script and the version that it makes, both or neither. Another process may have been quicker."""
    text = Path(__file__).with_name(script).read_text(encoding="utf-8")
    try:
        sql.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {version};\nCOMMIT;")
    except sqlite3.OperationalError:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        if int(sql.execute("PRAGMA user_version").fetchone()[0]) < version:
            raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
