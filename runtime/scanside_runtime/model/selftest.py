"""Does this box compute what the exporter computed? The bundle's golden stacks, answered here and compared."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scanside_runtime.metrics import dice
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.errors import ModelBundleDamaged, ModelSelfTest
from scanside_runtime.model.networks import LoadedNetworks, Network

GOLDEN = "golden/phantom.npz"
LEAST_DICE = {"int8": 0.97, "bf16": 0.98, "fp32": 0.995}


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Dice of this box's masks against the exporter's, by network."""

    lungs_dice: float
    infection_dice: float
    precision: str


def run_selftest(networks: LoadedNetworks) -> SelfTest:
    """Answer the golden stacks of the networks' bundle.

    Raises ModelSelfTest when the masks are not the exporter's, ModelBundleDamaged where there are no golden stacks.
    """
    golden, least = _golden(networks.bundle), LEAST_DICE[networks.choice.precision]
    found = {
        name: _agreement(decided(network, golden[f"{name}_stack"]), golden[f"{name}_mask"])
        for name, network in (("lungs", networks.lungs), ("infection", networks.infection))
    }
    for name, value in found.items():
        if value < least:
            raise ModelSelfTest(why=_differs(name, value, least))
    return SelfTest(found["lungs"], found["infection"], networks.infection.engine.computed_in)


def _agreement(found: npt.NDArray[np.uint8], golden: npt.NDArray[np.uint8]) -> float:
    """Dice of the class that agrees least: swapped sides must not pass. 0 for a golden sample with nothing in it."""
    classes = np.unique(golden[golden > 0])
    return min((dice(found == number, golden == number) for number in classes), default=0.0)


def decided(network: Network, stack: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Classes of golden stacks: (n, depth, rows, columns) uint8, 255 for 1.0 → (n, rows, columns) uint8."""
    logits = network.engine.infer(stack.astype(np.float32) / np.float32(255.0))
    if logits.shape[1] == 1:
        return np.asarray(logits[:, 0] >= 0.0, dtype=np.uint8)
    return np.asarray(logits.argmax(axis=1), dtype=np.uint8)


def _golden(bundle: Bundle) -> dict[str, npt.NDArray[np.uint8]]:
    try:
        with np.load(io.BytesIO(bundle.read(GOLDEN)), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError) as problem:
        raise ModelBundleDamaged(name=GOLDEN, why="it is no archive of arrays") from problem


def _differs(network: str, dice: float, least: float) -> str:
    computed = f"the network {network} does not compute here what it computed when it was exported"
    return f"{computed} (Dice {dice:.3f}, at least {least})"
