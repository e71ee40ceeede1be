"""Which studies in the inbox are complete. A pure class: what a scan saw and a clock go in, ready studies come out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

from scanside_appliance.files.layout import study_key
from scanside_appliance.files.names import harmless, shortened
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.facts import Facts, is_one_stack
from scanside_appliance.inbox.table import Comparison, InboxTable, Values
from scanside_runtime.settings.box import InboxSettings

HOLE = 1.5
"""A step between neighbouring slices of more than so many median steps is a hole."""
MOST_DIRECTIONS = 64
SAME_PLACE_MM = 0.05
"""Slices nearer than this lie at one place."""
SECOND_LOOK_S = 60.0
"""What could not be read is tried again after so long, and ten times what it took in vain."""
IN_VAIN = 10.0
STRAYS_AT_ONCE = 500
CHANGES = "it changes while it is read"

# Conditions of inbox_table.py; their times are those of `Inbox._times`.
_TEMPORARY = "(temporary AND :now - since < :leftover)"
_GROWS = "(kind = '' AND why <> '' AND :now - unrest >= :patience)"  # changed again since it was read in vain
_NOT_SO_SOON = f"(NOT {_GROWS} OR :now - looked > :again)"
_MAY_BE_READ = f"NOT {_TEMPORARY} AND (:now - since >= :settled OR :now - unrest >= :patience AND {_NOT_SO_SOON})"
_TO_READ = f"(kind = '' AND {_MAY_BE_READ})"
_WAITED_FOR = f"{_TO_READ} AND NOT {_GROWS}"
_CAN_NOT = "kind IN ('out_of_reach', 'too_large')"
_TO_TRY = f"{_CAN_NOT} AND :now - looked > :again AND {_MAY_BE_READ}"
_NOT_KNOWN = "kind IN ('', 'broken', 'out_of_reach', 'too_large')"
_UNKNOWN = f"({_NOT_KNOWN} AND study = '')"
_BESIDE = (
    f"SELECT EXISTS (SELECT 1 FROM files WHERE {_NOT_KNOWN} AND {{what}} AND first BETWEEN :began AND :quiet_at "
    "AND folder IN (SELECT DISTINCT folder FROM files WHERE study = :study AND study <> ''))"
)
_IN_PROGRESS = "(:now - since < :quiet AND :now - unrest < :patience)"
_AWAITED = f"(:now - first < :missing OR {_IN_PROGRESS})"
_WAITED = "CASE kind WHEN 'broken' THEN :missing ELSE :quiet END"
_STRAY = f"kind IN ('own', 'other', 'zip', 'broken') AND study = '' AND :now - since >= {_WAITED}"
_RESTLESS = "(:now - unrest >= :patience AND :now - since < :quiet)"
_AT_REST = f"NOT {_CAN_NOT} AND NOT {_TEMPORARY} AND NOT {_RESTLESS}"
_LEFT = f"SELECT EXISTS (SELECT 1 FROM files WHERE {_IN_PROGRESS} OR {_AT_REST})"
_NOT_YET = "(kind = 'out_of_reach' AND :now - since >= :quiet AND :now - first < :missing)"
_STAYS = f"({_CAN_NOT} AND (kind = 'too_large' OR :now - first >= :missing) OR {_GROWS} OR {_RESTLESS})"
_CHANGING = f"(since > first AND ({_IN_PROGRESS} OR {_RESTLESS}))"
_OF_STUDY = f"study = :study AND study <> '' AND NOT {_RESTLESS}"
_STUDIES = (
    f"SELECT study, count(*), min(first), ifnull(max(CASE WHEN NOT {_RESTLESS} THEN since END), max(since)), "
    f"total(kind = '' AND NOT {_RESTLESS}), total(kind <> '' AND NOT whole), total({_RESTLESS}) FROM files "
    "WHERE study <> '' GROUP BY study ORDER BY min(id)"
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A complete study, or files that belong to none."""

    study: str
    files: Mapping[str, Facts]
    incomplete: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A study that is not ready yet, and why. study: "" for files that can't be read, so that nobody knows theirs."""

    study: str
    files: int
    why: str


@dataclass(frozen=True, slots=True)
class Group:
    """The files of one study in the inbox. Monotonic seconds: when the first came, the last was new or changed.

    restless: files that have been changing for so long that nobody waits for them; `changed` is of the others.
    """

    study: str
    files: int
    first: float
    changed: float
    unread: int
    cut_off: int
    restless: int


class Inbox:
    """What lies in the inbox, and since when it lies there unchanged.

    A study is ready when

    - none of its files was new or changed for `quiet_s` on the monotonic clock, by size, mtime and inode;
    - no file of a folder in which it lies, seen before that time was over, is still unread: it may be the study's.
      Nor one that can't be read, until `patience_s` after it was first seen, whatever is done to it meanwhile;
    - each file was read to its end, and none breaks off;
    - no stack of slices has a hole.

    A file that breaks off, or a hole, is waited for until `patience_s` after the last change; then the study goes
    on, and says what it lacks. Nor is a file waited for longer than `patience_s` that changes again and again: it is
    late. What changes after it lay still for so long is waited for anew: a copy of it failed, or its folder could not
    be looked at. A touch that changes no byte renews nothing. Files that belong to no study are ready after the quiet
    time, broken ones after the patience.

    all_has_come: nobody sends any more. What is missing, breaks off or can't be read is waited for `quiet_s` alone;
    what changes still is waited for as ever.

    Every method raises OSError where the table is lost that it keeps all this in.
    """

    def __init__(self, settings: InboxSettings, table: InboxTable | None = None, *, all_has_come: bool = False) -> None:
        self.settings, self._table, self._all_has_come = settings, table or InboxTable(), all_has_come

    def __len__(self) -> int:
        return len(self._table)

    def close(self) -> None:
        """Forget everything."""
        self._table.close()

    def look(self, listing: Iterable[tuple[str, Signature | None]], now: float) -> None:
        """Take in what a scan saw. What could not be looked at is neither gone nor quiet."""
        comparison = self.begin_look(now)
        comparison.add(listing)
        comparison.finish()

    def begin_look(self, now: float) -> Comparison:
        """The same for a scan that comes part by part."""
        return self._table.comparison(now, self.settings.patience_s)

    def answers_again(self) -> None:
        """The inbox did not for a while: what was out of reach then is to be read, and waited for, like any other."""
        self._table.rows("UPDATE files SET kind = '' WHERE kind = 'out_of_reach'")

    def unread(self, now: float) -> Iterator[str]:
        """Files that did not change between two scans and whose facts are not known; then those whose could not be."""
        yield from self._table.names(_TO_READ, self._times(now))
        yield from self._table.names(_TO_TRY, self._times(now))

    def learn(self, name: str, facts: Facts, now: float, took_s: float = 0.0) -> None:
        """What was found in a file, within so long; forgotten at once where the file changed meanwhile."""
        seen = self._table.signature(name)
        if seen is None:
            return
        ended_every_child = facts.kind == "broken" and not facts.sha256
        same = (facts.size, facts.mtime_ns) == (seen.size, seen.mtime_ns)
        if same or facts.kind == "out_of_reach" or ended_every_child:
            looked = now + (IN_VAIN * took_s if facts.kind == "out_of_reach" else 0.0)
            self._table.write_facts(name, facts, study_key(facts.study_uid) if facts.study_uid else "", looked)
        else:
            self._table.note_vain_look(name, now, why=CHANGES)

    def doubt(self, name: str, now: float) -> None:
        """A file was not what it was known to be when it was to be taken: it is looked at anew."""
        self._table.doubt(name, now, self.settings.patience_s)

    def ask_again(self, name: str) -> None:
        """What was found in a file is to be found once more; it is as old as it was."""
        self._table.rows("UPDATE files SET kind = '' WHERE name = ?", (os.fsencode(name),))

    def stays(self, now: float) -> str | None:
        """What lies in the inbox and can't be taken, in words: how many files, the first by name, and why."""
        return self._out_of_reach(_STAYS, now)[1]

    def _out_of_reach(self, which: str, now: float) -> tuple[int, str | None]:
        times = self._times(now)
        (count,) = self._table.rows(f"SELECT count(*) FROM files WHERE {which}", times)[0]
        if not count:
            return 0, None
        name, facts = next(self._table.facts(which, times))
        more, why = ", ..." if count > 1 else "", facts.why or CHANGES
        return count, f"{count} file(s) in the inbox can't be read: {shortened(harmless(name))} ({why}){more}"

    def changing(self, now: float) -> int:
        """How many files were changed since they came, and not for the last time, as far as can be known."""
        return int(self._table.rows(f"SELECT count(*) FROM files WHERE {_CHANGING}", self._times(now))[0][0])

    def is_worked_off(self, now: float) -> bool:
        """Whether nothing is left but what is out of reach, changes for too long, or looks like a copy cut short."""
        return not self._asks(_LEFT, self._times(now))

    def sort_out(self, now: float) -> tuple[Iterator[Arrival], list[Waiting]]:
        """What is ready, studies first, each read from the table when its turn comes; and what waits for what."""
        ready: list[tuple[Group, str | None]] = []
        waiting: list[Waiting] = []
        for group in self._groups(now):
            why = self._unquiet(group, now)
            lack = None if why else self._lack(group, now)
            if lack and now - group.changed < self._missing_s:
                why = f"{lack}; waiting for the rest"
            if why:
                waiting.append(Waiting(group.study, group.files, why))
            else:
                ready.append((group, lack))
        count, unread = self._out_of_reach(_NOT_YET, now)
        if unread:
            waiting.append(Waiting("", count, unread))
        return self._arrivals(ready, now), waiting

    def _arrivals(self, ready: Iterable[tuple[Group, str | None]], now: float) -> Iterator[Arrival]:
        for group, lack in ready:
            facts = self._table.facts(_OF_STUDY, self._times(now) | {"study": group.study})
            yield Arrival(group.study, dict(facts), lack)
        strays = self._table.facts(_STRAY, self._times(now))
        while some := dict(islice(strays, STRAYS_AT_ONCE)):
            yield Arrival("", some)

    @property
    def _missing_s(self) -> float:
        """How long is waited for what nobody works at."""
        return self.settings.quiet_s if self._all_has_come else self.settings.patience_s

    def _times(self, now: float) -> dict[str, float]:
        limits = self.settings
        return {
            "now": now,
            "quiet": limits.quiet_s,
            "patience": limits.patience_s,
            "missing": self._missing_s,
            "leftover": limits.leftover_s,
            "settled": min(2.0, limits.quiet_s / 2),
            "again": SECOND_LOOK_S,
        }

    def _asks(self, question: str, values: Values) -> bool:
        return bool(self._table.rows(question, values)[0][0])

    def _groups(self, now: float) -> list[Group]:
        return [Group(*row) for row in self._table.rows(_STUDIES, self._times(now))]

    def _unquiet(self, group: Group, now: float) -> str | None:
        """Why a study has not come to rest, or None."""
        if now < group.changed + self.settings.quiet_s:
            return "still arriving"
        if group.unread or self._has_beside(group, _WAITED_FOR, now):
            return "being read"
        if self._has_beside(group, f"{_UNKNOWN} AND {_AWAITED}", now):
            return "a file beside it can't be read yet"
        return None

    def _lack(self, group: Group, now: float) -> str | None:
        """What a study lacks, in words."""
        if group.cut_off:
            return f"{group.cut_off:.0f} file(s) break off"
        if group.restless:
            return f"{group.restless:.0f} file(s) are still changing"
        holes = sum(map(_holes, self._stacks(group)))
        if holes:
            return f"{holes} hole(s) between the slices"
        return "a file beside it can't be read" if self._has_beside(group, _UNKNOWN, now) else None

    def _has_beside(self, group: Group, what: str, now: float) -> bool:
        """Whether such a file lies in a folder of the study, and came with it.

        Not after its quiet time was over, nor longer than the patience before it: that is another one's.
        """
        quiet_at, began = group.changed + self.settings.quiet_s, group.first - self.settings.patience_s
        values = {**self._times(now), "study": group.study, "quiet_at": quiet_at, "began": began}
        return self._asks(_BESIDE.format(what=what), values)

    def _stacks(self, group: Group) -> Iterable[list[float]]:
        """The places of the slices along their normal, a list for each stack."""
        layout = "SELECT stack, along_mm FROM files WHERE study = ? AND study <> '' AND along_mm IS NOT NULL"
        stacks: dict[str, list[float]] = {}
        named: dict[str, str] = {}
        for stack, along_mm in self._table.rows(layout, (group.study,)):
            if stack not in named:
                known = list(stacks)[:MOST_DIRECTIONS]
                named[stack] = next((one for one in known if is_one_stack(one, stack)), stack)
            stacks.setdefault(named[stack], []).append(along_mm)
        return stacks.values()


def _holes(along_mm: list[float]) -> int:
    """How many steps between neighbouring slices are much wider than the usual one; slices may lie there twice."""
    steps = sorted(step for a, b in pairwise(sorted(along_mm)) if (step := b - a) > SAME_PLACE_MM)
    return sum(step > HOLE * steps[len(steps) // 2] for step in steps) if len(steps) > 1 else 0
