"""The exporter's program: help everywhere, and a sentence where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from export_samples import DIGEST, Exported, command, phantom, phantom_case, tiny_recipe
from scanside_export.checkpoint import read_checkpoint
from scanside_export.cli import app
from scanside_export.model_card import model_card
from scanside_export.prepare import _store, load
from scanside_export.volumes import Labelled

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


def test_the_commands_are_those_of_the_road_from_data_to_bundle_and_of_the_gate() -> None:
    road = ["bundle", "check", "evaluate", "export", "prepare", "quantize", "threshold", "train"]
    assert sorted([*road, "cuts", "motion"]) == COMMANDS


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
    assert (trained.samples_seen, trained.contract.training_digest) == (4, DIGEST)
    assert (tmp_path / "runs" / "lungs" / "curves.png").stat().st_size > 1000


def test_stored_cases_come_back_as_they_were(tmp_path: Path) -> None:
    case = phantom_case()
    _store(case, tmp_path)
    (again,) = load(tmp_path)
    assert (again.name, again.source, again.spacing_mm) == (case.name, case.source, case.spacing_mm)
    assert (again.hu == case.hu).all()
    assert (again.lungs == case.lungs).all()
    assert [mask.tolist() for mask in again.infection] == [mask.tolist() for mask in case.infection]


@pytest.mark.usefixtures("one_torch_thread")
def test_evaluate_scores_the_bundle_beside_a_threshold(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = phantom()
    known = np.asarray(drawn.lungs.any(axis=(1, 2)), dtype=np.bool_)
    case = Labelled("drawn", drawn.volume(), (drawn.infection, drawn.infection), drawn.lungs, known)
    monkeypatch.setattr("scanside_export.volumes.check_cases", lambda data: [case])
    figures = json.loads(command("evaluate", "--data", ".", "--bundle", str(exported.bundle), "--json"))
    assert (figures["n"], figures["bundle"], figures["precision"]) == (1, "tiny 9.8.7", "int8+fp32")
    (row,) = figures["cases"]
    assert row["infection_dice"][0] == row["infection_dice"][1] == pytest.approx(figures["infection_dice_mean"])
    assert 0.0 < row["lungs_dice"] < 1.0
    assert row["poi_percent_readers"] == pytest.approx([drawn.truth.poi_percent] * 2)


def test_the_model_card_states_licence_limits_contract_and_validation() -> None:
    contracts = {name: tiny_recipe(name).contract(DIGEST) for name in ("lungs", "infection")}
    card = model_card("chest", "1.2", contracts, {"n": 2}, "Trained in two stages.\n")
    assert card.startswith("# chest 1.2\n")
    assert contracts["infection"].licence in card
    assert "matrix 64 x 64, stack of 3 sections 5 mm apart" in card
    assert DIGEST[:16] in card
    assert '"n": 2' in card
    assert "Not a medical device" in card
    assert "\n\nTrained in two stages.\n\n" in card
    assert "{" not in card.replace(json.dumps({"n": 2}, indent=2), "")
