"""The daemon's side of sending: one result at a time, in a child; nothing here waits for the network."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.network.errors import BoxSendRefused, BoxSendUnreachable
from scanside_appliance.network.messages import AllSent, ObjectSent, SendOrder
from scanside_appliance.network.outbox import Delivery, Outbox
from scanside_runtime.process.child import Child, ChildDied, module
from scanside_runtime.process.limits import Limits
from scanside_runtime.process.messages import Failed
from scanside_runtime.settings.send import SendSettings

SENDER = module("scanside_appliance.network.sender_process")
LIMITS = Limits(memory_mb=2048, counted="written")
LONGEST_SILENCE_S = 3600.0
"""A Segmentation of 60 MB takes some 21 minutes at 384 kbit/s; a child that is silent for longer hangs."""
_ANSWERS: tuple[type[ObjectSent | AllSent | Failed], ...] = (ObjectSent, AllSent, Failed)
log = logging.getLogger("scanside")


class SenderClient:
    """Sends what is due, and writes down what became of it. Raises OSError and sqlite3.Error; call again then."""

    def __init__(self, layout: BoxLayout, store: Store, clock: Clock, command: Sequence[str] = SENDER) -> None:
        self._layout, self._store, self._clock, self._command = layout, store, clock, command
        self._outbox = Outbox(store, clock)
        self._child: Child | None = None
        self._delivery: Delivery | None = None
        self._heard = 0.0
        self._enrolled = ("", -1)

    @property
    def busy(self) -> bool:
        """Whether something is being sent."""
        return self._delivery is not None

    def numbers(self, settings: SendSettings) -> dict[str, int]:
        """How many results wait for the archive, were sent, were refused; empty where none is set."""
        return self._outbox.numbers(settings.target) if settings.target else {}

    def is_due(self, settings: SendSettings) -> bool:
        """Whether there is something to do now."""
        return self.busy or (_sends(settings) and self._outbox.next_due(settings.target) is not None)

    def advance(self, settings: SendSettings) -> None:
        """Listen to the child; where it has nothing to do, give it what is due."""
        if self._delivery is not None:
            self._heard_out(self._delivery, settings)
        if self._delivery is None and _sends(settings):
            self._enrol(settings.target)
            self._begin(self._outbox.next_due(settings.target), settings)

    def _enrol(self, target: str) -> None:
        """What came to its end since the last look."""
        seen = (target, self._store.numbers().get(State.done, 0))
        if seen != self._enrolled:
            self._outbox.enrol(target)
            self._enrolled = seen

    def close(self) -> None:
        """End the child; what it was sending is due again at the next start."""
        if self._child is not None:
            self._child.end()
        self._child = self._delivery = None

    def _begin(self, delivery: Delivery | None, settings: SendSettings) -> None:
        if delivery is None:
            self.close()
            return
        there = self._outbox.sent(delivery)
        names = [name for name in self._outbox.names(delivery.job, settings) if name not in there]
        if not names:
            self._outbox.note_end(delivery, ())
            return
        job = self._store.job(delivery.job)
        folder = job.published_in(self._layout)
        self._child = self._child or Child(self._command, LIMITS)
        self._delivery, self._heard = delivery, self._clock.monotonic()
        try:
            self._child.ask(SendOrder(folder, tuple(names), settings))
        except ChildDied as died:
            self._failed(delivery, died.ending.how, settings)

    def _heard_out(self, delivery: Delivery, settings: SendSettings) -> None:
        """As `_listen`. What could not be written down is not said again: the child goes, another one is asked."""
        try:
            self._listen(delivery, settings)
        except (OSError, sqlite3.Error):
            self.close()
            raise

    def _listen(self, delivery: Delivery, settings: SendSettings) -> None:
        """Everything that the child has said by now."""
        if self._child is None:
            return
        try:
            while self._delivery is not None and (answer := self._child.answer(_ANSWERS, 0.0)) is not None:
                self._heard = self._clock.monotonic()
                self._note(delivery, answer, settings)
        except ChildDied as died:
            self._failed(delivery, died.ending.how, settings)
            return
        if self._delivery is not None and self._clock.monotonic() - self._heard > LONGEST_SILENCE_S:
            self._failed(delivery, f"without a word for {LONGEST_SILENCE_S:.0f} s", settings)

    def _note(self, delivery: Delivery, answer: ObjectSent | AllSent | Failed, settings: SendSettings) -> None:
        match answer:
            case ObjectSent():
                self._outbox.note_sent(delivery, answer)
                return
            case AllSent(committed):
                state = self._outbox.note_end(delivery, committed)
                log.info("result of job %d: %s, %s", delivery.job, state.value, delivery.target)
            case Failed(code, _, words) if code == BoxSendRefused.code:
                self._outbox.note_refused(delivery, code, words)
                log.error("%s: %s", code, words)
            case Failed(code, _, words):
                self._tried(delivery, code, words, settings)
        self._delivery = None

    def _failed(self, delivery: Delivery, how: str, settings: SendSettings) -> None:
        """The child is to blame, or what it does; another one tries again."""
        self.close()
        why = BoxSendUnreachable(target=delivery.target, why=f"the process that sends ended {how}")
        self._tried(delivery, why.code, why.message, settings)

    def _tried(self, delivery: Delivery, code: str, words: str, settings: SendSettings) -> None:
        wait_s = self._outbox.note_failed(delivery, code, words, settings)
        log.warning("%s: %s Next attempt in %.0f s.", code, words, wait_s)


def _sends(settings: SendSettings) -> bool:
    return settings.automatic and bool(settings.target)
