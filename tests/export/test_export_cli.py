"""The exporter's program: help everywhere, and a sentence where something is missing."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rich.progress
import typer
from typer.testing import CliRunner

from kit.export_samples import DIGEST, command, phantom_case, tiny_recipe
from scanside_export.bundling.model_card import FAILURES, Release, find_failures, model_card, read_figures
from scanside_export.cli import progress as shown
from scanside_export.cli.main import app
from scanside_export.convert.parity import Parity
from scanside_export.data.prepare import _store, load
from scanside_export.evaluation.score_summary import slice_figures
from scanside_export.networks.checkpoint import read_checkpoint

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

RECIPE = """
network = "lungs"
classes = ["background", "right_lung", "left_lung"]
window_hu = [-1000.0, 300.0]
pixel_mm = 12.0
matrix = [32, 32]
samples = 400
batch = 2
[shares]
phantom = 1.0
"""


def test_a_log_gets_a_line_at_the_start_and_then_one_in_half_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(shown, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with shown.progress() as report:
        for done, now[0] in enumerate([0.0, 29.0, 31.0, 40.0, 61.5]):
            report("cases written", done, 4)
    assert capsys.readouterr().err.splitlines() == [f"{done} of 4: cases written" for done in (0, 2, 4)]


def test_a_terminal_gets_a_bar_that_is_full_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[rich.progress.Progress] = []

    class Kept(rich.progress.Progress):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options, auto_refresh=False)
            made.append(self)

    monkeypatch.setattr(rich.progress, "Progress", Kept)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with shown.progress() as report:
        for done in range(5):
            report(f"{done} cases written", done, 4)
    (task,) = made[0].tasks
    assert (task.finished, task.completed, task.description) == (True, 4, "4 cases written")


def test_the_commands_are_those_of_the_road_from_data_to_bundle_and_of_the_gate() -> None:
    road = ["bundle", "check", "cross-validate", "evaluate", "export", "lesions", "prepare", "quantize", "threshold"]
    beside = ["train", "keep", "cuts", "motion", "keygen", "sign", "pack", "unpack"]
    assert sorted([*road, *beside]) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_help_with_a_sentence(name: str) -> None:
    text = command(name, "--help")
    assert f"scanside-export {name}" in text or f"{name} [OPTIONS]" in text
    assert "." in text


@pytest.mark.parametrize("name", ["export", "quantize", "check", "bundle"])
def test_a_missing_checkpoint_ends_in_a_sentence_and_exit_code_2(name: str, tmp_path: Path) -> None:
    folder = str(tmp_path)
    more = {"quantize": ["--cases"], "check": ["--data", folder, "--bundle"], "bundle": ["--out"], "export": ["--work"]}
    done = CliRunner().invoke(app, [name, "--runs", folder, "--work", folder, *more[name], folder])
    assert done.exit_code == 2
    assert "no checkpoint for lungs, infection" in done.stderr
    assert "run `train` first" in done.stderr
    assert "Traceback" not in done.output


def test_an_unknown_network_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "liver", "--cases", str(tmp_path), "--runs", str(tmp_path)])
    assert done.exit_code == 2
    assert "choose one of lungs, infection" in done.stderr


@pytest.mark.usefixtures("one_torch_thread")
def test_train_takes_a_recipe_and_fewer_samples_and_prints_the_checkpoint(tmp_path: Path) -> None:
    _store(phantom_case(), tmp_path / "cases")
    (tmp_path / "cases" / "digest.json").write_text(json.dumps({"sha256": DIGEST}), encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    options = {"--cases": "cases", "--runs": "runs", "--recipe": "recipe.toml"}
    paths = [text for option, name in options.items() for text in (option, str(tmp_path / name))]
    printed = command("train", "lungs", *paths, "--samples", "4", "--threads", "1")
    checkpoint = tmp_path / "runs" / "lungs" / "checkpoint.pt"
    assert printed.strip() == str(checkpoint)
    trained = read_checkpoint(checkpoint)
    assert ([stage.samples for stage in trained.stages], trained.contract.training_digest) == ([4], DIGEST)
    assert (tmp_path / "runs" / "lungs" / "curves.png").stat().st_size > 1000


def test_stored_cases_come_back_as_they_were(tmp_path: Path) -> None:
    case = phantom_case()
    _store(case, tmp_path)
    (again,) = load(tmp_path)
    assert (again.name, again.source, again.spacing_mm) == (case.name, case.source, case.spacing_mm)
    assert (again.hu == case.hu).all()
    assert (again.lungs == case.lungs).all()
    assert [mask.tolist() for mask in again.infection] == [mask.tolist() for mask in case.infection]


def test_the_model_card_states_licence_limits_contract_and_validation() -> None:
    contracts = {name: tiny_recipe(name).contract(DIGEST) for name in ("lungs", "infection")}
    rows = [{"name": str(n), "dice": 0.5 + n / 10, "sensitivity": 0.7, "precision": 0.6} for n in range(3)]
    form = Parity("openvino", "int8", 0.9991, 0.98, 0.99, 0.1).document()
    validation = {"slices": slice_figures(rows), "parity": [form]}
    release = Release(
        "chest", "1.2", "0.1.0", validation, "Trained in two stages.\n", ("coronacases_008",), ("lung-2d", "pairs")
    )
    card = model_card(release, contracts)
    assert card.startswith("# chest 1.2\n")
    assert contracts["infection"].licence in card
    assert "matrix 64 x 64, stack of 3 slices 5 mm apart" in card
    assert DIGEST[:16] in card
    assert "| Dice, mean | 0.600 (95 % interval 0.500 to 0.700) |" in card
    assert "| openvino | int8 | 0.9991 |" in card
    assert card.count("Not measured for this bundle.") == 4
    assert "Single slices of other scans with lung masks" in card
    assert "\n- pairs.\n" in card
    assert "Inf-Net" not in card
    assert "left out of this bundle's training and quantisation: coronacases_008." in card.lower()
    assert "Not a medical device" in card
    assert "\n\nTrained in two stages.\n\n" in card
    assert "{" not in card
    assert FAILURES not in card
    assert f"]({FAILURES})" in model_card(replace(release, failures=Path("x.png")), contracts)


def test_figures_are_found_by_the_names_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "slices.json").write_text('{"n": 3}', encoding="utf-8")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert read_figures(tmp_path) == {"slices": {"n": 3}}
    assert find_failures(tmp_path) is None
    (tmp_path / FAILURES).write_bytes(b"picture")
    assert find_failures(tmp_path) == tmp_path / FAILURES
