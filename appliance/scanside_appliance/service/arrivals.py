"""What comes in: seen in the inbox, its headers read, written down as jobs when it is complete, and brought on."""

from __future__ import annotations

import logging
from functools import partial

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.facts import Prober
from scanside_appliance.inbox.hints import Hints
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Arrival, Inbox, Waiting
from scanside_appliance.inbox.table import InboxTable
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.intake import Intake
from scanside_appliance.service.errors import BoxDiskNearlyFull
from scanside_appliance.service.header_reading import HeaderReading
from scanside_appliance.service.housekeeping import Housekeeping
from scanside_appliance.service.inbox_look import InboxLook
from scanside_appliance.service.moves import Moves, say
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.troubles import Troubles
from scanside_runtime.settings.tables import Settings

PROBE_BUDGET_S = 0.5
PROBER_IDLE_S = 60.0
BUSY_PAUSE_S = 1.0
SCAN_SHARE = 0.1
"""A scan may take so much of the time: the next one waits ten times as long as the last one took."""
SOON = -1e9
log = logging.getLogger("scanside")


class Arrivals:
    """waiting: studies that are not complete. files: how many lie in the inbox. changing: how many do, with `once`.

    has_seen: whether it was looked at once. sources: what was taken, and stays there.
    """

    def __init__(
        self,
        plan: Plan,
        layout: BoxLayout,
        store: Store,
        settings: Settings,
        porter: Porter,
        hints: Hints | None,
        house: Housekeeping,
        moves: Moves,
        troubles: Troubles,
    ) -> None:
        now, progressed = plan.clock.monotonic, plan.progressed
        self._plan, self._store, self._settings, self._now = plan, store, settings, now
        self._porter, self._hints, self._house, self._moves, self._troubles = porter, hints, house, moves, troubles
        self._inbox = Inbox(settings.inbox, InboxTable(layout.root), all_has_come=plan.once)
        probers = Prober(now, plan.probe), Prober(now, plan.probe)
        self._headers = HeaderReading(layout.inbox, self._inbox, probers, now, progressed)
        self._intake = Intake(layout, store, plan.clock, porter, progressed, self._headers.is_sure)
        self.sources = self._intake.sources
        self._look = InboxLook(layout.inbox, self._inbox, porter, self._headers, now, self.sources.others)
        self._scan_at = SOON
        self.waiting: list[Waiting] = []
        self.files = self.changing = 0
        self.has_seen = False

    def use(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self._inbox.settings = settings.inbox

    def look_soon(self) -> None:
        """In the next turn, however short ago the last look was."""
        self._scan_at = SOON

    @property
    def go_on(self) -> bool:
        """Whether the next turn has something to take in that is at hand."""
        return self._porter.has_more or (self._intake.unfinished and not self._porter.busy)

    @property
    def worked_off(self) -> bool:
        """Whether nothing lies in the inbox that is to be taken or waited for."""
        return self._inbox.is_worked_off(self._now())

    @property
    def stays(self) -> str | None:
        """What lies there and can't be taken, in words."""
        return self._inbox.stays(self._now())

    @property
    def left(self) -> str | None:
        """What was taken and stays there, in words."""
        return self.sources.left()

    def filenos(self) -> list[int]:
        """For `select`: readable when something happened there, or a child has something to say."""
        numbers = self._porter.fileno(), self._hints.fileno() if self._hints else None
        return [*(number for number in numbers if number is not None), *self._headers.filenos()]

    def pause_s(self) -> float:
        """How long the next look may wait."""
        scan_s = self._settings.inbox.scan_s
        return min(self._settings.inbox.quiet_s / 4, BUSY_PAUSE_S, scan_s) if self.files else scan_s

    def take_in(self) -> None:
        """See what lies in the inbox, read what is new, and write down what is ready. Raises OSError, sqlite3.Error."""
        has_news = self._headers.has_news()
        heard = self._hints is not None and self._hints.heard()  # something happened in the inbox
        if has_news or heard:
            self.look_soon()
        if not self._has_looked():
            return
        arrivals, self.waiting = self._inbox.sort_out(self._now())
        if self._house.disk is not None and self._house.disk.full:
            self._troubles.note(BoxDiskNearlyFull(used=self._house.disk.used_percent).in_full)
            return
        self._intake.begin_turn()
        ready = set()
        for arrival in arrivals:
            ready.add(arrival.study)
            self._troubles.attempt(partial(self._take, arrival))
        self._intake.end_turn(ready)
        self._doubt()
        for job in self._intake.release_what_is_whole_again():
            say(job, "all of it is there again")

    def _doubt(self) -> None:
        """What turned out otherwise than its header was said to be is looked at again."""
        for name in self._intake.doubted:
            self._inbox.doubt(name, self._now())
        self._headers.distrust(self._intake.belied)
        self._headers.read_alone(self._intake.suspected)
        if self._intake.unfinished or self._intake.suspected:
            self.look_soon()

    def _has_looked(self) -> bool:
        """Whether a scan came to its end; then headers are read for twice as long as it took. The next scan waits.

        An inbox that is gone, or does not answer, is a trouble: it is for a person to bring it back.
        """
        through = (self._look.under_way or self._is_due()) and self._look.is_through()
        if (trouble := self._look.trouble()) is not None:
            self._troubles.note(trouble.in_full)
        if not through or trouble:
            return False
        self.files, self._house.inbox_bytes = len(self._inbox), self._look.bytes
        self._plan.progressed()
        self.has_seen = True
        self._moves.looks_since += 1
        self._tell_changing()
        self._scan_at = self._look.began + max(self.pause_s(), self._look.took_s / SCAN_SHARE)
        if self._headers.read(self._settings.reading, max(PROBE_BUDGET_S, 2 * self._look.took_s)):
            self.look_soon()
        return True

    def _is_due(self) -> bool:
        """The next one is a while later, where this one comes to nothing."""
        if self._now() < self._scan_at:
            return False
        self._scan_at = self._now() + BUSY_PAUSE_S
        return True

    def _tell_changing(self) -> None:
        """Whoever waits in a terminal for the end is told why it does not come."""
        changing = self._inbox.changing(self._now()) if self._plan.once else 0
        if changing and not self.changing:
            longest_s = self._settings.inbox.patience_s
            log.info("%d file(s) in the inbox are still changing: waited for, each %.0f s at most", changing, longest_s)
        self.changing = changing

    def _take(self, arrival: Arrival) -> None:
        """Written down, and moved at once: what is claimed and still in the inbox is never more than one arrival."""
        for job in self._intake.take(arrival):
            say(job, f"{len(self._store.files(job.id))} files, {job.state.value}")
            self._moves.bring_on(job)

    def rest(self) -> None:
        """Let children go that had nothing to read for a while."""
        self._headers.rest(PROBER_IDLE_S)

    def close(self) -> None:
        """End the children, forget the inbox."""
        self._inbox.close()
        self._headers.close()
