"""Training: it learns, it can be interrupted, and what it leaves can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from export_samples import DIGEST, phantom_case, tiny_recipe
from scanside_export import train as training
from scanside_export.checkpoint import read_checkpoint
from scanside_export.cli import RECIPES
from scanside_export.curves import read_log
from scanside_export.recipe import Recipe, read_recipe
from scanside_export.samples import Sampler
from scanside_export.train import train

pytestmark = pytest.mark.usefixtures("one_torch_thread")

NETWORKS = ("lungs", "infection")
CASES = [phantom_case()]


def recipe(network: str, steps: int, **changes: object) -> Recipe:
    return tiny_recipe(network, matrix=(32, 32), pixel_mm=12.0, samples=2 * steps, **changes)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(checkpoint, weights_only=True)["average"])


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    def step(state: training.Training, *rest: object) -> float:
        if state.step == steps:
            raise KeyboardInterrupt
        return whole_step(state, *rest)  # type: ignore[arg-type]

    whole_step = training._step
    monkeypatch.setattr(training, "_step", step)


def test_an_interrupted_training_that_goes_on_ends_at_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SAVE_EVERY", 2)
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    whole = train(CASES, recipe("lungs", 4), tmp_path / "whole", DIGEST, threads=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, steps=3)
        train(CASES, recipe("lungs", 4), tmp_path / "resumed", DIGEST, threads=1)
    assert torch.load(tmp_path / "resumed" / "checkpoint.pt", weights_only=True)["step"] == 2
    resumed = train(CASES, recipe("lungs", 4), tmp_path / "resumed", DIGEST, threads=1)
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert read_log(tmp_path / "whole" / "log.csv") == read_log(tmp_path / "resumed" / "log.csv")


def test_another_seed_ends_at_other_weights(tmp_path: Path) -> None:
    ends = [
        weights(train(CASES, recipe("lungs", 1, seed=seed), tmp_path / str(seed), DIGEST, threads=1))
        for seed in (1, 2)
    ]
    assert not torch.equal(ends[0]["head.weight"], ends[1]["head.weight"])


@pytest.mark.parametrize("network", NETWORKS)
def test_the_loss_falls_on_one_case_seen_again_and_again(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    train(CASES, recipe(network, 15, learning_rate=1e-2), tmp_path, DIGEST, threads=1)
    losses = list(read_log(tmp_path / "log.csv").values())
    assert len(losses) == 15
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_what_a_training_leaves_can_be_read_with_its_contract(tmp_path: Path) -> None:
    chosen = recipe("infection", 2)
    trained = read_checkpoint(train(CASES, chosen, tmp_path, DIGEST, threads=1))
    assert trained.recipe == chosen
    assert trained.contract == chosen.contract(DIGEST)
    assert trained.samples_seen == 4
    assert not trained.model.training
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "curves.png", "log.csv"]


def test_the_averaged_weights_are_kept_and_differ_from_the_last_ones(tmp_path: Path) -> None:
    checkpoint = train(CASES, recipe("lungs", 3), tmp_path, DIGEST, threads=1)
    state = torch.load(checkpoint, weights_only=True)
    assert not torch.equal(state["average"]["head.weight"], state["model"]["head.weight"])
    torch.testing.assert_close(read_checkpoint(checkpoint).model.state_dict(), state["average"])


def test_a_second_stage_begins_at_the_weights_of_the_first_and_its_own_step_zero(tmp_path: Path) -> None:
    first = train(CASES, recipe("lungs", 3), tmp_path / "first", DIGEST, threads=1)
    still = recipe("lungs", 1, learning_rate=0.0)
    second = train(CASES, still, tmp_path / "second", DIGEST, threads=1, start_from=first)
    assert torch.load(second, weights_only=True)["step"] == 1
    began, ended = weights(first), weights(second)
    learned = [name for name in began if name.endswith("weight")]
    assert all(torch.equal(began[name], ended[name]) for name in learned)
    fresh = weights(train(CASES, still, tmp_path / "fresh", DIGEST, threads=1))
    assert not torch.equal(fresh["head.weight"], ended["head.weight"])


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_trained_and_keeps_to_research(path: Path) -> None:
    shipped = read_recipe(path)
    assert Sampler([phantom_case()], shipped).draw(0).stack.shape == (shipped.stack_depth, *shipped.matrix)
    assert sum(shipped.shares.values()) == pytest.approx(1.0)
    assert "non-commercial" in shipped.contract(DIGEST).licence


def test_a_finished_training_is_left_as_it_is(tmp_path: Path) -> None:
    checkpoint = train(CASES, recipe("lungs", 1), tmp_path, DIGEST, threads=1)
    before = checkpoint.read_bytes()
    assert train(CASES, recipe("lungs", 1), tmp_path, DIGEST, threads=1).read_bytes() == before


def test_a_recipe_of_less_than_one_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 samples are no batch of 2"):
        train(CASES, tiny_recipe("lungs", samples=1), tmp_path, DIGEST, threads=1)


def test_the_learning_rate_warms_up_and_ends_at_a_hundredth() -> None:
    rates = [training._schedule(done) for done in np.linspace(0.0, 1.0, 101)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[4:] == sorted(rates[4:], reverse=True)
