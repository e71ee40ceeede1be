"""Copies of what is ready in the inbox, made before the book knows of them: what is taken is the box's own by then.

They lie in a folder of their own in `work`, named like copies that were cut short until all are synced. What lies there
and is not in the book is of no account: its source is in the inbox still.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scanside_appliance.files.atomic import sync_directory
from scanside_appliance.files.copies import Copied, SourceChanged, copy_below
from scanside_appliance.files.durable_files import PART, make_folder
from scanside_appliance.files.layout import BoxLayout, arriving_place
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.facts import Facts

COPY_S = 0.5
"""Copying goes on for so long at a time, so that the rest of the box has its turn."""


@dataclass(slots=True)
class Copies:
    """What came of an arrival so far.

    made: by name in the inbox, as what it was copied, and the copy. gone: there no more. changed: not what was known.
    settled: the names that copies have got. offered: the book may have been written with them.
    """

    place: str
    made: dict[str, tuple[Signature, Copied]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    settled: dict[str, str] = field(default_factory=dict)
    offered: bool = False


class Staging:
    """Makes the copies. progressed: called after each, for who waits for a sign of life."""

    def __init__(self, layout: BoxLayout, now: Callable[[], float], progressed: Callable[[], None]) -> None:
        self._layout, self._now, self._progressed = layout, now, progressed
        self._begun: dict[str, Copies] = {}

    def copy(self, study: str, files: Mapping[str, Facts]) -> Copies | None:
        """Copy the files of an arrival; None while there is more to be copied: then call again.

        A copy must have the sum that the facts have: this is the second of two, and proves that what is the box's own
        now is what was judged. Where a file is not what it was, no copy is kept. Raises OSError where the box can't
        write.
        """
        found = self._begun.setdefault(study, Copies(arriving_place(secrets.token_hex(4))))
        until, fresh = self._now() + COPY_S, 0
        try:
            make_folder(self._layout.root / found.place, self._layout.root)
            for name, facts in files.items():
                seen = Signature(facts.size, facts.mtime_ns, facts.inode)
                if name in found.made and found.made[name][0] == seen:
                    continue
                if fresh and self._now() > until:
                    return None
                self._copy(found, name, facts, seen)
                fresh += 1
        except OSError:
            self.drop(study)
            raise
        for name in found.made.keys() - files.keys():
            del found.made[name]
            found.gone.add(name)
            self._part(found, name).unlink(missing_ok=True)
        if found.changed:
            self.drop(study)
        return found

    def _copy(self, found: Copies, name: str, facts: Facts, seen: Signature) -> None:
        found.made.pop(name, None)
        found.settled.pop(name, None)
        try:
            copied = copy_below(self._layout.inbox, name, self._part(found, name), seen)
        except SourceChanged as error:
            (found.gone if error.gone else found.changed).add(name)
            return
        finally:
            self._progressed()
        if copied.sha256 != (facts.sha256 or copied.sha256):
            found.changed.add(name)
            return
        found.made[name] = seen, copied
        found.gone.discard(name)

    def _part(self, copies: Copies, name: str) -> Path:
        token = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        return self._layout.root / copies.place / f".{token}{PART}"

    def settle(self, study: str, names: Mapping[str, str]) -> None:
        """Give the copies of these files their names, all synced. Raises OSError.

        Until it is `done` it may be called again: the book may not have been written.
        """
        copies = self._begun[study]
        folder = self._layout.root / copies.place
        fresh = {name: kept_as for name, kept_as in names.items() if copies.settled.get(name) != kept_as}
        try:
            for name in fresh:
                _sync(self._part(copies, name))
            for name, kept_as in fresh.items():
                self._part(copies, name).rename(folder / kept_as)
                copies.settled[name] = kept_as
            sync_directory(folder)
        except OSError:
            self.drop(study)
            raise
        copies.offered = True

    def done(self, study: str) -> None:
        """The book has them."""
        del self._begun[study]

    def drop(self, study: str) -> None:
        """Give up what was begun, unless it was offered to the book: one that could not be synced may have it yet."""
        copies = self._begun.pop(study, None)
        if copies is not None and not copies.offered:
            shutil.rmtree(self._layout.root / copies.place, ignore_errors=True)

    def keep_only(self, studies: Collection[str]) -> None:
        """Give up what was begun of any other study: it is ready no more."""
        for study in self._begun.keys() - set(studies):
            self.drop(study)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
