"""What the daemon does over and over. Read `tick`, and you have read it.

It is built to be killed: what is decided is in the book before anything moves, and a start finishes what was begun.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from functools import partial

from scanside_appliance.defects import raised_at
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.errands import TidyFolders
from scanside_appliance.inbox.facts import Prober
from scanside_appliance.inbox.hints import Hints
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.inbox.readiness import Arrival, Inbox, Waiting
from scanside_appliance.inbox.table import InboxTable
from scanside_appliance.jobs import retention as disk
from scanside_appliance.jobs.book.database_errors import database_error, looks_damaged
from scanside_appliance.jobs.book.errors import BoxDiskFull
from scanside_appliance.jobs.book.file import keep_in_place
from scanside_appliance.jobs.book.rows import MOVING, Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.jobs.intake import Intake
from scanside_appliance.jobs.scheduler import BOX_RETRY_S, Scheduler
from scanside_appliance.jobs.worker_client import WorkerClient
from scanside_appliance.network.sender_client import SenderClient
from scanside_appliance.service.header_reading import HeaderReading
from scanside_appliance.service.housekeeping import Housekeeping
from scanside_appliance.service.inbox_look import InboxLook
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.proving import Proving
from scanside_appliance.service.status import Report, write_report
from scanside_appliance.worklist.writer_client import ListNews, ListWriter
from scanside_runtime.process.cell import cell_strength
from scanside_runtime.settings.tables import Settings

PROBE_BUDGET_S = 0.5
PROBER_IDLE_S = 60.0
IDLE_PAUSE_S = 5.0
BUSY_PAUSE_S = 1.0
REPORT_EVERY_S = 30.0
TIDY_EVERY_S = 3600.0
SOURCES_EVERY_S = 60.0
SCAN_SHARE = 0.1
"""A scan may take so much of the time: the next one waits ten times as long as the last one took."""
log = logging.getLogger("scanside")


class Daemon:
    """The parts, and the order in which they have their turn."""

    def __init__(self, plan: Plan, layout: BoxLayout, store: Store, settings: Settings) -> None:
        self._plan, self._layout, self._store, self._clock = plan, layout, store, plan.clock
        self._settings, self._waits = settings, plan.waits(settings)
        self._trouble: str | None = None
        self._troubles_in_a_row = 0
        self._has_seen_inbox = False
        self.taking = True
        self.headline = "starting"
        self.idle = False
        now, progressed = plan.clock.monotonic, plan.progressed
        self._inbox = Inbox(settings.inbox, InboxTable(layout.root), all_has_come=plan.once)
        self._inbox_files = self._changing = 0
        self._waiting: list[Waiting] = []
        self._hints = Hints(now) if plan.hint else None
        self._porter = Porter(layout, now, plan.porter, self._hints.number if self._hints else -1)
        probers = Prober(now, plan.probe), Prober(now, plan.probe)
        self._headers = HeaderReading(layout.inbox, self._inbox, probers, now, progressed)
        self._intake = Intake(layout, store, plan.clock, self._porter, progressed, self._headers.is_sure)
        self._look = InboxLook(layout.inbox, self._inbox, self._porter, self._headers, now, self._intake.sources.others)
        self._house = Housekeeping(layout, store, plan.clock, progressed)
        self._file_mover = FileMover(layout, store, plan.clock, self._porter)
        self._worker_client = WorkerClient(layout, plan.clock, plan.bundle, plan.worker)
        self._scheduler = Scheduler(layout, store, plan.clock, self._file_mover, self._worker_client)
        self._proving = Proving(layout, store, plan.clock, self._worker_client, plan.bundle)
        self._sender = SenderClient(layout, store, plan.clock, plan.sender)
        self._list_writer = ListWriter(layout, plan.clock, plan.worklist)
        self._cell = cell_strength().lacks
        self._next = dict.fromkeys(("scan", "report", "tidy", "sources"), -1e9)
        self._scans, self._reported = 0, ""
        self._numbers: dict[State, int] = {}
        self._put_aside: dict[str, int] = {}
        self._held = 0

    def start(self) -> None:
        """Put right what the last end left, and prove the networks.

        Raises BoxFailed, OSError, sqlite3.Error, and with `once` ModelUnusable; else an inbox is watched meanwhile.
        """
        self._file_mover.recover()
        disk.finish_cleaning(self._layout, self._store)
        self._try(self._move)
        self._proving.start(self._waits, once=self._plan.once)
        self._report()

    def tick(self) -> None:
        """One turn. Troubles of the box are noted and tried again in the next; a lost or damaged book raises."""
        self._trouble = None
        self._try(partial(keep_in_place, self._layout, self._store))
        taking = (self._take_in, self._begin_next) if self.taking else (self._hear_proof,)
        analysis = (self._see_to_analysis, self._move)
        for step in (self._look_after_box, self._move, *taking, *analysis, self._send, self._rest):
            self._try(step)
        self._count_troubles()
        self._report()

    def _try(self, step: Callable[[], None]) -> None:
        """A step that fails does not keep the others from their turn."""
        try:
            step()
        except sqlite3.OperationalError as error:
            self._note_database(error)
        except OSError as error:
            self._note(f"the box can't work: {error.strerror or type(error).__name__}")
        except (RecursionError, MemoryError) as error:  # this step needed too much: the next one need not
            self._note(f"a step ended in a defect ({raised_at(error)})")

    def _note_database(self, error: sqlite3.OperationalError) -> None:
        """A lock, rights and a failing disk pass; only a full disk is given the reserve. Raises what looks damaged."""
        told = database_error(self._layout.database, error)
        if looks_damaged(error):
            raise told from error
        self._note(f"{told.code}: {told.message}")
        if isinstance(told, BoxDiskFull):
            disk.give_reserve(self._layout)

    def use(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings, self._waits = settings, self._plan.waits(settings)
        self._inbox.settings = settings.inbox
        self._proving.again()
        self._try(partial(self._proving.note_configuration, settings))

    @property
    def trouble(self) -> str | None:
        """What keeps the box from its work, in words."""
        return self._trouble or self._proving.trouble or self._scheduler.box_trouble

    @property
    def stuck(self) -> int:
        """How often in a row it was kept from its work."""
        return max(self._troubles_in_a_row, self._scheduler.box_failures, self._proving.failures)

    @property
    def knows_how_it_is(self) -> bool:
        """Whether the inbox was seen and all looked after once, or something is in the way; and the status says it."""
        return self._reported.startswith(self.headline) and (self._has_seen_inbox or self.trouble is not None)

    @property
    def computing(self) -> bool:
        """Whether a study is with the worker, or the self-test: cut short, it speaks against the way that it tries."""
        return self._scheduler.current is not None or self._proving.under_way

    def filenos(self) -> list[int]:
        """For `select`: readable when a child has something to say."""
        of_inbox = (self._porter, self._hints) if self.taking else ()
        children = (self._worker_client, *(one for one in of_inbox if one is not None))
        own = [number for one in children if (number := one.fileno()) is not None]
        return [*own, *(self._headers.filenos() if self.taking else ())]

    def pause_s(self) -> float:
        """How long nothing has to be done."""
        if self._trouble:
            return BUSY_PAUSE_S / 4 if self._plan.once else min(2.0**self._troubles_in_a_row, BOX_RETRY_S)
        if self.taking and (self._porter.has_more or (self._intake.unfinished and not self._porter.busy)):
            return 0.0
        if self.idle and not (self._hints and self._hints.deaf):
            return min(self._settings.inbox.scan_s, IDLE_PAUSE_S)
        return min(self._scan_pause_s(), BUSY_PAUSE_S)

    def nothing_left(self) -> bool:
        """Whether all that can be worked off is worked off."""
        return self._scans > 1 and not self.trouble and self.idle

    def hand_back(self) -> None:
        """Give up what is being analysed; it is queued again, and nobody is to blame. Raises sqlite3.Error."""
        self._scheduler.hand_back()

    def close(self) -> None:
        """End the children, forget the inbox."""
        self._inbox.close()
        self._headers.close()
        self._porter.close()
        if self._hints is not None:
            self._hints.close()
        self._worker_client.end()
        self._sender.close()
        self._list_writer.close()

    def _count_troubles(self) -> None:
        self._troubles_in_a_row = self._troubles_in_a_row + 1 if self._trouble else 0

    def _note(self, trouble: str) -> None:
        """Said once in the log, and in the status as long as it lasts."""
        if self._troubles_in_a_row == 0:
            log.error("%s; it is tried again", trouble)
        self._trouble = trouble

    def _is_due(self, what: str, every_s: float) -> bool:
        now = self._clock.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + every_s
        return True

    def _scan_pause_s(self) -> float:
        busy_s = min(self._settings.inbox.quiet_s / 4, BUSY_PAUSE_S)
        return min(busy_s if self._inbox_files else self._settings.inbox.scan_s, self._settings.inbox.scan_s)

    def _look_after_box(self) -> None:
        """Its folders and its disk."""
        self._house.keep_folders()
        self._house.look_at_disk(self._settings.disk)

    def _take_in(self) -> None:
        """See what lies in the inbox, read what is new, and write down what is ready."""
        if self._headers.has_news():
            self._next["scan"] = -1e9
        if self._hints is not None and self._hints.heard():  # something happened in the inbox
            self._next["scan"] = -1e9
        if not self._has_looked():
            return
        arrivals, self._waiting = self._inbox.sort_out(self._clock.monotonic())
        if self._house.disk is not None and self._house.disk.full:
            self._note(f"the disk is {self._house.disk.used_percent:.0f} % full: nothing more is taken in")
            return
        self._intake.begin_turn()
        ready = set()
        for arrival in arrivals:
            ready.add(arrival.study)
            self._try(partial(self._take, arrival))
        self._intake.end_turn(ready)
        for name in self._intake.doubted:
            self._inbox.doubt(name, self._clock.monotonic())
        self._headers.distrust(self._intake.belied)
        self._headers.read_alone(self._intake.suspected)
        if self._intake.unfinished or self._intake.suspected:
            self._next["scan"] = -1e9
        for job in self._intake.release_what_is_whole_again():
            _say(job, "all of it is there again")

    def _has_looked(self) -> bool:
        """Whether a scan came to its end; then headers are read for twice as long as it took. The next scan waits.

        An inbox that is gone, or does not answer, is a trouble: it is for a person to bring it back.
        """
        if not self._look.under_way and not self._is_due("scan", BUSY_PAUSE_S):
            through = False
        else:
            through = self._look.is_through()
        if (trouble := self._look.trouble()) is not None:
            self._note(f"{trouble.code}: {trouble.message} {trouble.advice}")
        if not through or trouble:
            return False
        self._inbox_files, self._house.inbox_bytes = len(self._inbox), self._look.bytes
        self._plan.progressed()
        self._has_seen_inbox = True
        self._scans += 1
        self._tell_changing()
        self._next["scan"] = self._look.began + max(self._scan_pause_s(), self._look.took_s / SCAN_SHARE)
        if self._headers.read(self._settings.reading, max(PROBE_BUDGET_S, 2 * self._look.took_s)):
            self._next["scan"] = -1e9
        return True

    def _tell_changing(self) -> None:
        """Whoever waits in a terminal for the end is told why it does not come."""
        changing = self._inbox.changing(self._clock.monotonic()) if self._plan.once else 0
        if changing and not self._changing:
            longest_s = self._settings.inbox.patience_s
            log.info("%d file(s) in the inbox are still changing: waited for, each %.0f s at most", changing, longest_s)
        self._changing = changing

    def _take(self, arrival: Arrival) -> None:
        """Written down, and moved at once: what is claimed and still in the inbox is never more than one arrival."""
        for job in self._intake.take(arrival):
            _say(job, f"{len(self._store.files(job.id))} files, {job.state.value}")
            self._bring_on(job)

    def _begin_next(self) -> None:
        """Nothing is measured by networks that did not prove themselves."""
        if self._proving.advance(self._waits):
            self._scheduler.begin_next(self._settings)

    def _hear_proof(self) -> None:
        self._proving.hear(self._waits)

    def _see_to_analysis(self) -> None:
        if self._scheduler.advance(self._waits):
            self._next["scan"] = -1e9

    def _move(self) -> None:
        """Every move that is due."""
        for job in self._store.jobs(MOVING):
            self._bring_on(job)

    def _bring_on(self, job: Job) -> None:
        """The moves of a job that are due. One that fails does not stop the others."""
        self._scans = 0
        step: Job | None = job
        try:
            while step is not None and step.state in MOVING:
                before, step = step, self._file_mover.advance(step)
                if step == before:
                    return  # it waits for the inbox
        except OSError as error:
            self._note(f"files of a study can't be moved: {error.strerror or type(error).__name__}")
            return
        self._plan.progressed()
        if step is not None:
            _say(step, step.state.value)
            self._house.came_to_rest()

    def _send(self) -> None:
        self._sender.advance(self._settings.send)

    def _rest(self) -> None:
        if not self._porter.busy and self._is_due("tidy", TIDY_EVERY_S):
            self._porter.do(TidyFolders(), lambda _: None, 0.0)
        if self._is_due("sources", SOURCES_EVERY_S):
            self._intake.sources.remove()
        self._intake.sources.advance()
        self._file_mover.return_orphans()
        self._house.count_hours()
        self._house.tell_head()
        self._house.read_book(self._list_writer.unread)
        self._house.look_for_missing()
        self._house.look_after_care(self._settings.care)
        self._headers.rest(PROBER_IDLE_S)
        self._worker_client.rest(self._settings)
        at_rest = self._store.is_at_rest() and not self._sender.is_due(self._settings.send)
        at_rest = at_rest and not (self._porter.busy or self._intake.sources.any_fresh or self._file_mover.any_orphans)
        self.idle = self._inbox.is_worked_off(self._clock.monotonic()) and at_rest

    def _report(self) -> None:
        """Written when something changed, else now and then; a full disk is no reason to fail."""
        try:
            report = self.report()
            self.headline = report.headline()
            told = (report.jobs, report.inbox_files, report.unreadable, report.not_removed, report.deliveries)
            news = f"{self.headline} {told} {report.selftest_at} {report.doubted}"
            if news != self._reported or self._is_due("report", REPORT_EVERY_S):
                write_report(self._layout, report)
                self._reported = news
            self._list_writer.advance(self._list_news(report))
        except (OSError, sqlite3.OperationalError):
            return

    def _list_news(self, report: Report) -> ListNews:
        jobs = tuple((state.value, number) for state, number in report.jobs.items())
        trouble = report.trouble or "; ".join(self._house.reminders) or None
        return ListNews(jobs, len(report.waiting), trouble, self._settings.site)

    def write_last_list(self) -> None:
        """The worklist of a daemon that has worked off everything. Raises OSError, sqlite3.Error."""
        if self._changing:
            log.error("%d file(s) in the inbox change all the time: they stay there", self._changing)
        self._list_writer.finish(self._list_news(self.report()))

    def report(self) -> Report:
        """What there is to say now. Raises sqlite3.Error."""
        jobs = self._store.numbers()
        if jobs != self._numbers:
            self._numbers, self._put_aside = jobs, self._store.put_aside()
            self._held = jobs.get(State.held, 0) + len(self._store.held_results())
            if self._proving.doubted:
                self._proving.look_for_doubted()
        return Report(
            at=self._clock.now_text(),
            engine=self._proving.engine,
            inbox_files=self._inbox_files,
            unreadable=self._inbox.stays(self._clock.monotonic()),
            not_removed=self._intake.sources.left(),
            waiting=self._waiting,
            jobs=jobs,
            put_aside=self._put_aside,
            held=self._held,
            counters=self._store.counters(),
            disk=self._house.disk,
            clock=self._scheduler.clock_trouble(),
            trouble=self.trouble,
            analysing=self._scheduler.current.study if self._scheduler.current else None,
            worker_warm=self._worker_client.warm,
            cell=self._cell,
            missing=self._house.missing,
            over_quota=self._house.over_quota,
            reminders=[*self._house.reminders, *filter(None, [self._list_writer.trouble])],
            deliveries=self._sender.numbers(self._settings.send),
            selftest_at=self._proving.passed_at or None,
            other_way=self._proving.other_way,
            doubted=self._proving.doubted,
        )


def _say(job: Job, text: str) -> None:
    log.info("study %s%s: %s", job.study or "(none)", f" revision {job.revision}" if job.revision else "", text)
