"""What keeps the box from its work: noted in a turn, said once in the log, in the status for as long as it lasts."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from scanside_appliance.defects import raised_at
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs import retention as disk
from scanside_appliance.jobs.book.database_errors import database_error, looks_damaged
from scanside_appliance.jobs.book.errors import BoxDiskFull

log = logging.getLogger("scanside")


class Troubles:
    """now: the last one of this turn, in words. in_a_row: turns, one after the other, that had any."""

    def __init__(self, layout: BoxLayout) -> None:
        self._layout = layout
        self.now: str | None = None
        self.in_a_row = 0

    def begin_turn(self) -> None:
        """What was noted is tried again."""
        self.now = None

    def end_turn(self) -> None:
        """Count it."""
        self.in_a_row = self.in_a_row + 1 if self.now else 0

    def note(self, trouble: str) -> None:
        """Keep it for the status; in the log it stands once, however many turns it lasts."""
        if self.in_a_row == 0:
            log.error("%s; it is tried again", trouble.removesuffix("."))
        self.now = trouble

    def note_moves(self, error: OSError) -> None:
        """What keeps files from where they belong."""
        self.note(f"files of a study can't be moved: {self._layout.about(error)}")

    def attempt(self, step: Callable[[], None]) -> None:
        """A step that fails does not keep the others from their turn. A book that looks damaged raises BoxFailed."""
        try:
            step()
        except sqlite3.OperationalError as error:
            self._note_database(error)
        except OSError as error:
            self.note(f"the box can't work: {self._layout.about(error)}")
        except (RecursionError, MemoryError) as error:  # this step needed too much: the next one need not
            self.note(f"a step ended in a defect ({raised_at(error)})")

    def _note_database(self, error: sqlite3.OperationalError) -> None:
        """A lock, rights and a failing disk pass; only a full disk is given the reserve. Raises what looks damaged."""
        told = database_error(self._layout.database, error)
        if looks_damaged(error):
            raise told from error
        self.note(f"{told.code}: {told.message}")
        if isinstance(told, BoxDiskFull):
            disk.give_reserve(self._layout)
