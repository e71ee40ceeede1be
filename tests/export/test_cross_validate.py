"""Cross-validation in small: every fold trained, deployed and scored, finished ones read again, leaks refused."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from kit.export_samples import (
    DIGEST,
    Exported,
    ask_at_step,
    command,
    infection_by_hand,
    lungs_by_hand,
    phantom_case,
    tiny_recipe,
    write_checkpoint,
)
from scanside_export.bundling import cross_validate as folds
from scanside_export.bundling.cross_validate import CrossValidation, cross_validate
from scanside_export.cli.main import RECIPES, app
from scanside_export.data.prepare import Material, _store, load, prepare, read_digest
from scanside_export.data.recipe import Recipe, read_recipe
from scanside_export.errors import CasesUnusable, LabelsUnusable, TrainingUnusable
from scanside_export.networks.checkpoint import Trained
from scanside_export.networks.to_onnx import with_contract

pytestmark = pytest.mark.usefixtures("small_networks")

NAMES = {"coronacases_008": "infection-3d", "coronacases_002": "infection-3d", "study_0255": "infection-8mm"}
"""Of folds 0, 4 and 0."""


def prepared(folder: Path) -> Path:
    for seed, (name, source) in enumerate(NAMES.items(), start=8):
        _store(replace(phantom_case(seed, slab_mm=20.0), name=name, source=source), folder)
    _store(phantom_case(11, slab_mm=20.0, source="real"), folder)
    (folder / "digest.json").write_text(json.dumps({"sha256": DIGEST, "cases": 4}), encoding="utf-8")
    return folder


def recipes(**changes: object) -> dict[str, Recipe]:
    shares = {"infection-3d": 0.5, "real": 0.5}
    return {name: tiny_recipe(name, shares=shares, samples=2, **changes) for name in ("infection", "lungs")}


def test_a_fold_is_trained_deployed_and_scored_and_then_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Exported
) -> None:
    """Exporting takes most of a minute and has tests of its own: files that it made are put in its place."""

    def stand_in(trained: Mapping[str, Trained], work: Path) -> list[Path]:
        shutil.copytree(exported.work, work)
        files = [(work / f"{name}.{form}.onnx", one) for name, one in trained.items() for form in ("int8", "fp16")]
        for path, one in files:
            onnx.save(with_contract(onnx.load(path), one.contract), path)
        return [path for path, _ in files]

    monkeypatch.setattr(folds, "export_networks", stand_in)
    monkeypatch.setattr(folds, "quantize_networks", lambda *_: [])
    plan = CrossValidation(prepared(tmp_path / "cases"), tmp_path / "work", recipes(), slabs=2)
    half_built = tmp_path / "work" / "fold_0" / "bundle.part"
    half_built.mkdir(parents=True)
    (half_built / "manifest.json").write_text("cut o")
    first = cross_validate(plan, [0])
    assert not half_built.exists()
    told = json.loads((tmp_path / "work" / "fold_0" / "bundle" / "manifest.json").read_text(encoding="utf-8"))
    assert told["trained_on"] == ["infection-3d", "real"]
    assert told["left_out"] == ["coronacases_008", "study_0255"]
    assert [row["name"] for row in first["volumes"]] == ["coronacases_008", "study_0255"]
    assert 0.0 <= first["dice_mean"] <= 1.0
    away = folds.read_checkpoint(tmp_path / "work" / "fold_0" / "runs" / "infection" / "checkpoint.pt")
    assert away.left_out == ("coronacases_008", "study_0255")
    assert away.contract.training_digest == read_digest(plan.cases, away.left_out) != DIGEST
    monkeypatch.setattr(folds, "run_fold", lambda plan, fold: pytest.fail("a finished fold was run again"))
    assert cross_validate(plan, [0]) == first


def test_a_pre_training_that_saw_a_patient_of_the_fold_is_refused(tmp_path: Path) -> None:
    chosen = recipes()
    plan = CrossValidation(prepared(tmp_path / "cases"), tmp_path / "work", chosen, start_from=tmp_path / "before")
    write_checkpoint(tmp_path / "before" / "infection", infection_by_hand(), chosen["infection"])
    write_checkpoint(tmp_path / "before" / "lungs", lungs_by_hand(), chosen["lungs"])
    with pytest.raises(TrainingUnusable, match="may have seen coronacases_008"):
        cross_validate(plan, [0])


def test_cases_that_int8_can_not_be_calibrated_on_are_told_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "train", lambda *_: pytest.fail("it was trained first"))
    drawn = {name: replace(one, shares={"infection-3d": 0.0, "phantom": 1.0}) for name, one in recipes().items()}
    plan = CrossValidation(prepared(tmp_path / "cases"), tmp_path / "work", drawn)
    with pytest.raises(CasesUnusable, match="has no such label"):
        cross_validate(plan, [0])


def test_lungs_that_are_not_there_are_told_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folds, "train", lambda *_: pytest.fail("it was trained first"))
    infection = {"infection": recipes()["infection"]}
    plan = CrossValidation(prepared(tmp_path / "cases"), tmp_path / "work", infection, lungs=tmp_path / "no.pt")
    with pytest.raises(TrainingUnusable, match="there is no such checkpoint"):
        cross_validate(plan, [0])


def test_a_pre_training_on_other_sources_is_taken(tmp_path: Path) -> None:
    chosen = recipes()
    blind = replace(chosen["infection"], shares={"real": 1.0})
    plan = CrossValidation(prepared(tmp_path / "cases"), tmp_path / "work", chosen, start_from=tmp_path / "before")
    write_checkpoint(tmp_path / "before" / "infection", infection_by_hand(), blind)
    cases = load(plan.cases)
    found = folds._pre_training(plan, "infection", cases, frozenset({"coronacases_008"}))
    assert found == tmp_path / "before" / "infection" / "checkpoint.pt"


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("step", "asks", "exit_code", "said"),
    [
        (0, signal.SIGTERM, 143, "stopped after a whole step: the same command goes on from {}/checkpoint.pt"),
        (1, signal.SIGINT, 130, "stopped: the same command goes on with what is finished in work"),
    ],
)
def test_a_fold_that_is_asked_to_stop_loses_no_step_of_its_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, asks: signal.Signals, exit_code: int, said: str
) -> None:
    """At its last step the training is done, and what comes after it waits for the next start."""
    prepared(tmp_path / "cases")
    two_steps = {name: replace(one, samples=4) for name, one in recipes().items()}
    monkeypatch.setattr("scanside_export.cli.cross_validate._recipes", lambda *_: two_steps)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(asks)
    ask_at_step(step, asks, monkeypatch)
    ended = CliRunner().invoke(app, ["cross-validate", "--cases", "cases", "--work", "work", "--fold", "0"])
    assert (ended.exit_code, signal.getsignal(asks)) == (exit_code, before), ended.output
    runs = Path("work/fold_0/runs")
    assert ended.stderr.splitlines()[-1] == said.format(runs / "infection")
    assert torch.load(runs / "infection/checkpoint.pt", weights_only=True)["step"] == step + 1
    assert not (runs / "lungs").exists()


def test_the_command_refuses_a_fold_that_there_is_not(tmp_path: Path) -> None:
    command("cross-validate", "--cases", str(tmp_path), "--work", str(tmp_path), "--fold", "5", exit_code=2)


def test_two_cases_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanside_export.data.prepare.read_form", lambda form, folder: [phantom_case()])
    twice = Material(None, [("pairs", tmp_path), ("pairs", tmp_path)], phantoms=0)
    with pytest.raises(LabelsUnusable, match="two cases are called phantom/phantom_9"):
        prepare(twice, tmp_path / "cases")


def test_cases_prepared_by_several_processes_are_the_same_ones(tmp_path: Path) -> None:
    pairs = [("pairs", pair(tmp_path / name, seed)) for name, seed in (("a", 8), ("b", 9))]
    material = Material(None, pairs, phantoms=1, seed=0)  # a patient in slices of 10 mm: few to draw
    assert prepare(material, tmp_path / "two", jobs=2) == prepare(material, tmp_path / "one")
    assert len(load(tmp_path / "two")) == 3


def pair(folder: Path, seed: int) -> Path:
    """A volume and its mask as NIfTI files that are called after their folder."""
    case = phantom_case(seed, slab_mm=20.0)
    for kind, array in (("images", case.hu), ("masks", case.infection[0].astype(np.int16))):
        (folder / kind).mkdir(parents=True)
        image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), np.diag([-6.0, -6.0, 20.0, 1.0]))
        nibabel.save(image, folder / kind / f"{folder.name}.nii.gz")
    return folder


def test_processes_that_prepare_cases_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    """They waited for their next part for ever; as long as one of them lives, its stdout is open."""
    program = """
import multiprocessing, os, signal, threading, time
from functools import partial
from pathlib import Path
from scanside_export.data.prepare import _written

if __name__ == "__main__":
    parts = [partial(time.sleep, 600.0)] * 2
    threading.Thread(target=lambda: list(_written(parts, Path("."), 2)), daemon=True).start()
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
"""
    (tmp_path / "killed.py").write_text(program)
    killed = [sys.executable, "killed.py"]
    ended = subprocess.run(killed, cwd=tmp_path, stdout=subprocess.PIPE, check=False, timeout=60)
    assert ended.returncode == -signal.SIGTERM


def test_what_one_of_several_processes_refuses_is_refused_with_its_own_sentence(tmp_path: Path) -> None:
    nothing = Material(None, [("infection-8mm", tmp_path)], phantoms=0)
    with pytest.raises(LabelsUnusable, match="study_"):
        prepare(nothing, tmp_path / "cases", jobs=2)


def test_a_hospitals_labels_become_training_cases_with_one_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanside_export.data.prepare.read_form", lambda form, folder: [phantom_case()])
    made = command("prepare", "--cases", str(tmp_path / "c"), "--from", f"pairs={tmp_path}", "--phantoms", "0").strip()
    assert made == read_digest(tmp_path / "c")
    assert [case.name for case in load(tmp_path / "c")] == ["phantom_9"]
    command("prepare", "--cases", str(tmp_path / "d"), exit_code=2)


def test_preparing_cases_says_how_far_it_is_on_stderr_and_the_digest_alone_on_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 phantoms were drawn in ten minutes of silence."""
    monkeypatch.setattr("scanside_export.data.prepare.read_form", lambda form, folder: [phantom_case()])
    named = ["--from", f"pairs={tmp_path}", "--phantoms", "0"]
    said = CliRunner().invoke(app, ["prepare", "--cases", str(tmp_path), *named])
    assert said.stdout.strip() == read_digest(tmp_path)
    assert "0 of 1: no case yet" in said.stderr


def test_progress_counts_every_part_of_the_material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = lambda seed: replace(phantom_case(), name=f"{seed}")  # noqa: E731
    monkeypatch.setattr("scanside_export.data.prepare._phantom_case", drawn)
    told: list[tuple[str, int, int]] = []
    prepare(Material(None, phantoms=12), tmp_path, progress=lambda *one: told.append(one))
    assert told == [
        ("no case yet", 0, 3), ("5 cases written", 1, 3), ("10 cases written", 2, 3), ("12 cases written", 3, 3),
    ]  # fmt: skip


def test_permissive_cases_need_no_set_under_a_non_commercial_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanside_export.data.prepare.BACKGROUNDS", ())
    monkeypatch.setattr("scanside_export.data.prepare._phantom_case", lambda seed: phantom_case())
    prepare(Material(tmp_path, phantoms=1, permissive=True), tmp_path / "cases")
    assert [case.source for case in load(tmp_path / "cases")] == ["phantom"]


@pytest.mark.parametrize("network", ["lungs", "infection"])
def test_recipes_of_the_permissive_bundle_draw_from_scans_and_phantoms_alone(network: str) -> None:
    name = f"{network}_pretraining.toml"
    assert name in (Path(__file__).parents[2] / "Makefile").read_text()
    recipe = read_recipe(RECIPES / name)
    assert {source for source, share in recipe.shares.items() if share > 0} == {"real", "phantom"}
    assert "no non-commercial" in recipe.licence
