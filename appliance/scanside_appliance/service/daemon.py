"""What the daemon does over and over. Read `tick`, and you have read it.

It is built to be killed: what is decided is in the book before anything moves, and a start finishes what was begun.
"""

from __future__ import annotations

import logging
import sqlite3
from functools import partial

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.errands import TidyFolders
from scanside_appliance.inbox.hints import Hints
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.jobs import retention as disk
from scanside_appliance.jobs.book.file import keep_in_place
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.jobs.scheduler import BOX_RETRY_S, Scheduler
from scanside_appliance.jobs.worker_client import WorkerClient
from scanside_appliance.network.sender_client import SenderClient
from scanside_appliance.service.arrivals import BUSY_PAUSE_S, Arrivals
from scanside_appliance.service.housekeeping import Housekeeping
from scanside_appliance.service.moves import Moves
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.proving import Proving
from scanside_appliance.service.status import Report, write_report
from scanside_appliance.service.troubles import Troubles
from scanside_appliance.worklist.writer_client import ListNews, ListWriter
from scanside_runtime.process.cell import cell_strength
from scanside_runtime.settings.tables import Settings

IDLE_PAUSE_S = 5.0
REPORT_EVERY_S = 30.0
TIDY_EVERY_S = 3600.0
SOURCES_EVERY_S = 60.0
log = logging.getLogger("scanside")


class Daemon:
    """The parts, and the order in which they have their turn."""

    def __init__(self, plan: Plan, layout: BoxLayout, store: Store, settings: Settings) -> None:
        self._plan, self._layout, self._store, self._clock = plan, layout, store, plan.clock
        self._settings, self._waits = settings, plan.waits(settings)
        self.taking = True
        self.headline = "starting"
        self.idle = False
        now, progressed = plan.clock.monotonic, plan.progressed
        self._troubles = Troubles(layout)
        self._hints = Hints(now) if plan.hint else None
        self._porter = Porter(layout, now, plan.porter, self._hints.number if self._hints else -1)
        self._house = Housekeeping(layout, store, plan.clock, progressed)
        self._file_mover = FileMover(layout, store, plan.clock, self._porter)
        self._moves = Moves(store, self._file_mover, self._troubles, progressed, self._house.came_to_rest)
        of_inbox = self._porter, self._hints, self._house, self._moves, self._troubles
        self._arrivals = Arrivals(plan, layout, store, settings, *of_inbox)
        self._worker_client = WorkerClient(layout, plan.clock, plan.bundle, plan.worker)
        self._scheduler = Scheduler(layout, store, plan.clock, self._file_mover, self._worker_client)
        self._proving = Proving(layout, store, plan.clock, self._worker_client, plan.bundle)
        self._sender = SenderClient(layout, store, plan.clock, plan.sender)
        self._list_writer = ListWriter(layout, plan.clock, plan.worklist)
        self._cell = cell_strength().lacks
        self._next = dict.fromkeys(("report", "tidy", "sources"), -1e9)
        self._reported = ""
        self._numbers: dict[State, int] = {}
        self._put_aside: dict[str, int] = {}
        self._held = 0

    def start(self) -> None:
        """Put right what the last end left, and prove the networks.

        Raises BoxFailed, OSError, sqlite3.Error, and with `once` ModelUnusable; else an inbox is watched meanwhile.
        """
        self._file_mover.recover()
        disk.finish_cleaning(self._layout, self._store)
        self._troubles.attempt(self._moves.advance)
        self._proving.start(self._waits, once=self._plan.once)
        self._report()

    def tick(self) -> None:
        """One turn. Troubles of the box are noted and tried again in the next; a lost or damaged book raises."""
        self._troubles.begin_turn()
        self._troubles.attempt(partial(keep_in_place, self._layout, self._store))
        taking = (self._arrivals.take_in, self._begin_next) if self.taking else (self._hear_proof,)
        analysis = (self._see_to_analysis, self._moves.advance)
        for step in (self._look_after_box, self._moves.advance, *taking, *analysis, self._send, self._rest):
            self._troubles.attempt(step)
        self._troubles.end_turn()
        self._report()

    def use(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings, self._waits = settings, self._plan.waits(settings)
        self._arrivals.use(settings)
        self._proving.again()
        self._troubles.attempt(partial(self._proving.note_configuration, settings))

    @property
    def trouble(self) -> str | None:
        """What keeps the box from its work, in words."""
        return self._troubles.now or self._proving.trouble or self._scheduler.box_trouble

    @property
    def stuck(self) -> int:
        """How often in a row it was kept from its work."""
        return max(self._troubles.in_a_row, self._scheduler.box_failures, self._proving.failures)

    @property
    def knows_how_it_is(self) -> bool:
        """Whether the inbox was seen and all looked after once, or something is in the way; and the status says it."""
        return self._reported.startswith(self.headline) and (self._arrivals.has_seen or self.trouble is not None)

    @property
    def computing(self) -> bool:
        """Whether a study is with the worker, or the self-test: cut short, it speaks against the way that it tries."""
        return self._scheduler.current is not None or self._proving.under_way

    def filenos(self) -> list[int]:
        """For `select`: readable when a child has something to say."""
        worker = self._worker_client.fileno()
        return [*([] if worker is None else [worker]), *(self._arrivals.filenos() if self.taking else ())]

    def pause_s(self) -> float:
        """How long nothing has to be done."""
        if self._troubles.now:
            return BUSY_PAUSE_S / 4 if self._plan.once else min(2.0**self._troubles.in_a_row, BOX_RETRY_S)
        if self.taking and self._arrivals.go_on:
            return 0.0
        if self.idle and not (self._hints and self._hints.deaf):
            return min(self._settings.inbox.scan_s, IDLE_PAUSE_S)
        return min(self._arrivals.pause_s(), BUSY_PAUSE_S)

    def nothing_left(self) -> bool:
        """Whether all that can be worked off is worked off."""
        return self._moves.looks_since > 1 and not self.trouble and self.idle

    def hand_back(self) -> None:
        """Give up what is being analysed; it is queued again, and nobody is to blame. Raises sqlite3.Error."""
        self._scheduler.hand_back()

    def close(self) -> None:
        """End the children, forget the inbox."""
        self._arrivals.close()
        self._porter.close()
        if self._hints is not None:
            self._hints.close()
        self._worker_client.end()
        self._sender.close()
        self._list_writer.close()

    def _is_due(self, what: str, every_s: float) -> bool:
        now = self._clock.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + every_s
        return True

    def _look_after_box(self) -> None:
        """Its folders and its disk."""
        self._house.keep_folders()
        self._house.look_at_disk(self._settings.disk)

    def _begin_next(self) -> None:
        """Nothing is measured by networks that did not prove themselves."""
        if self._proving.advance(self._waits):
            self._scheduler.begin_next(self._settings)

    def _hear_proof(self) -> None:
        self._proving.hear(self._waits)

    def _see_to_analysis(self) -> None:
        if self._scheduler.advance(self._waits):
            self._arrivals.look_soon()

    def _send(self) -> None:
        self._sender.advance(self._settings.send)

    def _rest(self) -> None:
        if not self._porter.busy and self._is_due("tidy", TIDY_EVERY_S):
            self._porter.do(TidyFolders(), lambda _: None, 0.0)
        if self._is_due("sources", SOURCES_EVERY_S):
            self._arrivals.sources.remove()
        self._arrivals.sources.advance()
        self._file_mover.return_orphans()
        self._house.count_hours()
        self._house.tell_head()
        self._house.read_book(self._list_writer.unread)
        self._house.look_for_missing()
        self._house.look_after_care(self._settings)
        self._arrivals.rest()
        self._worker_client.rest(self._settings)
        any_files = self._porter.busy or self._arrivals.sources.any_fresh or self._file_mover.any_orphans
        at_rest = self._store.is_at_rest() and not self._sender.is_due(self._settings.send)
        self.idle = self._arrivals.worked_off and at_rest and not any_files

    def _report(self) -> None:
        """Written when something changed, else now and then; a full disk is no reason to fail."""
        try:
            report = self.report()
            self.headline = report.headline
            told = (report.jobs, report.inbox_files, report.unreadable, report.not_removed, report.deliveries)
            news = f"{self.headline} {told} {report.selftest_at} {report.doubted} {report.outdated}"
            if news != self._reported or self._is_due("report", REPORT_EVERY_S):
                write_report(self._layout, report)
                self._reported = news
            self._list_writer.advance(self._list_news(report))
        except (OSError, sqlite3.OperationalError):
            return

    def _list_news(self, report: Report) -> ListNews:
        trouble = report.trouble or "; ".join(self._house.to_do) or None
        return ListNews(tuple(report.jobs.items()), len(report.waiting), trouble, self._settings.site)

    def write_last_list(self) -> None:
        """The worklist of a daemon that has worked off everything. Raises OSError, sqlite3.Error."""
        if changing := self._arrivals.changing:
            log.error("%d file(s) in the inbox change all the time: they stay there", changing)
        self._list_writer.finish(self._list_news(self.report()))

    def report(self) -> Report:
        """What there is to say now. Raises sqlite3.Error."""
        jobs = self._store.numbers()
        if jobs != self._numbers:
            self._numbers, self._put_aside = jobs, self._store.put_aside()
            self._held = jobs.get(State.held, 0) + len(self._store.held_results())
            if self._proving.doubted:
                self._proving.look_for_doubted()
        report = Report(
            at=self._clock.now_text(),
            engine=self._proving.engine,
            inbox_files=self._arrivals.files,
            unreadable=self._arrivals.stays,
            not_removed=self._arrivals.left,
            waiting=tuple(self._arrivals.waiting),
            jobs={state.value: jobs.get(state, 0) for state in State},
            put_aside=self._put_aside,
            held=self._held,
            counters=self._store.counters(),
            disk=self._house.disk,
            clock=self._scheduler.clock_trouble(),
            trouble=self.trouble,
            analysing=self._scheduler.current.study if self._scheduler.current else None,
            worker_warm=self._worker_client.warm,
            cell=self._cell,
            missing=tuple(self._house.missing),
            over_quota=tuple(self._house.over_quota),
            reminders=(*self._house.to_do, *filter(None, [self._list_writer.trouble])),
            deliveries=self._sender.numbers(self._settings.send),
            selftest_at=self._proving.passed_at or None,
            other_way=self._proving.other_way,
            doubted=tuple(self._proving.doubted),
            outdated=tuple(self._house.outdated),
        )
        return report.with_headline()
