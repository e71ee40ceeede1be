"""What a person, or a timer, must do now and then: when it was last done, and whether it is due."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from scanside_appliance.bundles.errors import BundleRecordUnusable
from scanside_appliance.bundles.record import read_record
from scanside_appliance.clock import Clock
from scanside_appliance.files.atomic import replace_file
from scanside_appliance.files.layout import BoxLayout
from scanside_runtime.model.signature import kept_from
from scanside_runtime.process.typed import typed
from scanside_runtime.settings.box import CareSettings

DAY_S = 86_400.0
PUT_ASIDE_SAID_DAYS = 30.0
NOTE_MODE = 0o644
"""Root makes a backup, the box's user reads that it was made: there is nothing of any patient in it."""


@dataclass(frozen=True, slots=True)
class LastBackup:
    """What the box remembers of its last backup: when, where to, how many files; on its own disk it is no backup."""

    at: str
    target: str
    files: int
    on_own_disk: bool = False


@dataclass(frozen=True, slots=True)
class LastVerified:
    """What the box remembers of the last time that all of it was read: when, and how many differences there were."""

    at: str
    differences: int


Note = TypeVar("Note", LastBackup, LastVerified)


def note_done(path: Path, done: LastBackup | LastVerified) -> None:
    """Remember it. Raises OSError."""
    replace_file(path, (json.dumps(asdict(done)) + "\n").encode(), lambda handle: os.fchmod(handle, NOTE_MODE))


def last_done(kind: type[Note], path: Path) -> Note | None:
    """What is remembered; None where it was never done. Raises OSError, ValueError where it can't be read."""
    try:
        return typed(kind, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except RecursionError as error:
        raise ValueError("it is too deep") from error


def days_since(at: str, clock: Clock) -> float:
    """By the wall clock: one that jumped gives an age that can't be, and never a negative one. Raises ValueError."""
    return max((clock.wall() - datetime.fromisoformat(at).timestamp()) / DAY_S, 0.0)


def is_to_come(at: str, clock: Clock) -> bool:
    """Whether it is dated more than a day ahead, done while the clock was wrong: no age tells when it is due again."""
    try:
        return datetime.fromisoformat(at).timestamp() > clock.wall() + DAY_S
    except ValueError:
        return False


def last_done_ago(kind: type[Note], path: Path, clock: Clock) -> tuple[Note, float] | None:
    """The same with how many days ago it was. Raises as `last_done`."""
    noted = last_done(kind, path)
    return None if noted is None else (noted, days_since(noted.at, clock))


def reminders(layout: BoxLayout, settings: CareSettings, days_run: float, clock: Clock) -> Iterator[str]:
    """What is due, in words. days_run: how long the box has run in all, for what was never done."""
    days, done = settings.backup_days, _last(LastBackup, layout.last_backup)
    if days and (done is None and days_run > days):
        yield f"no backup was ever made in {days_run:.0f} days: scanside backup DIR"
    elif days and done is not None and is_to_come(done.at, clock):
        yield f"the last backup is dated {done.at[:10]}, which is to come by the box's clock: scanside backup DIR"
    elif days and done is not None and (age := _age(done.at, clock)) > days:
        yield f"the last backup is {age:.0f} days old: scanside backup DIR"
    verified = _last(LastVerified, layout.last_verified)
    if verified is not None and verified.differences:
        yield f"{verified.differences} file(s) were not as written on {verified.at[:10]}: scanside verify names them"
    elif settings.verify_days and days_run > settings.verify_days:
        age = days_run if verified is None else _age(verified.at, clock)
        if age > settings.verify_days:
            yield f"stored files were not verified for {age:.0f} days: systemctl enable --now scanside-verify.timer"


def bundle_reminders(root: Path, keys: Path, clock: Clock) -> Iterator[str]:
    """What of the model bundles a person should know, in words.

    Another one is in force than he installed (said for a month), or root copied a key there that the box's own user may
    not read, which is told before it is needed.
    """
    with suppress(BundleRecordUnusable):  # the self-test says so
        last = read_record(root).changes[-1:]
        for one in last:
            if one.action == "put aside" and _age(one.at, clock) < PUT_ASIDE_SAID_DAYS:
                yield f"a model bundle was put aside on {one.at[:10]}, in force is {one.title}: {one.why}"
    for error in kept_from(keys):
        yield error.in_full


def _last(kind: type[Note], path: Path) -> Note | None:
    try:
        return last_done(kind, path)
    except (OSError, ValueError):
        return None


def _age(at: str, clock: Clock) -> float:
    try:
        return days_since(at, clock)
    except ValueError:
        return 0.0
