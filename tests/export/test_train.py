"""Training: it learns, it can be interrupted, and what it leaves can be read."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from kit.export_samples import DIGEST, ask_at_step, command, phantom_case, store_cases, tiny_recipe, tiny_recipe_text
from scanside_export.cli.main import RECIPES, app
from scanside_export.data.batches import batches
from scanside_export.data.recipe import Recipe, read_recipe
from scanside_export.data.samples import Sampler
from scanside_export.errors import CasesUnusable, TrainingUnusable
from scanside_export.networks.checkpoint import chosen_checkpoint, never_drawn, read_checkpoint
from scanside_export.training import train as training
from scanside_export.training.curves import read_log
from scanside_export.training.train import Run
from scanside_export.training.validation import make_validation, score
from scanside_runtime.errors import BoxDisk

pytestmark = pytest.mark.usefixtures("small_networks")

NETWORKS = ("lungs", "infection")
CASES = [phantom_case()]


def train(chosen: Recipe, out: Path, **more: object) -> Path:
    return training.train(CASES, chosen, Run(out, DIGEST, threads=1, **more))  # type: ignore[arg-type]


def recipe(network: str, steps: int, **changes: object) -> Recipe:
    return tiny_recipe(network, matrix=(32, 32), pixel_mm=12.0, samples=2 * steps, **changes)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(torch.load(checkpoint, weights_only=True)["average"])


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    def step(state: training.Training, *rest: object) -> torch.Tensor:
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
    whole = train(recipe("lungs", 4), tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, steps=3)
        train(recipe("lungs", 4), tmp_path / "resumed")
    assert torch.load(tmp_path / "resumed" / "checkpoint.pt", weights_only=True)["step"] == 2
    resumed = train(recipe("lungs", 4), tmp_path / "resumed")
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert read_log(tmp_path / "whole" / "log.csv") == read_log(tmp_path / "resumed" / "log.csv")


RECIPE = tiny_recipe_text(8)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("asks", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_lose_no_step_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: signal.Signals, exit_code: int
) -> None:
    store_cases(tmp_path / "cases", CASES[:1])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    before = signal.getsignal(asks)

    def scanside_export_train(runs: str) -> Result:
        where = ("--cases", "cases", "--runs", runs, "--recipe", "recipe.toml", "--threads", "1")
        return CliRunner().invoke(app, ["train", "lungs", *where])

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        ask_at_step(2, asks, patch)
        stopped = scanside_export_train("runs")
    if stopped.exception and not isinstance(stopped.exception, SystemExit):
        raise stopped.exception
    assert (stopped.exit_code, stopped.stdout, signal.getsignal(asks)) == (exit_code, "", before)
    said = "stopped after a whole step: the same command goes on from runs/lungs/checkpoint.pt"
    assert stopped.stderr.splitlines()[-1] == said
    assert torch.load("runs/lungs/checkpoint.pt", weights_only=True)["step"] == 3
    ended, whole = scanside_export_train("runs"), scanside_export_train("whole")
    assert (ended.exit_code, ended.stdout) == (0, "runs/lungs/checkpoint.pt\n"), ended.output
    expected, found = (weights(Path(one.stdout.strip())) for one in (whole, ended))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.usefixtures("heard")
def test_a_training_that_is_asked_to_stop_in_its_last_step_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that the same command goes on, and there was nothing to go on with."""
    store_cases(tmp_path / "cases", CASES[:1])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    ask_at_step(3, signal.SIGINT, monkeypatch)
    ended = command("train", "lungs", "--cases", "cases", "--runs", "runs", "--recipe", "recipe.toml", "--threads", "1")
    assert ended == "runs/lungs/checkpoint.pt\n"
    assert torch.load("runs/lungs/checkpoint.pt", weights_only=True)["step"] == 4


def test_a_device_that_is_not_here_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingUnusable, match="there is no device 'gpu' here"):
        train(recipe("lungs", 1), tmp_path, device="gpu")


def test_another_seed_ends_at_other_weights(tmp_path: Path) -> None:
    ends = [weights(train(recipe("lungs", 1, seed=seed), tmp_path / str(seed))) for seed in (1, 2)]
    assert not torch.equal(ends[0]["head.weight"], ends[1]["head.weight"])


@pytest.mark.parametrize("network", NETWORKS)
def test_the_loss_falls_on_one_case_seen_again_and_again(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "LOG_EVERY", 1)
    train(recipe(network, 15, learning_rate=1e-2), tmp_path)
    losses = list(read_log(tmp_path / "log.csv").values())
    assert len(losses) == 15
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])


def test_what_a_training_leaves_can_be_read_with_its_contract(tmp_path: Path) -> None:
    chosen = recipe("infection", 2)
    trained = read_checkpoint(train(chosen, tmp_path))
    assert trained.recipe == chosen
    assert trained.contract == chosen.contract(DIGEST)
    assert [stage.samples for stage in trained.stages] == [4]
    assert not trained.model.training
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt", "curves.png", "log.csv"]


def test_the_averaged_weights_are_kept_and_differ_from_the_last_ones(tmp_path: Path) -> None:
    checkpoint = train(recipe("lungs", 3), tmp_path)
    state = torch.load(checkpoint, weights_only=True)
    assert not torch.equal(state["average"]["head.weight"], state["model"]["head.weight"])
    torch.testing.assert_close(read_checkpoint(checkpoint).model.state_dict(), state["average"])


def test_a_second_stage_begins_at_the_weights_of_the_first_and_its_own_step_zero(tmp_path: Path) -> None:
    first = train(recipe("lungs", 3), tmp_path / "first")
    still = recipe("lungs", 1, learning_rate=0.0)
    second = train(still, tmp_path / "second", start_from=first)
    assert torch.load(second, weights_only=True)["step"] == 1
    began, ended = weights(first), weights(second)
    learned = [name for name in began if name.endswith("weight")]
    assert all(torch.equal(began[name], ended[name]) for name in learned)
    fresh = weights(train(still, tmp_path / "fresh"))
    assert not torch.equal(fresh["head.weight"], ended["head.weight"])


def test_whom_an_earlier_stage_saw_is_in_the_weights_of_the_next_one_too(tmp_path: Path) -> None:
    first = train(recipe("lungs", 1), tmp_path / "first")
    only_real = recipe("lungs", 1, shares={"real": 1.0})
    real = [replace(phantom_case(8), name="someone", source="real")]
    run = Run(tmp_path / "second", DIGEST, threads=1, start_from=first)
    second = read_checkpoint(training.train(real, only_real, run))
    assert second.sources == {"phantom", "real"}
    assert sum(stage.samples for stage in second.stages) == 4
    assert second.saw("phantom_9", "phantom")
    third = Run(tmp_path / "third", DIGEST, threads=1, start_from=first, left_out=("phantom_9",))
    blind = read_checkpoint(training.train([*CASES, phantom_case(8)], recipe("lungs", 1), third))
    assert blind.left_out == ("phantom_9",)
    assert blind.saw("phantom_9", "phantom")


def test_a_case_counts_as_never_drawn_only_when_every_network_and_stage_left_it_out(tmp_path: Path) -> None:
    def left(name: str, start: Path | None, *away: str) -> Path:
        seen = [replace(phantom_case(seed), name=f"case_{seed}", source="infection-3d") for seed in (7, 8, 9)]
        chosen = recipe("lungs", 1, shares={"infection-3d": 1.0})
        return training.train(seen, chosen, Run(tmp_path / name, DIGEST, 1, start, away))

    first = left("first", None, "case_8")
    both = left("both", first, "case_8", "case_9")
    assert never_drawn([read_checkpoint(both)]) == ("case_8",)
    assert never_drawn([read_checkpoint(both), read_checkpoint(left("other", None, "case_9"))]) == ()


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_trained_and_keeps_to_research(path: Path) -> None:
    shipped = read_recipe(path)
    assert Sampler([phantom_case()], shipped).draw(0).stack.shape == (shipped.stack_depth, *shipped.matrix)
    assert sum(shipped.shares.values()) == pytest.approx(1.0)
    assert "non-commercial" in shipped.contract(DIGEST).licence


def test_a_recipe_without_the_non_commercial_condition_draws_no_such_material() -> None:
    for path in RECIPES.glob("*.toml"):
        chosen = read_recipe(path)
        drawn = {source for source, share in chosen.shares.items() if share > 0.0}
        assert ("research use only" in chosen.licence) == bool(drawn & {"infection-3d", "infection-2d", "lung-2d"})


def test_a_finished_training_is_left_as_it_is(tmp_path: Path) -> None:
    checkpoint = train(recipe("lungs", 1), tmp_path)
    before = checkpoint.read_bytes()
    assert train(recipe("lungs", 1), tmp_path).read_bytes() == before


def test_a_recipe_of_less_than_one_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingUnusable, match="1 samples are no batch of 2"):
        train(tiny_recipe("lungs", samples=1), tmp_path)


def test_the_learning_rate_warms_up_and_ends_at_a_hundredth() -> None:
    rates = [training._schedule(done) for done in np.linspace(0.0, 1.0, 101)]
    assert rates[0] < 0.01
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_the_best_by_validation_is_kept_beside_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.6, 0.4])
    monkeypatch.setattr(training, "score", lambda *_: next(scores))
    validation = make_validation(CASES, recipe("infection", 1), samples=2, every=1)
    last = train(recipe("infection", 3), tmp_path, validation=validation)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert (best["step"], best["best"]) == (2, 0.6)
    assert torch.load(last, weights_only=True)["step"] == 3
    assert read_log(tmp_path / "validation.csv", "dice") == {1: 0.2, 2: 0.6, 3: 0.4}
    assert chosen_checkpoint(tmp_path) == tmp_path / "best.pt"


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_that_is_right_has_a_validation_score_of_one_and_one_that_is_blind_none(network: str) -> None:
    chosen = recipe(network, 1)
    validation = make_validation(CASES, chosen, samples=4, every=1)

    class Knows(torch.nn.Module):
        def forward(self, stack: torch.Tensor) -> torch.Tensor:
            return 20.0 * (validation.target - 0.5)

    class Blind(torch.nn.Module):
        def forward(self, stack: torch.Tensor) -> torch.Tensor:
            logits = torch.full_like(validation.target, -1.0)
            logits[:, 0] = -1.0 if network == "infection" else 1.0
            return logits

    assert score(Knows(), chosen, validation) > 0.95
    assert score(Blind(), chosen, validation) == 0.0


def test_what_is_left_out_is_never_drawn_and_is_written_down(tmp_path: Path) -> None:
    with pytest.raises(TrainingUnusable, match="left out nothing"):
        train(recipe("lungs", 1), tmp_path)
        train(recipe("lungs", 2), tmp_path, left_out=("someone",))
    cases = [*CASES, phantom_case(8)]
    run = Run(tmp_path / "other", DIGEST, threads=1, left_out=(cases[0].name,))
    trained = read_checkpoint(training.train(cases, recipe("lungs", 1), run))
    assert trained.left_out == (cases[0].name,)
    assert not trained.saw(cases[0].name, "phantom")
    assert trained.saw(cases[1].name, "phantom")
    assert not trained.saw(cases[1].name, "a source that is not drawn")


@pytest.mark.parametrize("depth", [1, 3, 5])
def test_the_recipe_says_how_many_slices_the_infection_network_sees(tmp_path: Path, depth: int) -> None:
    chosen = recipe("infection", 1, stack_depth=depth)
    assert Sampler(CASES, chosen).draw(0).stack.shape[0] == depth
    trained = read_checkpoint(train(chosen, tmp_path))
    assert trained.contract.stack_depth == depth
    assert trained.model(torch.zeros(1, depth, 32, 32)).shape == (1, 1, 32, 32)


def test_weights_of_another_depth_are_refused_with_a_sentence(tmp_path: Path) -> None:
    flat = train(recipe("infection", 1, stack_depth=1), tmp_path / "flat")
    with pytest.raises(TrainingUnusable, match="another network or stack depth"):
        train(recipe("infection", 1), tmp_path / "deep", start_from=flat)
    with pytest.raises(TrainingUnusable, match="another network or stack depth"):
        train(recipe("infection", 2), flat.parent)


def test_a_training_goes_on_with_its_own_cases_alone(tmp_path: Path) -> None:
    train(recipe("lungs", 1), tmp_path)
    with pytest.raises(TrainingUnusable, match="other cases"):
        training.train(CASES, recipe("lungs", 2), Run(tmp_path, "e2" * 32, threads=1))


def test_cases_of_which_a_recipe_draws_none_are_refused_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(CasesUnusable, match="draws lungs from real; what is there, phantom, has no such label"):
        train(recipe("lungs", 1, shares={"real": 1.0}), tmp_path)


def test_a_training_says_how_far_it_is_and_how_long_it_will_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 100_000, 3600))
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    said: list[tuple[str, int, int]] = []
    training.train(CASES, recipe("lungs", 4), Run(tmp_path, DIGEST, 1), lambda *how_far: said.append(how_far))
    assert said[0] == ("steps, 3.0 hours left", 1, 4)
    assert said[2:] == [("steps, 60 minutes left", 3, 4), ("steps, 0 minutes left", 4, 4)]


def test_a_full_disk_leaves_the_checkpoint_before_and_takes_no_more_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")

    checkpoint = train(recipe("lungs", 1), tmp_path)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(BoxDisk, match=r"checkpoint\.pt was not written, with \d+ MB free"):
        train(recipe("lungs", 2), tmp_path)
    assert read_checkpoint(checkpoint).stages[0].samples == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04"])
def test_what_is_no_checkpoint_is_told_as_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(TrainingUnusable, match="no checkpoint, or was not written to its end"):
        train(recipe("lungs", 1), tmp_path)


def test_samples_drawn_by_other_processes_are_the_same_ones() -> None:
    sampler = Sampler(CASES, recipe("infection", 3))
    here, there = (list(batches(sampler, range(1, 3), workers)) for workers in (0, 2))
    assert len(here) == len(there) == 2
    for one, other in zip(here, there, strict=True):
        # Which samples they are is the promise; their last bits are the processor's.
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-5)


def test_what_asks_the_whole_group_to_end_reaches_none_of_the_processes_that_draw() -> None:
    coming = batches(Sampler(CASES, recipe("infection", 3)), range(1, 3), workers=1)
    next(coming)
    (drawing,) = multiprocessing.active_children()
    assert os.getpgid(drawing.pid or 0) != os.getpgrp()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_training_on_a_gpu_leaves_what_a_box_without_one_reads(tmp_path: Path) -> None:
    checkpoint = train(recipe("lungs", 2), tmp_path, device="cuda")
    assert {value.device.type for value in read_checkpoint(checkpoint).model.state_dict().values()} == {"cpu"}
    assert train(recipe("lungs", 2), tmp_path, device="cpu") == checkpoint
