"""A bundle leaves the house: signed by a key that never lies in a repository, as one zip for a stick."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from scanside_export.errors import KeyUnusable
from scanside_runtime.model.bundle import MANIFEST, Bundle
from scanside_runtime.model.signature import KEY_SUFFIX, SIGNATURE, new_key, public_key, sign


def make_key(folder: Path, name: str) -> tuple[Path, Path, str]:
    """A new key pair in a folder: `NAME.private.pem`, readable by its owner alone, `NAME.pem` for the boxes, its ID.

    Raises KeyUnusable where the folder lies in a checkout, or a key of this name is there.
    """
    folder = folder.resolve()
    if any((above / ".git").exists() for above in (folder, *folder.parents)):
        raise KeyUnusable(path=folder, why="it lies in a repository, where a private key must never be")
    secret, public = new_key()
    private_file, public_file = folder / f"{name}.private{KEY_SUFFIX}", folder / f"{name}{KEY_SUFFIX}"
    if public_file.exists():
        raise KeyUnusable(path=public_file, why="it exists")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(private_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secret)
        public_file.write_bytes(public)
    except OSError as error:
        raise KeyUnusable(path=private_file, why=error.strerror or "it can't be written") from error
    return private_file, public_file, public_key(public, name).key_id


def deliver(bundle: Bundle, private_file: Path, out: Path) -> Path:
    """Write a bundle as a signed zip, as `scanside bundle install` takes it. Every file is checked on its way.

    Raises KeyUnusable, ModelBundleDamaged, OSError.
    """
    manifest = (bundle.folder / MANIFEST).read_bytes()
    try:
        signature = sign(manifest, private_file.read_bytes())
    except OSError as error:
        raise KeyUnusable(path=private_file, why=error.strerror or "it can't be read") from error
    except ValueError as problem:
        raise KeyUnusable(path=private_file, why=problem) from problem
    part = out.with_name(f".{out.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:  # weights hardly shrink
            archive.writestr(MANIFEST, manifest)
            archive.writestr(SIGNATURE, signature)
            for name in bundle.manifest["files"]:
                archive.writestr(name, bundle.read(name))
        return part.replace(out)
    finally:
        part.unlink(missing_ok=True)
