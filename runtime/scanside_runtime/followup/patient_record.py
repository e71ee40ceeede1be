"""Which earlier scans are the same person's. Two people under one ID are held for a person to decide, never merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scanside_runtime.followup.errors import PatientConflict
from scanside_runtime.followup.scan import Person, Scan


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is on record of a patient ID. documents: result documents; unreadable: names of those that can't be read."""

    documents: tuple[Mapping[str, Any], ...] = ()
    unreadable: tuple[str, ...] = ()


EarlierLookup = Callable[[str, str | None], Earlier]
"""(patient ID, issuer) to what is on record of him."""


@dataclass(frozen=True, slots=True)
class Record:
    """A patient's earlier scans, and the names of the results that could not be used."""

    scans: tuple[Scan, ...] = ()
    unusable: tuple[str, ...] = ()


def record_of(person: Person, study_uid: str, lookup: EarlierLookup | None) -> Record:
    """The other scans of this person.

    Only the same patient ID of the same issuer counts; without an ID there is no record. Held documents count for
    nothing. Raises PatientConflict.
    """
    if lookup is None or not person.patient_id:
        return Record()
    earlier = lookup(person.patient_id, person.issuer)
    scans, unusable = _read(earlier.documents)
    same_id = [
        scan
        for scan in scans
        if (scan.person.patient_id, scan.person.issuer) == (person.patient_id, person.issuer)
        and scan.study_uid != study_uid
        and scan.verdict != "held"
    ]
    return Record(tuple(_of_one_person(person, same_id)), (*earlier.unreadable, *unusable))


def _read(documents: Sequence[Mapping[str, Any]]) -> tuple[list[Scan], list[str]]:
    scans: list[Scan] = []
    unusable: list[str] = []
    for number, document in enumerate(documents, start=1):
        try:
            scans.append(Scan.from_document(document))
        except ValueError as problem:
            unusable.append(f"document {number}: {problem}")
    return scans, unusable


def _of_one_person(person: Person, scans: Sequence[Scan]) -> list[Scan]:
    """Without a conflict, all. With one, those that agree, where someone released such a scan before; else held."""
    conflicts = [conflict for scan in scans if (conflict := person.conflicts(scan.person))]
    kept = [scan for scan in scans if person.agrees(scan.person)] if conflicts else list(scans)
    split = _split(kept)
    if (conflicts and not kept) or split:
        raise PatientConflict(conflict=split or conflicts[0])
    return kept


def _split(scans: Sequence[Scan]) -> str | None:
    """What two of these scans state differently about the patient."""
    people = list(dict.fromkeys(scan.person for scan in scans))
    pairs = ((a, b) for i, a in enumerate(people) for b in people[i + 1 :])
    return next((conflict for a, b in pairs if (conflict := a.conflicts(b))), None)
