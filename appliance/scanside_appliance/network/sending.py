"""What `scanside send` does: the same as the daemon's child, in front of a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import RESULT, BoxLayout
from scanside_appliance.files.names import harmless
from scanside_appliance.files.owner import as_owner
from scanside_appliance.jobs.book.database_errors import database_errors
from scanside_appliance.jobs.book.file import existing_book
from scanside_appliance.jobs.book.rows import Job
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.words import Words
from scanside_appliance.network.errors import BoxNothingToSend, BoxSendRefused, BoxSendUnset
from scanside_appliance.network.messages import ObjectSent
from scanside_appliance.network.outbox import Delivery, Outbox, wanted
from scanside_appliance.network.scu import echo, send
from scanside_appliance.results.finder import results_meant
from scanside_runtime.errors import BoxFailed
from scanside_runtime.settings.send import SendSettings

STATES = {
    "waiting": to_translate("waiting"),
    "sent": to_translate("sent"),
    "committed": to_translate("sent and kept by the archive"),
    "refused": to_translate("refused"),
    "left_out": to_translate("left out"),
    "answers": to_translate("answers"),
}
"""What became of a delivery, as a person reads it."""
TROUBLES = ("waiting", "refused")
"""States of what a person wanted to be sent and is not there."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A box and the archive that it sends to."""

    root: Path
    settings: SendSettings

    def echo(self) -> list[dict[str, Any]]:
        """Raises BoxSendUnset, BoxSendUnreachable, BoxSendTls."""
        echo(self.settings)
        return [{"target": self.settings.target, "state": "answers"}]

    def deliveries(self) -> list[dict[str, Any]]:
        """Everything that went to an archive, waits or was refused; nothing where the box has no book yet."""
        if not self._layout.database.is_file():
            return []
        with self._outbox() as (store, outbox):
            return [_facts(store.job(one.job), one, outbox) for one in outbox.all()]

    def send_waiting(self) -> list[dict[str, Any]]:
        """All that waits, whether its time has come or not. Raises BoxSendUnset."""
        self._check_set()
        with self._outbox() as (store, outbox):
            outbox.enrol(self.settings.target)
            return [self._deliver(store, outbox, one) for one in outbox.waiting(self.settings.target)]

    def send_results(self, meant: str) -> list[dict[str, Any]]:
        """The results that are meant, those of the box on record.

        Raises BoxSendUnset, ResultNotFound, BoxNothingToSend; for a folder that is none of the box's as `scu.send`.
        """
        self._check_set()
        found = results_meant(self._layout.results, meant)
        return [self._send_folder(one.path.parent.resolve()) for one in found]

    @property
    def _layout(self) -> BoxLayout:
        return BoxLayout(self.root.resolve())

    def _check_set(self) -> None:
        if not self.settings.target:
            raise BoxSendUnset()

    @contextmanager
    def _outbox(self) -> Iterator[tuple[Store, Outbox]]:
        layout = self._layout
        with as_owner(layout.root), database_errors(layout.database), existing_book(layout) as store:
            yield store, Outbox(store, Clock())

    def _send_folder(self, folder: Path) -> dict[str, Any]:
        names = wanted([path.name for path in folder.iterdir()], self.settings)
        if not names:
            raise BoxNothingToSend(folder=folder)
        if folder.is_relative_to(self._layout.results) and self._layout.database.is_file():
            with self._outbox() as (store, outbox):
                job = self._job_of(folder, store)
                if job is not None:
                    return self._deliver(store, outbox, outbox.put(job, self.settings.target))
        there: list[ObjectSent] = []
        send(folder, names, self.settings, there.append)
        objects = {one.name: one.sop_uid for one in there}
        return {"result": str(folder / RESULT), "target": self.settings.target, "state": "sent", "objects": objects}

    def _job_of(self, folder: Path, store: Store) -> Job | None:
        """The job whose result lies in a folder."""
        jobs = [job for job in store.jobs_of_study(folder.parent.name) if job.revision is not None]
        return next((job for job in jobs if job.published_in(self._layout) == folder), None)

    def _deliver(self, store: Store, outbox: Outbox, delivery: Delivery) -> dict[str, Any]:
        """Send what belongs to a delivery, and write down what became of it."""
        job = store.job(delivery.job)
        names = outbox.names(job.id, self.settings)
        try:
            committed = send(job.published_in(self._layout), names, self.settings, partial(outbox.note_sent, delivery))
            outbox.note_end(delivery, committed)
        except BoxSendRefused as error:
            outbox.note_refused(delivery, error.code, error.in_words)
        except BoxFailed as error:
            outbox.note_failed(delivery, error.code, error.in_words, self.settings)
        return _facts(job, outbox.delivery(delivery.id), outbox)


def _facts(job: Job, delivery: Delivery, outbox: Outbox) -> dict[str, Any]:
    return {
        "study": job.study,
        "revision": job.revision,
        "target": delivery.target,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "code": delivery.code,
        "why": delivery.why,
        "changed_at": delivery.changed_at,
        "objects": dict(outbox.sent(delivery)),
    }


def lines(done: Sequence[Mapping[str, Any]], _: Words) -> list[str]:
    """For the terminal: a line for each, and why not. _: says it in the reader's language."""
    said = []
    for one in done:
        what = one.get("study") or one.get("result") or ""
        count = f"  {_('{number} object(s)', number=len(one['objects']))}" if "objects" in one else ""
        state = _(STATES.get(one["state"], one["state"]))
        said.append(f"{harmless(what)}  {state}{count}  {harmless(one['target'])}".strip())
        if one.get("why"):
            said.append(f"  {one['code']}: {_.again(one['code'], one['why'])}")
    return said
