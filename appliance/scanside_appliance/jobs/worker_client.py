"""The parent's side of the worker: one study at a time, within its time and its memory."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout, work_place
from scanside_appliance.jobs.book.rows import Job
from scanside_appliance.jobs.errors import BoxAnalysisDied, BoxSelfTest, BoxWorkerStart
from scanside_appliance.jobs.messages import (
    Defect,
    EarlierResult,
    Ended,
    Order,
    SelfTested,
    SelfTestOrder,
    StageReached,
)
from scanside_runtime.errors import BoxFailed, BoxReplaced, ModelUnusable, ScansideError
from scanside_runtime.model import errors as _model_errors  # noqa: F401  # so that what the worker raises is known here
from scanside_runtime.process.child import Child, ChildDied, Ending, module
from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import Failed
from scanside_runtime.settings.box import JobSettings
from scanside_runtime.settings.fitting import fitting
from scanside_runtime.settings.tables import Settings

WORKER = module("scanside_appliance.jobs.worker")
LONGEST_START_S = 300.0
Proof = TypeVar("Proof")
ANSWERS_AT_ONCE = 10_000
_PROOFS: tuple[type[SelfTested | Failed | Defect], ...] = (SelfTested, Failed, Defect)
_REPORTS: tuple[type[StageReached | Ended | Failed | Defect], ...] = (StageReached, Ended, Failed, Defect)
FRESH_SHARE = 1 / 3
"""A worker that keeps so much of the memory limit after a study is let go: the next one has all of it."""
ANSWERED = (0, 3, 6)
"""Exit codes of an analysis that came to a result: analysed, refused, held."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an analysis.

    blame: "nobody" (there is a result), "study" (tried a few times), or "box" (tried again for ever). outdated: as in
    `Ended`.
    """

    blame: str
    folder: Path
    code: str | None = None
    reason: str | None = None
    verdict: str | None = None
    severity: str | None = None
    trend: str | None = None
    outdated: tuple[str, ...] = ()


class WorkerClient:
    """Keeps the worker, and knows what it is at."""

    def __init__(self, layout: BoxLayout, clock: Clock, bundle: Path | None, command: Sequence[str] = WORKER) -> None:
        self._layout, self._clock, self._bundle, self._command = layout, clock, bundle, command
        self._child: Child | None = None
        self._unasked = Ending("start", "before it began")
        """How one ended that was gone before it could be asked."""
        self._busy: Path | None = None
        self._proving = False
        self._since = 0.0

    @property
    def busy(self) -> bool:
        """Whether a study is being analysed, or the self-test is under way."""
        return self._busy is not None or self._proving

    @property
    def warm(self) -> bool:
        """Whether the worker is kept."""
        return self._child is not None

    def fileno(self) -> int | None:
        """For `select`."""
        return None if self._child is None else self._child.fileno()

    def selftest(self, settings: Settings) -> SelfTested | ScansideError:
        """Start a fresh worker and let it prove itself: waited for. What it answers: `poll_proof`."""
        self.end()
        self.begin_proof(settings)
        return self.poll_proof(LONGEST_START_S) or BoxSelfTest(why=f"no answer in {LONGEST_START_S:.0f} s")

    def begin_proof(self, settings: Settings) -> None:
        """Let the worker that measures prove itself, a fresh one where there is none. It must not be busy."""
        self._proving, self._since = True, self._clock.monotonic()
        self._ask(SelfTestOrder(self._layout.root, settings, self._bundle), settings)

    def poll_proof(self, wait_s: float = 0.0) -> SelfTested | ScansideError | None:
        """The answer to the self-test; None while it is under way.

        An error: what the worker raised where the networks or the box are to blame (ModelUnusable, BoxFailed),
        BoxSelfTest where the test came to no answer: then another one may do better. The worker is let go.
        """
        answer = self._proof(wait_s)
        if answer is not None:
            self._proving = False
        if isinstance(answer, ScansideError):
            self.end()
        return answer

    def _proof(self, wait_s: float) -> SelfTested | ScansideError | None:
        if self._child is None:
            return BoxSelfTest(why=f"it ended {self._unasked.how}")
        try:
            answer: SelfTested | Failed | Defect | None = self._child.answer(_PROOFS, wait_s)
        except ChildDied as died:
            return BoxSelfTest(why=f"it ended {died.ending.how}")
        is_under_way = not wait_s and self._clock.monotonic() - self._since <= LONGEST_START_S
        return None if answer is None and is_under_way else proof_of(answer)

    def begin(
        self,
        job: Job,
        settings: Settings,
        *,
        supersedes: str | None,
        clock_trouble: str | None,
        today: str,
        earlier: Sequence[EarlierResult],
        for_earlier_scan: bool,
    ) -> None:
        """Send a study to the worker, with what the box knows beside it. Raises OSError where its folder can't be made.

        earlier: the patient's other results.
        """
        folder = self._layout.unfinished / f"{job.id}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o750)
        self._busy, self._since = folder, self._clock.monotonic()
        order = Order(
            root=self._layout.root,
            files=self._layout.root / work_place(job.id),
            output=folder,
            study_uid=job.study_uid,
            patient=job.patient,
            revision=job.revision or 0,
            supersedes=supersedes,
            incomplete=job.incomplete,
            clock_trouble=clock_trouble,
            today=today,
            alone=bool(job.alone),
            series_uid=job.series_uid or None,
            earlier=tuple(earlier),
            settings=fitting(settings),
            bundle=self._bundle,
            for_earlier_scan=for_earlier_scan,
        )
        self._ask(order, settings)

    def _ask(self, order: Order | SelfTestOrder, settings: Settings) -> None:
        """One that ended since its last study has nothing to do with this one; of a fresh one `poll` says it."""
        if self._child is not None:
            try:
                self._child.ask(order)
                return
            except ChildDied:
                self._drop()
        try:
            self._start(settings).ask(order)
        except ChildDied as died:
            self._drop()
            self._unasked = died.ending

    def _let_go_where_it_is_full(self, limits: JobSettings) -> None:
        if self._child is not None and self._child.memory_mb() > FRESH_SHARE * limits.memory_limit_mb:
            self._drop()

    def poll(self, settings: Settings) -> Outcome | None:
        """What became of the study, None while it is under way."""
        if self._busy is None:
            return None
        if self._child is None:
            return self._died(self._unasked)
        if (limit := self._limit_reached(self._child, settings.jobs)) is not None:
            return self._failed(f"at its {limit}")
        try:
            outcome = self._heard(self._child)
        except ChildDied as died:
            return self._died(died.ending)
        if outcome is not None:
            self._let_go_where_it_is_full(settings.jobs)
        return outcome

    def _limit_reached(self, child: Child, limits: JobSettings) -> str | None:
        if self._clock.monotonic() - self._since > limits.time_limit_s:
            return f"time limit of {limits.time_limit_s:.0f} s"
        if child.memory_mb() > limits.memory_limit_mb:
            return f"memory limit of {limits.memory_limit_mb} MB"
        return None

    def _heard(self, child: Child) -> Outcome | None:
        """All that waits in the pipe, but not for ever: whoever says more than that is heard in the next turn.

        Raises ChildDied.
        """
        for _ in range(ANSWERS_AT_ONCE):
            answer: StageReached | Ended | Failed | Defect | None = child.answer(_REPORTS, 0.0)
            match answer:
                case None:
                    return None
                case Ended():
                    return self._finished(answer)
                case Failed(code, exit_code, words):
                    return self._finished(Ended(exit_code, code, words))
                case Defect(where):
                    defect = ScansideError
                    return self._finished(Ended(defect.exit_code, defect.code, f"in a defect ({where})"))
        return None

    def _finished(self, end: Ended) -> Outcome:
        folder, self._busy, self._since = self._busy or Path(), None, self._clock.monotonic()
        blame = "nobody" if end.exit_code in ANSWERED else "box" if end.exit_code in (4, 5) else "study"
        if blame != "nobody":
            self._drop()
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(blame, folder, end.code, end.reason, end.verdict, end.severity, end.trend, end.outdated)

    def _died(self, ending: Ending) -> Outcome:
        """A worker that never came to its first word has not seen the study."""
        if ending.cause not in ("start", "replaced"):
            return self._failed(ending.how)
        error = BoxReplaced(how=ending.how) if ending.cause == "replaced" else BoxWorkerStart(how=ending.how)
        return replace(self._failed(error.in_words), blame="box", code=error.code)

    def _failed(self, how: str) -> Outcome:
        folder, self._busy = self._busy or Path(), None
        self._drop()
        shutil.rmtree(folder, ignore_errors=True)
        return Outcome("study", folder, BoxAnalysisDied.code, how)

    def abandon(self) -> None:
        """Give the study up, without blame for anybody."""
        if self._busy is not None:
            self._failed("")

    def rest(self, settings: Settings) -> None:
        """Let the worker go when it had no study for so long."""
        if not self.busy and self._clock.monotonic() - self._since > settings.jobs.warm_s:
            self._drop()

    def end(self) -> None:
        """End the worker."""
        self._proving = False
        self._drop()

    def _start(self, settings: Settings) -> Child:
        self._drop()
        self._since = self._clock.monotonic()
        self._child = Child(self._command, Limits(settings.jobs.memory_limit_mb, "written"))
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def proof_of(answer: Proof | Failed | Defect | None) -> Proof | ScansideError:
    """What the worker proved, or why there is no proof: ModelUnusable, BoxFailed. None: it did not answer in time."""
    match answer:
        case None:
            return BoxSelfTest(why=f"no answer in {LONGEST_START_S:.0f} s")
        case Failed():
            return _raised_in(answer)
        case Defect(where):
            return BoxSelfTest(why=f"in a defect ({where})")
    return answer


def _raised_in(failed: Failed) -> ScansideError:
    """What the worker raised, where it says that networks or box are to blame; else the test came to no answer."""
    try:
        error = failed.error()
    except ValueError:
        return BoxSelfTest(why=failed.words)
    return error if isinstance(error, ModelUnusable | BoxFailed) else BoxSelfTest(why=failed.words)
