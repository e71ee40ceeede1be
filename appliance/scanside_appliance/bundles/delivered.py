"""A bundle as it is delivered: a zip of the manifest, its signature and the files that the manifest names.

Nothing of it is believed before the signature holds: the manifest is bytes until then. After that each file is written
only with the size and the hash that the manifest says.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scanside_appliance.bundles.errors import ModelArchive
from scanside_appliance.bundles.record import KEY_LETTERS
from scanside_appliance.files.atomic import replace_file, sync_directory, writing
from scanside_appliance.files.durable_files import opened_file
from scanside_appliance.files.owner import as_root
from scanside_runtime.errors import ModelUnusable
from scanside_runtime.model.bundle import MANIFEST, Bundle, open_bundle, stays_inside
from scanside_runtime.model.signature import SIGNATURE, TrustedKey, TrustedKeys, check_signature

MOST_MANIFEST_BYTES = 2**20
MOST_BUNDLE_BYTES = 2**30
"""The default bundle has 85 MB."""
BLOCK = 2**20
NO_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    UnicodeDecodeError,
    NotImplementedError,
    RuntimeError,
    EOFError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A bundle that lies whole below the box's bundles. signed_by: the key that vouches for it."""

    bundle: Bundle
    signed_by: TrustedKey


def unpack(archive: Path, bundles: Path, trusted: TrustedKeys) -> Delivered:
    """Bring a delivered bundle into a folder of its own below `bundles`: whole under its name, or not there.

    Raises ModelArchive, what `check_signature` raises, ModelBundleDamaged, ModelNeedsNewer, BoxOutput.
    """
    with _opened(archive) as delivered:
        manifest, signature = (_small(delivered, archive, name) for name in (MANIFEST, SIGNATURE))
        key = check_signature(manifest, signature, trusted)
        target = bundles / hashlib.sha256(manifest).hexdigest()[:KEY_LETTERS]
        with writing(bundles):
            bundles.mkdir(parents=True, exist_ok=True)
            with _staged(target) as stage:
                replace_file(stage / MANIFEST, manifest)
                replace_file(stage / SIGNATURE, signature)
                _unpack_files(delivered, archive, open_bundle(stage))
    return Delivered(open_bundle(target), key)


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with as_root():
            file = opened_file(archive)
        with file:
            if os.fstat(file.fileno()).st_size > MOST_BUNDLE_BYTES:  # its own list of contents is held in memory
                raise ModelArchive(name=archive, why=f"it has more than {MOST_BUNDLE_BYTES / 1e6:.0f} MB")
            with zipfile.ZipFile(file) as opened:
                yield opened
    except NO_ZIP as problem:
        raise ModelArchive(name=archive, why=f"it is no whole zip ({problem})") from problem
    except FileNotFoundError as error:
        raise ModelArchive(name=archive, why="it is not there") from error
    except OSError as error:
        raise ModelArchive(name=archive, why=error.strerror or "it can't be read") from error


def _small(delivered: zipfile.ZipFile, archive: Path, name: str) -> bytes:
    try:
        with delivered.open(name) as file:
            content = file.read(MOST_MANIFEST_BYTES + 1)
    except KeyError as error:
        raise ModelArchive(name=archive, why=f"there is no {name} in it") from error
    if len(content) > MOST_MANIFEST_BYTES:
        raise ModelArchive(name=archive, why=f"its {name} has more than {MOST_MANIFEST_BYTES} bytes")
    return content


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A hidden folder that takes the place of `target` when it is filled; what an earlier try left there goes.

    One that is whole stays, as it may be in force: it gets the signature alone.
    """
    stage = target.with_name(f".{target.name}.part")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir()
    try:
        yield stage
        if _is_whole(target, stage):
            replace_file(target / SIGNATURE, (stage / SIGNATURE).read_bytes())
        else:
            shutil.rmtree(target, ignore_errors=True)
            stage.rename(target)
        sync_directory(target.parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _is_whole(target: Path, stage: Path) -> bool:
    try:
        there = open_bundle(target)
        there.verify()
    except ModelUnusable:
        return False
    return there.sha256 == open_bundle(stage).sha256


def _unpack_files(delivered: zipfile.ZipFile, archive: Path, bundle: Bundle) -> None:
    listed = bundle.manifest["files"]
    if sum(one["bytes"] for one in listed.values()) > MOST_BUNDLE_BYTES:
        raise ModelArchive(name=archive, why=f"it has more than {MOST_BUNDLE_BYTES / 1e6:.0f} MB")
    for name, one in listed.items():
        target = bundle.folder / name
        if not stays_inside(name) or target.name in (MANIFEST, SIGNATURE):
            raise ModelArchive(name=archive, why=f"{name!r} is no name for a file of a bundle")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with delivered.open(name) as packed, target.open("xb") as file:
                _copy(packed, file, one["bytes"])  # type: ignore[arg-type]  # a ZipExtFile reads as any file does
        except KeyError as error:
            raise ModelArchive(name=archive, why=f"there is no {name} in it") from error
        sync_directory(target.parent)
    bundle.verify()


def _copy(packed: BinaryIO, file: BinaryIO, most: int) -> None:
    """So many bytes and one more at most: what is longer than the manifest says is found by its size."""
    left = most + 1
    while left and (block := _read(packed, min(BLOCK, left))):
        file.write(block)
        left -= len(block)
    file.flush()
    os.fsync(file.fileno())


def _read(packed: BinaryIO, most: int) -> bytes:
    """What the stick says is told apart from what the box's disk says."""
    try:
        return packed.read(most)
    except OSError as error:
        raise zipfile.BadZipFile(error.strerror or str(error)) from error
