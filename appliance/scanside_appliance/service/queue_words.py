"""The facts of `queue_view` for a person at a terminal, in his language."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.names import harmless
from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.columns import cells, padded
from scanside_appliance.languages.words import Message, Words, Written, said
from scanside_appliance.network.sending import STATES as DELIVERIES
from scanside_appliance.results.with_care import READ_WITH_CARE, poi_text
from scanside_appliance.service.errors import BoxDiskNearlyFull
from scanside_appliance.service.queue_view import box_facts, queue_facts
from scanside_appliance.service.status import at_work, last_said

COLUMNS = (to_translate("study"), to_translate("state"), to_translate("what"))
DONE_SHOWN = 10
"""The live screen shows so many of the studies that are done."""
STUDIES_SHOWN = 20
STATES = {
    "claiming": to_translate("being taken in"),
    "queued": to_translate("queued"),
    "running": to_translate("being analysed"),
    "publishing": to_translate("being published"),
    "archiving": to_translate("being archived"),
    "done": to_translate("done"),
    "holding": to_translate("being held"),
    "held": to_translate("held"),
    "quarantining": to_translate("being put aside"),
    "quarantined": to_translate("put aside"),
    "returning": to_translate("being given back"),
    "replaced": to_translate("replaced"),
    "arriving": to_translate("arriving"),
}
"""States of jobs, as a person reads them; programs read the names."""
VERDICTS = {
    "analysed": to_translate("analysed"),
    "refused": to_translate("refused"),
    "held": to_translate("held"),
}
MAKE_ROOM = said(BoxDiskNearlyFull.advice)
"""What a person does about a full disk."""
REDO = said("`scanside redo` measures each again, or says what it lacks.")
"""And about courses that lack an earlier scan."""
Line = tuple[str, str | Message | Written]


def state(name: str) -> str:
    """The text for a state of a job or a delivery; one that is not known stays."""
    return STATES.get(name) or DELIVERIES.get(name, name)


def headline(facts: dict[str, Any]) -> Message | Written:
    """What the box is at, of `box_facts`."""
    if facts["trouble"]:
        return Written(str(facts["trouble"]))
    if not facts["running"]:
        return said("not running")
    disk = facts["disk"]
    if disk and disk["full"]:
        return said("the disk is {used:.0f} % full: nothing more is taken in", used=disk["used_percent"])
    if facts["at"] is None:
        return said("starting")
    queued, arriving, held = facts["jobs"].get("queued", 0), len(facts["waiting"]), facts.get("held", 0)
    return at_work(facts.get("analysing"), queued, arriving, held)


def box_lines(facts: dict[str, Any], _: Words) -> list[str]:
    """How the box is, in a few lines. _: says them in the reader's language."""
    lines = [*_troubles(facts), *_work(facts, _)]
    width = max(10, *(cells(_(name)) + 2 for name, words in lines))
    return [padded(_(name), width) + _(words) for name, words in lines]


def _troubles(facts: dict[str, Any]) -> list[Line]:
    """Whether it runs, and what a person must see to."""
    runs = to_translate("running") if facts["running"] else to_translate("not running")
    lines: list[Line] = [(to_translate("box"), runs)]
    if facts["trouble"]:
        lines.append((to_translate("TROUBLE"), Written(facts["trouble"])))
    else:
        lines.append((to_translate("now"), headline(facts)))
    if facts["disk"] and facts["disk"]["full"] and BoxDiskNearlyFull.code not in (facts["trouble"] or ""):
        lines.append((to_translate("TO DO"), MAKE_ROOM))
    lines += [(to_translate("INBOX"), Written(facts[one])) for one in ("unreadable", "not_removed") if facts[one]]
    if facts["missing"]:
        gone = said(
            "of {number} study(ies) the result or the archive is gone; see scanside verify and scanside redo",
            number=len(facts["missing"]),
        )
        lines.append((to_translate("MISSING"), gone))
    if facts["doubted"]:
        lines.append((to_translate("DOUBT"), _doubted(facts["doubted"])))
    if facts["outdated"]:
        lines += [(to_translate("COURSES"), lack_an_earlier_scan(facts["outdated"])), (to_translate("TO DO"), REDO)]
    if facts["other_way"]:
        other = said(
            "{why}; {engine} passed and is used instead", why=Written(facts["other_way"]), engine=facts["engine"]
        )
        lines.append((to_translate("SELF-TEST"), other))
    lines.extend((to_translate("QUOTA"), Written(words)) for words in facts["over_quota"])
    lines.extend((to_translate("TO DO"), Written(words)) for words in facts["reminders"])
    if facts["cell"]:
        weak = said("{lacks}: what reads foreign files is isolated less well", lacks=Written(facts["cell"]))
        lines.append((to_translate("CELL"), weak))
    if facts["clock"]:
        lines.append((to_translate("CLOCK"), Written(facts["clock"])))
    return lines


def _doubted(studies: Sequence[str]) -> Message:
    return said(
        "{number} study(ies) were measured before the self-test failed: {some}; scanside redo measures them again",
        number=len(studies),
        some=_some(studies),
    )


def lack_an_earlier_scan(studies: Sequence[str]) -> Message:
    """Of studies whose course does."""
    return said(
        "{number} later scan(s) could not be measured again after an earlier one came: {some}",
        number=len(studies),
        some=_some(studies),
    )


def _some(studies: Sequence[str]) -> str:
    return ", ".join([*studies[:STUDIES_SHOWN], *["..."][: len(studies) - STUDIES_SHOWN]])


def _work(facts: dict[str, Any], _: Words) -> list[Line]:
    """What lies and waits there, and when that was said."""
    lines: list[Line] = []
    if facts["disk"]:
        room = said("{used:.0f} % used, {free:.0f} MB free", used=facts["disk"]["used_percent"], free=_free_mb(facts))
        lines.append((to_translate("disk"), room))
    lines.append((to_translate("studies"), _numbers(facts["jobs"], _) or to_translate("none yet")))
    for code, number in facts["put_aside"].items():
        lines.append((to_translate("put aside"), said("{number} file(s): {code}", number=number, code=code)))
    for one in facts["waiting"]:
        words = said("{study}  {files} file(s), {why}", study=one["study"] or "-", files=one["files"], why=_why(one))
        lines.append((to_translate("arriving"), words))
    sends = _numbers(facts["deliveries"], _)
    if sends:
        lines.append((to_translate("archive"), Message(f"{sends} (scanside send --list)")))
    lines.append((to_translate("proved"), facts["selftest_at"] or to_translate("never")))
    lines.append((to_translate("said"), facts["at"] or to_translate("never")))
    return lines


def _free_mb(facts: dict[str, Any]) -> float:
    return float(facts["disk"]["free_mb"])


def _numbers(states: dict[str, int], _: Words) -> str:
    return ", ".join(f"{number} {_(state(name))}" for name, number in states.items() if number)


def _why(one: dict[str, Any]) -> Message | Written:
    """What a study lacks that is not complete yet."""
    lack, more, _rest = str(one["why"]).partition("; waiting for the rest")
    return said("{why}; waiting for the rest", why=Written(lack)) if more else Written(lack)


def queue_lines(facts: Sequence[dict[str, Any]], _: Words, *, arriving: bool) -> list[str]:
    """A line a job, and what there is to say below it. arriving: whether studies are not complete yet."""
    if not facts:
        more = [_("studies are arriving: see scanside status")] if arriving else []
        return [_("nothing waits"), *more]
    width = max(12, *(cells(_(state(one["state"]))) for one in facts))
    return [*(_queue_line(one, width, _) for one in facts), *_below(facts, _)]


def _below(facts: Sequence[dict[str, Any]], _: Words) -> list[str]:
    """What the mark means, where one stands at a number."""
    marked = any(one.get("cautions") and one.get("poi_percent") is not None for one in facts)
    return [_(READ_WITH_CARE)] if marked else []


def _queue_line(one: dict[str, Any], width: int, _: Words) -> str:
    first, *more = _said_of(one, _) or [""]
    line = f"{padded(one['study'] or _('(no study)'), 17)} {padded(_(state(one['state'])), width)} {first}".rstrip()
    return "\n".join([line, *(f"{'':<18}{text}" for text in more)])


def _said_of(one: dict[str, Any], _: Words) -> list[str]:
    """Verdict or reason, then whose it is, then where the report lies."""
    verdict = _(VERDICTS.get(one["verdict"], one["verdict"] or ""))
    reason = " ".join(filter(None, (verdict, one["code"]))) if verdict else _.again(one["code"], one["reason"] or "")
    return [reason, *filter(None, (_who(one, _), one.get("report")))]


def _who(one: dict[str, Any], _: Words) -> str:
    """Name, date and POI of what has a result; of the rest, the folder of the inbox that it came in."""
    measured = one.get("poi_percent")
    poi = None if measured is None else f"POI {poi_text(measured, care=bool(one.get('cautions')))}"
    known = [one.get("patient_name") or one.get("patient_id"), one.get("date"), poi]
    came = _("from inbox/{folder}", folder=one["from"]) if one.get("from") else ""
    return harmless(", ".join(filter(None, known))) or came


def live_rows(layout: BoxLayout, _: Words, *, every: bool, names: bool) -> tuple[list[tuple[str, str, str]], list[str]]:
    """What arrives, what waits, and what was done last: study, state, what there is to say; and what stands below.

    Raises BoxFailed.
    """
    # What is of no study yet is told by the name of a file, which may be a person's.
    waiting = [one for one in last_said(layout)["waiting"] if names or one["study"]]
    arriving = [
        (one["study"] or "-", _(state("arriving")), _("{files} file(s), {why}", files=one["files"], why=_why(one)))
        for one in waiting
    ]
    entries = queue_facts(layout, every=every, names=names, done=DONE_SHOWN)
    rows = [(one["study"] or "", _(state(one["state"])), "\n".join(_said_of(one, _))) for one in entries]
    return [*arriving, *rows], _below(entries, _)


def show_live(layout: BoxLayout, _: Words, *, every: bool, names: bool) -> None:
    """The queue as a screen that is drawn again each second, until Ctrl-C."""
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    def table() -> Table:
        rows, below = live_rows(layout, _, every=every, names=names)
        title, caption = _(headline(box_facts(layout))), "\n".join(below) or None
        shown = Table(title=title, caption=caption, expand=True)
        for column in COLUMNS:
            shown.add_column(_(column))
        for row in rows:
            shown.add_row(*map(Text, row))
        return shown

    try:
        with Live(table(), refresh_per_second=1) as screen:
            while True:
                time.sleep(1.0)
                screen.update(table())
    except KeyboardInterrupt:
        return
