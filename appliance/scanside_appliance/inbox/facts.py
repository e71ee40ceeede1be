"""What is known of a file in the inbox, and the parent's side of the child that finds it out."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from scanside_runtime.process.child import Child, ChildDied, Ending, check_held, module, one_thread
from scanside_runtime.process.limits import Limits
from scanside_runtime.settings.reading import ReadingSettings

Kind = Literal["image", "own", "other", "zip", "broken", "out_of_reach", "too_large"]
PROBE = module("scanside_appliance.inbox.probe_process")
SIGN_EVERY_S = 1.0
LONGEST_READ_S = 30.0
LONGEST_WAIT_S = 120.0
"""A file whose bytes do not come for so long is out of reach: the share that it lies on hangs."""
SLOWEST_MB_S = 0.25
"""A file has the longest wait, and so much time for what has come of it: 512 MB are read within 36 minutes."""
WORKING = 0.1
"""Of the time, on the processor: a child with less waits for the file, and the file is not to blame."""
ATTEMPTS = 2
MOST_READ = 20_000
"""So many files are told by one child, whose names are remembered as long as it reads."""
MIB = 2**20
WHOLE_MB = 64
"""A larger file is not held whole: no slice is as large (4 096 x 4 096 pixels have 32 MB)."""
OWN_MB = 64
"""Private memory of a child that reads headers, beside what it reads."""
SAME_DIRECTION = 0.005
"""Of a direction cosine: 0.3 degrees. Slices of one grid differ by a thousandth at most (`dicom.geometry`)."""
_SHA256 = re.compile("[0-9a-f]{64}")
_SHA256_OR_NONE = re.compile("([0-9a-f]{64})?")


@dataclass(frozen=True, slots=True)
class Probe:
    """The question: what is there to know of this file below the inbox? Answered by `Facts`."""

    inbox: Path
    name: str


@dataclass(frozen=True, slots=True)
class StillReading:
    """A sign of life before the answer: so many bytes of the file have come."""

    read: int


@dataclass(frozen=True, slots=True)
class Facts:
    """One file, read to its end. kind "own": a result of Scanside that came back, never a slice.

    Of "out_of_reach" and "too_large" nothing was read, and `why` says more; what is "broken" without a sum ended
    every child that read it.
    whole: it does not break off. stack: `stack_name` of the slices that make one grid, "" for what is no slice.
    along_mm: place along the normal of its stack. inode: as the scan saw it, 0 from the child.
    data_sha256: of the data set alone (`data_set_sum`), "" where that can't be told.
    """

    kind: Kind
    sha256: str = ""
    size: int = 0
    mtime_ns: int = 0
    whole: bool = False
    study_uid: str = ""
    sop_uid: str = ""
    patient_id: str | None = None
    issuer: str | None = None
    stack: str = ""
    along_mm: float | None = None
    why: str = ""
    inode: int = 0
    data_sha256: str = ""


ANSWERS: tuple[type[StillReading | Facts], ...] = (StillReading, Facts)


def stack_name(series: str, cosines: Sequence[float]) -> str:
    """Series and direction of a slice, by which `is_one_stack` knows the slices of one grid."""
    return f"{series} {' '.join(f'{cosine:.4f}' for cosine in cosines)}"


def is_one_stack(stack: str, other: str) -> bool:
    """The same series and, but for what scanners round and the couch wobbles, the same direction."""
    if stack == other:
        return True
    (series, _, cosines), (another, _, others) = stack.partition(" "), other.partition(" ")
    if series != another:
        return False
    try:
        pairs = list(zip(map(float, cosines.split()), map(float, others.split()), strict=True))
    except ValueError:  # who has parsed foreign bytes may answer anything
        return False
    return bool(pairs) and all(abs(a - b) <= SAME_DIRECTION for a, b in pairs)


class Prober:
    """Reads headers in a child, one file at a time; the child is started when it is needed and let go when it is not.

    Whatever a file costs, it costs the child: the daemon asks, goes on, and looks now and then whether there is an
    answer.
    has_come: whether a word has come about the file that was asked for last. was_alone: whether the child that answered
    last had read no other file: what it says is of that file's own making.
    """

    def __init__(self, clock: Callable[[], float], command: Sequence[str] = PROBE) -> None:
        self._clock, self._command = clock, command
        self._child: Child | None = None
        self._reading = ReadingSettings()
        self._inbox: Path | None = None
        self._question: Probe | None = None
        self._attempts = self._read = 0
        self.has_come = self.was_alone = False
        self._has_read: set[int] = set()
        self._began = self._used = self._worked_s = 0.0

    @property
    def name(self) -> str | None:
        """The file that is being read."""
        return self._question.name if self._question is not None else None

    @property
    def lasts_s(self) -> float:
        """For how long it is being read."""
        return self._clock() - self._began if self.busy else 0.0

    @property
    def silent_s(self) -> float:
        """How long the bytes of a file have not come; 0 where it is not long, or the child is busy with them."""
        waited_s = self._clock() - self._used if self.busy else 0.0
        return waited_s if waited_s > LONGEST_READ_S else 0.0

    @property
    def busy(self) -> bool:
        """Whether a file is being read."""
        return self._question is not None

    def fileno(self) -> int | None:
        """For `select`, while a file is being read."""
        return self._child.fileno() if self._child is not None and self.busy else None

    def begin(self, inbox: Path, name: str, reading: ReadingSettings) -> None:
        """Have a file read. A child with other settings, or locked in elsewhere, is replaced.

        Raises OSError where none can be started.
        """
        if self._child is None or (self._inbox, self._reading) != (inbox, reading):
            self._drop()
            self._inbox, self._reading = inbox, reading
        self._attempts, self._began = 0, self._clock()
        self._ask(Probe(inbox, name))

    def _ask(self, question: Probe) -> None:
        self._question, self._used, self._attempts = question, self._clock(), self._attempts + 1
        self._read, self.has_come = 0, False
        if self._child is None:
            command = [*self._command, json.dumps(asdict(self._reading))]
            self._child = self._started(command)
        self._worked_s = self._child.processor_s()
        try:
            self._child.ask(question)
        except ChildDied:
            return  # `poll` says so

    def _started(self, command: Sequence[str]) -> Child:
        try:
            check_held()
            return Child(command, limits_of(self._reading), environment=one_thread())
        except OSError:
            self._question = None  # nobody reads it
            raise

    def poll(self, wait_s: float) -> tuple[str, Facts] | None:
        """The file that was asked for and its facts; None where there is no answer yet.

        "broken" where reading it ended the child, or took too long, more than once; its size is 0 then. "out_of_reach"
        where its bytes did not come, or too slowly.
        Raises OSError where no child can be started, or it is no longer this software: no file is to blame.
        """
        if self._question is None:
            return None
        facts, died = self._heard(wait_s)
        if facts is None and not died and self._is_too_slow():
            facts = self._given_up(why="it comes too slowly" if self.has_come else "it does not answer")
        elif facts is None and not died and self.silent_s:
            if self._waits():
                facts = self._not_waited_for()
            else:
                died = True
        if died:
            facts = self._once_more(self._question)
        if facts is None:
            return None
        name, self._question, self._used = self._question.name, None, self._clock()
        self.was_alone = not self._has_read
        self._has_read.add(hash(name))
        self._let_go_where_it_is_full(facts)
        return name, facts

    def probe(self, path: Path, reading: ReadingSettings) -> Facts:
        """For a command that waits for the answer, of a file of the box's own. Raises OSError as `begin`."""
        self.begin(path.parent, path.name, reading)
        while (answer := self.poll(LONGEST_READ_S)) is None:
            continue
        return answer[1]

    def _heard(self, wait_s: float) -> tuple[Facts | None, bool]:
        """The answer, and whether the child came to its end over it."""
        if self._child is None:
            return None, True
        try:
            heard: StillReading | Facts | None = self._child.answer(ANSWERS, wait_s)
        except ChildDied as died:
            self._check_began(died.ending)
            return None, True
        self.has_come |= heard is not None
        if isinstance(heard, StillReading):
            self._note_sign(heard)
            return None, False
        return heard, heard is not None and not _can_be(heard)

    def _note_sign(self, sign: StillReading) -> None:
        """What counts is that more has come, up to what any file may have: who says it may have been taken over."""
        read = min(sign.read, self._reading.max_file_mb * MIB)
        if read > self._read:
            self._read, self._used = read, self._clock()

    def _is_too_slow(self) -> bool:
        return self.lasts_s > LONGEST_WAIT_S + self._read / MIB / SLOWEST_MB_S

    def _check_began(self, ending: Ending) -> None:
        """A child that never came to its first word has not seen the file. Raises OSError."""
        if ending.cause in ("start", "replaced"):
            self._question = None
            self._drop()
            raise OSError(errno.ECHILD, f"the process that reads headers ended {ending.how}")

    def _waits(self) -> bool:
        """Whether the child has done next to nothing since it was asked: it parses nothing, it waits for the file."""
        worked_s = self._child.processor_s() - self._worked_s if self._child is not None else 0.0
        return worked_s < WORKING * LONGEST_READ_S

    def _not_waited_for(self) -> Facts | None:
        """The child is left waiting as long as may be: a share that hangs may answer again, and it goes on."""
        return None if self.silent_s < LONGEST_WAIT_S else self._given_up(why="it does not answer")

    def _given_up(self, why: str) -> Facts:
        self._drop()
        return Facts("out_of_reach", why=why)

    def give_up(self, why: str) -> tuple[str, Facts]:
        """The file that is being read, which is left for now."""
        if self._question is None:
            raise ValueError("no file is being read")
        name, self._question, self._used = self._question.name, None, self._clock()
        return name, self._given_up(why)

    def _once_more(self, question: Probe) -> Facts | None:
        self._drop()
        if self._attempts >= ATTEMPTS:
            return Facts("broken")
        self._ask(question)
        return None

    def _let_go_where_it_is_full(self, facts: Facts) -> None:
        """What an odd file left in its memory must not make the next one look broken; and names are kept of so many."""
        is_odd = self._child is not None and facts.kind == "broken" and self._child.memory_mb() > 2 * OWN_MB
        if self._child is None or is_odd or len(self._has_read) >= MOST_READ:
            self._drop()

    def has_read(self, name: str) -> bool:
        """Whether the child that reads now has told of this file."""
        return hash(name) in self._has_read

    def rest(self, idle_s: float) -> None:
        """Let the child go when it had nothing to read for so long."""
        if not self.busy and self._clock() - self._used > idle_s:
            self._drop()

    def close(self) -> None:
        """End the child."""
        self._question = None
        self._drop()

    def _drop(self) -> None:
        self._has_read.clear()
        if self._child is not None:
            self._child.end()
            self._child = None


def limits_of(reading: ReadingSettings) -> Limits:
    """Of a child that reads with these settings: the largest file it holds whole, its picture, a copy on the way."""
    return Limits(OWN_MB + 3 * max(WHOLE_MB, reading.max_inflated_mb), "written", file_mb=1)


def _can_be(facts: Facts) -> bool:
    """Whether these are facts of some file: the child has parsed foreign bytes, and a sum becomes a file's name."""
    if _SHA256_OR_NONE.fullmatch(facts.data_sha256) is None:
        return False
    return facts.kind in ("out_of_reach", "too_large") or _SHA256.fullmatch(facts.sha256) is not None
