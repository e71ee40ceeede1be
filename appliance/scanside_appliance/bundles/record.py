"""Which model bundle is in force on this box, and how that came about.

One file, `bundles/changes.json`, holds every change; the last one says what is in force. It is replaced in one step,
after what it names lies there whole: whatever ends an installation, the box has a bundle that it proved.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from scanside_appliance.bundles.errors import BundleRecordUnusable, NoEarlierBundle
from scanside_appliance.clock import Clock
from scanside_appliance.files.atomic import replace_json, writing
from scanside_runtime.model.bundle import MANIFEST
from scanside_runtime.model.errors import ModelBundleMissing
from scanside_runtime.model.signature import SIGNATURE, check_signature, trusted_keys
from scanside_runtime.process.typed import typed

SCHEMA = "scanside.bundles/1"
KEY_LETTERS = 16
Action = Literal["install", "rollback", "put aside"]


@dataclass(frozen=True, slots=True)
class BundleChange:
    """One change of the bundle in force.

    at: ISO 8601, UTC, by the box's clock. bundle, before: names of folders below `bundles/`; None for the bundle that
    Scanside brings along. title: name and version of what is in force since. why: in words.
    """

    at: str
    action: Action
    bundle: str | None
    before: str | None
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class BundleRecord:
    """The content of the file."""

    schema: str = SCHEMA
    changes: tuple[BundleChange, ...] = field(default=())

    @property
    def in_force(self) -> str | None:
        """The folder in force; None for the bundle that Scanside brings along."""
        return self.changes[-1].bundle if self.changes else None


def bundles_folder(root: Path) -> Path:
    """Where a box keeps installed bundles: a folder each, named after the SHA-256 of its manifest."""
    return root / "bundles"


def record_file(root: Path) -> Path:
    """Where every change stands."""
    return bundles_folder(root) / "changes.json"


def read_record(root: Path) -> BundleRecord:
    """Every change, oldest first. Raises BundleRecordUnusable."""
    path = record_file(root)
    try:
        record = typed(BundleRecord, json.loads(path.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return BundleRecord()
    except OSError as error:
        raise BundleRecordUnusable(path=path, why=error.strerror or "it can't be read") from error
    except (ValueError, RecursionError) as problem:
        raise BundleRecordUnusable(path=path, why=problem) from problem
    if record.schema != SCHEMA:
        raise BundleRecordUnusable(path=path, why=f"its schema is not {SCHEMA}")
    return record


def bundle_in_force(root: Path, keys: Path) -> Path | None:
    """The folder of the installed bundle in force, its signature checked; None for the one Scanside brings along.

    Raises BundleRecordUnusable, ModelBundleMissing, what `check_signature` raises.
    """
    name = read_record(root).in_force
    if name is None:
        return None
    folder = bundles_folder(root) / name
    check_signed(folder, keys)
    return folder


def check_signed(folder: Path, keys: Path) -> None:
    """Somebody whom this box trusts vouches for a bundle's manifest.

    Raises ModelBundleMissing, and what `check_signature` raises.
    """
    try:
        manifest, signature = (folder / MANIFEST).read_bytes(), (folder / SIGNATURE).read_bytes()
    except OSError as error:
        raise ModelBundleMissing(folder=folder, why=error.strerror or "it can't be read") from error
    check_signature(manifest, signature, trusted_keys(keys))


@contextmanager
def alone(bundles: Path) -> Iterator[None]:
    """One change of the bundles at a time: another one waits. Raises BoxOutput."""
    with writing(bundles):
        bundles.mkdir(parents=True, exist_ok=True)
        handle = os.open(bundles, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def put_in_force(root: Path, change: BundleChange) -> None:
    """Write a change down: from here on it is true. Raises BundleRecordUnusable, BoxOutput."""
    record = read_record(root)
    folder = bundles_folder(root)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_json(record_file(root), asdict(BundleRecord(changes=(*record.changes, change))))


def step_back(
    root: Path, action: Action, why: str, clock: Clock | None = None, *, of: str | None = None
) -> BundleChange:
    """Put in force what was there before the bundle in force was installed. An installation under way is waited for.

    of: only where this one still is in force; else the change that came between is the answer.
    Raises NoEarlierBundle, BundleRecordUnusable, BoxOutput.
    """
    with alone(bundles_folder(root)):
        return _stepped_back(root, action, why, clock or Clock(), of)


def _stepped_back(root: Path, action: Action, why: str, clock: Clock, of: str | None) -> BundleChange:
    record = read_record(root)
    if of is not None and record.in_force != of:
        return record.changes[-1]
    now = record.in_force
    if now is None:
        raise NoEarlierBundle
    before = _before(record.changes, now)
    if before is not None and not (bundles_folder(root) / before / MANIFEST).is_file():
        before = None
    change = BundleChange(clock.now_text(), action, before, now, _title(record.changes, before), why)
    put_in_force(root, change)
    return change


def _before(changes: Sequence[BundleChange], name: str) -> str | None:
    """What was in force when a bundle was last installed."""
    return next(one.before for one in reversed(changes) if one.bundle == name and one.action == "install")


def _title(changes: Sequence[BundleChange], name: str | None) -> str:
    titles = (one.title for one in reversed(changes) if one.bundle == name and name is not None)
    return next(titles, "the bundle that Scanside brings along")
