"""What a training leaves: averaged weights, recipe, data digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from scanside_export.networks import build
from scanside_export.recipe import Recipe
from scanside_runtime.contract import ModelContract


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and what it expects of the world."""

    model: nn.Module
    recipe: Recipe
    contract: ModelContract
    samples_seen: int
    left_out: tuple[str, ...] = ()

    def saw(self, case: str, source: str) -> bool:
        """Whether the training could have drawn a case of that name from that source."""
        return self.recipe.shares.get(source, 0.0) > 0.0 and case not in self.left_out


def chosen_checkpoint(folder: Path) -> Path:
    """What a training has to offer: the best by validation where there is one, else the last."""
    best = folder / "best.pt"
    return best if best.exists() else folder / "checkpoint.pt"


def write_threshold(path: Path, threshold: float) -> None:
    """Put a threshold, chosen after the training, into a checkpoint's recipe."""
    state = torch.load(path, weights_only=True)
    state["recipe"]["threshold"] = threshold
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def read_checkpoint(path: Path) -> Trained:
    """The averaged weights of a checkpoint, ready to answer; tensors and plain values only are read."""
    state = torch.load(path, weights_only=True)
    recipe = Recipe(**state["recipe"])
    contract = recipe.contract(state["training_digest"])
    model = build(recipe.network, contract.stack_depth, len(contract.classes))
    model.load_state_dict(state["average"])
    left_out = tuple(state.get("left_out", ()))  # checkpoints of 0.1.0 do not say
    return Trained(model.eval(), recipe, contract, state["step"] * recipe.batch, left_out)
