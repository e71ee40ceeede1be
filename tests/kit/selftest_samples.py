"""The tiny bundle with a sample for the self-test."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from kit.bundle_samples import SIDE, write_bundle
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.selftest import GOLDEN, decided


def write_bundle_with_sample(folder: Path, *, same: bool = True, **changes: Any) -> Bundle:
    """The tiny bundle with a sample that its networks answer as it says, or the opposite.

    `changes` are those of `write_bundle`, `files` apart.
    """
    networks = load_networks(write_bundle(folder), choose_engine("onnxruntime", "fp32", 1))
    ramp = np.linspace(0, 255, SIDE * SIDE).astype(np.uint8).reshape(1, 1, SIDE, SIDE)
    arrays: dict[str, Any] = {}
    for name, network in (("lungs", networks.lungs), ("infection", networks.infection)):
        stack = np.repeat(ramp, network.contract.stack_depth, axis=1)  # (1, depth, rows, columns) uint8
        mask = decided(network, stack)  # (1, rows, columns) uint8
        arrays |= {f"{name}_stack": stack, f"{name}_mask": mask if same else (mask == 0).astype(np.uint8)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return write_bundle(folder, files={GOLDEN: buffer.getvalue()}, **changes)
