"""A book that can't be used: a person must see to it, and the service waits for him instead of ending over and over.

Nothing is taken in meanwhile, so that all that arrives stays in the inbox; the lock of the root is free for
`scanside rebuild`.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.jobs.errors import BoxDatabase, BoxDatabaseLost, BoxDatabaseNewer
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.signals import Signals, heard_signals
from scanside_appliance.service.status import write_failure
from scanside_appliance.service.systemd import notify
from scanside_appliance.worklist.writer_client import ListNews, ListWriter
from scanside_runtime.errors import BoxFailed, ScansideError

UNUSABLE = (BoxDatabase, BoxDatabaseLost, BoxDatabaseNewer)
FIRST_S, LONGEST_S = 60.0, 3600.0
LOOK_EVERY_S = 1.0
WAITS = "nothing is taken in; what arrives stays in the inbox"
log = logging.getLogger("scanside")


class WaitForBook:
    """Tries again when another file lies there, at a reload, and now and then, ever more seldom."""

    def __init__(self, plan: Plan, layout: BoxLayout) -> None:
        self._plan, self._layout = plan, layout
        self._pause_s, self._began = FIRST_S, time.monotonic()

    def goes_on_after(self, error: BoxFailed) -> bool:
        """Wait; whether to try again, False if it was told to end."""
        lasted_s = time.monotonic() - self._began
        self._pause_s = FIRST_S if lasted_s > self._pause_s else min(2 * self._pause_s, LONGEST_S)
        with heard_signals() as signals:
            notify(READY=1, STATUS=f"waiting: {error.code}")
            self._say(f"{error.code}: {error.message} {error.advice} Until then: {WAITS}.")
            self._wait(signals)
        self._began = time.monotonic()
        return signals.stop_by is None

    def _say(self, trouble: str) -> None:
        """In the log, in the status, and on the worklist where the book can still be read for it."""
        log.error("%s", trouble)
        with suppress(OSError):
            write_failure(self._layout, self._plan.clock.now_text(), trouble)
        writer = ListWriter(self._layout, self._plan.clock, self._plan.worklist)
        with suppress(OSError, ScansideError):
            writer.finish(ListNews((), 0, trouble, self._plan.read_settings().site))
        writer.close()

    def _wait(self, signals: Signals) -> None:
        until, seen = time.monotonic() + self._pause_s, self._file()
        while signals.stop_by is None and not signals.reload and time.monotonic() < until and self._file() == seen:
            notify(WATCHDOG=1)
            signals.sleep(LOOK_EVERY_S)

    def _file(self) -> Signature | None:
        try:
            return Signature.of(self._layout.database.stat())
        except OSError:
            return None
