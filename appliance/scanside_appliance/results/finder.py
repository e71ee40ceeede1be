"""A person looks for a report: by patient, by the day of the scan, or the last one."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scanside_appliance.files.layout import PAGE, RESULT, study_key
from scanside_appliance.results.archive import StoredResult, latest_revisions, read_result, results_on_record
from scanside_appliance.results.errors import ResultNotFound
from scanside_appliance.results.with_care import cautions_of

LAST = "last"
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Known:
    """By what a person may know a result. day: of the scan; study: its UID, or its name on this box."""

    patient_id: str | None
    patient_name: str | None
    day: str | None
    study: tuple[str | None, ...] = ()

    def is_called(self, wanted: str) -> bool:
        """To the letter."""
        return wanted in (self.patient_id, self.patient_name, self.day, *self.study)

    def speaks_of(self, wanted: str) -> bool:
        """As people type: all words in any order, the beginnings of name and day, no capitals, no accents.

        An ID is said to the letter: the beginning of one is another patient's.
        """
        said = _plain(f"{self.patient_name or ''} {self.day or ''}")
        left = _plain(" ".join(word for word in wanted.split() if word != self.patient_id))
        return bool(_plain(wanted)) and all(f" {word}" in f" {said}" for word in left.split())


def _plain(text: str) -> str:
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return " ".join(bare.casefold().replace("^", " ").replace("=", " ").split())


def those_meant(ones: Iterable[Thing], wanted: str, known: Callable[[Thing], Known], *, in_words: bool) -> list[Thing]:
    """Those that are called so to the letter; where none is, and `in_words`, those that the words speak of.

    in_words: for a person alone, who sees whose report it is. A script would take it for the one it named.
    """
    by = [(one, known(one)) for one in ones]
    exactly = [one for one, said in by if said.is_called(wanted)]
    return exactly or [one for one, said in by if in_words and said.speaks_of(wanted)]


def found_results(results: Path, wanted: str, *, every: bool = False, in_words: bool = False) -> list[dict[str, Any]]:
    """Of each study the result that counts, or every revision, oldest scan first; of `last` the newest written.

    wanted: a patient's ID or name, a day (2026-01-31), or `last`; in_words: also as `those_meant`. Raises
    ResultNotFound.
    """
    fitting = _fitting(results, wanted, every=every, in_words=in_words)
    return sorted(map(_facts, fitting), key=lambda one: (one["date"] or "", one["report"]))


def results_meant(results: Path, meant: str) -> list[StoredResult]:
    """The results that a command is to do something with: of a folder that holds one, else as `found_results`.

    meant: also a study's name in `scanside queue`, or its UID. Raises ResultNotFound; OSError and ValueError for a
    folder whose document can't be read.
    """
    document = Path(meant) / RESULT
    if document.is_file():
        return [StoredResult(document, read_result(document))]
    return _fitting(results, meant, every=False)


def _fitting(results: Path, wanted: str, *, every: bool, in_words: bool = False) -> list[StoredResult]:
    known, _ = results_on_record(results)
    counting = known if every else latest_revisions(known)
    if wanted == LAST:
        since = _first_times(known)
        fitting = sorted(counting, key=lambda one: since[_kind(one)])[-1:]
    else:
        fitting = those_meant(counting, wanted, _known, in_words=in_words)
    if not fitting:
        raise ResultNotFound(wanted=wanted, folder=results)
    return fitting


def _first_times(found: Iterable[StoredResult]) -> dict[tuple[str, ...], float]:
    """By study and kind of result, when the first of that kind was written, as on the worklist."""
    newest_first = sorted(((one.path.stat().st_mtime, one) for one in found), key=lambda each: each[0], reverse=True)
    return {_kind(one): written for written, one in newest_first}


def _kind(one: StoredResult) -> tuple[str, ...]:
    document = one.document
    study, series = document.get("study") or {}, document.get("series") or {}
    return str(study.get("study_uid")), str(document.get("verdict")), str(series.get("uid"))


def _known(one: StoredResult) -> Known:
    study = one.document.get("study") or {}
    day = study.get("study_date") or (study.get("acquired_at") or "")[:10]
    uid = study.get("study_uid")
    return Known(study.get("patient_id"), study.get("patient_name"), day, (uid, uid and study_key(uid)))


def _facts(one: StoredResult) -> dict[str, Any]:
    return {**shown_of(one.document), "report": str(one.path.parent.absolute() / PAGE)}


def shown_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Who, when and how much: what a person knows a result by."""
    study, measured = document.get("study") or {}, document.get("biomarkers") or {}
    return {
        "patient_id": study.get("patient_id"),
        "patient_name": study.get("patient_name"),
        "date": study.get("acquired_at") or study.get("study_date"),
        "verdict": document.get("verdict"),
        "poi_percent": measured.get("poi_percent"),
        "cautions": cautions_of(document),
    }
