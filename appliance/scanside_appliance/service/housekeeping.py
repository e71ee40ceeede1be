"""What the daemon sees to beside the studies: its folders, the disk, quotas, what the book has and the disk lacks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from scanside_appliance.clock import Clock
from scanside_appliance.files.durable_files import is_folder, make_folder
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs import retention as disk
from scanside_appliance.jobs.book.audit import head, outdated
from scanside_appliance.jobs.book.errors import BoxDatabaseBusy, BoxDiskFull
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.store import HOURS_RUN, Store
from scanside_appliance.upkeep.care import bundle_reminders, reminders
from scanside_appliance.upkeep.presence import missing_studies
from scanside_runtime.settings.box import DiskSettings
from scanside_runtime.settings.tables import Settings

DISK_EVERY_S = 10.0
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
BUNDLES_EVERY_S = 60.0
ANOTHER_EVERY_S = 60.0
log = logging.getLogger("scanside")


class Housekeeping:
    """Done again and again; each part may raise OSError and sqlite3.Error, and is tried again in the next turn.

    disk: as it was at the last look. over_quota: in words, what holds too much. missing: studies of the book whose
    result or archive is gone. outdated: those whose course lacks an earlier scan. reminders: what is due. inbox_bytes:
    what the inbox held at the last look, for whoever looks to say. progressed: called before what takes long, for who
    waits for a sign of life.
    """

    def __init__(
        self, layout: BoxLayout, store: Store, clock: Clock, progressed: Callable[[], None] = lambda: None
    ) -> None:
        self._layout, self._store, self._clock, self._progressed = layout, store, clock, progressed
        self.disk: disk.Disk | None = None
        self.over_quota: list[str] = []
        self.missing: list[str] = []
        self.outdated: list[str] = []
        self.reminders: list[str] = []
        self.inbox_bytes = 0
        self._next = {"hour": clock.monotonic() + HOUR_S, "book": clock.monotonic() + DAY_S}
        self._unread = 0
        self._written_by_another = False
        self._book: tuple[tuple[int, int] | None, int] = (None, 0)
        self._of_bundles: list[str] = []

    def keep_folders(self) -> None:
        """What somebody removed is made again, but for the inbox: who may write there was set by hand."""
        for folder in self._layout.own_folders:
            if not is_folder(folder):
                make_folder(folder, self._layout.root)
                log.error("%s was gone: it is made again", folder)
                self._next.pop("missing", None)

    def look_at_disk(self, settings: DiskSettings) -> None:
        """Junk beyond its quota goes; on a full disk what may go; and the reserve is kept where there is room."""
        if not self._is_due("disk", DISK_EVERY_S):
            return
        before, found = self.disk, disk.look(self._layout.root, settings)
        removed = disk.keep_quota(self._layout, self._store, settings)
        if found.full:
            removed += disk.make_room(self._layout, self._store, settings)
        if removed:
            self._next.pop("disk")
            found = disk.look(self._layout.root, settings)
        self.disk = found
        self.over_quota = disk.over_quota(self._store, settings, self.inbox_bytes)
        if found.full and not (before and before.full):
            log.error("the disk is %.0f %% full: nothing more is taken in", found.used_percent)
        if not found.full:
            disk.keep_reserve(self._layout, settings)

    def count_hours(self) -> None:
        """The box's own age, by which the ages of files are told: no wall clock has a say."""
        if self._is_due("hour", HOUR_S):
            self._store.count(HOURS_RUN)

    def tell_head(self) -> None:
        """The head of the audit into the log, once a day: who writes the chain anew can't change what was told."""
        if self._is_due("head", DAY_S) and (last := head(self._store)):
            log.info("audit: %d entries, head %s", last.n, last.sha256)

    def read_book(self, unread: int) -> None:
        """As it lies on the disk: what is open knows its pages from before, and may not notice for weeks.

        Once a day, as each start does; as soon as another wrote to it, a command or what harms it, once a minute at
        most; and as soon as another process fails that reads it, once an hour at most: one that fails for another
        reason is tried again each minute, and a book of years is read for a minute. unread: how often one did. Another
        program that has it open, or a full disk, is no matter. Raises what else ails it, as BoxFailed.
        """
        if not self._store.is_in_place():
            return  # the next turn keeps what is open, which to end would lose
        if unread != self._unread and self._is_due("unread", HOUR_S):
            self._next.pop("book", None)
            self._unread = unread
        self._written_by_another |= self._is_written_by_another()
        if self._written_by_another and self._is_due("another", ANOTHER_EVERY_S):
            self._next.pop("book", None)
            self._written_by_another = False
        if self._is_due("book", DAY_S):
            self._progressed()
            with suppress(BoxDatabaseBusy, BoxDiskFull), existing_book(self._layout) as lying:
                lying.check()

    def _is_written_by_another(self) -> bool:
        """Whether the file changed since the last look, and nothing was written by us. One that is gone is put back."""
        before, ours = self._book
        now, written = self._book = _written_at(self._layout.database), self._store.connection.total_changes
        return None not in (before, now) and before != now and ours == written

    def look_for_missing(self) -> None:
        """Now and then, and after something changed about it."""
        if self._is_due("missing", HOUR_S):
            self.missing = missing_studies(self._layout, self._store)
        if self._is_due("courses", HOUR_S):
            self.outdated = outdated(self._store)

    def look_after_care(self, settings: Settings) -> None:
        """What a person is asked to do: a backup that is due, files that were not read for long, and of the bundles."""
        if self._is_due("care", HOUR_S):
            days_run = self._store.hours_run() / 24.0
            self.reminders = list(reminders(self._layout, settings.care, days_run, self._clock))
        if self._is_due("bundles", BUNDLES_EVERY_S):
            keys = Path(settings.bundles.keys)
            self._of_bundles = list(bundle_reminders(self._layout.root, keys, self._clock))

    @property
    def to_do(self) -> list[str]:
        """What a person is asked to do."""
        return [*self.reminders, *self._of_bundles]

    def came_to_rest(self) -> None:
        """A job did: what was missing may be there again, and a course may lack a scan, or no longer."""
        self._next.pop("courses", None)
        if self.missing:
            self._next.pop("missing", None)

    def _is_due(self, what: str, every_s: float) -> bool:
        now = self._clock.monotonic()
        if now < self._next.get(what, now):
            return False
        self._next[what] = now + every_s
        return True


def _written_at(path: Path) -> tuple[int, int] | None:
    """When a file was written to last, and its length; None where it is not there. Raises OSError."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return seen.st_mtime_ns, seen.st_size
