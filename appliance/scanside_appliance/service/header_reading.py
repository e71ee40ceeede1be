"""The daemon's turn at reading headers: a child is asked for one file after the other, and never waited for.

What takes long is left to a second child: a large file on a slow share is read to its end, and keeps no other from
being read meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scanside_appliance.inbox.facts import LONGEST_READ_S, Facts, Prober
from scanside_appliance.inbox.readiness import Inbox
from scanside_runtime.settings.tables import ReadingSettings


class HeaderReading:
    """probers: two. progressed: called after each file, for who waits for a sign of life.

    Methods raise OSError as `Prober`, `Inbox`.
    """

    def __init__(
        self,
        folder: Path,
        inbox: Inbox,
        probers: tuple[Prober, Prober],
        now: Callable[[], float],
        progressed: Callable[[], None],
    ) -> None:
        self._folder, self._inbox, self._now, self._progressed = folder, inbox, now, progressed
        self._quick, self._patient = probers

    @property
    def silent_s(self) -> float:
        """How long no bytes have come of whatever was asked for: one file that does not come is that file's."""
        return min(self._quick.silent_s, self._patient.silent_s)

    def filenos(self) -> list[int]:
        """For `select`, while files are being read."""
        return [number for one in (self._quick, self._patient) if (number := one.fileno()) is not None]

    def read(self, reading: ReadingSettings, seconds: float) -> bool:
        """Read what is unread for so long at most; whether there is more."""
        until = self._now() + seconds
        self._hear(until)
        if self._quick.busy:
            return False
        for name in self._inbox.unread(self._now()):
            if name == self._patient.name:
                continue
            if self._now() > until:
                return True
            self._quick.begin(self._folder, name, reading)
            self._hear(until)
            if self._quick.busy:
                return False
        return False

    def has_news(self) -> bool:
        """Whether something was found, and the next file can be read."""
        return self._hear() and not self._quick.busy

    def _hear(self, until: float = 0.0) -> bool:
        """What was found is taken in; whether there was any."""
        found = self._take_in(self._patient, 0.0)
        found = self._take_in(self._quick, until - self._now()) or found
        if self._quick.lasts_s > LONGEST_READ_S:
            self._make_room()
        return found

    def _take_in(self, prober: Prober, wait_s: float) -> bool:
        took_s = prober.lasts_s
        answer = prober.poll(wait_s) if prober.busy else None
        if answer is not None:
            self._learn(*answer, took_s)
        return answer is not None

    def _learn(self, name: str, facts: Facts, took_s: float) -> None:
        self._inbox.learn(name, facts, self._now(), took_s)
        self._progressed()

    def _make_room(self) -> None:
        """For the files that do not take so long."""
        if not self._patient.busy:
            self._quick, self._patient = self._patient, self._quick
            return
        took_s = self._quick.lasts_s
        self._learn(*self._quick.give_up(why="it comes slowly, and so does another one that is read first"), took_s)

    def rest(self, idle_s: float) -> None:
        """Let children go that had nothing to read for so long."""
        self._quick.rest(idle_s)
        self._patient.rest(idle_s)

    def close(self) -> None:
        """End them; what they were reading is unread."""
        self._quick.close()
        self._patient.close()
