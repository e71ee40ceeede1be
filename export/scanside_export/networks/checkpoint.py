"""What a training leaves: averaged weights, recipe, data digest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from shutil import disk_usage
from typing import Any

import torch
from torch import nn

from scanside_export.data.folds import SCORED_SOURCES
from scanside_export.data.recipe import Recipe
from scanside_export.errors import TrainingUnusable
from scanside_export.networks.unet import build
from scanside_runtime.errors import BoxDisk
from scanside_runtime.model.contract import ModelContract

KEPT = "kept"
"""Key of a checkpoint that no training wrote: a bundle's network as it was."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One training by one recipe: what it drew from and whom it left out."""

    shares: Mapping[str, float]
    left_out: tuple[str, ...]
    samples: int

    def saw(self, case: str, source: str) -> bool:
        """Whether it could have drawn a case of that name from that source."""
        return self.shares.get(source, 0.0) > 0.0 and case not in self.left_out


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A trained network and what it expects of the world. stages: all trainings behind its weights, in their order.

    kept: it is a bundle's network as it was (`scanside_export.bundling.keep_network`), whose files are there already.
    """

    model: nn.Module
    recipe: Recipe
    contract: ModelContract
    stages: tuple[Stage, ...]
    kept: bool = False

    @property
    def left_out(self) -> tuple[str, ...]:
        """Cases that the last stage did not draw though its recipe could."""
        return self.stages[-1].left_out

    @property
    def sources(self) -> frozenset[str]:
        """Every source that any stage drew from."""
        return frozenset(name for stage in self.stages for name, share in stage.shares.items() if share > 0.0)

    def saw(self, case: str, source: str) -> bool:
        """Whether any stage could have drawn a case of that name from that source."""
        return any(stage.saw(case, source) for stage in self.stages)


def drawn_from(networks: Collection[Trained]) -> tuple[str, ...]:
    """Every source that any stage of any of the networks drew from."""
    return tuple(sorted(frozenset().union(*(trained.sources for trained in networks))))


def never_drawn(networks: Collection[Trained]) -> tuple[str, ...]:
    """Cases with experts' labels that all networks left out, in every stage that could have drawn them."""
    named = set.intersection(*(set(trained.left_out) for trained in networks))
    seen = {name for name in named for trained in networks for source in SCORED_SOURCES if trained.saw(name, source)}
    return tuple(sorted(named - seen))


def chosen_checkpoint(folder: Path) -> Path:
    """What a training has to offer: the best by validation where there is one, else the last."""
    best = folder / "best.pt"
    return best if best.exists() else folder / "checkpoint.pt"


def read_state(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, tensors and plain values only. Raises TrainingUnusable where it is none."""
    try:
        state = dict(torch.load(path, map_location="cpu", weights_only=True))
        if not (state["recipe"] and state["average"]):
            raise LookupError("neither may be empty")
        return state
    except FileNotFoundError as error:
        raise TrainingUnusable(folder=path, why="there is no such checkpoint") from error
    # torch tells what is no file of its own by whatever its reader stumbles over.
    except (EOFError, LookupError, RuntimeError, TypeError, ValueError, UnpicklingError) as problem:
        raise TrainingUnusable(folder=path, why="it is no checkpoint, or was not written to its end") from problem


def write_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a checkpoint; the old one stays until the new one is whole. Raises BoxDisk where the disk is full."""
    part = path.with_suffix(".part")
    try:
        torch.save(dict(state), part)
        part.replace(path)
    except RuntimeError as problem:  # torch says of a full disk that its own writer failed
        free_mb = disk_usage(path.parent).free / 1e6
        part.unlink(missing_ok=True)
        raise BoxDisk(why=f"{path} was not written, with {free_mb:.0f} MB free there") from problem


def write_threshold(path: Path, threshold: float) -> None:
    """Put a threshold, chosen after the training, into a checkpoint's recipe."""
    state = read_state(path)
    state["recipe"]["threshold"] = threshold
    write_state(state, path)


def read_checkpoint(path: Path) -> Trained:
    """The averaged weights of a checkpoint, ready to answer; tensors and plain values only are read.

    The contract's licence is that of every stage: what an earlier one was bound to, these weights are too.
    """
    state = read_state(path)
    recipe = Recipe.from_document(state["recipe"])
    licences = dict.fromkeys((recipe.licence, *(stage["recipe"]["licence"] for stage in state.get("earlier", ()))))
    contract = replace(recipe, licence="; ".join(licences)).contract(state["training_digest"])
    model = build(recipe.network, contract.stack_depth, len(contract.classes))
    model.load_state_dict(state["average"])
    return Trained(model.eval(), recipe, contract, tuple(_stages(state)), bool(state.get(KEPT, False)))


def _stages(state: Mapping[str, Any]) -> Iterator[Stage]:
    """The stages before, and this one; checkpoints of 0.1.0 say neither what came before nor who was left out."""
    for one in (*state.get("earlier", ()), state):
        recipe = Recipe.from_document(one["recipe"])
        yield Stage(recipe.shares, tuple(one.get("left_out", ())), one["step"] * recipe.batch)
