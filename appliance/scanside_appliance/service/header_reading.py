"""The daemon's turn at reading headers: the child is asked for one file after the other, and never waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.inbox.facts import Prober
from scanside_appliance.inbox.readiness import Inbox
from scanside_runtime.settings.tables import ReadingSettings


@dataclass(frozen=True, slots=True)
class HeaderReading:
    """progressed: called after each file, for who waits for a sign of life. Raises OSError as `Prober`, `Inbox`."""

    folder: Path
    inbox: Inbox
    prober: Prober
    now: Callable[[], float]
    progressed: Callable[[], None]

    def read(self, reading: ReadingSettings, seconds: float) -> bool:
        """Read what is unread for so long at most; whether there is more."""
        until = self.now() + seconds
        if not self.is_through(until):
            return False
        for name in self.inbox.unread(self.now()):
            if self.now() > until:
                return True
            self.prober.begin(self.folder, name, reading)
            if not self.is_through(until):
                return False
        return False

    def is_through(self, until: float = 0.0) -> bool:
        """Whether the child has nothing to do any more; what it found is taken in."""
        answer = self.prober.poll(until - self.now())
        if answer is not None:
            self.inbox.learn(*answer, self.now())
            self.progressed()
        return not self.prober.busy
