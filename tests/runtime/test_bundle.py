"""A bundle is used only as its manifest says: each way to be wrong has its code, none is a traceback."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from kit.bundle_samples import INFECTION, LUNGS, infection_network, listed, lungs_network, write_bundle
from scanside_runtime.model.bundle import DEFAULT_BUNDLE, MANIFEST, SHIPPED_MANIFEST, open_bundle
from scanside_runtime.model.errors import ModelBundleDamaged, ModelBundleMissing, ModelFileUnsafe, ModelWithoutContract


def damage(folder: Path, name: str) -> str:
    """What is said of a file that can't be used."""
    with pytest.raises(ModelBundleDamaged) as caught:
        open_bundle(folder).read(name)
    assert (caught.value.code, caught.value.exit_code) == ("MODEL_BUNDLE_DAMAGED", 4)
    return caught.value.message


def rewrite(folder: Path, **changes: Any) -> None:
    """The manifest with other values."""
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_sound_bundle_gives_each_network_with_its_contract(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    assert (bundle.name, bundle.version) == ("tiny", "1")
    for form in ("int8", "fp16"):
        assert bundle.network("lungs", form) == (lungs_network(form), LUNGS)
        assert bundle.network("infection", form) == (infection_network(form), INFECTION)
    bundle.verify()


def test_the_digest_of_a_bundle_changes_with_its_manifest(tmp_path: Path) -> None:
    first = write_bundle(tmp_path).sha256
    assert open_bundle(tmp_path).sha256 == first
    rewrite(tmp_path, version="2")
    assert open_bundle(tmp_path).sha256 != first


def test_a_folder_that_is_not_there_or_holds_no_manifest_is_a_missing_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "nowhere", tmp_path, tmp_path / "file"):
        with pytest.raises(ModelBundleMissing) as caught:
            open_bundle(folder)
        assert (caught.value.code, caught.value.exit_code) == ("MODEL_BUNDLE_MISSING", 4)
        assert str(folder) in caught.value.message


def test_one_flipped_bit_is_found(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    path = tmp_path / "lungs.int8.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert "SHA-256" in damage(tmp_path, "lungs.int8.onnx")
    with pytest.raises(ModelBundleDamaged):
        open_bundle(tmp_path).verify()


def test_a_file_that_is_missing_longer_or_shorter_is_found(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "lungs.int8.onnx").unlink()
    (tmp_path / "lungs.fp16.onnx").write_bytes(lungs_network()[:-1])
    (tmp_path / "infection.fp16.onnx").write_bytes(infection_network() + b"\0")
    for name in ("lungs.int8.onnx", "lungs.fp16.onnx", "infection.fp16.onnx"):
        assert name in damage(tmp_path, name)


def test_a_size_that_does_not_match_its_hash_is_found(tmp_path: Path) -> None:
    data = lungs_network()
    wrong = {**listed(data), "bytes": len(data) + 1}
    write_bundle(tmp_path)
    rewrite(tmp_path, files={"lungs.fp16.onnx": wrong})
    assert "size" in damage(tmp_path, "lungs.fp16.onnx")


def test_a_file_that_the_manifest_does_not_list_is_not_read(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "extra.onnx").write_bytes(lungs_network())
    assert "not listed" in damage(tmp_path, "extra.onnx")


def test_files_in_a_sub_folder_belong_to_the_bundle(tmp_path: Path) -> None:
    assert write_bundle(tmp_path).read("golden/note.txt") == b"a file in a sub-folder"


OUTSIDE = ["../outside", "golden/../../outside", "..\\outside", "/etc/hostname", "{absolute}", "a\0b"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_the_folder_is_refused_though_its_hash_matches(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    name = name.format(absolute=outside)
    write_bundle(tmp_path / "bundle")
    rewrite(tmp_path / "bundle", files={name: listed(b"secret")})
    assert "leads out" in damage(tmp_path / "bundle", name)
    with pytest.raises(ModelBundleDamaged):
        open_bundle(tmp_path / "bundle").verify()


@pytest.mark.parametrize("contract_text", [None, "", "{}", LUNGS.to_json().replace("contract/1", "contract/9")])
def test_a_network_without_a_contract_is_refused(tmp_path: Path, contract_text: str | None) -> None:
    model = onnx.load_from_string(lungs_network(contract=None))
    if contract_text is not None:
        helper.set_model_props(model, {"scanside_contract": contract_text})
    bundle = write_bundle(tmp_path, files={"lungs.fp16.onnx": model.SerializeToString()})
    with pytest.raises(ModelWithoutContract) as caught:
        bundle.network("lungs", "fp16")
    assert (caught.value.code, caught.value.exit_code) == ("MODEL_WITHOUT_CONTRACT", 4)


def test_a_file_that_is_no_network_is_refused_though_its_hash_matches(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, files={"lungs.fp16.onnx": b"hello"})
    with pytest.raises(ModelFileUnsafe):
        bundle.network("lungs", "fp16")


def test_networks_in_each_others_place_are_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, files={"lungs.fp16.onnx": infection_network()})
    with pytest.raises(ModelBundleDamaged, match="'infection', not 'lungs'"):
        bundle.network("lungs", "fp16")


UNNAMED: list[Any] = [{}, {"lungs": {}}, {"lungs": {"int8": "x.onnx"}}, {"lungs": None}, {"lungs": "a"}]


@pytest.mark.parametrize("networks", UNNAMED)
def test_a_network_or_a_form_that_the_manifest_does_not_name_is_damage(tmp_path: Path, networks: Any) -> None:
    bundle = write_bundle(tmp_path, networks=networks)
    with pytest.raises(ModelBundleDamaged, match=r"manifest\.json"):
        bundle.network("lungs", "fp16")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        '{"schema": "scanside.bundle/2"}',
        '{"schema": "scanside.bundle/1"}',
        "[" * 9999,
        '{"schema": "scanside.bundle/1", "name": "n", "version": "1", "networks": {}, "files": []}',
        '{"schema": "scanside.bundle/1", "name": "n", "version": "1", "networks": {}, "files": {"a": {"bytes": 1}}}',
        '{"schema": "scanside.bundle/1", "name": "n", "version": "1", "networks": {}, '
        '"files": {"a": {"bytes": Infinity, "sha256": ""}}}',
        '{"schema": "scanside.bundle/1", "name": "n", "version": "1", "networks": 7, "files": {}}',
    ],
)
def test_a_text_that_is_no_manifest_is_damage(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ModelBundleDamaged, match=r"manifest\.json"):
        open_bundle(tmp_path)


def test_a_manifest_of_random_bytes_is_damage(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(bytes(range(256)))
    with pytest.raises(ModelBundleDamaged):
        open_bundle(tmp_path)


def test_the_bundle_that_comes_along_is_whole() -> None:
    try:
        bundle = open_bundle()
    except ModelBundleMissing as missing:
        pytest.skip(missing.message)
    bundle.verify()
    for network in ("lungs", "infection"):
        for form in ("int8", "fp16"):
            data, contract = bundle.network(network, form)
            assert contract.network == network
            assert len(data) <= 60e6
    assert sum(entry["bytes"] for entry in bundle.manifest["files"].values()) <= 140e6


def test_the_shipped_manifest_is_the_one_that_the_code_knows() -> None:
    found = hashlib.sha256((DEFAULT_BUNDLE / MANIFEST).read_bytes()).hexdigest()
    assert found == SHIPPED_MANIFEST, "another bundle ships: docs/training.md says where its sum goes"


def test_no_flip_in_the_shipped_manifest_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = (DEFAULT_BUNDLE / MANIFEST).read_bytes()
    monkeypatch.setattr("scanside_runtime.model.bundle.DEFAULT_BUNDLE", tmp_path)
    for place in random.Random(23).sample(range(len(sound)), 60):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << (place % 7)
        (tmp_path / MANIFEST).write_bytes(flipped)
        assert MANIFEST in damage(tmp_path, MANIFEST)


def test_a_shipped_bundle_whose_files_and_sums_were_changed_together_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path)
    monkeypatch.setattr("scanside_runtime.model.bundle.DEFAULT_BUNDLE", tmp_path)
    assert "came with" in damage(tmp_path, MANIFEST)
