"""What a person must see to (book, settings, rights, a disk): a service waits for him and does not end over and over.

Nothing is taken in meanwhile, so that all that arrives stays in the inbox; the lock of the root is free for
`scanside rebuild`. In a terminal the person is there, and it ends with what is wrong.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.signature import Signature
from scanside_appliance.jobs.book.errors import BoxDatabaseReplaced
from scanside_appliance.service.errors import BoxRootReplaced, BoxRunning
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.root_lock import is_running
from scanside_appliance.service.signals import Signals, heard_signals
from scanside_appliance.service.status import write_failure
from scanside_appliance.service.systemd import is_service, notify
from scanside_appliance.worklist.writer_client import ListNews, ListWriter
from scanside_runtime.errors import BoxFailed, ScansideError, SettingsUnusable
from scanside_runtime.settings.tables import SiteSettings

STARTS_AGAIN = (BoxRootReplaced, BoxDatabaseReplaced)
"""What was open is gone: a new start goes on with what lies there."""
FIRST_S, LONGEST_S = 60.0, 3600.0
LOOK_EVERY_S = 1.0
WAITS = "nothing is taken in; what arrives stays in the inbox"
log = logging.getLogger("scanside")


def is_waited_for(plan: Plan, error: BoxFailed) -> bool:
    """Whether a person is to be waited for. systemd tries again what else ends the service."""
    return is_service() and not plan.once and not isinstance(error, STARTS_AGAIN)


class WaitForPerson:
    """Tries again when book, settings or the root's rights are changed, the root is free, at a reload, now and then."""

    def __init__(self, plan: Plan, layout: BoxLayout) -> None:
        self._plan, self._layout = plan, layout
        self._pause_s, self._began = FIRST_S, time.monotonic()

    def goes_on_after(self, error: BoxFailed) -> bool:
        """Wait; whether to try again, False if it was told to end."""
        lasted_s = time.monotonic() - self._began
        self._pause_s = FIRST_S if lasted_s > self._pause_s else min(2 * self._pause_s, LONGEST_S)
        seen = self._seen()  # before anybody is told: who puts it right at once is not missed
        with heard_signals() as signals:
            trouble = f"{error.in_full} Until then: {WAITS}."
            self._write_down(trouble, error)
            notify(READY=1, STATUS=f"waiting: {error.code}")  # whoever waited for it finds in the status how it is
            self._tell_list(trouble, error)
            self._wait(signals, seen)
        self._began = time.monotonic()
        return signals.stop_by is None

    def _write_down(self, trouble: str, error: BoxFailed) -> None:
        """In the log, and in the status."""
        log.error("%s", trouble)
        if isinstance(error, BoxRunning):
            return  # the status there is another's
        with suppress(OSError):
            write_failure(self._layout, self._plan.clock.now_text(), trouble)

    def _tell_list(self, trouble: str, error: BoxFailed) -> None:
        """On the worklist, where the book can still be read for it."""
        if isinstance(error, BoxRunning):
            return  # so is the list
        writer = ListWriter(self._layout, self._plan.clock, self._plan.worklist)
        with suppress(OSError, ScansideError):
            writer.finish(ListNews((), 0, trouble, self._site()))
        writer.close()

    def _site(self) -> SiteSettings:
        """What the list says of the place: nothing, where the settings are what is wrong."""
        try:
            return self._plan.read_settings().site
        except SettingsUnusable:
            return SiteSettings()

    def _wait(self, signals: Signals, seen: tuple[object, ...]) -> None:
        until = time.monotonic() + self._pause_s
        while signals.stop_by is None and not signals.reload and time.monotonic() < until and self._seen() == seen:
            notify(WATCHDOG=1)
            signals.sleep(LOOK_EVERY_S)

    def _seen(self) -> tuple[object, ...]:
        """What a person changes when he puts it right: a file, its rights, a disk that is mounted for reading alone."""
        root = self._layout.root
        files = (_looks(self._layout.database), _looks(self._plan.settings_file))
        return *files, _rights(root), os.access(root, os.W_OK), is_running(self._layout)


def _looks(file: Path | None) -> tuple[object, ...]:
    """A file from outside, with its rights, also those that a list grants (they change the time of its inode)."""
    try:
        seen = None if file is None else file.stat()
    except OSError:
        return ()
    return () if seen is None else (Signature.of(seen), seen.st_ctime_ns, seen.st_uid, seen.st_gid, seen.st_mode)


def _rights(folder: Path) -> tuple[int, ...]:
    """A folder, but not its times: they change with each file that is made in it."""
    try:
        seen = folder.stat()
    except OSError:
        return ()
    return seen.st_dev, seen.st_ino, seen.st_uid, seen.st_gid, seen.st_mode
