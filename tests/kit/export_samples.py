"""Small cases, recipes and networks for the exporter's tests, and one run through all its commands."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from scanside_export.cli.main import RECIPES, app
from scanside_export.data.cases import LEFT, RIGHT, Case
from scanside_export.data.prepare import _store
from scanside_export.data.recipe import Recipe, read_recipe
from scanside_export.networks import resnet34, unet
from scanside_export.networks.unet import ResNet34UNet, UNet
from scanside_export.training import train
from scanside_export.training.train import Training
from scanside_runtime.phantom.make import Phantom, make_phantom, random_spec

DIGEST = "d1" * 32
STEEP = 40.0
"""Logits from one end of the window to the other, in the networks made by hand."""


def phantom(seed: int = 9, slab_mm: float = 10.0) -> Phantom:
    return _drawn(seed, slab_mm)


@lru_cache
def _drawn(seed: int, slab_mm: float) -> Phantom:
    """Drawn once, however it is asked for."""
    return make_phantom(random_spec(seed, slice_thickness_mm=slab_mm, matrix=64))


def phantom_case(seed: int = 9, slab_mm: float = 10.0, source: str = "phantom") -> Case:
    drawn = phantom(seed, slab_mm)
    lungs = (drawn.right_lung * RIGHT + drawn.left_lung * LEFT).astype(np.uint8)
    return Case(f"phantom_{seed}", source, drawn.hu, drawn.spacing_mm, lungs, (drawn.infection,))


def tiny_recipe(network: str, **changes: Any) -> Recipe:
    """The shipped recipe on coarse pixels, from phantoms alone and without augmentation."""
    shipped = read_recipe(RECIPES / f"{network}.toml")
    tiny = replace(shipped, matrix=(64, 64), pixel_mm=6.0, shares={"phantom": 1.0}, batch=2, augment={})
    return replace(tiny, **changes)


@contextmanager
def small_infection_network() -> Iterator[None]:
    """Layers of every kind that the infection network has, and of each as few as may be: 2 MB for 98."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (resnet34, unet):
            patch.setattr(module, "WIDTHS", (16, 16, 32, 64, 128))
        patch.setattr(resnet34, "BLOCKS", (1, 1, 1, 1))
        patch.setattr(unet, "RISING", (64, 32, 32, 16, 16))
        yield


@contextmanager
def small_lung_network() -> Iterator[None]:
    """The same for the lungs': 2 MB for 15."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unet, "LUNG_WIDTHS", (16, 64, 128))
        yield


def _pass_on(layer: nn.Module, source: int) -> None:
    """The layer's first channel repeats one of its inputs."""
    weight = layer.get_parameter("0.weight")  # (outputs, inputs, k, k)
    weight[0] = 0.0
    weight[0, source, weight.shape[2] // 2, weight.shape[3] // 2] = 1.0


@torch.no_grad()
def lungs_by_hand() -> nn.Module:
    """Random weights, but what decides is the density: below -350 HU is lung, all of it right."""
    torch.manual_seed(1)
    model = UNet()
    _pass_on(model.down[0].get_submodule("0"), 0)
    _pass_on(model.down[0].get_submodule("1"), 0)
    _pass_on(model.up[-1].get_submodule("convs.0"), unet.LUNG_WIDTHS[1])
    _pass_on(model.up[-1].get_submodule("convs.1"), 0)
    model.head.weight.mul_(0.5)
    model.head.weight[:, 0] = torch.tensor([STEEP, 0.0, 0.0])[:, None, None]
    model.head.get_parameter("bias").copy_(torch.tensor([-0.5 * STEEP, 0.0, -STEEP]))
    return model.eval()


@torch.no_grad()
def infection_by_hand() -> nn.Module:
    """Random weights, but what decides is the density of the middle slab: above -700 HU is infection."""
    torch.manual_seed(2)
    model = ResNet34UNet()
    _pass_on(model.encoder.stem, 1)
    _pass_on(model.up2.convs.get_submodule("0"), unet.RISING[2])
    _pass_on(model.up2.convs.get_submodule("1"), 0)
    _pass_on(model.up1.convs.get_submodule("0"), 0)
    _pass_on(model.up1.convs.get_submodule("1"), 0)
    model.head.weight.mul_(0.5)
    model.head.weight[:, 0] = STEEP
    model.head.get_parameter("bias").fill_(-0.25 * STEEP)
    return model.eval()


def store_cases(folder: Path, cases: Iterable[Case]) -> None:
    """Cases as `prepare` leaves them."""
    sums = [_store(case, folder) for case in cases]
    digest = hashlib.sha256("\n".join(sorted(sums)).encode()).hexdigest()
    (folder / "digest.json").write_text(json.dumps({"sha256": digest, "cases": len(sums), "seed": 0}))


def write_checkpoint(folder: Path, model: nn.Module, recipe: Recipe) -> None:
    folder.mkdir(parents=True)
    optimizer = torch.optim.SGD(model.parameters())
    Training(model, model, optimizer, step=3).save(folder / "checkpoint.pt", recipe, DIGEST)


@dataclass(frozen=True, slots=True)
class Exported:
    """Folders of one run through `export`, `quantize` and `bundle`."""

    runs: Path
    work: Path
    cases: Path
    bundle: Path

    @classmethod
    def below(cls, folder: Path) -> Exported:
        return cls(folder / "runs", folder / "work", folder / "cases", folder / "bundle")


def run_export(folder: Path) -> None:
    """Of small networks: their readers need them small, too."""
    torch.set_num_threads(1)
    with small_infection_network(), small_lung_network():
        _run_export(Exported.below(folder))


def _run_export(made: Exported) -> None:
    for network, model in (("lungs", lungs_by_hand()), ("infection", infection_by_hand())):
        write_checkpoint(made.runs / network, model, tiny_recipe(network, shares={"real": 1.0}))
    for seed in (8, 9):
        _store(phantom_case(seed, source="real"), made.cases)
    runs_and_work = ["--runs", str(made.runs), "--work", str(made.work)]
    command("export", *runs_and_work)
    command("quantize", *runs_and_work, "--cases", str(made.cases), "--slabs", "6")
    command("bundle", *runs_and_work, "--out", str(made.bundle), "--name", "tiny", "--version", "9.8.7")


def command(*arguments: str, exit_code: int = 0) -> str:
    """What a command prints on stdout; fails the test at another exit code."""
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == exit_code, done.output
    return done.stdout


def ask_at_step(number: int, asks: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """The training is asked to stop while it does the step after so many."""
    whole_step = train._step

    def step(state: Training, *rest: Any) -> torch.Tensor:
        if state.step == number:
            os.kill(os.getpid(), asks)
        return whole_step(state, *rest)

    patch.setattr(train, "_step", step)


def tiny_recipe_text(samples: int) -> str:
    """A recipe of lungs as the file that the command line takes, from phantoms alone."""
    return f"""
network = "lungs"
classes = ["background", "right_lung", "left_lung"]
window_hu = [-1000.0, 300.0]
pixel_mm = 12.0
matrix = [32, 32]
samples = {samples}
batch = 2
[shares]
phantom = 1.0
"""
