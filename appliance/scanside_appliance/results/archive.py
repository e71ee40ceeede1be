"""The results that lie on the box, found by patient: what trends are made from.

results/<patient>/<study>/<revision>/result.json, and any other folder with `result.json` files below it. Of each study
the latest revision counts, and one that was refused only where no other is there; what it superseded is left out.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from scanside_appliance.files.durable_files import is_folder, may_lie_at
from scanside_appliance.files.layout import RESULT, patient_folder
from scanside_runtime.dicom.errors import InputNotFound
from scanside_runtime.followup.document import RESULT_SCHEMA, stated_result
from scanside_runtime.followup.patient_record import Earlier, EarlierLookup

LARGEST_RESULT_BYTES = 8_000_000
NO_SUMS: Mapping[Path, str | None] = {}

FolderOfStudy = Callable[[str | None, str | None, str], Path | None]
"""Patient ID, its issuer, a StudyInstanceUID: the folder of the result on record, None where there is none."""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """A result document and the file that it was read from."""

    path: Path
    document: Mapping[str, Any]


def earlier_results(results: Path, patient_id: str, issuer: str | None) -> Earlier:
    """What the box's results folder holds of a patient, by the folder that is his.

    Where that holds nothing, all results are looked through for the same ID of another issuer.
    """
    own = results_below(results / patient_folder(patient_id, issuer), patient_id, issuer)
    return own if own.documents else replace(own, other_issuers=_of_other_issuers(results, patient_id, issuer))


def results_below(folder: Path, patient_id: str, issuer: str | None) -> Earlier:
    """What lies anywhere below a folder: the latest revision of each study.

    A folder or a file that can't be read, or is no result document, is named and passed over.
    """
    return _of_patient(*results_on_record(folder), patient_id, issuer)


def results_in(folders: Mapping[Path, str | None], results: Path | None = None) -> EarlierLookup:
    """A lookup in these result folders, for a caller that keeps a book of them by patient.

    folders: each with the SHA-256 that its document had when it was written, None where that is not known.
    results: where the same ID of another issuer may lie, looked through where the book has nothing.
    """
    files = {folder / RESULT: sha256 for folder, sha256 in folders.items()}
    return partial(_earlier, files, results)


def _earlier(files: Mapping[Path, str | None], results: Path | None, patient_id: str, issuer: str | None) -> Earlier:
    own = _of_patient(*read_results(files, files), patient_id, issuer)
    if files or results is None:
        return own
    return replace(own, other_issuers=_of_other_issuers(results, patient_id, issuer))


def _of_patient(
    found: Iterable[StoredResult], unreadable: tuple[str, ...], patient_id: str, issuer: str | None
) -> Earlier:
    # A later revision may have put the study to another patient: the latest says whose it is.
    same_id = [one.document for one in latest_revisions(found) if identity(one.document)[0] == patient_id]
    mine = tuple(document for document in same_id if identity(document)[1] == issuer)
    others = tuple(document for document in same_id if identity(document)[1] != issuer)
    return Earlier(mine, unreadable, others)


def _of_other_issuers(results: Path, patient_id: str, issuer: str | None) -> tuple[Mapping[str, Any], ...]:
    """The results of the same ID under another issuer, or under none; what names no such ID is not parsed."""
    wanted = json.dumps(patient_id).encode()
    files = (path for path in _result_files(results, lambda _: None) if _holds_text(path, wanted))
    found, _ = read_results(files)
    return _of_patient(found, (), patient_id, issuer).other_issuers


def _holds_text(path: Path, wanted: bytes) -> bool:
    try:
        return path.is_file() and path.stat().st_size <= LARGEST_RESULT_BYTES and wanted in path.read_bytes()
    except OSError:
        return False


def results_on_record(folder: Path) -> tuple[list[StoredResult], tuple[str, ...]]:
    """Every result document below a folder, and in words what could not be read there, folders too."""
    closed: list[OSError] = []
    found, unreadable = read_results(_result_files(folder, closed.append))
    refused = [f"{error.filename} ({error.strerror})" for error in closed if not isinstance(error, FileNotFoundError)]
    return found, (*refused, *unreadable)


def read_results(
    files: Iterable[Path], sums: Mapping[Path, str | None] = NO_SUMS
) -> tuple[list[StoredResult], tuple[str, ...]]:
    """The result documents in these files, and in words those files that can't be read as one. sums: as in the book."""
    found: list[StoredResult] = []
    unreadable: list[str] = []
    for path in files:
        try:
            found.append(StoredResult(path, read_result(path, sums.get(path))))
        except (OSError, ValueError) as error:
            unreadable.append(f"{path} ({error})")
    return found, tuple(unreadable)


def lookup(root: Path, folder: Path | None = None) -> EarlierLookup | None:
    """Where `analyze` looks for earlier results: in a folder that was named, else on the box; None where neither is.

    Raises InputNotFound for a named folder that is not there.
    """
    if folder is not None:
        if not is_folder(folder):
            raise InputNotFound(name=folder)
        return partial(results_below, folder)
    results = root / "results"
    return partial(earlier_results, results) if may_lie_at(results) else None


def folder_lookup(root: Path, folder: Path | None = None) -> FolderOfStudy:
    """Where `analyze` finds the folder of an earlier result, as `lookup` finds the documents."""

    def found(patient_id: str | None, issuer: str | None, study_uid: str) -> Path | None:
        if folder is None and patient_id is None:
            return None
        below = folder or root / "results" / patient_folder(patient_id or "", issuer)
        return _latest_folder(_result_files(below, lambda _: None), study_uid)

    return found


def folder_among(folders: Mapping[Path, str | None]) -> FolderOfStudy:
    """The same among these result folders, for a caller that keeps a book of them by patient: as for `results_in`."""
    files = {folder / RESULT: sha256 for folder, sha256 in folders.items()}
    return lambda _patient_id, _issuer, study_uid: _latest_folder(files, study_uid, files)


def _latest_folder(files: Iterable[Path], study_uid: str, sums: Mapping[Path, str | None] = NO_SUMS) -> Path | None:
    """Where the result of a study lies that counts."""
    found, _ = read_results(files, sums)
    of_study = [one for one in found if (one.document.get("study") or {}).get("study_uid") == study_uid]
    latest = latest_revisions(of_study)
    return latest[0].path.parent if latest else None


def _result_files(folder: Path, closed: Callable[[OSError], None]) -> Iterator[Path]:
    """Every result document below a folder, in the order of their paths; links are not followed.

    closed: told of folders that can't be read.
    """
    for parent, folders, names in os.walk(folder, onerror=closed):
        folders.sort()
        if RESULT in names:
            yield Path(parent) / RESULT


def read_result(path: Path, sha256: str | None = None) -> Mapping[str, Any]:
    """One result document that can be believed, of these bytes where the book has their sum.

    Raises OSError, and ValueError, in words, for what is none.
    """
    if path.is_symlink() or not path.is_file():
        raise ValueError("it is no regular file")
    if path.stat().st_size > LARGEST_RESULT_BYTES:
        raise ValueError("it is too large")
    data = path.read_bytes()
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError("it is not what was written")
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError(f"its schema is not {RESULT_SCHEMA}")
        stated_result(document)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return document


def latest_revisions(found: Iterable[StoredResult]) -> list[StoredResult]:
    """Of each study the result with the highest revision, and of those the last by path; a refused one hides none."""
    latest: dict[str, StoredResult] = {}
    for one in sorted(found, key=_age):
        latest[str((one.document.get("study") or {}).get("study_uid"))] = one
    return list(latest.values())


def _age(one: StoredResult) -> tuple[bool, int, str]:
    """Refused first, then older first. The revision stands in the document, else it is its folder's number."""
    stated = (one.document.get("provenance") or {}).get("revision")
    name = one.path.parent.name
    revision = stated if isinstance(stated, int) else int(name) if name.isdecimal() else 0
    return one.document.get("verdict") != "refused", revision, str(one.path)


def identity(document: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Patient ID and its issuer, as a document states them."""
    study = document.get("study") or {}
    return study.get("patient_id"), study.get("issuer")
