"""Training by a recipe: resumable, the same seed draws the same samples, EMA weights are what is kept."""

from __future__ import annotations

import csv
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scanside_export.data.batches import Batch, batches
from scanside_export.data.cases import Case
from scanside_export.data.recipe import Recipe
from scanside_export.data.samples import Sampler
from scanside_export.errors import Stopped, TrainingUnusable
from scanside_export.networks.checkpoint import KEPT, read_state, write_state
from scanside_export.networks.shipped_weights import lineage, read_network, with_statistics
from scanside_export.networks.unet import build
from scanside_export.training.curves import draw_curves
from scanside_export.training.losses import infection_loss, lung_loss
from scanside_export.training.validation import Validation, log_score, score
from scanside_runtime.model.bundle import MANIFEST, Bundle, open_bundle
from scanside_runtime.progress import Progress

LOG_EVERY = 50
SAVE_EVERY = 250
WARM_UP = 0.04
STATISTICS_FROM = 24
"""Samples from which the batch normalisations of a bundle's network learn their statistics."""


@dataclass(slots=True)
class Training:
    """What a checkpoint holds. earlier: recipe, left_out and step of each stage whose weights it began with."""

    model: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    step: int = 0
    best: float = -1.0
    left_out: tuple[str, ...] = ()
    earlier: tuple[dict[str, Any], ...] = ()

    def save(self, path: Path, recipe: Recipe, digest: str) -> None:
        """Write a checkpoint; the old one stays until the new one is whole."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "recipe": recipe.document(),
            "training_digest": digest,
            "best": self.best,
            "left_out": list(self.left_out),
            "earlier": list(self.earlier),
        }
        write_state(state, path)

    def start_from(self, path: Path) -> None:
        """Take over the averaged weights of an earlier training; steps and optimizer begin anew.

        Whom the earlier stages saw stays on record: it is in these weights too.
        Raises TrainingUnusable for weights of another network or stack depth, and for those that `keep` wrote.
        """
        state = read_state(path)
        _refuse_kept(state, path)
        self._take(state["average"], path)
        self.average.load_state_dict(state["average"])
        stage = {"recipe": state["recipe"], "left_out": state.get("left_out", []), "step": state["step"]}
        self.earlier = (*state.get("earlier", ()), stage)

    def start_from_bundle(self, bundle: Bundle, recipe: Recipe, stacks: Tensor) -> None:
        """Take over a bundle's weights; stacks (n, depth, h, w) are some of those that training draws.

        Raises ModelUnusable, and TrainingUnusable for weights of another stack depth or number of classes.
        """
        model, contract = read_network(bundle, recipe.network)
        if (contract.stack_depth, contract.classes) != (recipe.stack_depth, recipe.classes):
            raise TrainingUnusable(folder=bundle.folder, why="its weights are of another network or stack depth")
        state = with_statistics(model, stacks).state_dict()
        self.model.load_state_dict(state)
        self.average.load_state_dict(state)
        self.earlier = (*self.earlier, lineage(bundle, contract))

    def _take(self, weights: Mapping[str, Any], path: Path) -> None:
        try:
            self.model.load_state_dict(weights)
        except RuntimeError as problem:
            raise TrainingUnusable(folder=path, why="its weights are of another network or stack depth") from problem

    def resume(self, path: Path, digest: str) -> None:
        """Go on from a checkpoint; digest: of the cases.

        Raises TrainingUnusable for one on other cases, or that left others out, that `keep` or `unpack` wrote, or of
        another network.
        """
        state = read_state(path)
        _refuse_kept(state, path)
        if "optimizer" not in state:
            raise TrainingUnusable(folder=path, why="unpack wrote it: start from it, into another folder")
        before = tuple(state.get("left_out", ()))
        if before != self.left_out:
            raise TrainingUnusable(folder=path, why=f"it left out {', '.join(before) or 'nothing'}")
        if state["training_digest"] != digest:
            raise TrainingUnusable(folder=path, why="it was trained on other cases")
        self._take(state["model"], path)
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state.get("best", -1.0)
        self.earlier = tuple(state.get("earlier", ()))


@dataclass(frozen=True, slots=True)
class Run:
    """Where a training runs and what surrounds it.

    digest: of the training data. start_from: a checkpoint of an earlier stage, or a bundle's folder, from whose weights
    a new run begins.
    left_out: names of the cases that are prepared but not trained on. validation: slices scored now and then.
    device: as torch names it. workers: processes that draw samples; 0 draws in a thread of this one.
    """

    out: Path
    digest: str
    threads: int
    start_from: Path | None = None
    left_out: tuple[str, ...] = ()
    validation: Validation | None = None
    device: str = "cpu"
    workers: int = 0


def train(
    cases: Sequence[Case],
    recipe: Recipe,
    run: Run,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train by the recipe and return the checkpoint's path; goes on where an earlier run stopped.

    Leaves `checkpoint.pt`, `log.csv`, `curves.png`; with validation `best.pt` and `validation.csv` too.
    progress: called after each step. stop: asked after each step but the last; where it says so the checkpoint is
    written, and Stopped raised. Raises TrainingUnusable for a recipe that draws less than one batch and for a
    checkpoint that doesn't fit, CasesUnusable where the recipe finds none to draw.
    """
    steps = recipe.samples // recipe.batch
    if steps == 0:
        raise TrainingUnusable(folder=run.out, why=f"{recipe.samples} samples are no batch of {recipe.batch}")
    torch.set_num_threads(run.threads)
    torch.manual_seed(recipe.seed)
    run.out.mkdir(parents=True, exist_ok=True)
    sampler = Sampler([case for case in cases if case.name not in run.left_out], recipe)
    training = _begin(recipe, run, sampler)
    began, first = time.monotonic(), training.step
    losses: deque[Tensor] = deque(maxlen=LOG_EVERY)
    for batch in batches(sampler, range(training.step, steps), run.workers):
        losses.append(_step(training, batch, recipe, steps))
        if progress is not None:
            seconds_each = (time.monotonic() - began) / (training.step - first)
            progress(_time_left((steps - training.step) * seconds_each), training.step, steps)
        done = training.step == steps
        stopped = not done and stop()
        if training.step % LOG_EVERY == 0 or done or stopped:
            # Only here is the loss read: each reading makes a GPU wait for the CPU.
            _log(run.out / "log.csv", training.step, float(torch.stack(tuple(losses)).mean()), time.monotonic() - began)
        if run.validation is not None and (training.step % run.validation.every == 0 or done):
            _validate(training, recipe, run, run.validation)
        if training.step % SAVE_EVERY == 0 or done or stopped:
            training.save(run.out / "checkpoint.pt", recipe, run.digest)
            draw_curves(run.out / "log.csv", run.out / "curves.png", run.out / "validation.csv")
        if stopped:
            raise Stopped(run.out / "checkpoint.pt")
    return run.out / "checkpoint.pt"


def _time_left(seconds: float) -> str:
    return f"steps, {f'{seconds / 3600:.1f} hours' if seconds >= 7200 else f'{seconds / 60:.0f} minutes'} left"


def _begin(recipe: Recipe, run: Run, sampler: Sampler) -> Training:
    training = _start(recipe, _device(run))
    training.left_out = tuple(sorted(run.left_out))
    checkpoint = run.out / "checkpoint.pt"
    if checkpoint.exists():
        training.resume(checkpoint, run.digest)
    elif run.start_from is not None:
        _take_over(training, run.start_from, recipe, sampler)
    return training


def _device(run: Run) -> torch.device:
    try:
        return torch.zeros(0, device=run.device).device
    except (AssertionError, RuntimeError) as problem:  # a torch without CUDA, no driver, no such name
        raise TrainingUnusable(folder=run.out, why=f"there is no device {run.device!r} here") from problem


def _refuse_kept(state: Mapping[str, Any], path: Path) -> None:
    """What `keep` wrote has no statistics of data: a bundle's folder is the way to begin at its weights."""
    if KEPT in state:
        raise TrainingUnusable(folder=path, why="it is kept as it is: start from its bundle, in another folder")


def _take_over(training: Training, start: Path, recipe: Recipe, sampler: Sampler) -> None:
    if (start / MANIFEST).exists():
        drawn = np.stack([sampler.draw(number).stack for number in range(STATISTICS_FROM)])
        training.start_from_bundle(open_bundle(start), recipe, torch.from_numpy(drawn))
    elif start.is_file():
        training.start_from(start)
    else:
        raise TrainingUnusable(folder=start, why="it is neither a checkpoint nor the folder of a bundle")


def _validate(training: Training, recipe: Recipe, run: Run, validation: Validation) -> None:
    """Score the average; the best one so far is kept beside the last."""
    reached = score(training.average, recipe, validation)
    log_score(run.out / "validation.csv", training.step, reached)
    if reached > training.best:
        training.best = reached
        training.save(run.out / "best.pt", recipe, run.digest)


def _start(recipe: Recipe, device: torch.device) -> Training:
    model = build(recipe.network, recipe.stack_depth, len(recipe.classes)).to(device)
    average = build(recipe.network, recipe.stack_depth, len(recipe.classes)).to(device)
    average.load_state_dict(model.state_dict())
    average.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    return Training(model, average, optimizer)


def _step(training: Training, batch: Batch, recipe: Recipe, steps: int) -> Tensor:
    """One step of the optimizer; the loss, still on the device."""
    device = next(training.model.parameters()).device
    stack, target, known = (part.to(device, non_blocking=True) for part in batch)
    for group in training.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _schedule(training.step / steps)
    with torch.autocast(device.type, torch.bfloat16, enabled=_computes_bf16(device)):
        logits = training.model(stack.contiguous(memory_format=torch.channels_last))
    loss = (lung_loss if recipe.network == "lungs" else infection_loss)(logits.float(), target, known)
    training.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(training.model.parameters(), 5.0)
    training.optimizer.step()
    training.step += 1
    _average(training, recipe.ema)
    return loss.detach()


def _computes_bf16(device: torch.device) -> bool:
    """Whether bf16 pays; emulated on a processor with AVX2 alone, a step took 12 times as long as in FP32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX"))


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
