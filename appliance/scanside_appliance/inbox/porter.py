"""The daemon's side of the child that goes into the inbox: it is sent on one errand at a time, and never waited for.

A share that hangs holds the child in the kernel, where nothing can be done about it: it is left waiting there, as the
share may answer again, and the daemon goes on with what the box has already.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.errands import ANSWERS, Answer, Done, Errand, Errands, StillAtIt
from scanside_runtime.process.child import Child, ChildDied, check_held, module
from scanside_runtime.process.limits import Limits

PORTER = module("scanside_appliance.inbox.porter_process")
LIMITS = Limits(memory_mb=256, counted="written")
SILENT_S = 15.0
"""An errand says something each second: after so long without a word the inbox does not answer."""
ANEW_S = 120.0
"""After so long another child tries: the share may have been mounted anew, and the first one waits for the old one."""
HEARD_S = 0.5
"""What it said already is heard for so long at a time."""
Heard = Callable[[Any], None]


class Porter:
    """Sends it, and hears what it says. command: none does the errands in this process, for tests of what they do.

    hints: the handle of a queue of events that it fills, see `Hints`. has_more: it has said more than was heard yet.
    Every method raises OSError where no child can be started.
    """

    def __init__(
        self, layout: BoxLayout, now: Callable[[], float], command: Sequence[str] = PORTER, hints: int = -1
    ) -> None:
        self._places = (layout.inbox, layout.root / "work")
        self._now, self._command, self._hints = now, command, hints
        self._own = Errands(*self._places, say=lambda _: None)
        self._child: Child | None = None
        self._heard: Heard | None = None
        self._began = 0.0
        self.has_more = False
        self._waiting_since: float | None = None

    @property
    def busy(self) -> bool:
        """Whether it is on an errand."""
        return self._heard is not None

    @property
    def silent_s(self) -> float:
        """How long the inbox has not answered; 0 where it does."""
        waits = 0.0 if self._waiting_since is None else self._now() - self._waiting_since
        return waits if waits > SILENT_S else 0.0

    def fileno(self) -> int | None:
        """For `select`, while it is on an errand."""
        return self._child.fileno() if self._child is not None and self.busy else None

    def do(self, errand: Errand, heard: Heard, wait_s: float) -> bool:
        """Whether it was sent, and came back within the time. `heard` gets each answer, the last one is `Done`.

        False without being sent where it is on another errand still: ask again later.
        """
        if self.busy and not self.attend(0.0):
            return False
        self._heard = heard
        try:
            self._send(errand)
        except BaseException:
            self._heard = None
            raise
        return self.attend(wait_s)

    def _send(self, errand: Errand) -> None:
        if not self._command:
            self._own.say = self._hear
            self._own.do(errand)
            return
        if self._child is None:
            check_held()
            command = [*self._command, *map(str, (*self._places, self._hints))]
            self._child = Child(command, LIMITS, pass_fds=[self._hints] if self._hints >= 0 else [])
        self._began = self._now()
        if self._waiting_since is None:
            self._waiting_since = self._began
        try:
            self._child.ask(errand)
        except ChildDied:
            return  # `attend` says so

    def attend(self, wait_s: float) -> bool:
        """Hear what it says, for so long at most; whether it is free."""
        until, self.has_more = self._now() + wait_s, False
        while self.busy and self._child is not None:
            try:
                answer: Answer | None = self._child.answer(ANSWERS, until - self._now())
            except ChildDied as died:
                self._lost(Done(errno.ECHILD, f"the process that goes into the inbox ended {died.ending.how}"))
                break
            if answer is None:
                self._see_whether_it_waits()
                break
            self._waiting_since = self._now()
            self._hear(answer)
            if self._now() > until + HEARD_S:
                self.has_more = True
                break
        return not self.busy

    def _hear(self, answer: Answer) -> None:
        heard = self._heard
        if isinstance(answer, Done):
            self._heard = self._waiting_since = None
            if answer.number == errno.EACCES:
                self._let_go()
        if heard is not None and not isinstance(answer, StillAtIt):
            heard(answer)

    def _let_go(self) -> None:
        """It is locked in to the folders that were there when it began: one that is made anew is for the next child."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def _see_whether_it_waits(self) -> None:
        if self.silent_s and self._now() - self._began > ANEW_S:
            self._lost(Done(errno.ETIMEDOUT, "it does not answer"))

    def _lost(self, done: Done) -> None:
        """Whoever sent it hears of the end; how long the inbox has not answered is told on until it does."""
        self._let_go()
        heard, self._heard = self._heard, None
        if heard is None:
            return
        if done.number == errno.ECHILD:
            self._waiting_since = None
        heard(done)

    def close(self) -> None:
        """End the child, on whatever errand it is."""
        self._lost(Done(errno.ECHILD, "the process that goes into the inbox was ended"))
