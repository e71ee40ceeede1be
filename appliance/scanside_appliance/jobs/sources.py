"""What was copied out of the inbox goes from it, once the book has the copy: this very file, and no other.

What is known already goes as well, once a copy has proved that. Where a file can't be removed (a share that is
read-only), it stays, and the box remembers that it has it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from scanside_appliance.files.alike import ends_alike
from scanside_appliance.files.durable_files import is_there, lies_at, make_folder, sync_folders
from scanside_appliance.files.layout import BoxLayout, archive_place, study_key
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.errands import AT_ONCE, Done, Known, TakeAway, TakenAway, together
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.jobs.book.rows import CLEANED, NAME_LETTERS, REST, FileRow, TakenSource
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.staging import Staging

ALL = "//"
"""Behind a study, for the copies of all that came again: no name in the inbox."""


class TakenSources:
    """Raises OSError where the porter can't be sent, sqlite3.Error."""

    def __init__(self, store: Store, porter: Porter) -> None:
        self._store, self._porter = store, porter
        self._fresh: list[TakenSource] = []
        self._asked: list[TakenSource] = []
        self._all = False
        self._why = ""

    @property
    def any_fresh(self) -> bool:
        """Whether there is what nobody tried to remove yet."""
        return bool(self._fresh or self._asked)

    def add(self, sources: Iterable[TakenSource]) -> None:
        """The book's transaction that has the copies has these, too."""
        added = list(sources)
        self._store.add_taken(added)
        self._fresh += added

    def others(self, listing: Iterable[tuple[str, Signature | None]]) -> Iterator[tuple[str, Signature | None]]:
        """What a scan saw without what is taken."""
        any_left = self._store.number_taken() > 0
        for name, seen in listing:
            if not any_left or seen is None or not self._store.is_taken(_row(name, seen)):
                yield name, seen

    def left(self) -> str | None:
        """What could not be removed, in words."""
        count = self._store.number_taken() - len(self._fresh) - len(self._asked) if self._why else 0
        return f"{count} file(s) were taken and can't be removed from the inbox ({self._why})" if count > 0 else None

    def remove(self) -> None:
        """Have removed what is left, as far as it can be; what was added last goes first."""
        self._all = True
        self.advance()

    def advance(self) -> None:
        """Send the porter for the next of them, where it is free."""
        while (self._fresh or self._all) and (not self._porter.busy or self._porter.attend(0.0)):
            if not self._fresh:
                self._fresh = self._store.taken(AT_ONCE)
                self._all = bool(self._fresh)
            self._asked = next(together(self._fresh, lambda row: len(row.source)), [])
            self._fresh = self._fresh[len(self._asked) :]
            if self._asked:
                self._porter.do(TakeAway(tuple(map(_known, self._asked))), self._hear, 0.0)

    def _hear(self, answer: TakenAway | Done) -> None:
        if isinstance(answer, Done):
            self._asked = []
            self._why = answer.why or self._why
            self._all = self._all and not answer.number
            return
        self._why = answer.why
        self._all = self._all and not answer.why
        if answer.names:
            with self._store.transaction():
                self._store.forget_taken(map(os.fsencode, answer.names))


class KnownAlready:
    """What came once more is kept once.

    doubted: files that were not what they were known to be. belied: what did not change since it was read, and is not
    what was said of it, doubted or not.
    That it is known was said by a child that has read foreign bytes. It counts when a copy that is ours has the sum of
    what is kept, or ends in the same picture: the same data set in another file. Nothing is removed on a word.
    """

    def __init__(self, layout: BoxLayout, store: Store, staging: Staging, sources: TakenSources) -> None:
        self._layout, self._store, self._staging, self._sources = layout, store, staging, sources
        self.doubted: list[str] = []
        self.belied: set[str] = set()
        self._unfinished = False

    def take(self, study: str, files: Mapping[str, Facts], again: Mapping[str, FileRow]) -> dict[str, Facts] | None:
        """Have these go, one for each that is kept at a time; all files, of which some are known no more.

        None while there is more to be copied, or where a file is not what it was. Raises OSError, sqlite3.Error,
        FileExistsError where other bytes lie in the place of what is kept.
        """
        self.doubted, self.belied, self._unfinished = [], set(), False
        names, staged_as = self._at_rest(again), f"{study}{ALL}"
        if not names:
            return dict(files)
        copies = self._staging.copy(staged_as, {name: files[name] for name in names})
        if copies is None or copies.changed:
            self.doubted = sorted(copies.changed) if copies else []
            self.belied = copies.belied if copies else set()
            return None
        left = dict(files)
        for name, (_, copied) in copies.made.items():
            facts = replace(files[name], sha256=copied.sha256)
            if not self._goes(name, facts, again[name], self._staging.part(copies, name)):
                left[name] = replace(facts, data_sha256="")
                self.belied.add(name)  # who called it the same may have been taken over
        if self._unfinished or self.doubted:
            return None
        self._staging.drop(staged_as)
        return left

    def _at_rest(self, again: Mapping[str, FileRow]) -> list[str]:
        """One for each that is kept, where no job moves it."""
        resting = {job: self._store.job(job).state in REST for job in {row.job for row in again.values()}}
        return [*{row.id: name for name, row in sorted(again.items(), reverse=True) if resting[row.job]}.values()]

    def _goes(self, name: str, facts: Facts, known: FileRow, copy: Path) -> bool:
        """False where it is not the same. Where the kept one is gone, a copy takes its place.

        What is kept is summed before the other goes.
        """
        job = self._store.job(known.job)
        place = known.place if known.place != CLEANED else archive_place(job.patient, job.study)
        kept = self._layout.root / place / known.name
        if not lies_at(kept):
            if facts.sha256 != known.sha256:
                kept = kept.with_name(f"{facts.sha256[:NAME_LETTERS]}.dcm")
            if not self._put_in_place(name, facts, kept):
                return True
        elif not is_there(kept, known.sha256):
            raise FileExistsError(errno.EEXIST, "another file has this name", str(kept))
        elif facts.sha256 != known.sha256 and not ends_alike(copy, kept):
            return False
        with self._store.transaction():
            if kept.name != known.name:
                self._store.came_again(known.id, place, kept.name, facts.sha256, facts.size)
            elif known.place == CLEANED:
                self._store.put([known.id], place)
            self._store.count("files_known_already")
            self._sources.add([TakenSource(os.fsencode(name), facts.size, facts.mtime_ns, facts.inode)])
        self._sources.advance()
        return True

    def _put_in_place(self, name: str, facts: Facts, kept: Path) -> bool:
        """Whether the copy lies there now."""
        study = study_key(facts.study_uid)
        staged_as = f"{study}/{name}"
        self._staging.part_off(f"{study}{ALL}", name, staged_as)
        copies = self._staging.copy(staged_as, {name: facts})
        if copies is not None and name not in copies.made:
            self.doubted.append(name)
            self._staging.drop(staged_as)
            return False
        if copies is None or not self._staging.settle(staged_as, {name: kept.name}):
            self._unfinished = True
            return False
        folder = self._layout.root / copies.place
        make_folder(kept.parent, self._layout.root)
        (folder / kept.name).rename(kept)
        self._staging.done(staged_as)
        sync_folders(kept.parent)
        folder.rmdir()
        return True


def _row(name: str, seen: Signature) -> TakenSource:
    return TakenSource(os.fsencode(name), seen.size, seen.mtime_ns, seen.inode)


def _known(row: TakenSource) -> Known:
    return Known(os.fsdecode(row.source), Signature(row.size, row.mtime_ns, row.inode))
