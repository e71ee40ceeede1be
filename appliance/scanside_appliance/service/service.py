"""`scanside watch`: one daemon in one folder, from its lock to its last word."""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from scanside_appliance.defects import of_the_disk, raised_at
from scanside_appliance.files.layout import BoxLayout, BoxRoot
from scanside_appliance.jobs.book.database_errors import database_error, is_full_disk
from scanside_appliance.jobs.book.errors import BoxDiskFull
from scanside_appliance.jobs.book.file import open_book
from scanside_appliance.jobs.book.rows import ACTIVE, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.retention import give_reserve
from scanside_appliance.service.daemon import Daemon
from scanside_appliance.service.errors import BoxRootReplaced, BoxRunning, BoxStuck
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.root_lock import RootLock, only_one
from scanside_appliance.service.signals import Signals, heard_signals
from scanside_appliance.service.status import write_failure
from scanside_appliance.service.systemd import notify, reloading
from scanside_appliance.service.wait_for_person import WaitForPerson, is_waited_for
from scanside_runtime.errors import BoxFailed, ScansideError, SettingsUnusable

ROOM_EVERY_S = 10.0
"""A start on a full disk looks so often whether there is room."""
ONCE_GIVES_UP_AFTER = 6
FIRST_LOOK_S = 60.0
"""Who waits for the service is told that it is ready when its status says how it is, but after so long in any case."""
log = logging.getLogger("scanside")


def watch(plan: Plan) -> None:
    """Run until a signal ends it, or, with `once`, until the inbox is worked off.

    As a service it waits for a person where one is needed, but not with `once`: systemd would start it again every
    few seconds.

    Raises BoxRoot, BoxRunning, BoxStuck, BoxSelfTest, ModelUnusable, and what
    opening the database raises.
    """
    os.umask(0o027)
    layout = BoxLayout(plan.root.resolve())
    try:
        _watch_over(plan, layout)
    finally:
        notify(STOPPING=1)


def _watch_over(plan: Plan, layout: BoxLayout) -> None:
    waiting = WaitForPerson(plan, layout)
    while True:
        try:
            layout.make()
            _watch(plan, layout)
            return
        except BoxFailed as error:
            if not is_waited_for(plan, error):
                raise
            if not waiting.goes_on_after(error):
                return


def _watch(plan: Plan, layout: BoxLayout) -> None:
    with only_one(layout) as lock, _last_word(plan, layout), _opened(plan, layout) as store:
        store.check()
        for line in _first_words(plan, layout, store):
            log.info("%s", line)
        _work(plan, layout, store, lock)


def _first_words(plan: Plan, layout: BoxLayout, store: Store) -> list[str]:
    """Where it works, by which settings, and what waits for it."""
    waiting = sum(number for state, number in store.numbers().items() if state in ACTIVE)
    return [
        f"root      {layout.root}",
        f"inbox     {layout.inbox}",
        f"settings  {plan.settings_file or 'the defaults'}",
        f"waiting   {waiting} study(ies) under way, {len(store.jobs([State.held]))} held",
        "the networks are proved first, then the inbox is watched",
    ]


def _opened(plan: Plan, layout: BoxLayout) -> Store:
    """The book. A full disk gives its reserve; where that is not enough it is waited for room, but not with `once`.

    Raises BoxFailed.
    """
    while True:
        try:
            return open_book(layout)
        except BoxDiskFull as error:
            if not give_reserve(layout):
                _wait_for_room(plan, layout, error)


def _wait_for_room(plan: Plan, layout: BoxLayout, full: BoxDiskFull) -> None:
    """Said in the log, to systemd and, if there is room for it, in the status. Raises `full` with `once`."""
    if plan.once:
        raise full
    log.error("%s", full.in_full)
    notify(STATUS="waiting: the disk is full", EXTEND_TIMEOUT_USEC=round(4e6 * ROOM_EVERY_S))
    with suppress(OSError):
        write_failure(layout, plan.clock.now_text(), full.in_full)
    time.sleep(ROOM_EVERY_S)


@contextmanager
def _last_word(plan: Plan, layout: BoxLayout) -> Iterator[None]:
    """What the daemon can't start or go on with stands in its status, where `scanside status` finds it."""
    try:
        yield
    except (BoxRootReplaced, BoxRunning):
        raise  # the status there is another's
    except BaseException as error:
        with suppress(OSError):  # a box that can't write it says it by its exit code
            write_failure(layout, plan.clock.now_text(), f"it ended with {_why(error)}")
        raise


def _why(error: BaseException) -> str:
    if isinstance(error, ScansideError):
        return error.in_full
    if (disk := of_the_disk(error)) is not None:
        return disk.in_full
    return f"{ScansideError.code}: {raised_at(error)}"


def _work(plan: Plan, layout: BoxLayout, store: Store, lock: RootLock) -> None:
    with ExitStack() as ending:
        signals = ending.enter_context(heard_signals())
        daemon = ending.enter_context(closing(Daemon(plan, layout, store, plan.read_settings())))
        try:
            _started(daemon, layout)
            _run(plan, daemon, signals, lock)
        except sqlite3.DatabaseError as error:
            raise database_error(layout.database, error) from error
        except OSError as error:
            raise BoxRoot(root=layout.root, why=error.strerror or error) from error


def _started(daemon: Daemon, layout: BoxLayout) -> None:
    """A start that finds the disk full has the reserve, and is done again: each of its steps may be."""
    try:
        daemon.start()
    except (sqlite3.OperationalError, OSError) as error:
        if not is_full_disk(layout.database, error) or not give_reserve(layout):
            raise
        daemon.start()


def _run(plan: Plan, daemon: Daemon, signals: Signals, lock: RootLock) -> None:
    ready_by: float | None = time.monotonic() + FIRST_LOOK_S
    while signals.stop_by is None:
        lock.check()
        daemon.tick()
        if ready_by is not None and (daemon.knows_how_it_is or time.monotonic() > ready_by):
            notify(READY=1, STATUS=daemon.headline)
            ready_by = None
        notify(WATCHDOG=1, STATUS=daemon.headline)
        if plan.once and daemon.nothing_left():
            daemon.write_last_list()
            return
        if plan.once and daemon.stuck >= ONCE_GIVES_UP_AFTER:
            raise BoxStuck(why=daemon.trouble)
        signals.sleep(daemon.pause_s(), daemon.filenos())
        if signals.reload:
            signals.reload = False
            _reload(plan, daemon)
            ready_by = None
    _finish(daemon, signals)


def _finish(daemon: Daemon, signals: Signals) -> None:
    """Take nothing more; let what is computed come to its end within its time, or hand the study back."""
    daemon.taking = False
    while daemon.computing and signals.stop_by is not None and time.monotonic() < signals.stop_by:
        notify(STATUS="ending: what is being computed is finished first", WATCHDOG=1)
        daemon.tick()
        signals.sleep(min(1.0, daemon.pause_s()), daemon.filenos())
    daemon.hand_back()
    log.info("ended")


def _reload(plan: Plan, daemon: Daemon) -> None:
    reloading()
    try:
        daemon.use(plan.read_settings())
        log.info("settings read again")
    except SettingsUnusable as error:
        log.error("%s: %s The settings stay as they were.", error.code, error.message)
    notify(READY=1)


def log_to_stderr() -> None:
    """One line an event, without a time where systemd adds one. Never a traceback: it may quote a header."""
    form = "%(message)s" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%d %H:%M:%S"))
    log.handlers = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
