"""The book made anew from archive, results and quarantine, where the one that there was is lost or damaged.

It is written beside the old one, checked, and only then takes its name; the old one is kept. What the folders do not
tell is gone: counters, what files were called in the inbox, which files were cleaned from the archive.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scanside_appliance.clock import time_text
from scanside_appliance.files.atomic import sync_directory
from scanside_appliance.files.durable_files import file_sha256, lies_at
from scanside_appliance.files.layout import RESULT, BoxLayout, archive_place, patient_key, study_key
from scanside_appliance.jobs.book.errors import BoxDatabase, BoxDatabaseLost, BoxDatabaseWhole
from scanside_appliance.jobs.book.file import (
    BESIDE,
    beside,
    check_gives_all,
    existing_book,
    free_name,
    into_one_file,
    last_kept,
    mark,
)
from scanside_appliance.jobs.book.rows import MEASURED, NEVER_MEASURED, Job, NewFile, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxAnalysisDied, BoxArchiveAltered, BoxUnread
from scanside_appliance.jobs.intake import HELD_CODES, LACK_NOT_KNOWN, WAITS_FOR_FILES
from scanside_appliance.jobs.messages import NOT_COMPLETE
from scanside_appliance.jobs.priority import EXTENSIVE
from scanside_appliance.jobs.result_folder import unsound
from scanside_appliance.jobs.sorting import told_apart
from scanside_appliance.languages.words import Words, said
from scanside_appliance.results.archive import read_result
from scanside_appliance.upkeep.book_shape import check_book
from scanside_appliance.upkeep.found_on_disk import (
    AsideFolder,
    KeptFile,
    Probe,
    StudyFolder,
    archive_folders,
    aside_folders,
    check_told,
    kept_paths,
    numbers_in_work,
    read_kept,
    read_reason,
    result_folders,
)
from scanside_appliance.upkeep.old_audit import go_on_with_audit
from scanside_runtime.followup.scan import RELEASED
from scanside_runtime.progress import Progress

NAMED = 5
"""So many files are named where many can't be read."""


@dataclass(slots=True)
class Rebuilt:
    """What went into the new book.

    to_be_analysed: archived studies without a result: they are measured at the next start. audit_entries:
    of the old book, taken over. unusable: in words, what lies there and is not what it should be. unread: what the
    disk did not give, and is left out. kept: where the old book lies now, None where there was none.
    """

    studies: int = 0
    results: int = 0
    archived_files: int = 0
    files_put_aside: int = 0
    to_be_analysed: int = 0
    audit_entries: int = 0
    unusable: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    kept: Path | None = None

    def to_document(self) -> dict[str, Any]:
        """The JSON of `scanside rebuild`."""
        return {"schema": "scanside.rebuild/1", **asdict(self), "kept": str(self.kept) if self.kept else None}

    def lines(self, _: Words) -> list[str]:
        """The same for people. _: says it in the reader's language."""
        number = {"studies": self.studies, "results": self.results, "files": self.archived_files}
        old = said("the old book lies at {path}", path=self.kept) if self.kept else said("there was no old book")
        return [
            *(_("unusable: {path}", path=one) for one in self.unusable),
            *(_("can't be read, left out: {path}", path=one) for one in self.unread),
            _("studies: {studies}, results: {results}, archived files: {files}", **number),
            _("{number} file(s) in quarantine", number=self.files_put_aside),
            _("{number} archived study(ies) without a result: measured at the next start", number=self.to_be_analysed),
            _("audit: {number} entries of the old book, then one that it was made anew", number=self.audit_entries),
            _(old),
            _("Now start it again: systemctl start scanside-watch.service, or scanside watch where it is no service."),
        ]


def rebuild(layout: BoxLayout, probe: Probe, progress: Progress, *, anyway: bool = False) -> Rebuilt:
    """Make the book anew. Hold the root's lock: no daemon may be at work.

    probe: reads the headers of a file, in a child; what it raises ends the rebuild. anyway: though the one that lies
    there is whole, and without what the disk does not give.
    Raises BoxDatabaseWhole, BoxUnread, what opening a book raises that is neither lost nor damaged, OSError,
    sqlite3.Error.
    """
    if not anyway and (_is_whole(layout) or _is_whole_when_read_again(layout)):
        raise BoxDatabaseWhole(name=layout.database.name)
    new = layout.database.with_name(f"{layout.database.name}.new")
    with _made_beside(new), Store(new) as store:
        with store.transaction():
            rebuilt = _Rebuild(layout, store, probe, progress).run()
            _check_read(rebuilt, anyway)
            numbers = rebuilt.results, rebuilt.studies
            rebuilt.audit_entries = go_on_with_audit(store, _old(layout), *numbers, anyway=anyway)
        store.check()
        into_one_file(store)
    rebuilt.kept = _swap(layout, new)
    return rebuilt


@contextmanager
def _made_beside(new: Path) -> Iterator[None]:
    """In the end one file, or none."""
    _remove(new, ("", *BESIDE))
    try:
        yield
    except BaseException:
        with suppress(OSError):
            _remove(new, ("", *BESIDE))
        raise
    _remove(new, BESIDE)  # which SQLite leaves where the disk does not let it


def _remove(book: Path, ends: Iterable[str]) -> None:
    for end in ends:
        beside(book, end).unlink(missing_ok=True)


def _check_read(rebuilt: Rebuilt, anyway: bool) -> None:
    """A disk that fails for a moment must cost no result. Raises BoxUnread."""
    unread = rebuilt.unread
    if unread and not anyway:
        names = "; ".join([*unread[:NAMED], *(["…"] if unread[NAMED:] else [])])
        raise BoxUnread(count=len(unread), names=names)


def _is_whole_when_read_again(layout: BoxLayout) -> bool:
    """SQLite calls a page that the disk did not give damaged: it is when all bytes come and it is found once more.

    Raises as `_is_whole`.
    """
    check_gives_all(layout.database)
    return _is_whole(layout)


def _is_whole(layout: BoxLayout) -> bool:
    """Raises what keeps it from being read and is no damage: a newer version, a lock, rights, the disk."""
    try:
        with existing_book(layout) as store:
            check_book(layout, store)
    except (BoxDatabase, BoxDatabaseLost):
        return False
    return True


def _old(layout: BoxLayout) -> Path:
    """Where the old book lies: one that was cut short may have put it aside already."""
    return layout.database if lies_at(layout.database) else last_kept(layout.database) or layout.database


def _swap(layout: BoxLayout, new: Path) -> Path | None:
    """The old book aside, with what SQLite keeps beside it, and the new one in its place.

    Whatever ends it in between, the old one lies whole somewhere: only when it does aside it loses its name.
    """
    kept = free_name(layout.database)
    there = [end for end in ("", *BESIDE) if lies_at(beside(layout.database, end))]
    for end in there:
        os.link(beside(layout.database, end), beside(kept, end))
    sync_directory(layout.root)
    for end in there:  # a log would be replayed onto the new book
        beside(layout.database, end).unlink()
    new.rename(layout.database)
    sync_directory(layout.root)
    mark(layout)
    return kept if "" in there else None


class _Rebuild:
    """One pass over the folders."""

    def __init__(self, layout: BoxLayout, store: Store, probe: Probe, progress: Progress) -> None:
        self._layout, self._store, self._probe, self._progress = layout, store, probe, progress
        self._aside, self._archive = aside_folders(layout), archive_folders(layout)
        self._results = result_folders(layout)
        self._number = max([0, *numbers_in_work(layout), *(one.job for one in self._aside)])
        folders = [*(one.folder for one in self._aside), *(one.folder for one in self._archive)]
        self._files = sum(len(kept_paths(folder)) for folder in folders)
        self._read = 0
        self.found = Rebuilt()

    def run(self) -> Rebuilt:
        for folder in self._aside:
            self._put_aside(folder)
        for study in sorted({one.study for one in (*self._results, *self._archive)}):
            self._study(study)
        return self.found

    def _study(self, study: str) -> None:
        """Its results, each a job, and its files, which belong to the newest; without a result it is to be analysed."""
        jobs = [job for one in self._results if one.study == study and (job := self._result(one))]
        self.found.studies += 1
        for folder in (one for one in self._archive if one.study == study):
            kept = self._kept(folder.folder, archived=True)
            sound = [one for one in kept if one.why is None and _is_of(one, study)]
            if sound and not jobs:
                self.found.to_be_analysed += 1
                jobs.append(self._job(State.claiming, folder, study_uid=sound[0].facts.study_uid))
            if sound:
                place = archive_place(folder.patient, study)
                self._store.add_files(jobs[-1], _rows(sound, place))
                self.found.archived_files += len(sound)
                self._store.change(jobs[-1].id, study_uid=sound[0].facts.study_uid)
            self._altered(folder, [one for one in kept if one not in sound])

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        """What the disk does not give is noted, by what is read for the book: an error may name a file elsewhere."""
        try:
            yield
        except OSError as error:
            where = path.relative_to(self._layout.root)
            self.found.unread.append(f"{where}: {error.strerror or error}")

    def _result(self, one: StudyFolder) -> Job | None:
        """A sound result as the job that made it."""
        with self._reading(one.folder):
            return self._result_that_is_read(one)
        return None

    def _result_that_is_read(self, one: StudyFolder) -> Job | None:
        try:
            document = read_result(one.folder / RESULT)
            wrong = unsound(one.folder, document["verdict"], one.revision)
        except (ValueError, KeyError) as error:
            wrong = str(error)
        if wrong is not None:
            self._say(one.folder, wrong)
            return None
        hashes = {path.name: file_sha256(path) for path in sorted(one.folder.iterdir()) if path.is_file()}
        for name in sorted({*document.get("artefacts", ())} - {*hashes}):
            self._say(one.folder / str(name), "it is missing")
        written = time_text((one.folder / RESULT).stat().st_mtime)
        job = self._job(
            State.done, one, revision=one.revision, created_at=written, finished_at=written, **_columns(document)
        )
        self._store.write_result(job.id, hashes)
        self.found.results += 1
        return job

    def _altered(self, folder: StudyFolder, files: Iterable[KeptFile]) -> None:
        """What lies in the archive and is not what was put there goes to quarantine, where the same may come again."""
        altered = [one for one in files if one.facts.sha256]
        for one in files:
            self._say(one.path, one.why or "it is of another study")
        if altered:
            reason = BoxArchiveAltered(count=len(altered))
            job = self._job(State.quarantining, folder, code=reason.code, reason=reason.in_words)
            place = archive_place(folder.patient, folder.study)
            self._store.add_files(job, _rows(altered, place, known=False))
            self.found.files_put_aside += len(altered)

    def _put_aside(self, one: AsideFolder) -> None:
        """A job of the number that its folder has."""
        reason = study = ""
        with self._reading(one.folder):
            reason, study = read_reason(one.folder)
        kept = [file for file in self._kept(one.folder) if file.why is None or self._say(file.path, file.why)]
        if not kept:
            return
        first = kept[0].facts
        state = State.held if one.code in HELD_CODES else State.quarantined
        patient = patient_key(first.patient_id, first.issuer, first.study_uid) if study else ""
        job = self._store.add_job(
            state,
            time_text(one.folder.stat().st_mtime),
            id=one.job,
            study=study,
            study_uid=first.study_uid if study else "",
            patient=patient,
            code=one.code,
            reason=reason,
            incomplete=LACK_NOT_KNOWN if one.code in WAITS_FOR_FILES else None,
            revision=1 if one.code == BoxAnalysisDied.code else None,
        )
        place = one.folder.relative_to(self._layout.root).as_posix()
        self._store.add_files(job, _rows(kept, place, known=bool(study)))
        self.found.files_put_aside += len(kept)

    def _kept(self, folder: Path, *, archived: bool = False) -> list[KeptFile]:
        files = []
        for path in kept_paths(folder):
            with self._reading(path):
                one = read_kept(path, self._probe)
                if archived:
                    check_told(one)
                files.append(one)
            self._read += 1
            self._progress("files read", self._read, self._files)
        return files

    def _job(self, state: State, folder: StudyFolder, **columns: Any) -> Job:
        self._number += 1
        columns.setdefault("created_at", time_text(folder.folder.stat().st_mtime))
        return self._store.add_job(
            state, columns.pop("created_at"), id=self._number, study=folder.study, patient=folder.patient, **columns
        )

    def _say(self, path: Path, why: str) -> bool:
        self.found.unusable.append(f"{path.relative_to(self._layout.root)}: {why}")
        return False


def _is_of(one: KeptFile, study: str) -> bool:
    return one.facts.kind == "image" and study_key(one.facts.study_uid) == study


def _rows(files: Iterable[KeptFile], place: str, *, known: bool = True) -> list[NewFile]:
    """Rows for files; known: slices of a study, which have a UID of their own or are told apart by their bytes."""
    facts = {one.path.name: one.facts for one in files}
    named = told_apart(facts, ()) if known else facts
    return [
        NewFile(
            name.encode(),
            one.sop_uid if known else "",
            one.sha256,
            one.size,
            one.whole,
            place,
            name,
            mtime_ns=MEASURED if place.startswith("archive/") else NEVER_MEASURED,
            data_sha256=one.data_sha256,
        )
        for name, one in named.items()
    ]


def _columns(document: Mapping[str, Any]) -> dict[str, Any]:
    """What the book says of a result, as its document tells it."""
    from scanside_runtime.analysis.analyze import EXTENSIVE as LOOKS_EXTENSIVE
    from scanside_runtime.dicom.series import CHOSEN_BY_A_PERSON

    series = document.get("series") or {}
    chosen = series.get("uid") if series.get("chosen_because") == CHOSEN_BY_A_PERSON else None
    incomplete = [str(flag.get("message")) for flag in document["flags"] if flag["code"] == "INPUT_INCOMPLETE"]
    flags = [flag["code"] for flag in document["flags"]]
    severity = (document.get("severity") or {}).get("flag")
    return {
        "study_uid": (document.get("study") or {}).get("study_uid") or "",
        "verdict": document["verdict"],
        "severity": EXTENSIVE if LOOKS_EXTENSIVE in flags else severity,
        "trend": (document.get("progression") or {}).get("trend"),
        "code": (document.get("reason") or {}).get("code"),
        "alone": int(RELEASED in flags),
        "series_uid": chosen if isinstance(chosen, str) else None,
        "incomplete": incomplete[0].removeprefix(NOT_COMPLETE).removesuffix(".") if incomplete else None,
    }
