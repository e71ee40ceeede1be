"""What is to go to an archive and what went, in the book: `archives`, `deliveries`, `sent_objects` (schema.sql)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from fnmatch import fnmatchcase

from scanside_appliance.clock import Clock
from scanside_appliance.jobs.book.rows import Job, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.network.messages import ObjectSent
from scanside_runtime.settings.send import SendSettings

FILES_OF = {"seg": "seg.dcm", "sr": "sr.dcm", "sc": "sc_*.dcm"}
"""The files of each kind that `send.objects` names."""


class DeliveryState(StrEnum):
    """How far a result is on its way to one archive."""

    waiting = "waiting"
    sent = "sent"
    committed = "committed"  # the archive said that it will keep every object
    refused = "refused"  # the archive does not take it: a person must look
    left_out = "left_out"  # older than automatic sending, superseded before it went, or without objects


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of `deliveries`; schema.sql says what the columns mean."""

    id: int
    job: int
    target: str
    state: DeliveryState
    attempts: int
    not_before: float
    boot: str
    code: str | None
    why: str | None
    changed_at: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "state", DeliveryState(self.state))


_DELIVERY = ", ".join(one.name for one in fields(Delivery))
_HAS_OBJECTS = "EXISTS (SELECT 1 FROM result_files WHERE job = jobs.id AND name LIKE '%.dcm')"
_UNKNOWN = "NOT EXISTS (SELECT 1 FROM deliveries WHERE job = jobs.id AND target = :target)"
_NEWEST = (
    "NOT EXISTS (SELECT 1 FROM jobs AS later WHERE later.study = jobs.study AND later.verdict = 'analysed' "
    "AND later.state = 'done' AND later.revision > jobs.revision)"
)


class Outbox:
    """Deliveries in the book. Raises sqlite3.Error."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    @property
    def _sql(self) -> sqlite3.Connection:
        """Asked for each time: a book that is put back is opened again."""
        return self._store.connection

    def enrol(self, target: str) -> None:
        """Results that came since the archive was first set wait for their turn; what was there before does not."""
        with self._store.transaction():
            added = self._sql.execute("INSERT OR IGNORE INTO archives VALUES (?, ?)", [target, self._clock.now_text()])
            first_sight = added.rowcount == 1
            state = DeliveryState.left_out if first_sight else DeliveryState.waiting
            self._sql.execute(
                "INSERT INTO deliveries (job, target, state, changed_at) SELECT id, :target, :state, :now FROM jobs "
                f"WHERE state = :done AND verdict = 'analysed' AND {_UNKNOWN} AND {_HAS_OBJECTS}",
                {"target": target, "state": state, "now": self._clock.now_text(), "done": State.done},
            )
            self._leave_out_superseded(target)

    def _leave_out_superseded(self, target: str) -> None:
        self._sql.execute(
            "UPDATE deliveries SET state = :left_out WHERE target = :target AND state = :waiting AND attempts = 0 AND "
            f"EXISTS (SELECT 1 FROM jobs WHERE id = deliveries.job AND NOT {_NEWEST})",
            {"target": target, "left_out": DeliveryState.left_out, "waiting": DeliveryState.waiting},
        )

    def put(self, job: Job, target: str) -> Delivery:
        """A result that a person wants to be sent, whatever became of it before."""
        row = self._sql.execute(
            "INSERT INTO deliveries (job, target, state, changed_at) VALUES (?, ?, ?, ?) ON CONFLICT (job, target) "
            "DO UPDATE SET state = excluded.state, not_before = 0, boot = '', attempts = 0 "
            f"RETURNING {_DELIVERY}",
            [job.id, target, DeliveryState.waiting, self._clock.now_text()],
        )
        return Delivery(*row.fetchone())

    def next_due(self, target: str) -> Delivery | None:
        """The delivery that has waited longest of those whose time has come."""
        due = "target = ? AND state = ? AND (boot <> ? OR not_before <= ?)"
        values = [target, DeliveryState.waiting, self._clock.boot, self._clock.monotonic()]
        found = self._rows(f"{due} ORDER BY attempts, id LIMIT 1", values)
        return found[0] if found else None

    def waiting(self, target: str) -> list[Delivery]:
        """All that wait, due or not."""
        return self._rows("target = ? AND state = ? ORDER BY id", [target, DeliveryState.waiting])

    def numbers(self, target: str) -> dict[str, int]:
        """How many deliveries to an archive wait, were refused, and so on."""
        rows = self._sql.execute("SELECT state, count(*) FROM deliveries WHERE target = ? GROUP BY state", [target])
        found = dict(rows.fetchall())
        return {state.value: found.get(state.value, 0) for state in DeliveryState if state != DeliveryState.left_out}

    def all(self) -> list[Delivery]:
        """Every delivery but what was left out, oldest first."""
        return self._rows("state <> ? ORDER BY id", [DeliveryState.left_out])

    def names(self, job: int, settings: SendSettings) -> list[str]:
        """The files of a result that the settings want to be sent, Segmentation first: others refer to it."""
        return wanted(self._store.result(job), settings)

    def delivery(self, delivery_id: int) -> Delivery:
        """As it stands now."""
        return self._rows("id = ?", [delivery_id])[0]

    def note_sent(self, delivery: Delivery, sent: ObjectSent) -> None:
        """An object is there."""
        self._sql.execute(
            "INSERT OR REPLACE INTO sent_objects (delivery, name, sop_uid, sha256, sent_at) VALUES (?, ?, ?, ?, ?)",
            [delivery.id, sent.name, sent.sop_uid, self._sha256(delivery, sent.name), self._clock.now_text()],
        )

    def _sha256(self, delivery: Delivery, name: str) -> str:
        return self._store.result(delivery.job).get(name, "")

    def sent(self, delivery: Delivery) -> Mapping[str, str]:
        """The UIDs of the objects that are there, by file name."""
        rows = self._sql.execute("SELECT name, sop_uid FROM sent_objects WHERE delivery = ?", [delivery.id])
        return dict(rows.fetchall())

    def note_end(self, delivery: Delivery, committed: Iterable[str]) -> DeliveryState:
        """Everything is there; what the archive has committed itself to is noted."""
        promised = set(committed)
        with self._store.transaction():
            for uid in promised:
                self._sql.execute(
                    "UPDATE sent_objects SET committed_at = ? WHERE delivery = ? AND sop_uid = ?",
                    [self._clock.now_text(), delivery.id, uid],
                )
            state = DeliveryState.committed if promised >= set(self.sent(delivery).values()) else DeliveryState.sent
            self._change(delivery, state, None, None)
        return state

    def note_refused(self, delivery: Delivery, code: str, why: str) -> None:
        """The archive does not take it, and would not the next time."""
        self._change(delivery, DeliveryState.refused, code, why)

    def note_failed(self, delivery: Delivery, code: str, why: str, settings: SendSettings) -> float:
        """Try again, after a wait that doubles: the seconds. Whatever else waits for this archive waits as long."""
        wait_s = min(settings.retry_after_s * 2.0 ** min(delivery.attempts, 30), settings.retry_at_most_s)
        with self._store.transaction():
            self._change(delivery, DeliveryState.waiting, code, why)
            self._sql.execute(
                "UPDATE deliveries SET boot = :boot, not_before = max(:until, CASE boot WHEN :boot THEN not_before "
                "ELSE 0 END) WHERE target = :target AND state = :waiting",
                {
                    "boot": self._clock.boot,
                    "until": self._clock.monotonic() + wait_s,
                    "target": delivery.target,
                    "waiting": DeliveryState.waiting,
                },
            )
        return wait_s

    def _change(self, delivery: Delivery, state: DeliveryState, code: str | None, why: str | None) -> None:
        self._sql.execute(
            "UPDATE deliveries SET state = ?, attempts = attempts + 1, code = ?, why = ?, changed_at = ? WHERE id = ?",
            [state, code, why, self._clock.now_text(), delivery.id],
        )

    def _rows(self, condition: str, values: Sequence[object]) -> list[Delivery]:
        rows = self._sql.execute(f"SELECT {_DELIVERY} FROM deliveries WHERE {condition}", values)
        return [Delivery(*row) for row in rows]


def wanted(names: Iterable[str], settings: SendSettings) -> list[str]:
    """Of the files of a result those that are to be sent, Segmentation first: the others refer to it."""
    known = sorted(names)
    patterns = [FILES_OF[kind] for kind in FILES_OF if kind in settings.objects]
    return [name for pattern in patterns for name in known if fnmatchcase(name, pattern)]
