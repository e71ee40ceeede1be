"""What the child that writes the list is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scanside_runtime.settings.tables import SiteSettings


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
