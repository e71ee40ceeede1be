"""Networks are loaded once, for as long as bundle, engine, precision and threads stay."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from kit.bundle_samples import write_bundle
from scanside_runtime.model import networks as module
from scanside_runtime.model.errors import ModelBundleMissing
from scanside_runtime.model.networks import KeptNetworks


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many networks were loaded, by precision."""
    counted: Counter[str] = Counter()
    load_engine = module.load_engine

    def counting(model: bytes, choice: Any, compiled: Any) -> Any:
        counted[choice.precision] += 1
        return load_engine(model, choice, compiled)

    monkeypatch.setattr(module, "load_engine", counting)
    return counted


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle").folder


def test_the_second_study_loads_no_network(bundle: Path, loads: Counter[str]) -> None:
    kept = KeptNetworks()
    first = kept.load(bundle, "onnxruntime", "auto", 1)
    assert kept.load(bundle, "onnxruntime", "auto", 1) is first
    assert loads == {"int8": 2}  # lungs and infection


def test_another_precision_or_number_of_threads_loads_anew(bundle: Path, loads: Counter[str]) -> None:
    kept = KeptNetworks()
    for precision, threads in (("int8", 1), ("fp32", 1), ("fp32", 2)):
        assert kept.load(bundle, "onnxruntime", precision, threads).choice.threads == threads
    assert loads == {"int8": 2, "fp32": 4}


def test_a_bundle_that_was_exchanged_in_its_folder_is_loaded_anew(bundle: Path, loads: Counter[str]) -> None:
    kept = KeptNetworks()
    before = kept.load(bundle, "onnxruntime", "auto", 1)
    shutil.rmtree(bundle)
    write_bundle(bundle, version="9.9.9")
    after = kept.load(bundle, "onnxruntime", "auto", 1)
    assert (before.bundle.version, after.bundle.version) == (before.bundle.version, "9.9.9")
    assert loads == {"int8": 4}


def test_a_bundle_that_is_gone_is_no_longer_used(bundle: Path) -> None:
    kept = KeptNetworks()
    kept.load(bundle, "onnxruntime", "auto", 1)
    shutil.rmtree(bundle)
    with pytest.raises(ModelBundleMissing):
        kept.load(bundle, "onnxruntime", "auto", 1)


def test_who_loads_networks_in_a_program_of_his_own_keeps_the_threads_of_opencv(bundle: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        KeptNetworks().load(bundle, "onnxruntime", "auto", 1)
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
