"""A network of one bundle goes into the next as it is, beside one that was trained again."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from kit.export_samples import DIGEST, Exported, command, phantom_case, tiny_recipe
from scanside_export.errors import TrainingUnusable
from scanside_export.networks.checkpoint import read_checkpoint
from scanside_export.networks.shipped_weights import read_network
from scanside_export.networks.to_onnx import restore_fp32
from scanside_export.training.train import Run, train
from scanside_runtime.model.bundle import DEFAULT_BUNDLE, open_bundle

pytestmark = pytest.mark.usefixtures("small_infection")


def stored_weights(network: str) -> onnx.ModelProto:
    return onnx.load_model_from_string(bytes(open_bundle().network(network, "fp16")[0]))


def train_lungs(out: Path, start: Path = DEFAULT_BUNDLE) -> Path:
    chosen = tiny_recipe("lungs", samples=2, shares={"real": 1.0})
    return train([phantom_case(source="real")], chosen, Run(out, DIGEST, threads=1, start_from=start))


def test_the_kept_network_is_the_same_file_beside_one_that_was_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Exported
) -> None:
    """The infection network was exported for all tests; here it is only seen that nothing else would be."""
    runs, work = str(tmp_path / "runs"), str(tmp_path / "work")
    shutil.copytree(exported.runs / "infection", tmp_path / "runs" / "infection")
    shutil.copytree(exported.work, tmp_path / "work", ignore=shutil.ignore_patterns("lungs.*"))
    command("keep", "lungs", "--runs", runs, "--work", work)
    for step in ("export_networks", "quantize_networks"):
        named = f"scanside_export.convert.export_networks.{step}"
        monkeypatch.setattr(named, lambda trained, *_: [Path(name) for name in trained])
    assert command("export", "--runs", runs, "--work", work) == "infection\n"
    quantized = ("quantize", "--runs", runs, "--work", work, "--cases", str(exported.cases))
    assert command(*quantized) == "infection\n"
    assert command(*quantized, "--kept") == "lungs\ninfection\n"
    assert onnx.load(tmp_path / "work" / "lungs.fp32.onnx") == restore_fp32(stored_weights("lungs"))
    command("bundle", "--runs", runs, "--work", work, "--out", str(tmp_path / "bundle"))
    built = open_bundle(tmp_path / "bundle")
    for form in ("int8", "fp16"):
        assert built.network("lungs", form) == open_bundle().network("lungs", form)
        assert built.network("infection", form) == open_bundle(exported.bundle).network("infection", form)
    built.verify()


def test_the_checkpoint_of_a_kept_network_says_what_the_bundle_says(tmp_path: Path) -> None:
    command("keep", "lungs", "--runs", str(tmp_path), "--work", str(tmp_path), "--bundle", str(DEFAULT_BUNDLE))
    kept = read_checkpoint(tmp_path / "lungs" / "checkpoint.pt")
    model, contract = read_network(open_bundle(), "lungs")
    assert kept.contract == contract
    assert (kept.kept, sum(stage.samples for stage in kept.stages)) == (True, 0)
    assert all((value == model.state_dict()[name]).all() for name, value in kept.model.state_dict().items())
    assert kept.saw("coronacases_001", "infection-3d")


def test_a_training_is_neither_replaced_by_a_kept_network_nor_gone_on_with_from_one(tmp_path: Path) -> None:
    command_line = ("keep", "lungs", "--runs", str(tmp_path), "--work", str(tmp_path))
    command(*command_line)
    command(*command_line)
    with pytest.raises(TrainingUnusable, match="kept as it is"):
        train_lungs(tmp_path / "lungs")
    with pytest.raises(TrainingUnusable, match="start from its bundle"):
        train_lungs(tmp_path / "next", start=tmp_path / "lungs" / "checkpoint.pt")
    trained = train_lungs(tmp_path / "other" / "lungs")
    before = trained.read_bytes()
    for name in ("checkpoint.pt", "best.pt"):
        trained = trained.rename(trained.with_name(name))
        with pytest.raises(TrainingUnusable, match="a training lies there"):
            command("keep", "lungs", "--runs", str(tmp_path / "other"), "--work", str(tmp_path))
        assert trained.read_bytes() == before
