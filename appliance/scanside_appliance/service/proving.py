"""The daemon's self-test: at the start, each day, and after bundle, way to compute or trusted keys were changed.

While it is not passed nothing is measured; what arrives is taken in and waits. A bundle that was installed and fails is
put aside for the one before it; where only the key that vouches for it can't be read, it stays and is tried again. A
worker that computes wrong in one way has tried the others before it says so.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scanside_appliance.bundles.record import read_record, record_file, step_back
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.jobs.book.audit import doubted, note, note_configuration
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.messages import SelfTested
from scanside_appliance.jobs.worker_client import WorkerClient
from scanside_appliance.service.configuration import configuration
from scanside_runtime.errors import BoxFailed, ModelUnusable, ScansideError
from scanside_runtime.model.errors import ModelKeyRights, ModelSelfTest
from scanside_runtime.model.signature import key_files
from scanside_runtime.settings.tables import Settings

EVERY_S = 86_400.0
LONGEST_RETRY_S = 3600.0
HELD = "nothing is measured until the self-test passes; what arrives is taken in and waits"
log = logging.getLogger("scanside")


class Proving:
    """Raises OSError and sqlite3.Error; call again then.

    engine: what computes, as the worker said. passed_at: when it last proved that, wall clock. other_way: what of the
    ways to compute is wrong here, in words, where another one was taken. trouble: why nothing is measured; failures:
    how often in a row it was not passed. under_way: one is. doubted: studies whose result is of a time after which the
    self-test failed.
    """

    def __init__(
        self, layout: BoxLayout, store: Store, clock: Clock, worker_client: WorkerClient, bundle: Path | None
    ) -> None:
        self._layout, self._store, self._clock, self._named = layout, store, clock, bundle
        self._worker_client = worker_client
        self.engine, self.passed_at = "", ""
        self.other_way: str | None = None
        self.trouble: str | None = None
        self.doubted: Sequence[str] = ()
        self._due_at = 0.0
        self.failures = 0
        self._seen: list[Signature | None] = []
        self.under_way = False
        self._unwritten: list[dict[str, Any]] = []
        self._answer: SelfTested | ScansideError | None = None

    def start(self, settings: Settings, *, once: bool) -> None:
        """The first one, waited for. once: whoever waits for an end is told by the error itself.

        Raises with `once` ModelUnusable, BoxFailed (BoxSelfTest for no answer).
        """
        while True:
            self._seen = self._looked_at(settings)
            answer = self._worker_client.selftest(settings)
            self._judge(answer, settings)
            if isinstance(answer, SelfTested) or self.failures:
                break
        if once and not isinstance(answer, SelfTested):
            with suppress(sqlite3.Error):
                self._write_down(settings)
            raise answer

    def advance(self, settings: Settings) -> bool:
        """Begin a test that is due, hear of one that is under way; whether studies may be begun.

        None is before the last test stands in the audit, whose order says which results it speaks of.
        """
        self._write_down(settings)
        if not self.under_way and self._is_due(settings) and self._is_free():
            self._seen = self._looked_at(settings)
            self._worker_client.begin_proof(settings)
            self.under_way = True
        self.hear(settings)
        return self.trouble is None and not self.under_way and not self._is_due(settings)

    def hear(self, settings: Settings) -> None:
        """Of one that is under way."""
        if self.under_way:
            self._answer = self._answer or self._worker_client.poll_proof()
            if self._answer is not None:
                answer, self._answer, self.under_way = self._answer, None, False
                self._judge(answer, settings)
                self._write_down(settings)

    def again(self) -> None:
        """Prove soon: something was changed. One under way does not count, it may have looked before."""
        self._seen = []

    def note_configuration(self, settings: Settings) -> None:
        """In the audit, where it is not what it was."""
        note_configuration(self._store, **configuration(self._layout, settings, self._named, self.engine))

    def look_for_doubted(self) -> None:
        """After a test, and after studies came to a new result."""
        self.doubted = doubted(self._store)

    def _judge(self, answer: SelfTested | ScansideError, settings: Settings) -> None:
        if isinstance(answer, SelfTested):
            facts = {"passed": not answer.used_was_wrong, "engine": answer.engine, "wrong": answer.wrong}
            self._unwritten.append(facts)
            self._passed(answer)
            return
        # A bundle that can't be read any more, or no answer, says nothing of what was computed before.
        passed = False if isinstance(answer, ModelSelfTest) else None
        self._unwritten.append({"passed": passed, "code": answer.code, "wrong": answer.message})
        if not self._stepped_back(answer):
            self._failed(answer, settings)

    def _write_down(self, settings: Settings) -> None:
        if not self._unwritten:
            return
        with self._store.transaction():
            for facts in self._unwritten:
                note(self._store, "selftest", **facts)
            self.note_configuration(settings)
        self._unwritten.clear()
        self.look_for_doubted()

    def _passed(self, answer: SelfTested) -> None:
        if self.trouble:
            log.info("the self-test passed: studies are measured again")
        if answer.wrong and answer.wrong != self.other_way:
            log.error("the self-test found a way to compute wrong: %s; taken now: %s", answer.wrong, answer.engine)
        self.engine, self.other_way, self.trouble, self.failures = answer.engine, answer.wrong, None, 0
        self.passed_at, self._seen = self._clock.now_text(), [*self._seen[:-1], _signature(self._layout.proof)]
        self._due_at = self._clock.monotonic() + EVERY_S

    def _stepped_back(self, error: ScansideError) -> bool:
        """Whether another bundle is in force now, to be proved at once.

        Not for a key that can't be read: a command mends that, and nothing would bring the bundle back after it.
        """
        if not isinstance(error, ModelUnusable) or isinstance(error, ModelKeyRights) or self._named is not None:
            return False
        try:
            failed, why = read_record(self._layout.root).in_force, f"{error.code}: {error.message}"
            if failed is None:
                return False
            change = step_back(self._layout.root, "put aside", why, self._clock, of=failed)
        except BoxFailed as problem:  # a full disk: it stays in force, and nothing is measured
            log.error("%s: %s", problem.code, problem.message)
            return False
        log.error("the bundle in force was put aside: %s In force now: %s", change.why, change.title)
        self._due_at = 0.0
        return True

    def _failed(self, error: ScansideError, settings: Settings) -> None:
        self.trouble = f"{error.in_full} Until then: {HELD}."
        if not self.failures:
            log.error("%s", self.trouble)
        pause_s = settings.jobs.retry_after_s * 2.0 ** min(self.failures, 16)
        self._due_at = self._clock.monotonic() + min(pause_s, LONGEST_RETRY_S)
        self.failures += 1
        self._seen = [*self._seen[:-1], _signature(self._layout.proof)]

    def _is_free(self) -> bool:
        """The last result made by what is to be tested stands in the book: its order says what the test vouches for."""
        return not self._worker_client.busy and not self._store.jobs([State.publishing])

    def _is_due(self, settings: Settings) -> bool:
        return self._clock.monotonic() >= self._due_at or self._seen != self._looked_at(settings)

    def _looked_at(self, settings: Settings) -> list[Signature | None]:
        """What decides how is computed here, and who may say so, as it lies on the disk; the proof is the last."""
        keys = Path(settings.bundles.keys)
        # A folder does not change where another key is written over the one of a file.
        paths = record_file(self._layout.root), keys, *key_files(keys), self._layout.tuning, self._layout.proof
        return [_signature(path) for path in paths]


def _signature(path: Path) -> Signature | None:
    try:
        return Signature.of(path.stat())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
