"""The list in a terminal: a table where somebody looks, else plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from scanside_appliance.files.names import harmless
from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.columns import cells, padded
from scanside_appliance.languages.words import Words, Written, said
from scanside_appliance.page.formatting import moment, person
from scanside_appliance.results.with_care import READ_WITH_CARE, poi_text
from scanside_appliance.worklist.care import reasons, refusal
from scanside_appliance.worklist.entry import ATTENTION, Entry, Group
from scanside_appliance.worklist.listing import Worklist, in_order

if TYPE_CHECKING:
    from rich.table import Table

OTHERS_SHOWN = 20
COLUMNS = (
    *(to_translate("flag"), to_translate("name"), to_translate("ID"), to_translate("scanned"), to_translate("POI")),
    *(to_translate("trend"), to_translate("grade"), to_translate("age"), to_translate("study")),
    to_translate("why"),
)
WHOLE = ("flag", "scanned", "POI", "grade", "study")
"""Columns whose cells are not broken."""
WIDE, WIDEST = 120, 150
FLAGS = {
    "severe": ("■", to_translate("SEVERE")),
    "watch": ("▲", to_translate("WATCH")),
    "none": ("○", to_translate("none")),
    "extensive": ("⊘", to_translate("EXTENSIVE")),
    "refused": ("⊘", to_translate("not measured")),
    "held": ("?", to_translate("HELD")),
    "not_assessed": ("?", to_translate("not assessed")),
}
STYLES = {"severe": "bold red", "extensive": "bold red", "watch": "bold yellow", "held": "bold"}
TRENDS = {
    "rising": ("▲", to_translate("rising")),
    "falling": ("▼", to_translate("falling")),
    "stable": ("▬", to_translate("stable")),
    "not_comparable": ("", to_translate("not comparable")),
}
UNITS = (
    (86_400.0, to_translate("{number} d")),
    (3_600.0, to_translate("{number} h")),
    (60.0, to_translate("{number} min")),
)


def shown(listed: Worklist, *, every: bool) -> list[Entry]:
    """What is listed: all who need attention, and of the others the newest."""
    if every:
        return in_order(listed.entries)
    first = listed.first_page()
    kept = [one for one in first if one.group in ATTENTION]
    return kept + [one for one in first if one.group == Group.rest][:OTHERS_SHOWN]


def list_lines(entries: Sequence[Entry], now_s: float, _: Words, *, names: bool) -> list[str]:
    """A line a study, columns apart by two spaces."""
    rows = [tuple(cell or "-" for cell in _cells(one, now_s, _, names=names)) for one in entries]
    head = tuple(map(_, COLUMNS))
    widths = [max(map(cells, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(map(padded, row, widths)).rstrip() for row in (head, *rows)] if rows else []


def list_table(entries: Sequence[Entry], now_s: float, width: int, _: Words, *, names: bool) -> Table:
    """The same for rich, with colours beside the words.

    width: of the terminal; a narrow one lacks time, age, study, and any but a very wide one why.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    left_out = (("age", "study") if width < WIDE else ()) if names else ("name", "ID")
    left_out = left_out if width >= WIDEST else (*left_out, "why")
    kept = [number for number, column in enumerate(COLUMNS) if column not in left_out]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number in kept:
        column = COLUMNS[number]
        justify: Literal["right", "left"] = "right" if column == "POI" else "left"
        table.add_column(_(column), justify=justify, overflow="fold", no_wrap=column in WHOLE)
    for one in entries:
        row = [Text(cell) for cell in _cells(one, now_s, _, names=names, narrow=width < WIDE)]
        row[0].stylize("" if one.past else STYLES.get(one.flag, ""))
        table.add_row(*(row[number] for number in kept))
    return table


def notes(listed: Worklist, entries: Sequence[Entry], _: Words) -> list[str]:
    """What stands below: what has no result yet, what went wrong, what is not shown. entries: what is."""
    left_out = len(listed.entries) - len(entries)
    underway, held = listed.underway, sum(one.flag == "held" for one in entries)
    notes = [
        (said("no result yet"), not listed.entries),
        (said("{number} being measured or queued", number=underway.measured), underway.measured),
        (said("{number} arriving", number=underway.arriving), underway.arriving),
        (said("{number} failed: scanside queue", number=len(underway.failed)), underway.failed),
        (said("{number} held: scanside queue says why", number=held), held),
        (said("{number} more: --all", number=left_out), left_out),
        (READ_WITH_CARE, any(one.facts.cautions for one in entries)),
        (said("TROUBLE: {trouble}", trouble=Written(underway.trouble or "")), underway.trouble),
    ]
    return [_(words) for words, is_so in notes if is_so]


def _cells(one: Entry, now_s: float, _: Words, *, names: bool, narrow: bool = False) -> tuple[str, ...]:
    facts, job = one.facts, one.job
    flag, scanned = _signed(FLAGS.get(one.flag, ("", harmless(one.flag))), _), harmless(moment(facts.scanned_at or ""))
    return (
        _(said("{flag}, past", flag=flag)) if one.past else flag,
        harmless(person(facts.patient_name)) if names else "",
        harmless(facts.patient_id or "") if names else "",
        scanned[: len("2026-01-31")] if narrow else scanned,
        "" if facts.poi_percent is None else poi_text(facts.poi_percent, care=bool(facts.cautions)),
        _signed(TRENDS.get(job.trend or "", ("", "")), _),
        harmless(facts.grade or ""),
        age(one.first_at, now_s, _),
        job.study,
        _(", ").join(map(_, _why(one))),
    )


def _why(one: Entry) -> Sequence[str]:
    """To read a number with care, or not to have one."""
    refused = None if one.job.verdict == "analysed" else refusal(one.job.code or "")
    return [refused] if refused else reasons(one.facts.cautions.split())


def _signed(one: tuple[str, str], _: Words) -> str:
    """A sign and its word."""
    return f"{one[0]} {_(one[1]) if one[1] else ''}".strip()


def age(measured_at: str | None, now_s: float, _: Words) -> str:
    """How long ago a moment was, by the clock of this machine; "" where that can't be told."""
    try:
        passed = now_s - datetime.fromisoformat(measured_at or "").replace(tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return ""
    if passed < 0:
        return ""
    units = (_(unit, number=int(passed // length)) for length, unit in UNITS if passed >= length)
    return next(units, _("now"))


def list_document(listed: Worklist, entries: Sequence[Entry], at: str, *, names: bool) -> dict[str, Any]:
    """The JSON of `scanside worklist`."""
    return {
        "schema": "scanside.worklist/1",
        "at": at,
        "underway": listed.underway.to_document(),
        "studies": [one.to_document(names=names) for one in entries],
        "left_out": len(listed.entries) - len(entries),
    }
