"""What the box did, in order: a table of the book to which rows are only added, each with the hash of all before it.

Who changes, takes out or puts in a row breaks the chain from there on; who writes the whole chain anew changes its
head, which stands in the log each day, in `status` and in every backup. No names and no IDs of patients: a study is
its key.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scanside_appliance.clock import Clock
from scanside_appliance.jobs.book.rows import ACTIVE, State
from scanside_appliance.jobs.book.store import Store

Event = Literal[
    "result",
    "held",
    "put aside",
    "released",
    "retried",
    "redone",
    "not redone",
    "removed",
    "configuration",
    "rebuilt",
    "selftest",
]
BEGINNING = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A row. at: wall clock, shown only; study: its key or empty; facts: JSON; sha256: of the row before and this."""

    n: int
    at: str
    event: str
    study: str
    facts: str
    sha256: str

    def document(self) -> dict[str, Any]:
        """Plain values, the facts opened; as they stand where somebody has made no facts of them."""
        try:
            facts = dict(json.loads(self.facts))
        except (TypeError, ValueError, RecursionError):
            facts = {"text": str(self.facts)}
        return {**asdict(self), "facts": facts}


def note(store: Store, event: Event, study: str = "", **facts: Any) -> None:
    """Add a row, in the transaction of what it tells of. Raises sqlite3.Error."""
    with store.transaction():
        _add(store, Clock().now_text(), event, study, json.dumps(facts, sort_keys=True))


def _add(store: Store, at: str, event: Event, study: str, text: str) -> None:
    last = head(store)
    n, before = (last.n + 1, last.sha256) if last else (1, BEGINNING)
    row = (n, at, event, study, text, _link(before, n, at, event, study, text))
    store.connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", row)


def note_configuration(store: Store, **facts: Any) -> None:
    """What the box works by, where it is not what it was when it was last noted. Raises sqlite3.Error."""
    asked = "SELECT facts FROM audit WHERE event = 'configuration' ORDER BY n DESC LIMIT 1"
    last = store.connection.execute(asked).fetchone()
    if last is None or last[0] != json.dumps(facts, sort_keys=True):
        note(store, "configuration", **facts)


def head(store: Store) -> AuditEntry | None:
    """The newest row; None before the first."""
    return next(_rows(store.connection, "ORDER BY n DESC LIMIT 1"), None)


def entries(store: Store, since: int = 0) -> Iterator[AuditEntry]:
    """The rows after a number, oldest first."""
    return _rows(store.connection, "WHERE n > ? ORDER BY n", since)


def is_redone_for_another(store: Store, study: str) -> bool:
    """Whether a study was last queued again for another scan of the patient, by no person. Raises sqlite3.Error."""
    asked = "WHERE event IN ('redone', 'released') AND study = ? ORDER BY n DESC LIMIT 1"
    last = next(_rows(store.connection, asked, study), None)
    return last is not None and "earlier_scan" in last.document()["facts"]


def outdated(store: Store) -> list[str]:
    """Studies that were to be measured again for an earlier scan and were not: no result came of it, or none could.

    One that is under way is not among them, nor one that has been measured, or held, since, nor one that was taken away
    before the book was made anew. Raises sqlite3.Error.
    """
    asked = (
        "SELECT study FROM audit WHERE event IN ('result', 'redone', 'not redone') "
        f"AND study NOT IN (SELECT study FROM jobs WHERE state IN ({', '.join('?' * len(ACTIVE))})) "
        f"AND study IN (SELECT study FROM jobs WHERE state = '{State.done}') GROUP BY study "
        "HAVING max(n * (event <> 'result' AND facts LIKE '%\"earlier_scan\"%')) "
        "> max(n * (event = 'result' AND facts NOT LIKE '%\"verdict\": \"refused\"%'))"
    )
    return [study for (study,) in store.connection.execute(asked, ACTIVE)]


def doubted(store: Store) -> list[str]:
    """Studies whose newest result is followed by a self-test that found wrong what had computed it.

    The order of the rows decides, no clock. Measured again, a study is out of doubt; one that was taken away before the
    book was made anew is in none. Raises sqlite3.Error.
    """
    newest: dict[str, int] = {}
    doubts: dict[str, bool] = {}
    last = 0
    asked = (
        "SELECT n, event, study, facts FROM audit WHERE event = 'selftest' OR event = 'result' "
        "AND study IN (SELECT study FROM jobs WHERE state IN (?, ?)) ORDER BY n"
    )
    for n, event, study, facts in store.connection.execute(asked, (State.archiving, State.done)):
        if event == "result":
            newest[study] = n
            doubts.pop(study, None)
        elif (passed := _passed(facts)) is not None:
            doubts |= {one: True for one, at in newest.items() if at > last and not passed}
            last = n
    return [*doubts]


def _passed(facts: str) -> bool | None:
    """Whether a self-test was; None where it came to no answer, or somebody was at the row."""
    try:
        found = json.loads(facts)["passed"]
    except (TypeError, ValueError, KeyError, RecursionError):
        return None
    return found if isinstance(found, bool) else None


def broken_at(store: Store, each: Callable[[AuditEntry], None] = lambda _: None) -> int | None:
    """The number of the first row that does not follow from those before it; None where all do.

    each: called with every row that follows.
    """
    before = BEGINNING
    for expected, row in enumerate(entries(store), 1):
        link = _link(before, row.n, row.at, row.event, row.study, row.facts)
        if row.n != expected or row.sha256 != link:
            return expected
        each(row)
        before = row.sha256
    return None


def _link(before: str, *values: object) -> str:
    return hashlib.sha256(json.dumps([before, *values], default=repr).encode()).hexdigest()


def _rows(sql: sqlite3.Connection, which: str, *values: object) -> Iterator[AuditEntry]:
    for row in sql.execute(f"SELECT n, at, event, study, facts, sha256 FROM audit {which}", values):
        yield AuditEntry(*row)
