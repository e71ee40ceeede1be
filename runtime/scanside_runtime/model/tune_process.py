"""The process in which one way to compute is measured: `python -m scanside_runtime.model.tune_process`.

One question on stdin, one answer on stdout, both JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from scanside_runtime.errors import ScansideError
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.engine import EngineChoice
from scanside_runtime.model.networks import LoadedNetworks, load_networks
from scanside_runtime.model.selftest import compare, golden_stacks

SLABS = 4
"""At a time, as in an analysis."""


def main() -> None:
    """Answer the question."""
    question = json.load(sys.stdin)
    choice = EngineChoice(**question["choice"])
    try:
        answer = measured(Path(question["bundle"]), choice, float(question["seconds"]))
    except ScansideError as error:
        answer = {"why_not": error.message}
    json.dump(answer, sys.stdout)


def measured(folder: Path, choice: EngineChoice, seconds: float) -> dict[str, Any]:
    """How a bundle's networks compute in one way: first whether they are right, then how fast. Raises ModelUnusable."""
    bundle = open_bundle(folder)
    networks, golden = load_networks(bundle, choice), golden_stacks(bundle)
    compared = compare(networks, golden)
    wall_ms, cpu_ms = _times_ms(networks, golden, seconds)
    return {
        "wall_ms": wall_ms,
        "cpu_ms": cpu_ms,
        "lungs_dice": compared.dice["lungs"],
        "infection_dice": compared.dice["infection"],
        "poi_points": compared.poi_points,
        "computed_in": networks.infection.engine.computed_in,
    }


def _times_ms(networks: LoadedNetworks, golden: dict[str, Any], seconds: float) -> tuple[float, float]:
    """Wall and processor time of a slab through both networks, after a round that is not counted.

    Wall time is that of the quickest round: what else the box does makes rounds slower, and none quicker.
    """
    asked = [
        (network.engine, np.resize(golden[name], (SLABS, *golden[name].shape[1:])).astype(np.float32) / np.float32(255))
        for name, network in (("lungs_stack", networks.lungs), ("infection_stack", networks.infection))
    ]
    rounds: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < 3 or time.perf_counter() < end:
        began = time.perf_counter(), time.process_time()
        for engine, batch in asked:
            engine.infer(batch)
        rounds.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall, cpu = zip(*rounds[1:], strict=True)
    return round(1000.0 * min(wall) / SLABS, 2), round(1000.0 * median(cpu) / SLABS, 2)


if __name__ == "__main__":
    main()
