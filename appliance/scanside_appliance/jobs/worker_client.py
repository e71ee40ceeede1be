"""The parent's side of the worker: one study at a time, within its time and its memory."""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout, work_place
from scanside_appliance.jobs.errors import BoxAnalysisDied, BoxSelfTest
from scanside_appliance.jobs.store import Job
from scanside_runtime.model.errors import ModelSelfTest
from scanside_runtime.process.child import Child, ChildDied
from scanside_runtime.settings import Settings

WORKER = (sys.executable, "-m", "scanside_appliance.jobs.worker")
LONGEST_START_S = 300.0
ANSWERED = (0, 3, 6)
"""Exit codes of an analysis that came to a result: analysed, refused, held."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an analysis.

    blame: "nobody" (there is a result), "study" (tried a few times), or "box" (tried again for ever).
    """

    blame: str
    folder: Path
    code: str | None = None
    reason: str | None = None
    verdict: str | None = None
    severity: str | None = None
    trend: str | None = None


class WorkerClient:
    """Keeps the worker, and knows what it is at."""

    def __init__(self, layout: BoxLayout, clock: Clock, bundle: Path | None, command: Sequence[str] = WORKER) -> None:
        self._layout, self._clock, self._bundle, self._command = layout, clock, bundle, command
        self._child: Child | None = None
        self._busy: Path | None = None
        self._since = 0.0

    @property
    def busy(self) -> bool:
        """Whether a study is being analysed."""
        return self._busy is not None

    @property
    def warm(self) -> bool:
        """Whether the worker is kept."""
        return self._child is not None

    def fileno(self) -> int | None:
        """For `select`."""
        return None if self._child is None else self._child.fileno()

    def selftest(self, settings: Settings) -> str:
        """Start the worker and let it prove itself; the engine's name.

        Raises ModelSelfTest where the networks are to blame, BoxSelfTest where the test came to no answer: then
        another start may do better.
        """
        child = self._start(settings)
        try:
            child.ask({"do": "selftest", "settings": asdict(settings), "bundle": _text(self._bundle)})
            answer = child.answer(LONGEST_START_S) or {"reason": f"no answer in {LONGEST_START_S:.0f} s"}
        except ChildDied as died:
            answer = {"reason": f"it ended {died.how}"}
        if "engine" not in answer:
            self.end()
            failed = ModelSelfTest if answer.get("exit_code") == ModelSelfTest.exit_code else BoxSelfTest
            raise failed(why=answer.get("reason"))
        return str(answer["engine"])

    def begin(self, job: Job, settings: Settings, **more: Any) -> None:
        """Send a study to the worker. Raises OSError where its folder can't be made."""
        folder = self._layout.unfinished / f"{job.id}-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o750)
        self._busy, self._since = folder, self._clock.monotonic()
        question = {
            "do": "analyze",
            "root": str(self._layout.root),
            "files": str(self._layout.root / work_place(job.id)),
            "output": str(folder),
            "revision": job.revision,
            "incomplete": job.incomplete,
            "settings": asdict(settings),
            "bundle": _text(self._bundle),
            **more,
        }
        try:
            (self._child or self._start(settings)).ask(question)
        except ChildDied:
            self._drop()  # `poll` says what happened

    def poll(self, settings: Settings) -> Outcome | None:
        """What became of the study, None while it is under way."""
        if self._busy is None:
            return None
        if self._child is None:
            return self._failed("before it began")
        if self._clock.monotonic() - self._since > settings.jobs.time_limit_s:
            return self._failed(f"at its time limit of {settings.jobs.time_limit_s:.0f} s")
        if self._child.memory_mb() > settings.jobs.memory_limit_mb:
            return self._failed(f"at its memory limit of {settings.jobs.memory_limit_mb} MB")
        try:
            answer = self._child.answer(0.0)
        except ChildDied as died:
            return self._failed(died.how)
        if answer is None:
            return None
        if "exit_code" not in answer:
            return self.poll(settings)
        return self._finished(answer)

    def _finished(self, answer: dict[str, Any]) -> Outcome:
        folder, self._busy, self._since = self._busy or Path(), None, self._clock.monotonic()
        blame = "nobody" if answer["exit_code"] in ANSWERED else "box" if answer["exit_code"] in (4, 5) else "study"
        if blame != "nobody":
            self._drop()
            shutil.rmtree(folder, ignore_errors=True)
        known = {key: answer.get(key) for key in ("code", "reason", "verdict", "severity", "trend")}
        return Outcome(blame, folder, **known)

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
        if self._busy is None and self._clock.monotonic() - self._since > settings.jobs.warm_s:
            self._drop()

    def end(self) -> None:
        """End the worker."""
        self._drop()

    def _start(self, settings: Settings) -> Child:
        self._drop()
        self._since = self._clock.monotonic()
        self._child = Child([*self._command, str(settings.jobs.memory_limit_mb)])
        return self._child

    def _drop(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
