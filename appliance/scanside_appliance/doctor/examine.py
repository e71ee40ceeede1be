"""Everything is looked at, in the order in which a technician would: machine, folders, model, work, network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scanside_appliance.doctor import folders, machine, model, network, work
from scanside_appliance.doctor.conditions import Condition, Examined, Health

SCHEMA = "scanside.doctor/1"
SIGNS = {Health.good: "ok", Health.caution: "LOOK", Health.bad: "BAD"}


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
    if box.settings.send.host:
        yield network.archive(box)


def line(condition: Condition) -> str:
    """One line, and one more where there is something to do."""
    first = f"{SIGNS[condition.health]:<5} {condition.subject:<10} {condition.found}"
    return f"{first}\n{'':<17}-> {condition.advice}" if condition.advice else first


def document(box: Examined, found: Sequence[Condition]) -> dict[str, Any]:
    """Schema scanside.doctor/1."""
    worst = worst_of(found)
    conditions = [
        {"subject": one.subject, "health": one.health.value, "found": one.found, "advice": one.advice or None}
        for one in found
    ]
    return {"schema": SCHEMA, "at": box.clock.now_text(), "health": worst.value, "conditions": conditions}


def worst_of(found: Sequence[Condition]) -> Health:
    """The gravest of them."""
    grades = tuple(Health)
    return max((one.health for one in found), key=grades.index, default=Health.good)
