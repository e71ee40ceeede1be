"""The daemon's turn at reading headers: a child is asked for one file after the other, and never waited for.

What takes long is left to a second child: a large file on a slow share is read to its end, and keeps no other from
being read meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from scanside_appliance.inbox.facts import LONGEST_READ_S, MOST_READ, Facts, Prober
from scanside_appliance.inbox.readiness import Inbox
from scanside_runtime.settings.reading import ReadingSettings


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
        self._reading = ReadingSettings()
        self._in_vain = ""
        self._silent_since = 0.0
        self._alone: set[str] = set()
        self._sure: set[tuple[str, str]] = set()

    @property
    def silent_s(self) -> float:
        """How long nothing has come of whatever was asked for; 0 where something does.

        One file that does not come is that file's: with two of them it is the inbox.
        """
        return self._now() - self._silent_since if self._in_vain else 0.0

    def filenos(self) -> list[int]:
        """For `select`, while files are being read."""
        return [number for one in (self._quick, self._patient) if (number := one.fileno()) is not None]

    def read(self, reading: ReadingSettings, seconds: float) -> bool:
        """Read what is unread for so long at most; whether there is more."""
        until, self._reading = self._now() + seconds, reading
        self._hear(until)
        if self._quick.busy:
            return False
        for name in self._in_turn():
            if name == self._patient.name:
                continue
            if self._now() > until:
                return True
            if name in self._alone:
                self._quick.close()
            self._quick.begin(self._folder, name, reading)
            self._hear(until)
            if self._quick.busy:
                return False
        return False

    def _in_turn(self) -> Iterator[str]:
        """What is read alone costs a child each: after the others."""
        alone = []
        for name in self._inbox.unread(self._now()):
            if name in self._alone:
                alone.append(name)
            else:
                yield name
        yield from alone

    def read_alone(self, names: Collection[str]) -> None:
        """What was said of these is to be said by a child that reads no other file, which counts."""
        self._alone = {*names, *(self._alone if len(self._alone) < MOST_READ else ())}
        for name in names:
            self._inbox.ask_again(name)

    def is_sure(self, name: str, sha256: str) -> bool:
        """Whether what is said of these bytes was said by a child that had read no other file before."""
        return (name, sha256) in self._sure

    def has_news(self) -> bool:
        """Whether something was found, and the next file can be read."""
        return self._hear() and not self._quick.busy

    def _hear(self, until: float = 0.0) -> bool:
        """What was found is taken in; whether there was any."""
        found = self._take_in(self._patient, 0.0)
        found = self._take_in(self._quick, until - self._now()) or found
        if self._quick.lasts_s > LONGEST_READ_S:
            self._make_room()
        if self._in_vain and not self._patient.busy:  # until it answers, nobody asks for another one
            self._patient.begin(self._folder, self._in_vain, self._reading)
        return found

    def _take_in(self, prober: Prober, wait_s: float) -> bool:
        if not prober.busy:
            return False
        took_s = prober.lasts_s
        answer = prober.poll(wait_s)
        if prober.has_come or (answer is not None and answer[1].kind != "out_of_reach"):
            self._in_vain = ""
        if answer is not None:
            self._learn(*answer, took_s)
            self._note_who_said_it(prober, *answer)
        return answer is not None

    def _note_who_said_it(self, prober: Prober, name: str, facts: Facts) -> None:
        if prober.was_alone:
            self._sure = self._sure if len(self._sure) < MOST_READ else set()
            self._sure.add((name, facts.sha256))
            if name in self._alone:
                self._alone.discard(name)
                prober.close()

    def _learn(self, name: str, facts: Facts, took_s: float) -> None:
        self._inbox.learn(name, facts, self._now(), took_s)
        self._progressed()

    def _make_room(self) -> None:
        """For the files that do not take so long."""
        if not self._patient.busy:
            self._quick, self._patient = self._patient, self._quick
            return
        comes = self._quick.has_come
        why = "it comes slowly, and so does another one that is read first" if comes else "it does not answer"
        took_s, silent_s = self._quick.lasts_s, self._patient.silent_s
        name, facts = self._quick.give_up(why)
        self._learn(name, facts, took_s)
        if not comes and silent_s and not self._in_vain:
            self._in_vain, self._silent_since = name, self._now() - silent_s

    def distrust(self, belied: Collection[str]) -> None:
        """Who said of one of these files what it is not reads no other; what it was reading is unread."""
        for one in (self._quick, self._patient):
            if any(map(one.has_read, belied)):
                one.close()

    def rest(self, idle_s: float) -> None:
        """Let children go that had nothing to read for so long."""
        self._quick.rest(idle_s)
        self._patient.rest(idle_s)

    def close(self) -> None:
        """End them; what they were reading is unread."""
        self._in_vain = ""
        self._quick.close()
        self._patient.close()
