"""Which studies in the inbox are complete. A pure class: what a scan saw and a clock go in, ready studies come out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from scanside_appliance.facts import Facts
from scanside_appliance.places import study_key
from scanside_runtime.settings import InboxSettings

TEMPORARY = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".incomplete")
HOLE = 1.5
"""A step between neighbouring sections of more than so many median steps is a hole."""
SECOND_LOOK_S = 60.0
"""What could not be read is tried again after so long."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a file looks like from outside; any difference means that it changed."""

    size: int
    mtime_ns: int
    inode: int


UNKNOWN = Signature(-1, -1, -1)
"""Of a file that is there and can't be looked at: it differs from any other."""


@dataclass(slots=True)
class Seen:
    """A file in the inbox. `since`: monotonic seconds when it was last seen to be new or changed."""

    signature: Signature
    first: float
    since: float
    facts: Facts | None = None  # of this very signature
    study: str = ""  # key; stays known while the file grows on


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete study, or a file that belongs to none."""

    study: str
    files: Mapping[str, Facts]
    incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that is not ready yet, and why."""

    study: str
    files: int
    why: str


def scan(inbox: Path) -> Iterator[tuple[str, Signature | None]]:
    """Every regular file below the inbox: path relative to it, and signature. Links are passed over, never followed.

    None instead of a signature: it is there, or was, and can't be looked at just now; a path that ends in "/" is a
    folder of which the same is true. What vanished meanwhile is left out. Raises OSError where the inbox itself can't
    be read.
    """
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(inbox / folder))
        except FileNotFoundError:
            continue
        except OSError:
            if not folder:
                raise
            yield f"{folder}/", None
            continue
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if _is_folder(entry):
                pending.append(name)
            else:
                yield from _look_at(entry, name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _look_at(entry: os.DirEntry[str], name: str) -> Iterator[tuple[str, Signature | None]]:
    try:
        if entry.is_file(follow_symlinks=False):
            seen = entry.stat(follow_symlinks=False)
            yield name, Signature(seen.st_size, seen.st_mtime_ns, seen.st_ino)
    except FileNotFoundError:
        return
    except OSError:
        yield name, None


@dataclass(slots=True)
class Inbox:
    """What lies in the inbox, and since when it lies there unchanged.

    A study is ready when

    - none of its files was new or changed for `quiet_s` on the monotonic clock, by size, mtime and inode;
    - no file of a folder in which it lies, seen before that time was over, is still unread: it may be the study's;
    - each file was read to its end, and none breaks off;
    - no stack of sections has a hole.

    A file that breaks off, or a hole, is waited for until `patience_s` after the last change; then the study goes
    on, and says what it lacks. Files that belong to no study are ready after the quiet time, broken ones after the
    patience.
    """

    settings: InboxSettings
    files: dict[str, Seen] = field(default_factory=dict)

    def look(self, listing: Iterable[tuple[str, Signature | None]], now: float) -> None:
        """Take in what a scan saw. What could not be looked at is neither gone nor quiet."""
        here = dict(listing)
        folders = tuple(name for name in here if name.endswith("/"))
        for name in self.files.keys() - here.keys():
            if name.startswith(folders):
                self.files[name].since = now
            else:
                del self.files[name]
        for name in here.keys() - set(folders):
            signature, seen = here[name] or UNKNOWN, self.files.get(name)
            if seen is None:
                self.files[name] = Seen(signature, now, now)
            elif seen.signature != signature:
                self.files[name] = Seen(signature, seen.first, now, study=seen.study)

    def unread(self, now: float) -> list[str]:
        """Files that did not change between two scans and whose facts are not known, or could not be."""
        return [name for name, seen in self.files.items() if self._may_be_read(name, seen, now)]

    def _may_be_read(self, name: str, seen: Seen, now: float) -> bool:
        if self.is_temporary(name, seen, now) or now - seen.since < min(2.0, self.settings.quiet_s / 2):
            return False
        if seen.facts is None:
            return True
        return seen.facts.kind == "out_of_reach" and now - seen.since > SECOND_LOOK_S

    def is_temporary(self, name: str, seen: Seen, now: float) -> bool:
        """Hidden, or named like a copy in progress, and not yet lying there for very long."""
        last = name.rpartition("/")[2].lower()
        looks_so = last.startswith(".") or last.endswith(TEMPORARY)
        return looks_so and now - seen.since < self.settings.leftover_s

    def learn(self, name: str, facts: Facts, now: float) -> None:
        """What was found in a file; forgotten at once where the file changed meanwhile."""
        seen = self.files[name]
        if facts.kind == "out_of_reach":
            seen.facts, seen.since = facts, now
        elif (facts.size, facts.mtime_ns) == (seen.signature.size, seen.signature.mtime_ns) or not facts.sha256:
            seen.facts = facts
            seen.study = sys.intern(study_key(facts.study_uid)) if facts.study_uid else ""

    def sort_out(self, now: float) -> tuple[list[Arrival], list[Waiting]]:
        """What is ready, studies first, and what waits for what."""
        arrivals: list[Arrival] = []
        waiting: list[Waiting] = []
        unknown, to_read = self._unknown(now), self._to_read(now)
        for study, group in self._studies().items():
            why = self._unquiet(group, unknown, to_read, now)
            lack = None if why else _lack(group) or self._lack_beside(group, unknown)
            if lack and now - _last_change(group) < self.settings.patience_s:
                why = f"{lack}; waiting for the rest"
            if why:
                waiting.append(Waiting(study, len(group), why))
            else:
                arrivals.append(Arrival(study, _facts_of(group), lack))
        return arrivals + self._strays(now), waiting

    def _studies(self) -> dict[str, dict[str, Seen]]:
        groups: dict[str, dict[str, Seen]] = {}
        for name, seen in self.files.items():
            if seen.study:
                groups.setdefault(seen.study, {})[name] = seen
        return groups

    def _unknown(self, now: float) -> dict[str, Seen]:
        """By folder, the file that is there longest of those that may belong to a study and don't say to which."""
        found: dict[str, Seen] = {}
        for name, seen in self.files.items():
            unknown = seen.facts is None or seen.facts.kind in ("broken", "out_of_reach")
            if unknown and not seen.study and now - seen.since < self.settings.patience_s + self.settings.quiet_s:
                other = found.setdefault(_folder(name), seen)
                if seen.first < other.first:
                    found[_folder(name)] = seen
        return found

    def _to_read(self, now: float) -> dict[str, Seen]:
        """By folder, the file that is there longest of those whose turn to be read it is."""
        found: dict[str, Seen] = {}
        for name in self.unread(now):
            seen = self.files[name]
            if seen.facts is None and seen.first < found.setdefault(_folder(name), seen).first:
                found[_folder(name)] = seen
        return found

    def _unquiet(
        self, group: Mapping[str, Seen], unknown: Mapping[str, Seen], to_read: Mapping[str, Seen], now: float
    ) -> str | None:
        """Why a study has not come to rest, or None."""
        if now < _last_change(group) + self.settings.quiet_s:
            return "still arriving"
        if any(seen.facts is None for seen in group.values()) or self._beside(group, to_read):
            return "being read"
        if any(now - one.since < self.settings.patience_s for one in self._beside(group, unknown)):
            return "a file beside it can't be read yet"
        return None

    def _lack_beside(self, group: Mapping[str, Seen], unknown: Mapping[str, Seen]) -> str | None:
        return "a file beside it can't be read" if self._beside(group, unknown) else None

    def _beside(self, group: Mapping[str, Seen], unknown: Mapping[str, Seen]) -> list[Seen]:
        """Unknown files in the study's folders that were there before its quiet time was over."""
        quiet_at = _last_change(group) + self.settings.quiet_s
        folders = set(map(_folder, group)) & unknown.keys()
        return [unknown[folder] for folder in folders if unknown[folder].first <= quiet_at]

    def _strays(self, now: float) -> list[Arrival]:
        """Files of no study: what is no image after the quiet time, what breaks off after the patience."""
        ready: dict[str, Facts] = {}
        for name, seen in self.files.items():
            if seen.study or seen.facts is None or seen.facts.kind == "out_of_reach":
                continue
            wait_s = self.settings.patience_s if seen.facts.kind == "broken" else self.settings.quiet_s
            if now - seen.since >= wait_s:
                ready[name] = seen.facts
        return [Arrival("", ready)] if ready else []


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _last_change(group: Mapping[str, Seen]) -> float:
    return max(seen.since for seen in group.values())


def _facts_of(group: Mapping[str, Seen]) -> dict[str, Facts]:
    return {name: seen.facts for name, seen in group.items() if seen.facts is not None}


def _lack(group: Mapping[str, Seen]) -> str | None:
    """What a study lacks as far as its own files tell, in words."""
    facts = _facts_of(group).values()
    cut_off = sum(not one.whole for one in facts)
    if cut_off:
        return f"{cut_off} file(s) break off"
    stacks: dict[str, list[float]] = {}
    for one in facts:
        if one.along_mm is not None:
            stacks.setdefault(one.stack, []).append(one.along_mm)
    holes = sum(map(_holes, stacks.values()))
    return f"{holes} hole(s) between the sections" if holes else None


def _holes(along_mm: list[float]) -> int:
    """How many steps between neighbouring sections are much wider than the usual one; sections may lie there twice."""
    places = sorted({round(place, 2) for place in along_mm})
    steps = sorted(after - before for before, after in pairwise(places))
    return sum(step > HOLE * steps[len(steps) // 2] for step in steps) if len(steps) > 1 else 0
