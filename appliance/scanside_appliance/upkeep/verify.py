"""The book, what it says of every stored file, and the networks, held against what lies on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scanside_appliance.bundles.errors import BundleRecordUnusable
from scanside_appliance.bundles.record import check_signed, read_record
from scanside_appliance.clock import Clock
from scanside_appliance.files.durable_files import file_sha256, is_folder
from scanside_appliance.files.layout import RESULT, BoxLayout
from scanside_appliance.jobs.book.audit import AuditEntry, broken_at
from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.errors import BoxDatabase, BoxDatabaseLost
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.book.stored_files import files_in, files_nowhere, number_in
from scanside_appliance.languages.words import Words
from scanside_appliance.upkeep.book_shape import book_problems
from scanside_appliance.upkeep.care import LastVerified, note_done
from scanside_appliance.upkeep.found_on_disk import archive_folders, kept_paths, result_folders
from scanside_runtime.errors import ModelUnusable
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.progress import Progress

PUBLISHED = (State.archiving, State.done)
KEPT = ("archive", "quarantine")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it should be. path: below the root.

    of: database, audit, result, archive, quarantine or bundle.

    study: whose it is, null where it is no study's.
    """

    of: str
    path: str
    study: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was looked at, and what differs."""

    results: int
    archived_files: int
    differences: tuple[Difference, ...]

    def to_document(self) -> dict[str, Any]:
        """The JSON of `scanside verify`."""
        return {"schema": "scanside.verify/1", "ok": not self.differences, **asdict(self)}

    def lines(self, _: Words) -> list[str]:
        """The same for people: what differs, then how much was looked at. _: says it in the reader's language."""
        differing = [f"{one.of:<9} {one.path}: {_.coded(one.why)}" for one in self.differences]
        verdict = _("{number} difference(s)", number=len(differing)) if differing else _("all as it was written")
        looked_at = [
            _("{number} result(s)", number=self.results),
            _("{number} archived file(s)", number=self.archived_files),
            *(_("the book"), _("the networks")),
        ]
        return [*differing, f"{_(', ').join(looked_at)}: {verdict}"]


def note_verified(layout: BoxLayout, found: Verified) -> None:
    """Remember when it was done and what came of it, where this user may write there."""
    if os.access(layout.root, os.W_OK):
        with suppress(OSError):
            note_done(layout.last_verified, LastVerified(Clock().now_text(), len(found.differences)))


def verify(layout: BoxLayout, progress: Progress, keys: Path) -> Verified:
    """Look at everything; nothing is changed. It may run beside the daemon. keys: of those who may sign bundles.

    Raises what opening the book raises that is neither lost nor damaged, and OSError where a folder can't be read.
    """
    differences = list(_bundles(layout, keys))
    results = files = 0
    try:
        with existing_book(layout) as store, database_errors(layout.database):
            differences += _database(layout, store)
            published = store.jobs(PUBLISHED)
            look = _Look(layout, store, progress, len(published) + number_in(store, KEPT))
            differences += [*look.results(published), *look.kept(), *look.nowhere(), *look.strays()]
            results, files = len(published), look.files
    except (BoxDatabase, BoxDatabaseLost) as error:
        differences.append(Difference("database", layout.database.name, None, f"{error.code}: {error.message}"))
    return Verified(results, files, tuple(differences))


def _bundles(layout: BoxLayout, keys: Path) -> Iterator[Difference]:
    """The networks that came along, and those that were installed, with their signatures.

    Of one that was put aside nobody's signature is asked: that its key was revoked is known, and no damage.
    """
    aside = _put_aside(layout.root)
    installed = layout.root / "bundles"
    others = sorted(path for path in installed.iterdir() if path.is_dir()) if is_folder(installed) else []
    for folder in (None, *others):
        try:
            if folder is not None and folder.name not in aside:
                check_signed(folder, keys)
            open_bundle(folder).verify()
        except ModelUnusable as error:
            yield Difference("bundle", str(folder or "the one that came along"), None, f"{error.code}: {error.message}")


def _put_aside(root: Path) -> set[str | None]:
    try:
        changes = read_record(root).changes
    except BundleRecordUnusable:
        return set()
    aside = set[str | None]()
    for one in changes:  # what was installed once more since then is asked again
        aside.discard(one.bundle)
        if one.action == "put aside":
            aside.add(one.before)
    return aside


def _database(layout: BoxLayout, store: Store) -> Iterator[Difference]:
    for words in book_problems(store):
        yield Difference("database", layout.database.name, None, words)
    told: dict[tuple[str, Any], Any] = {}

    def remember(one: AuditEntry) -> None:
        facts = one.document()["facts"] if one.event == "result" else {}
        if "document_sha256" in facts:
            told[one.study, facts.get("revision")] = facts["document_sha256"]

    row = broken_at(store, remember)
    if row is not None:
        yield Difference("audit", layout.database.name, None, why=f"row {row} does not follow from those before it")
    yield from _other_than_told(layout, store, told)


def _other_than_told(layout: BoxLayout, store: Store, told: Mapping[tuple[str, Any], Any]) -> Iterator[Difference]:
    """Results whose sums in the book are not those that the audit tells: both would have to be changed alike."""
    for job in store.jobs(PUBLISHED):
        known = told.get((job.study, job.revision))
        if known is not None and store.result(job.id).get(RESULT) != known:
            folder = job.published_in(layout).relative_to(layout.root)
            yield Difference("audit", str(folder / RESULT), job.study, why="the book has another sum than the audit")


class _Look:
    """What the book says of files, one after the other. What the daemon moves meanwhile is looked at once more.

    files: how many of archive and quarantine were looked at.
    """

    def __init__(self, layout: BoxLayout, store: Store, progress: Progress, total: int) -> None:
        self._layout, self._store, self._progress, self._total = layout, store, progress, total
        self._done = self.files = 0

    def results(self, published: list[Job]) -> Iterator[Difference]:
        """Every file of every result."""
        for job in published:
            folder = job.published_in(self._layout)
            for name, sha256 in self._store.result(job.id).items():
                yield from self._compared("result", job.study, folder / name, sha256)
            self._step("results")

    def kept(self) -> Iterator[Difference]:
        """Every file that the book has in archive and quarantine."""
        for row in files_in(self._store, KEPT):
            path = row.path(self._layout.root)
            found = list(self._compared(row.place.partition("/")[0], row.study, path, row.sha256))
            moved = found and [now.place for now in self._store.files(row.job) if now.id == row.id] != [row.place]
            if not moved:
                yield from found
            self.files += 1
            self._step("archived files")

    def nowhere(self) -> Iterator[Difference]:
        """Files whose place in the book is none."""
        for row in files_nowhere(self._store, (*KEPT, "work")):
            yield Difference("database", row.name, row.study, why=f"its place in the book, {row.place!r}, is none")

    def strays(self) -> Iterator[Difference]:
        """What lies in results and archive and is not in the book."""
        known = {job.id: job for job in self._store.jobs([*PUBLISHED, State.publishing])}
        places = {job.published_in(self._layout): job for job in known.values()}
        for one in result_folders(self._layout):
            names = self._store.result(places[one.folder].id) if one.folder in places else {}
            for path in sorted(one.folder.iterdir()):
                if path.name not in names:
                    yield self._difference("result", one.study, path, why="it is not in the book")
        for study in archive_folders(self._layout):
            names_of_study = {row.name for row in self._store.files_of_study(study.study)}
            for path in kept_paths(study.folder):
                if path.name not in names_of_study:
                    yield self._difference("archive", study.study, path, why="it is not in the book")

    def _compared(self, of: str, study: str, path: Path, sha256: str) -> Iterator[Difference]:
        try:
            if path.is_symlink():
                yield self._difference(of, study, path, why="it is a link")
            elif file_sha256(path) != sha256:
                yield self._difference(of, study, path, why="it is not what was written")
        except FileNotFoundError:
            yield self._difference(of, study, path, why="it is missing")
        except OSError as error:
            yield self._difference(of, study, path, why=f"it can't be read: {error.strerror}")

    def _difference(self, of: str, study: str, path: Path, why: str) -> Difference:
        return Difference(of, str(path.relative_to(self._layout.root)), study, why)

    def _step(self, what: str) -> None:
        self._done += 1
        self._progress(what, self._done, max(self._done, self._total))
