"""What the child that writes the list is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.jobs.book.errors import BoxDatabaseBusy, BoxDiskFull
from scanside_runtime.errors import BoxOutput
from scanside_runtime.settings.tables import SiteSettings

NOT_THE_BOOK = (BoxOutput.code, BoxDatabaseBusy.code, BoxDiskFull.code)
"""Why a list was not written though the book was read, or nothing but room or another program kept it from that."""


@dataclass(frozen=True, slots=True)
class ListOrder:
    """Write the list of the box at `root`. arriving: studies that are not complete yet; trouble: of the box."""

    root: Path
    site: SiteSettings
    arriving: int
    trouble: str | None


@dataclass(frozen=True, slots=True)
class ListWritten:
    """The pages that were written."""

    pages: tuple[str, ...]
