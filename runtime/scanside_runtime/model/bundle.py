"""The model bundle: a folder whose manifest names every file with its hash. Bytes are used only after they match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scanside_runtime.model.contract import CONTRACT_KEY, ModelContract
from scanside_runtime.model.errors import (
    ModelBundleDamaged,
    ModelBundleMissing,
    ModelNeedsNewer,
    ModelWithoutContract,
)
from scanside_runtime.model.onnx_file import metadata
from scanside_runtime.version import is_older_than, software_version

BUNDLE_SCHEMA = "scanside.bundle/1"
DEFAULT_BUNDLE = Path(__file__).parents[1] / "default_bundle"
MANIFEST = "manifest.json"
SHIPPED_MANIFEST = "63090f2a7997553427eb548ca4d8df35ea05b7ad637cecdda65503feea85743d"
"""SHA-256 of the shipped bundle's manifest, so that nobody changes files, sums and golden sample together in silence.

Whoever ships another bundle puts the sum in: `sha256sum runtime/scanside_runtime/default_bundle/manifest.json`.
"""
LIMITS = "limits_of_agreement"
"""In the manifest's `validation`; what it holds is said in `followup/measurement_error.py`, which reads it."""
LEFT_OUT = "left_out"
"""In the manifest, since 0.3.0: the cases with experts' labels that no training behind the weights has drawn."""
TRAINED_ON = "trained_on"
"""In the manifest of bundles after 0.4.0: the sources that any training behind the weights drew from."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest was read; its files are checked when they are used."""

    folder: Path
    manifest: Mapping[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """The name that results carry."""
        return str(self.manifest["name"])

    @property
    def version(self) -> str:
        """The version that results carry."""
        return str(self.manifest["version"])

    @property
    def title(self) -> str:
        """Name and version, for people."""
        return f"{self.name} {self.version}"

    @property
    def severity_document(self) -> Any:
        """The fitted severity model that the bundle carries, as it stands in the manifest; None where there is none."""
        return self.manifest.get("severity_model")

    @property
    def limits_of_agreement(self) -> Any:
        """How well its measures agree with the truth, as it stands in the manifest; None where that is not said."""
        return (self.manifest.get("validation") or {}).get(LIMITS)

    def network(self, network: str, stored_as: str) -> tuple[bytes, ModelContract]:
        """The file of a network ("lungs", "infection") as "int8" or "fp16", and its contract.

        Raises ModelBundleDamaged, ModelFileUnsafe, ModelWithoutContract.
        """
        try:
            name = str(self.manifest["networks"][network][stored_as])
        except (KeyError, TypeError) as missing:
            raise ModelBundleDamaged(name=MANIFEST, why=f"it names no {stored_as} file for {network}") from missing
        data = self.read(name)
        contract = _contract(data, name)
        if contract.network != network:
            raise ModelBundleDamaged(name=name, why=f"it holds the network {contract.network!r}, not {network!r}")
        return data, contract

    def read(self, name: str) -> bytes:
        """A file's bytes after size and hash matched. Raises ModelBundleDamaged."""
        listed = self.manifest["files"].get(name)
        if listed is None:
            raise ModelBundleDamaged(name=name, why="it is not listed")
        if not stays_inside(name):
            raise ModelBundleDamaged(name=name, why="it leads out of the bundle")
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise ModelBundleDamaged(name=name, why=error.strerror or "it can't be read") from error
        if len(data) != listed["bytes"] or hashlib.sha256(data).hexdigest() != listed["sha256"]:
            raise ModelBundleDamaged(name=name, why="size or SHA-256 differ")
        return data

    def verify(self) -> None:
        """Check every file of the manifest. Raises ModelBundleDamaged."""
        for name in self.manifest["files"]:
            self.read(name)


def open_bundle(folder: Path | None = None) -> Bundle:
    """The bundle in a folder; without one, the bundle that Scanside brings along.

    Raises ModelBundleMissing, ModelBundleDamaged, and ModelNeedsNewer where it was made for newer software.
    """
    folder = folder or DEFAULT_BUNDLE
    try:
        data = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise ModelBundleMissing(folder=folder, why=error.strerror or "it can't be read") from error
    if folder == DEFAULT_BUNDLE and hashlib.sha256(data).hexdigest() != SHIPPED_MANIFEST:
        raise ModelBundleDamaged(name=MANIFEST, why="it is not the one that this version of Scanside came with")
    try:
        manifest = json.loads(data)
        if manifest["schema"] != BUNDLE_SCHEMA:
            raise ModelBundleDamaged(name=MANIFEST, why=f"schema {manifest['schema']!r} is not {BUNDLE_SCHEMA!r}")
        bundle = Bundle(folder, manifest, hashlib.sha256(data).hexdigest())
        _check_software(bundle)
        _check_shape(bundle)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise ModelBundleDamaged(name=MANIFEST, why=f"it is no manifest ({problem})") from problem
    return bundle


def _check_software(bundle: Bundle) -> None:
    """Newer software may read more than this one knows of; a bundle that names none is for every one."""
    minimum = str(bundle.manifest.get("minimum_software") or "0")
    if is_older_than(minimum):
        raise ModelNeedsNewer(title=bundle.title, minimum=minimum, version=software_version())


def _check_shape(bundle: Bundle) -> None:
    """What is needed later is there: a manifest is somebody else's bytes."""
    for listed in bundle.manifest["files"].values():
        if not isinstance(listed["bytes"], int) or not isinstance(listed["sha256"], str):
            raise TypeError("a file needs its size and its SHA-256")
    dict(bundle.manifest["networks"]), dict(bundle.manifest.get("validation") or {}), bundle.title


def stays_inside(name: str) -> bool:
    """Whether a name is relative and goes down only: "lungs.int8.onnx", "golden/phantom.npz"."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and not {"\\", "\0"} & set(name)


def _contract(data: bytes, name: str) -> ModelContract:
    text = metadata(data, name).get(CONTRACT_KEY)
    if text is None:
        raise ModelWithoutContract(name=name, why=f"there is no {CONTRACT_KEY} in it")
    try:
        return ModelContract.from_json(text)
    except ValueError as problem:
        raise ModelWithoutContract(name=name, why=problem) from problem
