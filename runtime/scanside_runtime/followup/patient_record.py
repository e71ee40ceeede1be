"""Which earlier scans are the same person's. Two people under one ID are held for a person to decide, never merged.

What is left out is said: nobody finds out by a trend that is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from scanside_runtime.findings import Finding, figures
from scanside_runtime.followup.errors import PatientConflict
from scanside_runtime.followup.person_names import is_one_person_by_name
from scanside_runtime.followup.placeholders import without_placeholders
from scanside_runtime.followup.scan import Person, Scan
from scanside_runtime.plural import told


@dataclass(frozen=True, slots=True)
class Earlier:
    """What is on record of a patient ID. documents: result documents; unreadable: names of those that can't be read.

    other_issuers: result documents of the same ID that state another issuer, or none where one is asked for.
    """

    documents: tuple[Mapping[str, Any], ...] = ()
    unreadable: tuple[str, ...] = ()
    other_issuers: tuple[Mapping[str, Any], ...] = ()


EarlierLookup = Callable[[str, str | None], Earlier]
"""(patient ID, issuer) to what is on record of him."""


@dataclass(frozen=True, slots=True)
class Record:
    """A patient's earlier scans, the names of the results that could not be used, and what was left out and why."""

    scans: tuple[Scan, ...] = ()
    unusable: tuple[str, ...] = ()
    notes: tuple[Finding, ...] = ()


def record_of(
    person: Person, study_uid: str, lookup: EarlierLookup | None, placeholders: Collection[str] = ()
) -> Record:
    """The other scans of this person.

    - Only the same patient ID of the same issuer counts; without an ID there is no record.
    - Under an ID that is given to many (`placeholders`) the birth date must be the same, and nothing may differ.
    - Under any other ID a birth date or sex that differs, from this scan's or between any two of the others, is held.
    - What is held, or was released to stand by itself, counts only where the birth date is the same; where it differs
      from the others, a scan that does not say which of the two people it shows is held.
    - Scans under another given name are left out.

    Raises PatientConflict.
    """
    if lookup is None or not person.patient_id:
        return Record()
    earlier = lookup(person.patient_id, person.issuer)
    person = without_placeholders(person, placeholders)
    found, unusable = _read(earlier.documents, placeholders)
    kept, notes = _own(person, study_uid, found)
    if not person.is_anybody:
        elsewhere, _ = _read(earlier.other_issuers, placeholders)
        notes += _of_other_issuers(person, [scan for scan in elsewhere if scan.study_uid != study_uid])
    undated = [f"study {scan.study_uid} states no date" for scan in kept if scan.measured and scan.moment is None]
    return Record(tuple(kept), (*earlier.unreadable, *unusable, *undated), tuple(notes))


def counted_by(
    documents: Sequence[Mapping[str, Any]], apart: Mapping[str, Any], placeholders: Collection[str] = ()
) -> tuple[Scan, ...]:
    """The scans among these results that count one that stands by itself as the same person's; none counts a held one.

    One that would be held for it counts it not. Raises ValueError where `apart` can't be believed.
    """
    now = Scan.from_document(apart)
    if not now.measured:
        return ()
    scans = _read((*documents, apart), placeholders)[0]
    times = Counter([now.study_uid, *(scan.study_uid for scan in scans)])

    @cache
    def is_counted(person: Person, study_uid: str | None) -> bool:
        with suppress(PatientConflict):
            return any(one.study_uid == now.study_uid for one in _own(person, study_uid, scans)[0])
        return False

    # A scan that is among a person's others changes nothing for himself: all of one person are asked for at once.
    alike = [(scan, scan.study_uid if times[scan.study_uid] > 1 else None) for scan in scans if scan.person.patient_id]
    return tuple(scan for scan, study_uid in alike if is_counted(scan.person, study_uid))


def _own(person: Person, study_uid: str | None, scans: Iterable[Scan]) -> tuple[list[Scan], list[Finding]]:
    """Of these scans the others of this person, and what was left out and why. Raises PatientConflict."""
    same_id = [scan for scan in scans if _is_same_id(person, scan.person) and scan.study_uid != study_uid]
    return _proven(person, same_id) if person.is_anybody else _of_one_person(person, same_id)


def _is_same_id(person: Person, other: Person) -> bool:
    return (person.patient_id, person.issuer) == (other.patient_id, other.issuer)


def _read(documents: Sequence[Mapping[str, Any]], placeholders: Collection[str]) -> tuple[list[Scan], list[str]]:
    scans: list[Scan] = []
    unusable: list[str] = []
    for number, document in enumerate(documents, start=1):
        try:
            scan = Scan.from_document(document)
            scans.append(replace(scan, person=without_placeholders(scan.person, placeholders)))
        except ValueError as problem:
            unusable.append(f"document {number}: {problem}")
    return scans, unusable


def _proven(person: Person, scans: Sequence[Scan]) -> tuple[list[Scan], list[Finding]]:
    """Of the scans under an ID that is nobody's, those that a second fact proves to be this person's."""
    kept = [scan for scan in scans if person.is_proven(scan.person) and not scan.is_set_apart]
    left_out = len(scans) - len(kept)
    if not left_out:
        return kept, []
    message = told(
        'The patient ID "{patient_id}" is given to many: {results} earlier result(s) under it are not taken '
        "for this patient's.",
        patient_id=person.patient_id,
        results=left_out,
    )
    return kept, [Finding("PATIENT_ID_PLACEHOLDER", "caution", message, figures(results=left_out))]


def _of_one_person(person: Person, scans: Sequence[Scan]) -> tuple[list[Scan], list[Finding]]:
    """All but those that were set apart and those of another given name. Raises PatientConflict."""
    apart, own = _parted(scans, lambda scan: scan.is_set_apart)
    _check_no_conflict(person, own)
    _check_not_another(person, own, apart)
    again, left = _parted(apart, lambda scan: scan.verdict != "held" and person.is_proven(scan.person))
    _check_no_conflict(person, [*own, *again])
    kept, named = _parted(own, lambda scan: is_one_person_by_name(person.name, scan.person.name))
    return [*kept, *again], [*_other_names(person, named), *_set_apart(left)]


def _parted(scans: Iterable[Scan], is_so: Callable[[Scan], bool]) -> tuple[list[Scan], list[Scan]]:
    """Those of which it is so, and the others."""
    told_of = [(scan, is_so(scan)) for scan in scans]
    return [scan for scan, so in told_of if so], [scan for scan, so in told_of if not so]


def _check_no_conflict(person: Person, scans: Sequence[Scan]) -> None:
    """Neither this scan and another nor two others contradict each other. Raises PatientConflict."""
    people = _nameless((person, *(scan.person for scan in scans)))
    pairs = ((a, b) for i, a in enumerate(people) for b in people[i + 1 :])
    conflict = next((conflict for a, b in pairs if (conflict := a.conflicts(b))), None)
    if conflict:
        raise PatientConflict(conflict=conflict)


def _check_not_another(person: Person, own: Iterable[Scan], apart: Iterable[Scan]) -> None:
    """The ID is known to be two people's: this scan must say which of them it shows. Raises PatientConflict."""
    mine = _nameless(scan.person for scan in own)
    for other in _nameless(scan.person for scan in apart):
        conflict = next((found for one in mine if (found := one.conflicts(other))), None)
        if conflict and not person.conflicts(other):
            raise PatientConflict(conflict=conflict)


def _nameless(people: Iterable[Person]) -> list[Person]:
    """Each once whom birth date and sex tell apart: few, where thousands of scans are one person's."""
    return list(dict.fromkeys(replace(one, name=None) for one in people))


def _other_names(person: Person, scans: Sequence[Scan]) -> list[Finding]:
    if not scans:
        return []
    message = told(
        '{results} earlier result(s) under this ID are named {names}, this scan "{name}": left out.',
        results=len(scans),
        names=", ".join(sorted({f'"{scan.person.name}"' for scan in scans})),
        name=person.name,
    )
    return [Finding("PATIENT_OTHER_NAME", "caution", message, figures(results=len(scans)))]


def _set_apart(scans: Sequence[Scan]) -> list[Finding]:
    if not scans:
        return []
    message = told(
        "{results} result(s) under this ID are held, or were released to stand apart: left out.", results=len(scans)
    )
    return [Finding("PATIENT_SET_APART", "note", message, figures(results=len(scans)))]


def _of_other_issuers(person: Person, scans: Iterable[Scan]) -> list[Finding]:
    """Results under the same ID of another issuer, as far as nothing says that they are another person's."""
    others = [
        scan
        for scan in scans
        if scan.person.patient_id == person.patient_id
        and not person.conflicts(scan.person)
        and is_one_person_by_name(person.name, scan.person.name)
    ]
    if not others:
        return []
    issuers = ", ".join(sorted({scan.person.issuer or "(none)" for scan in others}))
    message = told(
        "{results} earlier result(s) under this patient ID are of another issuer ({issuers}; this scan's: {issuer}): "
        "not compared.",
        results=len(others),
        issuers=issuers,
        issuer=person.issuer or "(none)",
    )
    return [Finding("PATIENT_OTHER_ISSUER", "caution", message, figures(results=len(others)))]
