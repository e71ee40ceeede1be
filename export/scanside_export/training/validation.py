"""A quick score while training goes on: slices of cases that it does not see, on the network's own plane.

It serves to choose among steps of one training. How good a bundle is, `evaluate` says.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from scanside_export.data.cases import Case
from scanside_export.data.recipe import Recipe
from scanside_export.data.samples import Sampler

VALIDATION_SEED = 33
BATCH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """Slices drawn once, as they are, and how often (in steps) they are scored.

    stack: (n, depth, h, w). target: (n, classes, h, w). known: (n, h, w). All float32.
    """

    stack: Tensor
    target: Tensor
    known: Tensor
    every: int


def make_validation(cases: Sequence[Case], recipe: Recipe, samples: int, every: int) -> Validation:
    """Draw slices of the cases without distortion, all sources alike. Raises CasesUnusable where none is of use."""
    shares = {case.source: 1.0 for case in cases}
    sampler = Sampler(cases, replace(recipe, shares=shares, augment={}, fresh_lesions=0.0, seed=VALIDATION_SEED))
    drawn = [sampler.draw(number) for number in range(samples)]
    stack, target, known = (
        torch.from_numpy(np.stack([getattr(one, name) for one in drawn])) for name in ("stack", "target", "known")
    )
    return Validation(stack, target, known, every)


@torch.inference_mode()
def score(model: nn.Module, recipe: Recipe, validation: Validation) -> float:
    """Dice over all slices as one, of the infection or as the mean of both lungs, 0 to 1."""
    was_training = model.training
    model.eval()
    device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
    starts = range(0, len(validation.stack), BATCH)
    answers = [model(validation.stack[start : start + BATCH].to(device)).cpu() for start in starts]
    model.train(was_training)
    found = _decided(torch.cat(answers), recipe) & (validation.known[:, None] > 0)
    truth = (validation.target >= 0.5) & (validation.known[:, None] > 0)
    classes = (1, 2) if recipe.network == "lungs" else (0,)
    return float(np.mean([_dice(found[:, number], truth[:, number]) for number in classes]))


def _decided(logits: Tensor, recipe: Recipe) -> Tensor:
    """(n, classes, h, w) logits as yes or no."""
    if recipe.network == "lungs":
        return torch.nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).movedim(-1, 1) > 0
    return torch.sigmoid(logits) >= recipe.threshold


def _dice(found: Tensor, truth: Tensor) -> float:
    total = int(found.sum()) + int(truth.sum())
    return 2.0 * int((found & truth).sum()) / total if total else 1.0


def log_score(path: Path, step: int, reached: float) -> None:
    """Add a row to validation.csv."""
    new = not path.exists()
    with path.open("a", newline="") as lines:
        writer = csv.writer(lines)
        if new:
            writer.writerow(["step", "dice"])
        writer.writerow([step, f"{reached:.5f}"])
