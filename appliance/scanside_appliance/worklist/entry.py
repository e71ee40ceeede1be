"""One study on the list: what the book knows of it, and what its document says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scanside_appliance.files.layout import PAGE
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.priority import EXTENSIVE
from scanside_appliance.results.with_care import cautions_of
from scanside_runtime.process.typed import typed


class Group(StrEnum):
    """Where a study stands on the list, in this order."""

    sick = "sick"  # severe, or rising
    extensive = "extensive"  # not measured, but much of the lungs looks infected
    held = "held"  # a person decides
    watch = "watch"
    rest = "rest"
    earlier = "earlier"  # sick or extensive by the patient's last result, which is no longer among the newest


ATTENTION = (Group.sick, Group.extensive, Group.held, Group.watch)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the list takes from a result document. scanned_at: ISO 8601, a day or a moment.

    cautions: codes of what stands beside the numbers to be read with care, apart by spaces.
    """

    patient_name: str | None = None
    patient_id: str | None = None
    scanned_at: str | None = None
    poi_percent: float | None = None
    grade: str | None = None
    cautions: str = ""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Facts:
        """Of a stored document. Raises ValueError where a value has another type."""
        study, measured = document.get("study") or {}, document.get("biomarkers") or {}
        found = {
            "patient_name": study.get("patient_name"),
            "patient_id": study.get("patient_id"),
            "scanned_at": study.get("acquired_at") or study.get("study_date"),
            "poi_percent": measured.get("poi_percent"),
            "grade": measured.get("ct_extent_grade"),
            "cautions": " ".join(cautions_of(document)),
        }
        return typed(cls, {name: _in_utf8(value) for name, value in found.items()})


def _in_utf8(value: Any) -> Any:
    """JSON may hold halves of letters, which no database and no page takes."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


NO_FACTS = Facts()


@dataclass(frozen=True, slots=True)
class Entry:
    """A study. group: where it stands; rank: how grave, as the queue has it; past: a later scan counts.

    first_at: when such a result of it was first there; None where there is none.
    """

    job: Job
    facts: Facts
    first_at: str | None = None
    group: Group = Group.rest
    rank: int = 0
    past: bool = False

    @property
    def age(self) -> tuple[str, int]:
        """To sort by, oldest result first; a held study without a result is as old as its arrival."""
        return self.first_at or self.job.created_at, self.job.id

    @property
    def page(self) -> str | None:
        """The page, relative to the folder of results; None where there is no result."""
        if self.job.state == State.held:
            return None
        return f"{self.job.patient}/{self.job.study}/{self.job.revision}/{PAGE}"

    @property
    def flag(self) -> str:
        """What its sign shows: severe, watch, none, not_assessed; extensive, refused and held have no severity."""
        if self.job.state == State.held or self.job.verdict == "held":
            return "held"
        if self.job.verdict == "refused" and self.job.severity != EXTENSIVE:
            return "refused"
        return self.job.severity or "not_assessed"

    @property
    def month(self) -> str | None:
        """Year and month of the scan, "2026-01"; None where it has no date."""
        day = self.facts.scanned_at or ""
        return day[:7] if len(day) >= 7 and day[:4].isdigit() and day[5:7].isdigit() else None

    def to_document(self, *, names: bool) -> dict[str, Any]:
        """A study of `scanside worklist --json`."""
        facts, job = self.facts, self.job
        who = {"patient_name": facts.patient_name, "patient_id": facts.patient_id} if names else {}
        return {
            "study": job.study,
            "group": self.group.value,
            "flag": self.flag,
            **who,
            "scanned_at": facts.scanned_at,
            "poi_percent": facts.poi_percent,
            "trend": job.trend,
            "ct_extent_grade": facts.grade,
            "code": job.code,
            "cautions": facts.cautions.split(),
            "measured_at": job.finished_at,
            "revision": job.revision,
            "page": self.page,
        }
