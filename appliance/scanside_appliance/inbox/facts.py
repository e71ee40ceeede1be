"""What is known of a file in the inbox, and the parent's side of the child that finds it out."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from scanside_runtime.dicom.files import open_regular
from scanside_runtime.process.child import Child, ChildDied, module, one_thread
from scanside_runtime.process.limits import Limits
from scanside_runtime.settings.tables import ReadingSettings

Kind = Literal["image", "own", "other", "zip", "broken", "out_of_reach"]
PROBE = module("scanside_appliance.inbox.probe_process")
LONGEST_READ_S = 60.0
ATTEMPTS = 2
OWN_MB = 512
"""Address space of a child that reads headers, beside what it reads."""
SAME_DIRECTION = 0.005
"""Of a direction cosine: 0.3 degrees. Slices of one grid differ by a thousandth at most (`dicom.geometry`)."""
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Probe:
    """The question: what is there to know of this file? Answered by `Facts`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Facts:
    """One file, read to its end. kind "own": a result of Scanside that came back, never a slice.

    whole: it does not break off. stack: `stack_name` of the slices that make one grid, "" for what is no slice.
    along_mm: place along the normal of its stack.
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
    """Reads headers in a child, which is started when it is needed and let go when it is not."""

    def __init__(self, clock: Callable[[], float], command: Sequence[str] = PROBE) -> None:
        self._clock, self._command = clock, command
        self._child: Child | None = None
        self._reading: ReadingSettings | None = None
        self._used = 0.0

    def probe(self, path: Path, reading: ReadingSettings) -> Facts:
        """The facts of a file; "broken" where reading it ended the child, or took too long, more than once.

        A child that was started with other settings is replaced. Raises OSError where none can be started.
        """
        for _ in range(ATTEMPTS):
            self._used = self._clock()
            child = self._started(reading)
            try:
                child.ask(Probe(path))
                facts = child.answer((Facts,), LONGEST_READ_S)
            except ChildDied:
                facts = None
            if facts is not None and _can_be(facts):
                return facts
            self.close()
        return _unread(path)

    def _started(self, reading: ReadingSettings) -> Child:
        if self._child is None or self._reading != reading:
            self.close()
            command = [*self._command, json.dumps(asdict(reading))]
            self._child = Child(command, limits_of(reading), environment=one_thread())
            self._reading = reading
        return self._child

    def rest(self, idle_s: float) -> None:
        """Let the child go when it had nothing to read for so long."""
        if self._child is not None and self._clock() - self._used > idle_s:
            self.close()

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.end()
            self._child = None


def limits_of(reading: ReadingSettings) -> Limits:
    """Of a child that reads with these settings: it holds the largest file, its picture, and a copy on the way."""
    return Limits(OWN_MB + 3 * max(reading.max_file_mb, reading.max_inflated_mb), "mapped")


def _can_be(facts: Facts) -> bool:
    """Whether these are facts of some file: the child has parsed foreign bytes, and a hash becomes a file's name."""
    return facts.kind == "out_of_reach" or _SHA256.fullmatch(facts.sha256) is not None


def _unread(path: Path) -> Facts:
    """Of a file that ends every reader: its bytes are summed, so that it can be put aside, and nothing is believed."""
    try:
        with open_regular(path) as file:
            sha256, seen = hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno())
    except OSError as error:
        return Facts("out_of_reach", why=error.strerror or "it can't be read")
    return Facts("broken", sha256, seen.st_size, seen.st_mtime_ns)
