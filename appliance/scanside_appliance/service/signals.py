"""What a daemon is asked for from outside."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOP_S = 25.0
"""SIGTERM lets an analysis go on for so long; then it is handed back."""


@dataclass(slots=True)
class Signals:
    """What was asked for from outside, and the pipe that wakes the loop."""

    wake: int = -1
    woken: int = -1
    stop_by: float | None = None
    reload: bool = False

    def on_signal(self, number: int, _: FrameType | None) -> None:
        """SIGHUP reads the settings again; the first SIGTERM or SIGINT asks to end, the second to end now."""
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop_by = time.monotonic() + (STOP_S if self.stop_by is None else 0.0)

    def sleep(self, seconds: float, filenos: Sequence[int] = ()) -> None:
        """Until there is something to do: a signal, word from one of the handles, or the time is over."""
        readable, _, _ = select.select([self.woken, *filenos], [], [], seconds)
        if self.woken in readable:
            os.read(self.woken, 4096)


@contextmanager
def heard_signals() -> Iterator[Signals]:
    """Signals end a sleep through a pipe. Handlers are put back at the end.

    Whoever started this may have blocked them, and a daemon inherits that: it could be ended by SIGKILL alone.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signals = Signals(wake, woken)
    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, signals.on_signal) for number in handled}
    wakeup = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
    try:
        yield signals
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(woken)
