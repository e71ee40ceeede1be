"""What the daemon says of itself: `status.json` and a text file for Prometheus, each written in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from scanside_appliance.files.atomic import replace_file, replace_json
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.readiness import Waiting
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.retention import Disk
from scanside_appliance.languages.words import Message, said
from scanside_runtime.process.typed import typed

SCHEMA = "scanside.status/1"


@dataclass(frozen=True, slots=True)
class Report:
    """One look at the box, as `status.json` has it; each default stands there before the first start.

    headline: one line, as systemd shows it. held: studies that wait for a person. trouble: what keeps it from working,
    in words. unreadable, not_removed: what lies in the inbox and can't be taken, or was taken and stays, in words.
    over_quota: what holds more than the settings allow, in words. missing: studies of the book whose newest
    result, or archive, is no longer on the disk. deliveries: results on their way to the archive, by
    state; empty where none is set. cell: what the kernel does not offer to lock in readers of foreign files, in words.
    selftest_at: when the networks last proved themselves, wall clock; other_way: in words, what computes wrong here,
    where another way was taken; doubted: studies whose result is of a time after which the self-test failed.
    outdated: studies whose course lacks an earlier scan that came after them, and that could not be measured again.
    reminders: what a person is asked to do (a backup), in words.
    """

    schema: str = SCHEMA
    headline: str = "starting"
    at: str | None = None
    engine: str | None = None
    inbox_files: int = 0
    unreadable: str | None = None
    not_removed: str | None = None
    waiting: tuple[Waiting, ...] = ()
    jobs: dict[str, int] = field(default_factory=dict)
    put_aside: dict[str, int] = field(default_factory=dict)
    held: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    disk: Disk | None = None
    clock: str | None = None
    trouble: str | None = None
    analysing: str | None = None
    worker_warm: bool = False
    missing: tuple[str, ...] = ()
    over_quota: tuple[str, ...] = ()
    deliveries: dict[str, int] = field(default_factory=dict)
    cell: str | None = None
    selftest_at: str | None = None
    other_way: str | None = None
    doubted: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    reminders: tuple[str, ...] = ()

    def with_headline(self) -> Report:
        """The same, with its line made of the rest."""
        if self.trouble:
            line = self.trouble
        elif self.disk and self.disk.full:
            line = str(said("the disk is {used:.0f} % full: nothing more is taken in", used=self.disk.used_percent))
        else:
            line = str(at_work(self.analysing, self.jobs.get(State.queued, 0), len(self.waiting), self.held))
        return replace(self, headline=line)

    def metrics(self) -> str:
        """Prometheus text format 0.0.4."""
        missing, over_quota = {"": len(self.missing)}, {"": len(self.over_quota)}
        doubted, outdated = {"": len(self.doubted)}, {"": len(self.outdated)}
        lines = [
            *_metric("studies_missing", "gauge", "Studies whose result or archive is gone from the disk.", missing),
            *_metric("over_quota", "gauge", "How many of inbox and quarantine hold more than they should.", over_quota),
            *_metric("studies_doubted", "gauge", "Studies measured before the self-test was found failed.", doubted),
            *_metric("studies_outdated", "gauge", "Studies whose course lacks an earlier scan.", outdated),
            *_metric("inbox_files", "gauge", "Files in the inbox.", {"": self.inbox_files}),
            *_metric("inbox_unreadable", "gauge", "1 where files can't be read.", {"": int(bool(self.unreadable))}),
            *_metric("studies_arriving", "gauge", "Studies that are not complete yet.", {"": len(self.waiting)}),
            *_metric("jobs", "gauge", "Jobs by state.", _labelled(self.jobs)),
            *_metric("studies_held", "gauge", "Studies that wait for a person.", {"": self.held}),
            *_metric("files_put_aside", "gauge", "Files in quarantine.", _labelled(self.put_aside, "code")),
            *_metric("events_total", "counter", "What happened so far.", _labelled(self.counters, "event")),
            *_metric("deliveries", "gauge", "Results on their way to the archive.", _labelled(self.deliveries)),
            *_trouble(bool(self.trouble)),
            *_metric("clock_wrong", "gauge", "1 where the wall clock can't be right.", {"": int(bool(self.clock))}),
        ]
        if self.disk:
            used = {"": self.disk.used_percent / 100}
            lines += _metric("disk_used_ratio", "gauge", "Share of the disk in use.", used)
            lines += _metric("disk_full", "gauge", "1 where nothing is taken in.", {"": int(self.disk.full)})
        return "\n".join(lines) + "\n"


def _trouble(there_is_one: bool) -> list[str]:
    return _metric("trouble", "gauge", "1 where the box can't work.", {"": int(there_is_one)})


def _labelled(values: Mapping[str, int], label: str = "state") -> dict[str, float]:
    return {f'{{{label}="{name}"}}': value for name, value in values.items()}


def _metric(name: str, kind: str, meaning: str, values: Mapping[str, float]) -> list[str]:
    full = f"scanside_{name}"
    samples = [f"{full}{labels} {value:g}" for labels, value in values.items()]
    return [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}", *samples] if samples else []


def at_work(study: str | None, queued: int, arriving: int, held: int) -> Message:
    """What the box is at. study: the one that is analysed."""
    now = said("analysing {study}", study=study) if study else said("idle")
    numbers: dict[str, object] = {"queued": queued, "arriving": arriving, "held": held}
    return said("{now}, {queued} queued, {arriving} arriving, {held} held", now=now, **numbers)


def last_said(layout: BoxLayout) -> dict[str, Any]:
    """`status.json`; with nothing in it before the first start, and where a value has not the type that was written."""
    try:
        return asdict(typed(Report, json.loads(layout.status.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError):
        return asdict(Report())


def write_failure(layout: BoxLayout, at: str, trouble: str) -> None:
    """The last word of a daemon that could not start or go on; what it said before of its studies stays.

    The numbers of metrics.prom would be stale, so that there is the trouble alone. Raises OSError.
    """
    said = last_said(layout) | {"at": at, "trouble": trouble, "headline": trouble, "analysing": None}
    replace_json(layout.status, said)
    replace_file(layout.metrics, ("\n".join(_trouble(True)) + "\n").encode())


def forget_trouble(layout: BoxLayout, code: str) -> None:
    """A last word of this code, once a person has put right what it was about. Raises OSError."""
    said = last_said(layout)
    if f"{code}: " in (said["trouble"] or ""):  # as `in_full` says it: BOX_DATABASE begins other codes, too
        replace_json(layout.status, said | {"trouble": None, "headline": "not running"})
        replace_file(layout.metrics, ("\n".join(_trouble(False)) + "\n").encode())


def write_report(layout: BoxLayout, report: Report) -> None:
    """Both files. Raises OSError."""
    replace_json(layout.status, asdict(report))
    replace_file(layout.metrics, report.metrics().encode())
