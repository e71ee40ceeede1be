"""What stands in the book: jobs and files are frozen rows; schema.sql says what the columns mean.

Every row has a sum, so that a byte changed by hand or by rot is found: an index on `row_sum(all columns)`. SQLite keeps
it up to date whoever writes, `PRAGMA integrity_check` holds each row against it, and a row that does not fit can't be
altered any more as if it were sound. SQLite's own sums of pages (cksumvfs) are an extension that Python's sqlite3 does
not bring along; an index on the bare columns would double the book.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path

from scanside_appliance.files.layout import BoxLayout

CLEANED = "cleaned"
MEASURED, NEVER_MEASURED = 0, -1
"""In place of a file's time, where its job is not the first one that has it: whether a result was made with it."""


class State(StrEnum):
    """What is to be done with a job next, or where it came to rest."""

    claiming = "claiming"  # its files go to work
    queued = "queued"
    running = "running"
    publishing = "publishing"  # its result becomes visible
    archiving = "archiving"  # its files go to the archive
    done = "done"
    holding = "holding"  # its files go to quarantine, a person decides
    held = "held"
    quarantining = "quarantining"  # its files go to quarantine
    quarantined = "quarantined"
    returning = "returning"  # its files go back to the inbox: they changed after they were taken
    replaced = "replaced"  # a later job of the study took its files over


MOVING = (State.claiming, State.publishing, State.archiving, State.holding, State.quarantining, State.returning)
ACTIVE = (*MOVING, State.queued, State.running)
REST = (State.done, State.held, State.quarantined, State.replaced)
NAME_LETTERS = 40
"""Of its sum, in the name under which a file is kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `jobs`; schema.sql says what the columns mean."""

    id: int
    study: str
    study_uid: str
    patient: str
    state: State
    revision: int | None
    incomplete: str | None
    code: str | None
    reason: str | None
    alone: int
    series_uid: str | None
    attempts: int
    interruptions: int
    passed_over: int
    not_before: float
    boot: str
    result_dir: str | None
    verdict: str | None
    severity: str | None
    trend: str | None
    created_at: str
    finished_at: str | None
    rested_h: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", State(self.state))

    def published_in(self, layout: BoxLayout) -> Path:
        """Where its result lies, once there is one."""
        return layout.result(self.patient, self.study, self.revision or 0)


@dataclass(frozen=True, slots=True)
class FileRow:
    """A row of `files`."""

    id: int
    job: int
    study: str
    sop_uid: str
    sha256: str
    size: int
    whole: int
    source: bytes
    place: str
    name: str
    mtime_ns: int
    data_sha256: str

    @property
    def is_in_a_result(self) -> bool:
        """Whether a result of its study was made with it, before its job was."""
        return self.mtime_ns == MEASURED

    def path(self, root: Path) -> Path:
        """Where it lies now."""
        return root / self.place / self.name


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file at a place of the box's own that is about to be written down; mtime_ns as in `files`."""

    source: bytes
    sop_uid: str
    sha256: str
    size: int
    whole: bool
    place: str
    name: str
    mtime_ns: int = MEASURED
    data_sha256: str = ""


@dataclass(frozen=True, slots=True)
class TakenSource:
    """A row of `taken`: a file in the inbox as it was when it was copied."""

    source: bytes
    size: int
    mtime_ns: int
    inode: int


def row_sum(*values: str | bytes | float | None) -> int:
    """64 bits of a row, by type and value; the same for ever, on every processor and with every Python."""
    text = json.dumps(values, default=lambda one: [one.hex()])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def with_row_sums(sql: sqlite3.Connection) -> None:
    """Let a connection write to the book: without the function SQLite refuses to. Raises sqlite3.Error."""
    sql.execute("PRAGMA trusted_schema = ON")  # else a function of ours may not stand in an index
    sql.create_function("row_sum", -1, row_sum, deterministic=True)
