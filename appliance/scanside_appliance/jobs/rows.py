"""What stands in the job book: jobs and files are frozen rows; schema.sql says what the columns mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CLEANED = "cleaned"


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
    mtime_ns: int = 0
    data_sha256: str = ""


@dataclass(frozen=True, slots=True)
class TakenSource:
    """A row of `taken`: a file in the inbox as it was when it was copied."""

    source: bytes
    size: int
    mtime_ns: int
    inode: int
