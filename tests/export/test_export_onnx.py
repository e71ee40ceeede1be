"""Exported files say what torch says, carry their contract, and become a bundle that proves itself."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
from onnx import TensorProto, numpy_helper

from kit.export_samples import DIGEST, Exported
from scanside_export.bundling.write_bundle import Release, build_bundle
from scanside_export.convert.export_networks import export_networks
from scanside_export.convert.to_ir import IrEngine
from scanside_export.errors import TrainingUnusable
from scanside_export.networks.checkpoint import Trained, read_checkpoint
from scanside_export.networks.to_onnx import restore_fp32, to_onnx
from scanside_runtime.model.bundle import open_bundle
from scanside_runtime.model.contract import CONTRACT_KEY, ModelContract
from scanside_runtime.model.engine import Engine, choose_engine, load_engine
from scanside_runtime.model.errors import ModelBundleMissing, ModelSelfTest
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.onnx_file import metadata
from scanside_runtime.model.selftest import GOLDEN, run_selftest

pytestmark = pytest.mark.usefixtures("small_networks")

NETWORKS = ("lungs", "infection")
ENGINES = ("openvino", "onnxruntime")


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def trained(exported: Exported, network: str) -> Trained:
    return read_checkpoint(exported.runs / network / "checkpoint.pt")


def test_an_export_says_nothing_of_torch_s_own_affairs(
    exported: Exported, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    one = trained(exported, "lungs")
    to_onnx(one.model, one.contract)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert (capfd.readouterr().err, warned) == ("", [])


def batch(network: str, slabs: int = 3) -> np.ndarray:
    """Smooth pictures between 0 and 1, (n, depth, 64, 64) float32."""
    depth = {"lungs": 1, "infection": 3}[network]
    coarse = torch.rand(slabs, depth, 8, 8, generator=torch.Generator().manual_seed(4))
    return torch.nn.functional.interpolate(coarse, size=(64, 64), mode="bilinear").numpy()


def by_torch(exported: Exported, network: str, stacks: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return np.asarray(trained(exported, network).model(torch.from_numpy(stacks)).numpy())


def engine(exported: Exported, network: str, name: str, form: str) -> Engine:
    precision = "int8" if form == "int8" else "fp32"
    return load_engine((exported.work / f"{network}.{form}.onnx").read_bytes(), choose_engine(name, precision, 1))


@pytest.mark.parametrize("name", ENGINES)
def test_a_file_with_fp32_weights_answers_as_torch_does(exported: Exported, network: str, name: str) -> None:
    found = engine(exported, network, name, "fp32").infer(batch(network))
    np.testing.assert_allclose(found, by_torch(exported, network, batch(network)), atol=2e-3)


@pytest.mark.parametrize("name", ENGINES)
def test_weights_stored_as_fp16_move_logits_by_no_more_than_their_rounding(
    exported: Exported, network: str, name: str
) -> None:
    expected = by_torch(exported, network, batch(network))
    found = engine(exported, network, name, "fp16").infer(batch(network))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=np.abs(expected).max() * 2.0**-10)


def test_weights_stored_as_fp16_come_back_in_fp32(exported: Exported, network: str) -> None:
    stored = onnx.load(exported.work / f"{network}.fp16.onnx")
    wide = restore_fp32(stored)
    assert {tensor.data_type for tensor in wide.graph.initializer} <= {TensorProto.FLOAT, TensorProto.INT64}
    choice = choose_engine("onnxruntime", "fp32", 1)
    before, after = (load_engine(one.SerializeToString(), choice).infer(batch(network)) for one in (stored, wide))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("form", ["fp16", "int8"])
@pytest.mark.parametrize("slabs", [1, 5])
def test_any_number_of_slabs_is_answered_each_for_itself(
    exported: Exported, network: str, form: str, slabs: int
) -> None:
    stacks = batch(network, 5)
    for name in ENGINES:
        loaded = engine(exported, network, name, form)
        together = loaded.infer(stacks[:slabs])
        assert together.shape == (slabs, {"lungs": 3, "infection": 1}[network], 64, 64)
        np.testing.assert_allclose(together[-1:], loaded.infer(stacks[slabs - 1 : slabs]), atol=2e-3)


@pytest.mark.parametrize("form", ["fp16", "int8"])
def test_both_engines_agree(exported: Exported, network: str, form: str) -> None:
    stacks = batch(network)
    first, second = (engine(exported, network, name, form).infer(stacks) for name in ENGINES)
    assert np.abs(first - second).mean() < {"fp16": 1e-3, "int8": 0.2}[form]


def test_int8_answers_almost_as_torch_does(exported: Exported, network: str) -> None:
    expected = by_torch(exported, network, batch(network))
    found = engine(exported, network, "onnxruntime", "int8").infer(batch(network))
    assert np.abs(found - expected).mean() < 0.03 * np.ptp(expected)


def test_the_runtime_reads_the_contract_inside_each_file(exported: Exported, network: str) -> None:
    expected = trained(exported, network).contract
    assert expected.training_digest == DIGEST
    for form in ("fp32", "fp16", "int8"):
        data = (exported.work / f"{network}.{form}.onnx").read_bytes()
        assert ModelContract.from_json(metadata(data, network)[CONTRACT_KEY]) == expected
    for form in ("fp16", "int8"):
        ir = openvino.Core().read_model(exported.work / f"{network}.{form}.xml")
        assert ModelContract.from_json(str(ir.get_rt_info([CONTRACT_KEY]).value)) == expected


@pytest.mark.parametrize("form", ["fp16", "int8"])
def test_the_ir_answers_as_its_onnx_file_does(exported: Exported, network: str, form: str) -> None:
    found = IrEngine(exported.work / f"{network}.{form}.xml").infer(batch(network))
    np.testing.assert_allclose(found, engine(exported, network, "openvino", form).infer(batch(network)), atol=2e-3)


def test_files_are_as_small_as_their_weights(exported: Exported, network: str) -> None:
    whole, half, quarter = (
        (exported.work / f"{network}.{form}.onnx").stat().st_size for form in ("fp32", "fp16", "int8")
    )
    assert half < 0.55 * whole
    assert quarter < 0.35 * whole


def test_no_large_weight_is_left_in_fp32(exported: Exported, network: str) -> None:
    for form in ("fp16", "int8"):
        model = onnx.load(exported.work / f"{network}.{form}.onnx")
        large = [t for t in model.graph.initializer if int(np.prod(t.dims)) >= 2048]
        assert large
        assert {numpy_helper.to_array(t).dtype for t in large} == {np.dtype({"fp16": "f2", "int8": "i1"}[form])}


def test_the_bundle_verifies_and_says_who_it_is(exported: Exported) -> None:
    bundle = open_bundle(exported.bundle)
    bundle.verify()
    assert (bundle.name, bundle.version) == ("tiny", "9.8.7")
    assert bundle.manifest["trained_on"] == ["real"]
    assert (exported.bundle / "MODEL_CARD.md").read_text(encoding="utf-8").startswith("# tiny 9.8.7\n")
    assert sorted(bundle.manifest["files"]) == sorted(
        ["MODEL_CARD.md", GOLDEN, *(f"{name}.{form}.onnx" for name in NETWORKS for form in ("fp16", "int8"))]
    )


def test_the_golden_masks_hold_something_to_compare(exported: Exported) -> None:
    with np.load(io.BytesIO(open_bundle(exported.bundle).read(GOLDEN))) as golden:
        for name in NETWORKS:
            assert 0.02 < (golden[f"{name}_mask"] > 0).mean() < 0.98


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("name", ENGINES)
def test_the_bundle_passes_its_own_test_on_both_engines(exported: Exported, name: str, precision: str) -> None:
    passed = run_selftest(load_networks(open_bundle(exported.bundle), choose_engine(name, precision, 1)))
    assert min(passed.lungs_dice, passed.infection_dice) >= 0.97
    assert passed.computed_in.endswith("fp32")


def test_the_self_test_notices_networks_that_answer_otherwise(exported: Exported, tmp_path: Path) -> None:
    """The golden masks of one bundle beside the networks of another whose infection head is turned round."""
    for path in exported.work.glob("*.onnx"):
        (tmp_path / path.name).symlink_to(path)
    turned = onnx.load(exported.work / "infection.fp16.onnx")
    (bias,) = [t for t in turned.graph.initializer if t.name == "head.bias"]
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(6.0), bias.name))
    contracts = {name: trained(exported, name).contract for name in NETWORKS}
    built = build_bundle(tmp_path, tmp_path / "bundle", Release("t", "1", "0.1.0", {}), contracts)
    data = turned.SerializeToString()
    (built.folder / "infection.fp16.onnx").write_bytes(data)
    manifest = built.folder / "manifest.json"
    manifest.write_text(_relisted(manifest.read_text(encoding="utf-8"), data), encoding="utf-8")
    with pytest.raises(ModelSelfTest):
        run_selftest(load_networks(open_bundle(built.folder), choose_engine("onnxruntime", "fp32", 1)))


def test_a_threshold_that_the_files_do_not_have_yet_is_no_bundle(exported: Exported, tmp_path: Path) -> None:
    contracts = {name: replace(trained(exported, name).contract, threshold=0.4) for name in NETWORKS}
    with pytest.raises(TrainingUnusable, match="export and quantize again"):
        build_bundle(exported.work, tmp_path / "bundle", Release("t", "1", "0.1.0", {}), contracts)
    assert not (tmp_path / "bundle").exists()


def test_a_bundle_that_is_cut_off_is_none_and_what_else_lies_in_its_folder_is_not_of_it(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = {name: trained(exported, name).contract for name in NETWORKS}
    (tmp_path / "notes.txt").write_text("of nobody's concern")
    build = partial(build_bundle, exported.work, tmp_path, Release("t", "1", "0.1.0", {}), contracts)
    assert "notes.txt" not in build().manifest["files"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("scanside_export.bundling.write_bundle._write_golden", _cut_off)
        build()
    with pytest.raises(ModelBundleMissing):
        open_bundle(tmp_path)


def test_an_export_that_is_cut_off_leaves_nothing_that_passes_for_it(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of a training that went on have the contract of those before."""
    work = tmp_path / "work"
    shutil.copytree(exported.work, work)
    lungs = trained(exported, "lungs")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("scanside_export.convert.export_networks.to_onnx", _cut_off)
        list(export_networks({"lungs": lungs}, work))
    with pytest.raises(FileNotFoundError, match=r"lungs\.int8"):
        build_bundle(work, tmp_path / "bundle", Release("t", "1", "0.1.0", {}), {"lungs": lungs.contract})


def _cut_off(*_: object) -> None:
    raise KeyboardInterrupt


def _relisted(manifest: str, data: bytes) -> str:
    document = json.loads(manifest)
    document["files"]["infection.fp16.onnx"] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return json.dumps(document)


def test_a_bundle_over_the_size_that_a_box_accepts_is_refused(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = {name: trained(exported, name).contract for name in NETWORKS}
    monkeypatch.setattr("scanside_export.bundling.write_bundle.LARGEST_FILE_MB", 0.5)
    with pytest.raises(ValueError, match="too large"):
        build_bundle(exported.work, tmp_path, Release("t", "1", "0.1.0", {}), contracts)
