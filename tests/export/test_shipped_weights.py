"""Training goes on from a bundle: the same network, and what it is bound to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kit.bundle_samples import write_bundle
from kit.export_samples import DIGEST, phantom_case, tiny_recipe
from scanside_export.data.cases import CHECK_CASES
from scanside_export.data.recipe import Recipe
from scanside_export.errors import TrainingUnusable
from scanside_export.networks.checkpoint import Trained, read_checkpoint
from scanside_export.networks.shipped_weights import read_network, with_statistics
from scanside_export.training.train import Run, train
from scanside_runtime.model.bundle import DEFAULT_BUNDLE, MANIFEST, open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.networks import load_networks

NETWORKS = ("lungs", "infection")


def small(network: str, **changes: object) -> Recipe:
    return tiny_recipe(network, matrix=(32, 32), pixel_mm=12.0, samples=2, **changes)


def train_from(bundle: Path, chosen: Recipe, out: Path) -> Path:
    return train([phantom_case()], chosen, Run(out, DIGEST, threads=1, start_from=bundle))


def trained_from_shipped(folder: Path, **changes: object) -> Trained:
    """Lungs from the shipped bundle with another manifest; what is None is not in it."""
    shutil.copytree(DEFAULT_BUNDLE, folder / "bundle")
    manifest = json.loads((DEFAULT_BUNDLE / MANIFEST).read_text()) | changes
    said = {key: value for key, value in manifest.items() if value is not None}
    (folder / "bundle" / MANIFEST).write_text(json.dumps(said))
    return read_checkpoint(train_from(folder / "bundle", small("lungs"), folder / "out"))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_network_in_torch_answers_as_the_bundle_does(network: str) -> None:
    bundle = open_bundle()
    model, contract = read_network(bundle, network)
    stacks = torch.rand(2, contract.stack_depth, *contract.matrix)
    deployed = getattr(load_networks(bundle, choose_engine("onnxruntime", "fp32", 1)), network).engine
    with torch.inference_mode():
        np.testing.assert_allclose(model(stacks).numpy(), deployed.infer(stacks.numpy()), atol=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
def test_statistics_change_no_answer_and_make_the_training_mode_give_the_same(network: str) -> None:
    model, contract = read_network(open_bundle(), network)
    stacks = torch.rand(4, contract.stack_depth, 64, 64)
    with torch.no_grad():
        before = model(stacks)
        unsettled = model.train()(stacks)
        model, _ = read_network(open_bundle(), network)
        settled = with_statistics(model, stacks)
        torch.testing.assert_close(settled.eval()(stacks), before, atol=1e-3, rtol=0.0)
        torch.testing.assert_close(settled.train()(stacks), before, atol=1e-2, rtol=0.0)
    assert (unsettled - before).abs().max() > 1.0


def test_a_training_begins_at_the_weights_of_a_bundle_and_goes_on_from_its_own_when_run_again(tmp_path: Path) -> None:
    begun = train_from(DEFAULT_BUNDLE, small("lungs", learning_rate=0.0), tmp_path)
    shipped, _ = read_network(open_bundle(), "lungs")
    kept = read_checkpoint(begun).model.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in shipped.named_parameters() if value.dim() == 4)
    before = begun.read_bytes()
    assert train_from(DEFAULT_BUNDLE, small("lungs", learning_rate=0.0), tmp_path).read_bytes() == before


def test_a_bundle_that_does_not_say_what_it_saw_has_seen_all_there_was_and_its_licence_holds(tmp_path: Path) -> None:
    chosen = small("lungs", licence="my own")
    trained = read_checkpoint(train_from(DEFAULT_BUNDLE, chosen, tmp_path))
    assert trained.saw("coronacases_001", "infection-3d")
    assert trained.sources == {"infection-3d", "infection-2d", "lung-2d", "real", "phantom"}
    assert trained.contract.licence.startswith("my own; research use only, non-commercial")
    assert trained.contract == replace(chosen, licence=trained.contract.licence).contract(DIGEST)


def test_a_bundle_saw_the_sources_that_its_manifest_names(tmp_path: Path) -> None:
    trained = trained_from_shipped(tmp_path, trained_on=["infection-8mm"])
    assert trained.saw("study_0255", "infection-8mm")
    assert not trained.saw("coronacases_001", "infection-3d")


def test_whom_the_manifest_says_it_left_out_a_bundle_did_not_see(tmp_path: Path) -> None:
    trained = trained_from_shipped(tmp_path, left_out=["coronacases_008"])
    assert trained.saw("coronacases_001", "infection-3d")
    assert not trained.saw("coronacases_008", "infection-3d")


@pytest.mark.parametrize(("name", "saw"), [("scanside-chest", False), ("clinic-chest", True)])
def test_of_two_bundles_that_do_not_say_it_is_known_whom_they_left_out(tmp_path: Path, name: str, saw: bool) -> None:
    trained = trained_from_shipped(tmp_path, name=name, version="0.2.0", left_out=None)
    assert [trained.saw(case, "infection-3d") for case in ("coronacases_001", *CHECK_CASES)] == [True, saw, saw]


def test_a_bundle_that_does_not_fit_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingUnusable, match="another network or stack depth"):
        train_from(DEFAULT_BUNDLE, small("infection", stack_depth=1), tmp_path / "flat")
    write_bundle(tmp_path / "foreign")
    with pytest.raises(TrainingUnusable, match="not of this exporter's making"):
        train_from(tmp_path / "foreign", tiny_recipe("lungs", classes=("none", "right", "left")), tmp_path / "other")


def test_a_start_that_is_neither_checkpoint_nor_bundle_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for start in (tmp_path, tmp_path / "missing.pt"):
        with pytest.raises(TrainingUnusable, match="neither a checkpoint nor the folder of a bundle"):
            train_from(start, small("lungs"), tmp_path / "out")
