"""The exporter's program: help everywhere, and a sentence where something is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rich.progress
import torch
import typer
from typer.testing import CliRunner

from kit.export_samples import DIGEST, command, phantom_case, store_cases, tiny_recipe, tiny_recipe_text
from scanside_export.bundling.model_card import FAILURES, Release, find_failures, licence_of, model_card, read_figures
from scanside_export.cli import progress as shown
from scanside_export.cli.main import app, main
from scanside_export.convert.parity import Parity
from scanside_export.data.prepare import Material, _store, load, prepare, read_digest
from scanside_export.errors import CasesUnusable, LabelsUnusable
from scanside_export.evaluation.score_summary import slice_figures
from scanside_export.networks.checkpoint import read_checkpoint

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]

Program = Callable[..., tuple[object, str]]

RECIPE = tiny_recipe_text(400)


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
    beside = ["train", "keep", "cuts", "guards", "motion", "keygen", "sign", "pack", "unpack"]
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


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Program:
    """The program as it is called in a shell, in an empty folder."""

    def run(*words: str) -> tuple[object, str]:
        monkeypatch.setattr(sys, "argv", ["scanside-export", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    return run


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        ("train lungs --cases none --runs runs", 3, "INPUT_CASES: The training cases can't be used: in none is none."),
        ("pack none --out parts", 3, "INPUT_CASES: The training cases can't be used: in none is none."),
        ("train lungs --cases none --runs runs --recipe no.toml", 3, "The recipe no.toml can't be used: No such file"),
        (
            "threshold 0.4 --runs runs",
            3,
            "infection/checkpoint.pt can't be used here: there is no such checkpoint",
        ),
        ("pack file --out parts", 3, "The training in file can't be used here: it is no checkpoint"),
        ("cuts --data none", 3, "in none/ct can't be used: there is no "),
        ("guards --data none", 3, "in none can't be used: there is no series"),
        ("motion measure --data none", 3, "in none/ct can't be used: there is no "),
        ("evaluate held-out --data none", 3, "in none/ct can't be used: there is no "),
        ("prepare --cases file/cases --from pairs=none", 2, "file/cases: Not a directory"),
    ],
)
def test_what_a_person_gets_wrong_ends_in_one_line(program: Program, words: str, exit_code: int, said: str) -> None:
    Path("file").write_bytes(b"")
    ended, errors = program(*words.split())
    assert (ended, said in errors) == (exit_code, True), errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("pixels = 3\n", "there is no key pixels"),
        ("pixel_mm\n", "Expected '=' after a key"),
        ("seed = 1.5\n", "seed: '1.5' is no "),
        ("augment = { turn = 1.0 }\n", "augment has no key turn"),
    ],
)
def test_a_recipe_that_is_none_is_refused_with_its_key(program: Program, changed: str, said: str) -> None:
    Path("recipe.toml").write_text(changed + RECIPE, encoding="utf-8")
    ended, errors = program("train", "lungs", "--cases", "none", "--runs", "runs", "--recipe", "recipe.toml")
    assert (ended, said in errors) == (3, True), errors


def test_a_recipe_lacks_what_every_one_must_have_and_is_of_one_network(program: Program) -> None:
    train = ("--cases", "none", "--runs", "runs", "--recipe", "recipe.toml")
    Path("recipe.toml").write_text(RECIPE.replace("samples = 400", ""), encoding="utf-8")
    assert "samples is missing" in program("train", "lungs", *train)[1]
    Path("recipe.toml").write_text(RECIPE, encoding="utf-8")
    assert "a recipe of lungs, not of infection" in program("train", "infection", *train)[1]


def test_a_full_disk_is_the_disk_s(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("500 requested and 12 written")

    monkeypatch.setattr(np, "save", full)
    monkeypatch.setattr("scanside_export.data.prepare.read_form", lambda form, folder: [phantom_case()])
    ended, errors = program(*["prepare", "--cases", "cases", "--from", "pairs=none", "--phantoms", "0"])
    assert (ended, "BOX_DISK" in errors, "500 requested and 12 written" in errors) == (5, True, True)


def test_a_missing_file_that_no_system_speaks_of_is_a_defect(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> None:
        raise FileNotFoundError("what the engine looked for")

    monkeypatch.setattr("scanside_export.data.prepare.read_form", lost)
    with pytest.raises(FileNotFoundError, match="what the engine looked for"):
        program(*["prepare", "--cases", "cases", "--from", "pairs=none", "--phantoms", "0"])


def test_a_checkpoint_without_weights_is_none(program: Program) -> None:
    torch.save({"recipe": {"network": "lungs"}, "average": {}}, "empty.pt")
    ended, errors = program("pack", "empty.pt", "--out", "parts")
    assert (ended, "empty.pt can't be used here: it is no checkpoint" in errors) == (3, True), errors


def test_cases_of_a_preparation_that_did_not_end_or_of_two_are_not_trained_on(tmp_path: Path) -> None:
    store_cases(tmp_path, [phantom_case()])
    assert len(read_digest(tmp_path)) == 64
    _store(phantom_case(8), tmp_path)
    with pytest.raises(CasesUnusable, match=r"wrote 1 into .*, and 2 lie there"):
        read_digest(tmp_path)
    with pytest.raises(LabelsUnusable):
        prepare(Material(None, [("pairs", tmp_path / "none")]), tmp_path)
    with pytest.raises(CasesUnusable, match="did not come to its end"):
        read_digest(tmp_path)


@pytest.mark.usefixtures("one_torch_thread")
def test_train_takes_a_recipe_and_fewer_samples_and_prints_the_checkpoint(tmp_path: Path) -> None:
    store_cases(tmp_path / "cases", [phantom_case()])
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    options = {"--cases": "cases", "--runs": "runs", "--recipe": "recipe.toml"}
    paths = [text for option, name in options.items() for text in (option, str(tmp_path / name))]
    printed = command("train", "lungs", *paths, "--samples", "4", "--threads", "1")
    checkpoint = tmp_path / "runs" / "lungs" / "checkpoint.pt"
    assert printed.strip() == str(checkpoint)
    trained = read_checkpoint(checkpoint)
    assert ([stage.samples for stage in trained.stages], trained.contract.training_digest) == (
        [4],
        read_digest(tmp_path / "cases"),
    )
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
    assert "| Dice, mean | 0.600 (95 % interval 0.343 to 0.857) |" in card
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


def test_a_licence_that_another_network_names_among_its_own_is_said_once() -> None:
    first, second = (tiny_recipe(name).contract(DIGEST) for name in ("lungs", "infection"))
    contracts = {"lungs": replace(first, licence="mine; theirs"), "infection": replace(second, licence="theirs")}
    assert licence_of(contracts) == "mine; theirs"
    assert licence_of({"infection": contracts["infection"]}) == "theirs"


def test_figures_are_found_by_the_names_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "slices.json").write_text('{"n": 3}', encoding="utf-8")
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert read_figures(tmp_path) == {"slices": {"n": 3}}
    assert find_failures(tmp_path) is None
    (tmp_path / FAILURES).write_bytes(b"picture")
    assert find_failures(tmp_path) == tmp_path / FAILURES


def test_figures_that_a_refused_command_left_empty_are_named(tmp_path: Path) -> None:
    (tmp_path / "parity.json").write_bytes(b"")
    with pytest.raises(ValueError, match=r"parity\.json is no JSON"):
        read_figures(tmp_path)
