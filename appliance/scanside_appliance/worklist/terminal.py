"""The list in a terminal: a table where somebody looks, else plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from scanside_appliance.files.names import harmless
from scanside_appliance.page.formatting import moment, person
from scanside_appliance.worklist.entry import ATTENTION, Entry, Group
from scanside_appliance.worklist.listing import Worklist, in_order

if TYPE_CHECKING:
    from rich.table import Table

OTHERS_SHOWN = 20
COLUMNS = ("flag", "name", "ID", "scanned", "POI", "trend", "grade", "age", "study")
WHOLE = ("flag", "POI", "grade", "study")
"""Columns whose cells are not broken."""
WIDE = 120
FLAGS = {
    "severe": "■ SEVERE",
    "watch": "▲ WATCH",
    "none": "○ none",
    "extensive": "⊘ EXTENSIVE",
    "refused": "⊘ not measured",
    "held": "? HELD",
    "not_assessed": "? not assessed",
}
STYLES = {"severe": "bold red", "extensive": "bold red", "watch": "bold yellow", "held": "bold"}
TRENDS = {"rising": "▲ rising", "falling": "▼ falling", "stable": "▬ stable", "not_comparable": "not comparable"}
UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"))


def shown(listed: Worklist, *, every: bool) -> tuple[list[Entry], int]:
    """What is listed, and how many studies are not: all who need attention, and of the others the newest."""
    if every:
        return in_order(listed.entries), 0
    first = listed.first_page()
    kept = [one for one in first if one.group in ATTENTION]
    kept += [one for one in first if one.group == Group.rest][:OTHERS_SHOWN]
    return kept, len(listed.entries) - len(kept)


def list_lines(entries: Sequence[Entry], now_s: float, *, names: bool) -> list[str]:
    """A line a study, columns apart by two spaces."""
    rows = [tuple(cell or "-" for cell in _cells(one, now_s, names=names)) for one in entries]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in (COLUMNS, *rows)] if rows else []


def list_table(entries: Sequence[Entry], now_s: float, width: int, *, names: bool) -> Table:
    """The same for rich, with colours beside the words. width: of the terminal; a narrow one lacks age and study."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    left_out = (("age", "study") if width < WIDE else ()) if names else ("name", "ID")
    kept = [number for number, column in enumerate(COLUMNS) if column not in left_out]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number in kept:
        column = COLUMNS[number]
        justify: Literal["right", "left"] = "right" if column == "POI" else "left"
        least = len("2026-01-31") if column == "scanned" else None
        table.add_column(column, justify=justify, overflow="fold", no_wrap=column in WHOLE, min_width=least)
    for one in entries:
        cells = [Text(cell) for cell in _cells(one, now_s, names=names)]
        cells[0].stylize(STYLES.get(one.flag, ""))
        table.add_row(*(cells[number] for number in kept))
    return table


def notes(listed: Worklist, left_out: int) -> list[str]:
    """What stands below: what has no result yet, what went wrong, what is not shown."""
    underway = listed.underway
    said = [
        ("no result yet", not listed.entries),
        (f"{underway.measured} being measured or queued", underway.measured),
        (f"{underway.arriving} arriving", underway.arriving),
        (f"{len(underway.failed)} failed: scanside queue", underway.failed),
        (f"{left_out} more: --all", left_out),
        (f"TROUBLE: {harmless(underway.trouble or '')}", underway.trouble),
    ]
    return [words for words, is_so in said if is_so]


def _cells(one: Entry, now_s: float, *, names: bool) -> tuple[str, ...]:
    facts, job = one.facts, one.job
    return (
        FLAGS.get(one.flag, harmless(one.flag)),
        harmless(person(facts.patient_name)) if names else "",
        harmless(facts.patient_id or "") if names else "",
        harmless(moment(facts.scanned_at or "")),
        "" if facts.poi_percent is None else f"{facts.poi_percent:.1f} %",
        TRENDS.get(job.trend or "", ""),
        harmless(facts.grade or ""),
        age(job.finished_at, now_s),
        job.study,
    )


def age(measured_at: str | None, now_s: float) -> str:
    """How long ago a moment was, by the clock of this machine; "" where that can't be told."""
    try:
        passed = now_s - datetime.fromisoformat(measured_at or "").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return ""
    if passed < 0:
        return ""
    return next((f"{passed // length:.0f} {unit}" for length, unit in UNITS if passed >= length), "now")


def list_document(listed: Worklist, entries: Sequence[Entry], at: str, *, names: bool) -> dict[str, Any]:
    """The JSON of `scanside worklist`."""
    return {
        "schema": "scanside.worklist/1",
        "at": at,
        "underway": listed.underway.to_document(),
        "studies": [one.to_document(names=names) for one in entries],
        "left_out": len(listed.entries) - len(entries),
    }
