"""A checkpoint for the way back from a lent machine: averaged weights in FP16, in parts of a size that can be fetched.

Steps and the optimizer stay behind: a training can be started from what comes back, exported too, but not resumed.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch

from scanside_export.errors import TrainingUnusable
from scanside_export.networks.checkpoint import read_state, write_state

INDEX = "checkpoint.json"
MB = 1_000_000


def write_parts(checkpoint: Path, out: Path, part_mb: float = 16.0) -> list[Path]:
    """Write a checkpoint as files of at most `part_mb`, an index beside them; returns all of them.

    Kernels go into FP16, vectors stay in FP32: variances of a normalisation may leave the range of FP16.
    Raises TrainingUnusable where `out` holds something already.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise TrainingUnusable(folder=out, why="it is not empty: write the parts into a new folder")
    state = read_state(checkpoint)
    kept = {name: value for name, value in state.items() if name not in ("model", "optimizer", "average")}
    stream = io.BytesIO()
    torch.save(kept | {"average": {name: _halved(value) for name, value in state["average"].items()}}, stream)
    content, size = stream.getvalue(), int(part_mb * MB)
    names = [f"part_{number:02d}" for number in range(-(-len(content) // size))]
    for number, name in enumerate(names):
        (out / name).write_bytes(content[number * size : (number + 1) * size])
    index = {"parts": names, "sha256": hashlib.sha256(content).hexdigest()}
    (out / INDEX).write_text(json.dumps(index))
    return [out / name for name in (*names, INDEX)]


def read_parts(folder: Path, checkpoint: Path) -> Path:
    """Write the checkpoint that the parts of a folder hold, in FP32; returns its path.

    Raises TrainingUnusable for parts that are missing or were changed.
    """
    if not (folder / INDEX).exists():
        raise TrainingUnusable(folder=folder, why=f"there is no {INDEX}")
    index = json.loads((folder / INDEX).read_text())
    missing = [name for name in index["parts"] if not (folder / name).exists()]
    if missing:
        raise TrainingUnusable(folder=folder, why=f"{', '.join(missing)} is missing")
    content = b"".join((folder / name).read_bytes() for name in index["parts"])
    if hashlib.sha256(content).hexdigest() != index["sha256"]:
        raise TrainingUnusable(folder=folder, why="the parts are not as they were written")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    state["average"] = {name: _whole(value) for name, value in state["average"].items()}
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    write_state(state, checkpoint)
    return checkpoint


def _halved(value: torch.Tensor) -> torch.Tensor:
    return value.half() if value.is_floating_point() and value.dim() > 1 else value


def _whole(value: torch.Tensor) -> Any:
    return value.float() if value.is_floating_point() else value
