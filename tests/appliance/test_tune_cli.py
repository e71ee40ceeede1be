"""`scanside tune` keeps what it found where this box, or this user, finds it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.cli.main import app
from scanside_appliance.service.executable_memory import fit_to_engine
from scanside_appliance.tuned import read_tuning, tuning_file
from scanside_runtime.model import tune as module
from scanside_runtime.model.bundle import Bundle
from scanside_runtime.model.engine import EngineChoice, cores
from scanside_runtime.model.tuning import Tried

UNKNOWN_TO_THE_KERNEL = 77
DENIED = f"""
import ctypes, mmap, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit({UNKNOWN_TO_THE_KERNEL})
try:
    mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    from scanside_appliance.cli.main import main
    main()
else:
    sys.exit("it is not denied")
"""
WAY = EngineChoice("onnxruntime", "fp32", cores(), 1)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "candidates", lambda threads: [WAY])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_bundle_with_sample(tmp_path / "bundle")


@pytest.mark.parametrize("root", ["box", "nowhere"])
def test_the_choice_is_kept_with_its_evidence_and_decides_from_then_on(
    tmp_path: Path, bundle: Bundle, root: str
) -> None:
    (tmp_path / "box").mkdir()
    at = tmp_path / root
    done = CliRunner().invoke(app, ["--root", str(at), "tune", "--bundle", str(bundle.folder), "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["choice"]["name"] == "onnxruntime"
    assert document["tried"][0]["infection_dice"] == 1.0
    assert Path(document["file"]).parent == (at if root == "box" else tmp_path / "cache" / "scanside")
    found = read_tuning(at)
    assert found is not None
    assert found.choice == WAY
    assert found.holds(bundle, 0)


def test_what_an_older_box_would_do_is_shown_and_not_kept(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "candidates", lambda threads: [EngineChoice("openvino", "int8", 1)])
    monkeypatch.setattr(module, "try_choice", lambda bundle, choice, held_to: Tried(choice, 9.0, 9.0, 1.0, 1.0, 0.0))
    arguments = ["--root", str(tmp_path), "tune", "--isa", "avx2", "--bundle", str(bundle.folder), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["isa"] == "avx2"
    assert read_tuning(tmp_path) is None


def test_a_file_that_is_no_tuning_leaves_the_default(tmp_path: Path, bundle: Bundle) -> None:
    del bundle
    file = tuning_file(tmp_path)
    for content in ("{", "[" * 100_000, '{"choice": NaN}', ""):
        file.write_text(content)
        assert read_tuning(tmp_path) is None
    file.unlink()
    os.mkfifo(file)  # whoever opened it would wait
    assert read_tuning(tmp_path) is None


def test_the_installed_service_may_write_the_code_that_it_runs_where_its_engine_does_and_only_there(
    tmp_path: Path,
) -> None:
    drop_in = tmp_path / "scanside-watch.service.d" / "engine.conf"
    assert not fit_to_engine("onnxruntime", tmp_path)  # nothing is installed
    (tmp_path / "scanside-watch.service").write_text("[Service]\n")
    assert [fit_to_engine("onnxruntime", tmp_path) for _ in range(2)] == [True, False]
    assert "\nMemoryDenyWriteExecute=yes\n" in drop_in.read_text()
    assert [fit_to_engine("openvino", tmp_path) for _ in range(2)] == [True, False]
    assert not drop_in.exists()


def test_networks_compute_without_memory_that_is_written_and_then_run(tmp_path: Path) -> None:
    bundle = write_bundle_with_sample(tmp_path / "bundle")
    command = ["--root", str(tmp_path), "selftest", "--engine", "onnxruntime", "--bundle", str(bundle.folder)]
    done = subprocess.run([sys.executable, "-c", DENIED, *command], capture_output=True, text=True, check=False)
    if done.returncode == UNKNOWN_TO_THE_KERNEL:
        pytest.skip("this kernel can't deny it to a process (PR_SET_MDWE, Linux 6.3)")
    assert done.returncode == 0, done.stderr
