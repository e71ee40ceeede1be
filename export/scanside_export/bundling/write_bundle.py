"""A model bundle from the exported files: manifest, golden sample, model card."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scanside_export.bundling.model_card import FAILURES, Release, licence_of, model_card
from scanside_export.errors import TrainingUnusable
from scanside_runtime.model.bundle import BUNDLE_SCHEMA, LEFT_OUT, MANIFEST, TRAINED_ON, Bundle, open_bundle
from scanside_runtime.model.contract import CONTRACT_KEY, ModelContract
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import Networks, load_networks
from scanside_runtime.model.onnx_file import metadata
from scanside_runtime.model.selftest import GOLDEN, decided
from scanside_runtime.model.stacks import body_box, make_stacks, mask_box
from scanside_runtime.phantom.make import Phantom, make_phantom, random_spec

STORED_AS = ("int8", "fp16")
CARD = "MODEL_CARD.md"
LARGEST_FILE_MB = 60.0
LARGEST_BUNDLE_MB = 140.0
GOLDEN_SEED = 1_500_000_000
GOLDEN_SLABS = 2


def build_bundle(work: Path, out: Path, release: Release, contracts: Mapping[str, ModelContract]) -> Bundle:
    """Copy `work`/NETWORK.{int8,fp16}.onnx into a bundle at `out`, with golden sample, card and manifest.

    The manifest names what was written now, whatever else lies there, and comes last: cut off before, it is no bundle.
    Raises ValueError when the bundle or a file is larger than the box accepts, TrainingUnusable when a file has another
    contract: the threshold was changed after the export, or `work` belongs to another training.
    """
    _check_contracts(work, contracts)
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    networks = {name: {form: f"{name}.{form}.onnx" for form in STORED_AS} for name in contracts}
    copied = {name: work / name for files in networks.values() for name in files.values()}
    if release.failures is not None:
        copied[FAILURES] = release.failures
    for name, source in copied.items():
        shutil.copyfile(source, out / name)
    (out / CARD).write_text(model_card(release, contracts), encoding="utf-8")
    manifest = _manifest(release, networks, contracts) | {"files": _listed(out, (*copied, CARD))}
    _write_golden(out, load_networks(Bundle(out, manifest, ""), choose_engine("onnxruntime", "fp32", 0)))
    manifest["files"] = _listed(out, (*copied, CARD, GOLDEN))
    _check_size(manifest["files"])
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return open_bundle(out)


def _manifest(
    release: Release, networks: Mapping[str, Mapping[str, str]], contracts: Mapping[str, ModelContract]
) -> dict[str, Any]:
    """All that it says but for the files."""
    return {
        "schema": BUNDLE_SCHEMA,
        "name": release.name,
        "version": release.version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "minimum_software": release.minimum_software,
        "licence": licence_of(contracts),
        "networks": networks,
        "contract_sha256": {name: _sha256(contract.to_json().encode()) for name, contract in contracts.items()},
        LEFT_OUT: sorted(release.left_out),
        TRAINED_ON: sorted(release.sources),
        "validation": release.validation,
    }


def _listed(out: Path, names: Iterable[str]) -> dict[str, Any]:
    """SHA-256 and size of each file, as the manifest lists them."""
    contents = {name: (out / name).read_bytes() for name in sorted(names)}
    return {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in contents.items()}


def _check_contracts(work: Path, contracts: Mapping[str, ModelContract]) -> None:
    for name, contract in contracts.items():
        for path in (work / f"{name}.{form}.onnx" for form in STORED_AS):
            inside = metadata(path.read_bytes(), path.name).get(CONTRACT_KEY)
            if inside is None or ModelContract.from_json(inside) != contract:
                why = "its contract is not that of the training, or of its threshold now: export and quantize again"
                raise TrainingUnusable(folder=path, why=why)


def _write_golden(out: Path, networks: Networks) -> None:
    """Stacks of a small phantom and what the networks say of them in FP32, for the self-test on the box."""
    phantom = _golden_phantom()
    volume = phantom.volume()
    boxes = {"lungs": body_box(volume.hu), "infection": mask_box(phantom.lungs)}
    infected = np.argsort(phantom.infection.sum(axis=(1, 2)))[::-1][:GOLDEN_SLABS]
    arrays: dict[str, Any] = {}
    for name, network in (("lungs", networks.lungs), ("infection", networks.infection)):
        box = boxes[name]
        if box is None:
            raise ValueError("the golden phantom has no lungs")
        stacks = make_stacks(volume, box, network.contract)
        batch = np.concatenate([stack for _, stack in stacks.batches(GOLDEN_SLABS, infected.tolist())])
        arrays[f"{name}_stack"] = np.rint(batch * 255).astype(np.uint8)
        arrays[f"{name}_mask"] = decided(network, arrays[f"{name}_stack"])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    (out / GOLDEN).parent.mkdir(exist_ok=True)
    (out / GOLDEN).write_bytes(buffer.getvalue())


@lru_cache(maxsize=1)
def _golden_phantom() -> Phantom:
    """Drawn once: a cross-validation builds a bundle for each fold."""
    return make_phantom(random_spec(GOLDEN_SEED, matrix=192))


def _check_size(listed: Mapping[str, Any]) -> None:
    sizes_mb = {name: one["bytes"] / 1e6 for name, one in listed.items()}
    too_large = [name for name, size in sizes_mb.items() if size > LARGEST_FILE_MB]
    if too_large or sum(sizes_mb.values()) > LARGEST_BUNDLE_MB:
        raise ValueError(f"the bundle is too large: {sizes_mb}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
