"""Training by a recipe: resumable, the same seed draws the same samples, EMA weights are what is kept."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from scanside_export.cases import Case
from scanside_export.curves import draw_curves
from scanside_export.losses import infection_loss, lung_loss
from scanside_export.networks import build
from scanside_export.recipe import Recipe
from scanside_export.samples import Sample, Sampler

LOG_EVERY = 50
SAVE_EVERY = 250
WARM_UP = 0.04


@dataclass(slots=True)
class Training:
    """What a checkpoint holds."""

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0

    def save(self, path: Path, recipe: Recipe, digest: str) -> None:
        """Write a checkpoint; the old one stays until the new one is whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "recipe": recipe.document(),
            "training_digest": digest,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def start_from(self, path: Path) -> None:
        """Take over the averaged weights of an earlier training; steps and optimizer begin anew."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["average"])
        self.average.load_state_dict(state["average"])

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]


def train(
    cases: list[Case], recipe: Recipe, out: Path, digest: str, threads: int, start_from: Path | None = None
) -> Path:
    """Train by the recipe and return the checkpoint's path; goes on where an earlier run stopped.

    start_from: a checkpoint of an earlier stage, from whose weights a new run begins.
    Raises ValueError for a recipe that draws less than one batch.
    """
    steps = recipe.samples // recipe.batch
    if steps == 0:
        raise ValueError(f"{recipe.samples} samples are no batch of {recipe.batch}: draw more")
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    training = _start(recipe)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        training.resume(checkpoint)
    elif start_from is not None:
        training.start_from(start_from)
    sampler = Sampler(cases, recipe)
    began = time.monotonic()
    losses: list[float] = []
    for batch in _batches(sampler, range(training.step, steps)):
        losses.append(_step(training, batch, recipe, steps))
        if training.step % LOG_EVERY == 0 or training.step == steps:
            _log(out / "log.csv", training.step, float(np.mean(losses[-LOG_EVERY:])), time.monotonic() - began)
        if training.step % SAVE_EVERY == 0 or training.step == steps:
            training.save(checkpoint, recipe, digest)
            draw_curves(out / "log.csv", out / "curves.png")
    return checkpoint


def _start(recipe: Recipe) -> Training:
    model = build(recipe.network, recipe.stack_depth, len(recipe.classes))
    average = build(recipe.network, recipe.stack_depth, len(recipe.classes))
    average.load_state_dict(model.state_dict())
    average.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    return Training(model, average, optimizer)


def _batches(sampler: Sampler, steps: range) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of drawn samples, the next one built while the last one is learned."""
    size = sampler.recipe.batch

    def draw(step: int) -> list[Sample]:
        return [sampler.draw(step * size + number) for number in range(size)]

    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(draw, steps.start)
        for step in steps:
            samples = coming.result()
            coming = pool.submit(draw, min(step + 1, steps.stop - 1))
            stacked = (np.stack([getattr(s, name) for s in samples]) for name in ("stack", "target", "known"))
            stack, target, known = (torch.from_numpy(array) for array in stacked)
            yield stack.to(memory_format=torch.channels_last), target, known


def _step(training: Training, batch: tuple[Tensor, Tensor, Tensor], recipe: Recipe, steps: int) -> float:
    stack, target, known = batch
    for group in training.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _schedule(training.step / steps)
    with torch.autocast("cpu", torch.bfloat16):
        logits = training.model(stack)
    loss = (lung_loss if recipe.network == "lungs" else infection_loss)(logits.float(), target, known)
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(training.model.parameters(), 5.0)
    training.optimizer.step()
    training.step += 1
    _average(training, recipe.ema)
    return float(loss.detach())


def _schedule(done: float) -> float:
    """Warm up, then a cosine down to a hundredth."""
    if done < WARM_UP:
        return (done + 1e-4) / WARM_UP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


@torch.no_grad()
def _average(training: Training, ema: float) -> None:
    """Move the average towards the model, faster at the start."""
    keep = min(ema, (1 + training.step) / (10 + training.step))
    now = training.model.state_dict()
    for name, value in training.average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(now[name], 1 - keep)
        else:
            value.copy_(now[name])


def _log(path: Path, step: int, loss: float, seconds: float) -> None:
    new = not path.exists()
    with path.open("a", newline="") as lines:
        writer = csv.writer(lines)
        if new:
            writer.writerow(["step", "loss", "seconds"])
        writer.writerow([step, f"{loss:.5f}", f"{seconds:.0f}"])
