"""Everything is looked at, in the order in which a technician would: machine, folders, model, work, network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scanside_appliance.doctor import folders, machine, model, network, work
from scanside_appliance.doctor.conditions import Condition, Examined, Health
from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.columns import cells, padded
from scanside_appliance.languages.words import Message, Words

SCHEMA = "scanside.doctor/1"
SIGNS = {Health.good: to_translate("ok"), Health.caution: to_translate("LOOK"), Health.bad: to_translate("BAD")}
SUBJECTS = (
    *(to_translate("disk"), to_translate("files"), to_translate("clock"), to_translate("processor")),
    *(to_translate("cell"), to_translate("memory"), to_translate("settings"), to_translate("root")),
    *(to_translate("inbox"), to_translate("mounts"), to_translate("bundle"), to_translate("tuning")),
    *(to_translate("self-test"), to_translate("book"), to_translate("backup"), to_translate("unit")),
    *(to_translate("watch"), to_translate("studies"), to_translate("put aside"), to_translate("files kept")),
    to_translate("courses"),
    *(to_translate("archive"), to_translate("serve")),
)
"""What the conditions are of, as the table names them."""


def examine(box: Examined) -> Iterator[Condition]:
    """A condition a part of the box; whatever ails one, the others are looked at."""
    yield machine.disk(box)
    yield machine.inodes(box)
    book = work.read_book(box)
    yield machine.clock(box, book.last.finished_at if book.last else None)
    yield machine.processor(box)
    yield machine.cell(box)
    yield machine.memory(box)
    yield work.configuration(box)
    yield folders.root(box)
    yield folders.inbox(box)
    yield folders.mounts(box)
    yield model.bundle(box)
    yield model.tuning(box)
    yield model.selftest(box)
    yield work.book(box, book)
    yield work.backup(box)
    yield work.verified(box)
    yield work.unit(box)
    yield work.running(box)
    yield work.studies(box, book)
    yield work.failures(box, book)
    if book.outdated:
        yield work.courses(box, book)
    if box.settings.send.host:
        yield network.archive(box)
    if not box.settings.serve.this_machine_alone:
        yield network.shown(box)


def line(condition: Condition, _: Words) -> str:
    """One line, and one more where there is something to do. _: says it in the reader's language."""
    signs, subjects = (max(cells(_(one)) for one in some) for some in (SIGNS.values(), SUBJECTS))
    first = f"{padded(_(SIGNS[condition.health]), signs)}  {padded(_(condition.subject), subjects)}  "
    more = f"\n{'':<{signs + subjects + 4}}-> {_(condition.advice)}" if condition.advice else ""
    return f"{first}{_(condition.found)}{more}"


def document(box: Examined, found: Sequence[Condition]) -> dict[str, Any]:
    """Schema scanside.doctor/1."""
    worst = worst_of(found)
    conditions = [
        {"subject": one.subject, "health": one.health.value, "found": str(one.found), "advice": _english(one.advice)}
        for one in found
    ]
    return {"schema": SCHEMA, "at": box.clock.now_text(), "health": worst.value, "conditions": conditions}


def _english(advice: Message | None) -> str | None:
    return None if advice is None else str(advice)


def worst_of(found: Sequence[Condition]) -> Health:
    """The gravest of them."""
    grades = tuple(Health)
    return max((one.health for one in found), key=grades.index, default=Health.good)
