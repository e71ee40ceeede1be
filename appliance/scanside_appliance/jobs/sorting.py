"""The files of an arrival, by what is known of them and of each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from scanside_appliance.files.layout import patient_key
from scanside_appliance.inbox.facts import Facts, is_one_stack
from scanside_appliance.jobs.book.rows import FileRow, Job, State

SHARED = "#"
"""Behind a SOP Instance UID that several slices carry: then the sum of the file's bytes goes with it."""
SAME_PLACE_MM = 0.05
"""As in `scanside_runtime.dicom.geometry`, which the daemon does not import: it needs NumPy."""


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


def told_apart(files: Mapping[str, Facts], known: Iterable[FileRow]) -> dict[str, Facts]:
    """Slices whose UID does not name them get the sum of their data beside it: one UID at several places, or none."""
    shared = {row.sop_uid.partition(SHARED)[0] for row in known if SHARED in row.sop_uid}
    places: dict[str, list[Facts]] = {}
    for one in files.values():
        if one.along_mm is not None:
            places.setdefault(one.sop_uid, []).append(one)
    shared |= {uid for uid, some in places.items() if not uid or _at_several_places(some)}
    return {
        name: replace(one, sop_uid=f"{one.sop_uid}{SHARED}{_content(one)}") if one.sop_uid in shared else one
        for name, one in files.items()
    }


def _content(facts: Facts) -> str:
    return facts.data_sha256 or facts.sha256


def _at_several_places(slices: Collection[Facts]) -> bool:
    along = [one.along_mm or 0.0 for one in slices]
    first = next(iter(slices)).stack
    return not all(is_one_stack(first, one.stack) for one in slices) or max(along) - min(along) >= SAME_PLACE_MM


def sort_files(files: Mapping[str, Facts], known: Iterable[FileRow]) -> Sorted:
    """Sort the files of an arrival by UID and content, against what is known of the study and among themselves.

    The same data set in another file is the same content. Of two in one arrival, one is for the next turn.
    """
    found, known = Sorted({}, {}, {}, {}, []), list(known)
    files = told_apart(files, known)
    by_uid: dict[str, list[FileRow]] = {}
    by_sum: dict[str, FileRow] = {}
    for row in known:
        by_uid.setdefault(row.sop_uid or row.sha256, []).append(row)
        by_sum.setdefault(row.sha256, row)
        if row.data_sha256:
            by_sum.setdefault(row.data_sha256, row)
    accepted: dict[str, Facts] = {}
    for name, facts in sorted(files.items(), key=lambda one: (not one[1].whole, one[0])):  # whole ones first
        uid = facts.sop_uid or facts.sha256
        same_uid = by_uid.get(uid, [])
        first = accepted.setdefault(uid, facts)
        is_other_content = _content(first) != _content(facts)
        known_as = by_sum.get(facts.sha256) or by_sum.get(facts.data_sha256)
        if known_as is not None:
            found.again[name] = known_as
        elif first.sha256 != facts.sha256 and not is_other_content:
            continue
        elif not facts.whole and (same_uid or is_other_content):
            found.cut_off[name] = facts
        elif is_other_content or any(row.whole for row in same_uid):
            found.conflicting[name] = facts
        else:
            found.new[name] = facts
            found.replaced.extend(same_uid)
    return found


def of_other_patients(jobs: Iterable[Job], new: Mapping[str, Facts]) -> dict[str, Facts]:
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


def patients_in_words(jobs: Iterable[Job], strangers: Mapping[str, Facts]) -> str:
    """All of them by their names on this box: no ID stands on a screen."""
    named = {patient_key(one.patient_id, one.issuer, one.study_uid) for one in strangers.values()}
    return ", ".join(sorted(_known_patients(jobs) | named))


def without_strangers(found: Sorted, strangers: Mapping[str, Facts]) -> Sorted:
    """What is left of an arrival when those are held."""
    new = {name: one for name, one in found.new.items() if name not in strangers}
    stays = {one.sop_uid for one in new.values()}
    return replace(found, new=new, replaced=[row for row in found.replaced if row.sop_uid in stays])
