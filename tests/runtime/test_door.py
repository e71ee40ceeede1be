"""The door for a programmer: what `scanside_runtime` offers, and what it costs to look in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import scanside_runtime
from kit.analysis_samples import chest_series
from kit.bundle_samples import write_bundle
from scanside_runtime import Analysis, Options, ScansideError, Settings, analyze, load_networks, open_bundle
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.settings.tables import InferenceSettings

ONE_THREAD = Settings(inference=InferenceSettings(threads=1))


def test_every_name_of_the_door_is_there() -> None:
    assert set(dir(scanside_runtime)) == set(scanside_runtime.__all__)
    assert all(getattr(scanside_runtime, name) is not None for name in scanside_runtime.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="analyse"):
        scanside_runtime.analyse  # noqa: B018


def test_looking_in_loads_nothing_of_what_is_behind_it() -> None:
    program = "import sys, scanside_runtime; print(*{'numpy', 'cv2', 'pydicom'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == ""


def test_the_packages_say_that_they_are_typed() -> None:
    assert Path(scanside_runtime.__file__).with_name("py.typed").is_file()


def test_loaded_networks_are_used_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chest_series(tmp_path / "series")
    write_bundle(tmp_path / "bundle")
    networks = load_networks(open_bundle(tmp_path / "bundle"), choose_engine("onnxruntime", "fp32", 1))
    monkeypatch.setattr("scanside_runtime.model.networks.load_engine", None)  # called, it would fail
    analysis = analyze(tmp_path / "series", Options(ONE_THREAD), networks=networks)
    assert isinstance(analysis, Analysis)
    assert analysis.provenance.engine is not None
    assert (analysis.provenance.engine.name, analysis.provenance.engine.precision) == ("onnxruntime", "fp32")


def test_what_is_wrong_with_a_bundle_raises_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ScansideError, match="bundle"):
        open_bundle(tmp_path)
