"""A delivered bundle is put in force: checked, unpacked beside the one in force, proved, and only then named."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path
from typing import Any

from scanside_appliance.bundles.delivered import Delivered, unpack
from scanside_appliance.bundles.errors import ModelOlder
from scanside_appliance.bundles.record import (
    BundleChange,
    alone,
    bundle_in_force,
    bundles_folder,
    put_in_force,
    read_record,
)
from scanside_appliance.clock import Clock
from scanside_appliance.files.atomic import replace_json
from scanside_appliance.files.owner import as_owner
from scanside_runtime.errors import BoxFailed, ModelUnusable
from scanside_runtime.model.bundle import Bundle, open_bundle
from scanside_runtime.model.proof import WayTried
from scanside_runtime.model.signature import trusted_keys
from scanside_runtime.version import software_version, version_numbers

RECEIPT_SCHEMA = "scanside.receipt/1"
Prove = Callable[[Bundle], WayTried]


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """What an installation came to. receipt: where it was written to carry it back; None where it can't be written."""

    title: str
    sha256: str
    signed_by: str
    replaced: str
    selftest: WayTried
    at: str
    receipt: Path | None = None

    def document(self) -> dict[str, Any]:
        """Schema scanside.receipt/1: what was installed where, without anything of a patient."""
        receipt = None if self.receipt is None else str(self.receipt)
        box = {"host": platform.node(), "processor": platform.machine(), "software": software_version()}
        return {"schema": RECEIPT_SCHEMA, **asdict(self), "receipt": receipt, "box": box}


def install(
    archive: Path, root: Path, keys: Path, prove: Prove, *, force: bool = False, clock: Clock | None = None
) -> InstalledBundle:
    """Put a delivered bundle in force on the box below `root`. What is in force stays so until the new one is proved.

    keys: folder of the trusted public keys. prove: the self-test on this box. force: an older one, too.

    Raises ModelArchive, ModelUntrusted, ModelKeyRights, ModelOlder, ModelBundleDamaged, ModelNeedsNewer, ModelSelfTest
    and what else a bundle's networks raise; BundleRecordUnusable, BoxOutput, and what `prove` raises where it comes to
    no answer.
    """
    bundles = bundles_folder(root)
    with as_owner(root), alone(bundles):
        _clear_leftovers(bundles)
        now = _usable(root, keys)
        delivered = unpack(archive, bundles, trusted_keys(keys))
        try:
            _check_newer(delivered.bundle, now, force)
            proof = prove(delivered.bundle)
        except (ModelUnusable, BoxFailed):
            _forget(delivered.bundle.folder, root)
            raise
        done = _put_in_force(root, delivered, now, proof, clock or Clock())
    return _with_receipt(done, archive)


def _clear_leftovers(bundles: Path) -> None:
    """What an installation that was cut short left there; nothing else lies hidden below this folder."""
    for path in bundles.glob(".*.part"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _usable(root: Path, keys: Path) -> Bundle:
    """The bundle in force; Scanside's own where the installed one can't be used any more."""
    try:
        return open_bundle(bundle_in_force(root, keys))
    except ModelUnusable:
        return open_bundle()


def _put_in_force(root: Path, delivered: Delivered, now: Bundle, proof: WayTried, clock: Clock) -> InstalledBundle:
    bundle, before = delivered.bundle, read_record(root).in_force
    at, why = clock.now_text(), f"signed by {delivered.signed_by.name}, proved on this box"
    if before != bundle.folder.name:
        put_in_force(root, BundleChange(at, "install", bundle.folder.name, before, bundle.title, why))
        _tidy(root, {bundle.folder.name, before})
    return InstalledBundle(bundle.title, bundle.sha256, delivered.signed_by.name, now.title, proof, at)


def _check_newer(bundle: Bundle, now: Bundle, force: bool) -> None:
    same_kind = bundle.name == now.name
    older = version_numbers(bundle.version, ()) < version_numbers(now.version, ())
    if same_kind and not force and older:
        raise ModelOlder(title=bundle.title, in_force=now.title)


def _forget(folder: Path, root: Path) -> None:
    """What was not proved does not stay, unless it is in force already."""
    if folder.name != read_record(root).in_force:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy(root: Path, kept: set[str | None]) -> None:
    """Two bundles stay: the one in force, and the one to go back to."""
    for folder in bundles_folder(root).iterdir():
        if folder.is_dir() and folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _with_receipt(done: InstalledBundle, archive: Path) -> InstalledBundle:
    """A receipt beside the zip, for whoever sent it; a stick that can't be written is no reason to fail."""
    path = archive.with_name(f"{archive.stem}.receipt-{platform.node() or 'box'}.json")
    written = replace(done, receipt=path)
    with suppress(OSError):
        for part in path.parent.glob(f".{escape(path.name)}.*.part"):  # of one that was cut short
            part.unlink()
        replace_json(path, written.document())
        return written
    return done
