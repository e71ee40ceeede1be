"""The list is written: the first page whole, of the others those that changed; each in one step."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path

from scanside_appliance.clock import Clock
from scanside_appliance.files.atomic import replace_file
from scanside_appliance.files.durable_files import lies_at
from scanside_appliance.files.layout import FOLDER_MODE, BoxLayout
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.worklist.entry import Entry, Facts
from scanside_appliance.worklist.known_facts import KnownFacts
from scanside_appliance.worklist.listing import list_studies
from scanside_appliance.worklist.pages import ListPages, PageLink, with_trouble
from scanside_runtime.settings.tables import SiteSettings

ROWS_A_PAGE = 1500
"""A page of so many studies stays below 2 MB, whatever names they have."""
UNDATED = "undated"
OURS = re.compile(rf"(\d{{4}}-\d\d|{UNDATED})(-part\d+)?\.html|\..+\.part")
"""What a list before left there, whole or cut short; what a person laid beside it stays."""
_OF_JOB = attrgetter("study", "patient", "revision", "verdict", "severity", "trend", "code")
_OF_FACTS = attrgetter(*(one.name for one in fields(Facts)))
"""What stands in a row. Taken so and not by `repr` of the objects, which costs three times as much."""


@dataclass(frozen=True, slots=True)
class _Part:
    link: PageLink
    entries: Sequence[Entry]


def write_worklist(
    layout: BoxLayout, store: Store, site: SiteSettings, clock: Clock, *, arriving: int = 0, trouble: str | None = None
) -> list[str]:
    """All pages, as the book is now; the names of those that were written. Raises OSError, sqlite3.Error."""
    with KnownFacts(layout.worklist_facts, keep=True) as known:
        listed = list_studies(layout, store, known, arriving=arriving, trouble=trouble)
        parts = _parts(listed.entries)
        pages = ListPages(site, [part.link for part in parts])
        written = _write_months(layout.worklist_pages, known, parts, pages)
        first = pages.first(listed.first_page(), listed.underway, clock.now_text())
        for part in layout.results.glob(f".{layout.worklist.name}.*.part"):  # one that was cut short
            part.unlink(missing_ok=True)
        replace_file(layout.worklist, first)
    return [*written, layout.worklist.name]


def write_trouble(layout: BoxLayout, site: SiteSettings, trouble: str) -> None:
    """Onto the list that lies there, where the book can't be read for another one. Raises OSError."""
    if not lies_at(layout.worklist):
        return
    before = layout.worklist.read_bytes()
    page = with_trouble(before, trouble, site.language)
    if page != before:
        replace_file(layout.worklist, page)


def _parts(entries: Sequence[Entry]) -> list[_Part]:
    """Pages by month of the scan, newest first; of a month that is too long several, which fill from the oldest on."""
    by_month: dict[str | None, list[Entry]] = {}
    for one in sorted(entries, key=lambda one: (one.facts.scanned_at or "", one.job.id)):
        by_month.setdefault(one.month, []).append(one)
    return [
        _part(month, by_month[month], start // ROWS_A_PAGE)
        for month in sorted(by_month, key=lambda one: one or "", reverse=True)
        for start in reversed(range(0, len(by_month[month]), ROWS_A_PAGE))
    ]


def _part(month: str | None, of_month: Sequence[Entry], number: int) -> _Part:
    some = of_month[number * ROWS_A_PAGE : (number + 1) * ROWS_A_PAGE]
    name = f"{month or UNDATED}{f'-part{number + 1}' if number else ''}.html"
    several = len(of_month) > ROWS_A_PAGE
    return _Part(PageLink(name, month, number + 1 if several else 0, len(some)), some[::-1])


def _write_months(folder: Path, known: KnownFacts, parts: Sequence[_Part], pages: ListPages) -> list[str]:
    """Those that would be others than what lies there; what belongs to no month any more goes."""
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    before, there = known.pages(), {path.name for path in folder.iterdir()}
    written = []
    for part in parts:
        name, made_of = part.link.name, _made_of(pages.made_of, part)
        if name not in there or before.get(name) != made_of:
            known.forget_page(name)
            replace_file(folder / name, pages.of_month(part.entries, part.link))
            known.note_page(name, made_of)
            written.append(name)
    for name in filter(OURS.fullmatch, there - {part.link.name for part in parts}):
        (folder / name).unlink(missing_ok=True)
        known.forget_page(name)
    return written


def _made_of(common: str, part: _Part) -> str:
    """By which it is known whether a page would be another one: all that stands in its rows, in their order."""
    said = [(_OF_FACTS(one.facts), one.past, one.first_at, _OF_JOB(one.job)) for one in part.entries]
    return hashlib.sha256(f"{common} {part.link} {said}".encode("utf-8", "surrogatepass")).hexdigest()
