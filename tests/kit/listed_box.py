"""A box with results and no studies behind them, for the tests of the worklist: book and documents as they are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanside_appliance.files.layout import PAGE, RESULT, BoxLayout, patient_key, study_key
from scanside_appliance.jobs.book.file import open_book
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.worklist.entry import Facts
from scanside_appliance.worklist.known_facts import KnownFacts
from scanside_runtime.followup.document import RESULT_SCHEMA


@dataclass(frozen=True)
class Listed:
    """A result to put into the book. number: makes the study; day: of the scan."""

    number: int
    name: str | None = "Phantom^Anna"
    patient_id: str | None = None
    day: str | None = "2026-01-10"
    poi: float | None = 12.3
    grade: str | None = "CT-1"
    severity: str = "none"
    trend: str | None = None
    verdict: str = "analysed"
    code: str | None = None
    revision: int = 1
    measured: str = "2026-01-10T12:00:00+00:00"
    cautions: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "schema": RESULT_SCHEMA,
            "verdict": self.verdict,
            "reason": self.code and {"code": self.code, "message": "why", "advice": "what"},
            "flags": [{"code": code, "level": "caution", "message": "why"} for code in self.cautions],
            "study": {
                "patient_id": self.patient_id or f"P{self.number}",
                "issuer": None,
                "patient_name": self.name,
                "study_uid": f"1.2.{self.number}",
                "study_date": self.day,
                "acquired_at": self.day and f"{self.day}T08:30:00",
                "sex": None,
            },
            "biomarkers": {"poi_percent": self.poi, "ct_extent_grade": self.grade},
            "provenance": {"revision": self.revision, "bundle": None},
        }


class ListedBox:
    """A box's folders and its open book."""

    def __init__(self, root: Path, store: Store) -> None:
        self.layout, self.store = BoxLayout(root), store

    def put(self, *results: Listed) -> list[Job]:
        return [self._put(one) for one in results]

    def _put(self, one: Listed) -> Job:
        data = json.dumps(one.document()).encode()
        job = self._job(one)
        folder = self.layout.result(job.patient, job.study, one.revision)
        folder.mkdir(parents=True)
        (folder / RESULT).write_bytes(data)
        (folder / PAGE).write_text(f"<p>{job.study}</p>")
        self.store.write_result(job.id, {name: _sum(folder / name) for name in (RESULT, PAGE)})
        return job

    def put_known(self, results: list[Listed]) -> None:
        """Thousands of them, of which the documents were read before: they are in the book, and not on the disk."""
        known = {}
        with self.store.transaction():
            for one in results:
                key = hashlib.sha256(str(one.number).encode()).hexdigest()
                known[key] = Facts.of(one.document())
                others = {f"slice_{n}.png": key for n in range(8)}
                self.store.write_result(self._job(one).id, {RESULT: key, PAGE: key, **others})
        with KnownFacts(self.layout.worklist_facts, keep=True) as facts:
            facts.learn(known)

    def _job(self, one: Listed) -> Job:
        return self.store.add_job(
            State.done,
            one.measured,
            study=study_key(f"1.2.{one.number}"),
            study_uid=f"1.2.{one.number}",
            patient=patient_key(one.patient_id or f"P{one.number}", None, ""),
            revision=one.revision,
            verdict=one.verdict,
            severity=one.severity,
            trend=one.trend,
            code=one.code,
            finished_at=one.measured,
        )


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def listed_box(root: Path) -> Iterator[ListedBox]:
    layout = BoxLayout(root)
    layout.make()
    with open_book(layout) as store:
        yield ListedBox(root, store)


FAMILIES = ("Phantom", "Mwangi", "García", "Okafor", "Šimić", "Núñez", "Wang=王", "Yamada=山田", "Sharma=शर्मा", "Sow")
GIVEN = ("Anna", "Baraka", "Chen", "Dolores", "Emeka", "Fatou", "Grace", "Hana", "Ivo", "Jun")
KINDS = (
    *(("none", "stable", 4.2, "CT-1"),) * 6,
    *(("none", "falling", 0.7, "CT-0"),) * 3,
    ("watch", "stable", 27.5, "CT-2"),
    ("watch", "rising", 31.0, "CT-2"),
    ("severe", "not_comparable", 61.4, "CT-3"),
)

CAUTIONS = {5: ("QUALITY_MOTION", "QUALITY_POSSIBLE_EFFUSION"), 2: ("COVERAGE_BASE_CUT",), 6: ("QUALITY_CONTRAST",)}


def phantom_results(count: int) -> list[Listed]:
    """As a box may have them after `count` studies: twenty a day, every fifth patient for the second time."""
    return [_phantom_result(number, count) for number in range(count)]


def _phantom_result(number: int, count: int) -> Listed:
    days = (count - number) // 20
    day = f"{2026 - days // 336}-{12 - days // 28 % 12:02d}-{28 - days % 28:02d}"
    family, ideographic, _ = (*FAMILIES[number % 10].split("="), "", "")[:3]
    severity, trend, poi, grade = KINDS[number * 7 % len(KINDS)]
    given = GIVEN[number // 10 % 10]
    one = Listed(
        number=number,
        name=f"{family}^{given}" + (f"={ideographic}^{given}" if ideographic else ""),
        patient_id=f"H-{number - (number % 5 == 0) * 3:05d}",
        day=day,
        poi=poi + number % 17 / 10,
        grade=grade,
        severity=severity,
        trend=trend if number % 5 == 0 else None,
        measured=f"{day}T{8 + number % 12:02d}:{number % 60:02d}:00+00:00",
        cautions=CAUTIONS.get(number % 8, ()),
    )
    return _without_number(one, number)


def _without_number(one: Listed, number: int) -> Listed:
    changes: dict[str, Any] = {"poi": None, "grade": None, "trend": None, "severity": "not_assessed"}
    if number % 23 == 7:
        changes |= {"verdict": "refused", "code": "SERIES_NOT_CHEST"}
    elif number % 97 == 11:
        changes |= {"verdict": "held", "code": "PATIENT_CONFLICT"}
    elif number % 61 == 5:
        changes |= {"verdict": "refused", "code": "QUALITY_LOOKS_EXTENSIVE", "severity": "extensive"}
    else:
        return one
    return Listed(**{**one.__dict__, **changes})
