"""What the worker is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.settings.tables import Settings

NOT_COMPLETE = "The study was not complete: "
"""How the flag INPUT_INCOMPLETE begins; what follows, less its full stop, is the order's `incomplete`."""


@dataclass(frozen=True, slots=True)
class SelfTestOrder:
    """Compute what the exporter computed: answered by `SelfTested`, or by what went wrong.

    root: the box's folder, for the bundle in force there. bundle: another one, where it was named.
    """

    root: Path
    settings: Settings
    bundle: Path | None


@dataclass(frozen=True, slots=True)
class BundleOrder:
    """The same of a bundle that is not in force yet: answered by `WayTried`. Nothing is written."""

    root: Path
    folder: Path
    threads: int


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """The folder of a result, and the SHA-256 of its document as the book has it."""

    folder: Path
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """One study to analyse.

    root: the box's folder, for its bundle and its severity model. study_uid, patient: of whom the files are by what was
    read of them when they came, the patient as the name of a folder; there the result will lie. earlier: the folders of
    results of this patient's other studies, the newest revision of each. alone: a person released it, it is measured
    without them; their courses may change by it. series_uid: the series that a person chose. for_earlier_scan: it is
    measured again for nothing but an earlier scan of the patient, which came after it or has changed.
    """

    root: Path
    files: Path
    output: Path
    study_uid: str
    patient: str
    revision: int
    supersedes: str | None
    incomplete: str | None
    clock_trouble: str | None
    today: str
    alone: bool
    series_uid: str | None
    earlier: tuple[EarlierResult, ...]
    settings: Settings
    bundle: Path | None
    for_earlier_scan: bool = False


Question = SelfTestOrder | BundleOrder | Order
QUESTIONS: tuple[type[Question], ...] = (SelfTestOrder, BundleOrder, Order)


@dataclass(frozen=True, slots=True)
class SelfTested:
    """The networks are what they were; with which engine and precision.

    wrong: what is wrong with the ways to compute that were passed over, in words. used_was_wrong: whether the way that
    had computed until then is wrong now.
    """

    engine: str
    wrong: str | None = None
    used_was_wrong: bool = False


@dataclass(frozen=True, slots=True)
class StageReached:
    """How far an analysis has come: as often as there is progress, before its end."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Ended:
    """An analysis came to its end; the exit code is that of `scanside analyze`.

    verdict, severity, trend: of the result, where there is one. code, reason: why there is none, or it holds none.
    outdated: the patient's later studies, by UID, whose results do not know this scan as it is now.
    """

    exit_code: int
    code: str | None = None
    reason: str | None = None
    verdict: str | None = None
    severity: str | None = None
    trend: str | None = None
    outdated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Defect:
    """A defect of ours, told by type and place: its message may quote a header."""

    raised_at: str
