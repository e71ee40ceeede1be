"""A person looks for a report: by patient, by the day of the scan, or the last one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scanside_appliance.files.layout import PAGE, RESULT, study_key
from scanside_appliance.results.archive import StoredResult, latest_revisions, read_result, results_on_record
from scanside_appliance.results.errors import ResultNotFound

LAST = "last"


def found_results(results: Path, wanted: str, *, every: bool = False) -> list[dict[str, Any]]:
    """Of each study the result that counts, or every revision, oldest scan first; of `last` the newest written.

    wanted: a patient's ID or name, a day (2026-01-31), or `last`. Raises ResultNotFound.
    """
    fitting = _fitting(results, wanted, every=every)
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


def _fitting(results: Path, wanted: str, *, every: bool) -> list[StoredResult]:
    known, _ = results_on_record(results)
    counting = known if every else latest_revisions(known)
    if wanted == LAST:
        fitting = sorted(counting, key=lambda one: one.path.stat().st_mtime)[-1:]
    else:
        fitting = [one for one in counting if _fits(one, wanted)]
    if not fitting:
        raise ResultNotFound(wanted=wanted, folder=results)
    return fitting


def _fits(one: StoredResult, wanted: str) -> bool:
    study = one.document.get("study") or {}
    day = study.get("study_date") or (study.get("acquired_at") or "")[:10]
    uid = study.get("study_uid")
    return wanted in (study.get("patient_id"), study.get("patient_name"), day, uid, uid and study_key(uid))


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
    }
