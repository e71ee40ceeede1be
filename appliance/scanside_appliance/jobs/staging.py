"""Copies of what is ready in the inbox, made before the book knows of them: what is taken is the box's own by then.

They lie in a folder of their own in `work`, named like copies that were cut short until all are synced. What lies there
and is not in the book is of no account: its source is in the inbox still. The porter makes them, and nobody waits.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from scanside_appliance.files.copies import Copied
from scanside_appliance.files.durable_files import PART, make_folder
from scanside_appliance.files.layout import BoxLayout, arriving_place
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.errands import Done, FetchCopies, Fetched, Known, SettleCopies
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.inbox.porter import Porter

COPY_S = 0.5
"""Copies are waited for so long at a time, so that the rest of the box has its turn."""
AT_ONCE = 32
"""So many files in one errand of the porter, so that others have theirs."""
Unfit = Literal["gone", "changed", "belied"]


@dataclass(slots=True)
class Copies:
    """What came of an arrival so far.

    made: by name in the inbox, as what it was copied, and the copy. unfit: as what it was to be copied, and why it was
    not: "belied" is what lies there as it was seen, and has another sum than was said of it. went: made, and taken out
    of the arrival again. settled: the names that copies have got. offered: the book may have been written with them.
    failed: how the last errand ended.
    """

    place: str
    made: dict[str, tuple[Signature, Copied]] = field(default_factory=dict)
    unfit: dict[str, tuple[Signature, Unfit]] = field(default_factory=dict)
    went: set[str] = field(default_factory=set)
    settled: dict[str, str] = field(default_factory=dict)
    offered: bool = False
    failed: Done = field(default_factory=Done)

    @property
    def gone(self) -> set[str]:
        """There no more."""
        return {name for name, (_, why) in self.unfit.items() if why == "gone"} | self.went

    @property
    def changed(self) -> set[str]:
        """Not what was known."""
        return {name for name, (_, why) in self.unfit.items() if why != "gone"}

    @property
    def belied(self) -> set[str]:
        """Of these, what did not change: it was never what was said of it."""
        return {name for name, (_, why) in self.unfit.items() if why == "belied"}

    def lacks(self, files: Mapping[str, Facts]) -> dict[str, Facts]:
        """What has to be copied still, or again."""
        known = {name: seen for name, (seen, _) in (*self.made.items(), *self.unfit.items())}
        return {name: facts for name, facts in files.items() if known.get(name) != _seen(facts)}

    def check(self) -> None:
        """Raises OSError where the box could not write them."""
        failed, self.failed = self.failed, Done()
        failed.check()


class Staging:
    """Has the copies made. progressed: called for each, for who waits for a sign of life."""

    def __init__(
        self, layout: BoxLayout, porter: Porter, now: Callable[[], float], progressed: Callable[[], None]
    ) -> None:
        self._layout, self._porter, self._now, self._progressed = layout, porter, now, progressed
        self._begun: dict[str, Copies] = {}
        self._given_up: list[str] = []

    def copy(self, study: str, files: Mapping[str, Facts]) -> Copies | None:
        """Copy the files of an arrival; None while there is more to be copied: then call again.

        A copy must have the sum that the facts have: this is the second of two, and proves that what is the box's own
        now is what was judged. Where a file is not what it was, no copy is kept. Raises OSError where the box can't
        write.
        """
        found = self._begun.setdefault(study, Copies(arriving_place(secrets.token_hex(4))))
        until = self._now() + COPY_S
        try:
            make_folder(self._layout.root / found.place, self._layout.root)
            found.check()
            while missing := found.lacks(files):
                is_through = self._fetch(found, missing, until - self._now())
                found.check()
                if not is_through or (self._now() > until and found.lacks(files)):
                    return None
        except OSError:
            self.drop(study)
            raise
        for name in found.made.keys() - files.keys():
            self._forget(found, name)
            found.went.add(name)
            self.part(found, name).unlink(missing_ok=True)
        if found.changed:
            self.drop(study)
        return found

    def part_off(self, study: str, name: str, other: str) -> None:
        """A copy that was made goes on by itself, as one of `other`: its bytes are not copied twice. Raises OSError."""
        copies, made = self._begun[study], self._begun[study].made[name]
        apart = self._begun.setdefault(other, Copies(arriving_place(secrets.token_hex(4))))
        if apart.made.get(name) == made:
            return
        self._forget(apart, name)
        make_folder(self._layout.root / apart.place, self._layout.root)
        part = self.part(apart, name)
        part.unlink(missing_ok=True)
        os.link(self.part(copies, name), part)
        apart.made[name] = made

    def _fetch(self, found: Copies, missing: Mapping[str, Facts], wait_s: float) -> bool:
        """Whether the next of them are through."""
        some = dict(islice(missing.items(), AT_ONCE))
        for name in some:
            self._forget(found, name)
        order = tuple((Known(name, _seen(one)), self.part(found, name).name) for name, one in some.items())
        errand = FetchCopies(_below_work(found.place), order)
        return self._porter.do(errand, partial(self._hear_fetched, found, some), max(0.0, wait_s))

    def _hear_fetched(self, found: Copies, asked: Mapping[str, Facts], answer: Fetched | Done) -> None:
        self._progressed()
        if isinstance(answer, Done):
            found.failed = answer
            return
        facts, copied = asked[answer.name], answer.copied
        found.went.discard(answer.name)
        if copied is None:
            found.unfit[answer.name] = _seen(facts), "gone" if answer.gone else "changed"
        elif copied.sha256 != (facts.sha256 or copied.sha256):
            found.unfit[answer.name] = _seen(facts), "belied"
        else:
            found.made[answer.name] = _seen(facts), copied

    def _forget(self, found: Copies, name: str) -> None:
        """What was copied of it before is not what is wanted now."""
        found.made.pop(name, None)
        found.unfit.pop(name, None)
        kept_as = found.settled.pop(name, None)
        if kept_as is not None and kept_as not in found.settled.values():
            (self._layout.root / found.place / kept_as).unlink(missing_ok=True)

    def part(self, copies: Copies, name: str) -> Path:
        """Where the copy of a file lies until it is settled."""
        token = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        return self._layout.root / copies.place / f".{token}{PART}"

    def settle(self, study: str, names: Mapping[str, str]) -> bool:
        """Give the copies of these files their names, all synced; false while that goes on: then call again.

        Until it is `done` it may be called again: the book may not have been written. Raises OSError.
        """
        copies = self._begun[study]
        fresh = {name: kept_as for name, kept_as in names.items() if copies.settled.get(name) != kept_as}
        if fresh:
            pairs = tuple((self.part(copies, name).name, kept_as) for name, kept_as in fresh.items())
            errand = SettleCopies(_below_work(copies.place), pairs)
            is_through = self._porter.do(errand, partial(self._hear_settled, copies, fresh), COPY_S)
            try:
                copies.check()
            except OSError:
                self.drop(study)
                raise
            if not is_through:
                return False
        copies.offered = True
        return True

    def _hear_settled(self, copies: Copies, names: Mapping[str, str], done: Done) -> None:
        self._progressed()
        copies.failed = done
        if not done.number:
            copies.settled |= names
        for name in names.keys() - copies.made.keys():  # it went, or changed, while it got its name
            self._forget(copies, name)

    def done(self, study: str) -> None:
        """The book has them."""
        del self._begun[study]

    def drop(self, study: str) -> None:
        """Give up what was begun, unless it was offered to the book: one that could not be synced may have it yet."""
        copies = self._begun.pop(study, None)
        if copies is not None and not copies.offered:
            self._given_up.append(copies.place)
            self._clear()

    def keep_only(self, studies: Collection[str]) -> None:
        """Give up what was begun of any other study: it is ready no more."""
        for study in [one for one in self._begun if one.partition("/")[0] not in studies]:
            self.drop(study)
        self._clear()

    def _clear(self) -> None:
        """Remove what was given up, once nobody writes there."""
        while self._given_up and not self._porter.busy:
            shutil.rmtree(self._layout.root / self._given_up.pop(), ignore_errors=True)


def _seen(facts: Facts) -> Signature:
    return Signature(facts.size, facts.mtime_ns, facts.inode)


def _below_work(place: str) -> Path:
    return Path(place).relative_to("work")
