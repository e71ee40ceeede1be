"""Compiled networks are kept for this user alone, and believed only where nobody else can have written them."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kit.bundle_samples import write_bundle
from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.compiled import CompiledFile, compiled_networks
from scanside_runtime.model import networks as module
from scanside_runtime.model.compiled import key_of
from scanside_runtime.model.engine import EngineChoice, load_engine
from scanside_runtime.model.networks import load_networks

KEY = "a" * 64
NETWORKS = {"lungs": bytes(range(200)), "infection": b"\n{}" * 50}
CHOICE = EngineChoice("openvino", "int8", 1)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def kept(tmp_path: Path) -> CompiledFile:
    place = CompiledFile(tmp_path / "cache" / "compiled")
    place.write(KEY, NETWORKS)
    return place


def file_of(kept: CompiledFile) -> Path:
    (file,) = (path for path in kept.folder.iterdir() if not path.name.startswith("."))
    return file


def test_what_was_kept_is_read_back_under_its_key_alone(kept: CompiledFile) -> None:
    assert kept.read(KEY) == NETWORKS
    assert kept.read("b" * 64) is None
    assert (file_of(kept).stat().st_mode & 0o777, kept.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_one_set_is_kept_and_what_a_process_left_behind_goes(kept: CompiledFile) -> None:
    part = kept.folder / f".{file_of(kept).name}.0a0a.part"
    part.write_bytes(b"half")
    os.utime(part, (0, 0))
    kept.write("b" * 64, {"lungs": b"other"})
    assert (kept.read(KEY), kept.read("b" * 64)) == (None, {"lungs": b"other"})
    assert file_of(kept).name != part.name


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def changed(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def readable_for_others(file: Path) -> None:
    file.chmod(0o640)


def in_a_folder_for_all(file: Path) -> None:
    file.parent.chmod(0o777)


def a_link(file: Path) -> None:
    file.rename(file.parents[1] / "elsewhere")
    file.symlink_to(file.parents[1] / "elsewhere")


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def a_strangers(file: Path) -> None:
    os.chown(file, 12345, 12345)


SPOILT = [cut, changed, emptied, readable_for_others, in_a_folder_for_all, a_link, a_pipe, a_strangers]


@pytest.mark.parametrize("spoil", SPOILT)
def test_what_is_damaged_or_not_this_users_alone_is_left_and_said(
    kept: CompiledFile, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    if spoil is a_strangers and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    spoil(file_of(kept))
    with caplog.at_level(logging.WARNING, "scanside"):
        assert kept.read(KEY) is None
    assert "compiled anew" in caplog.text
    if spoil is not in_a_folder_for_all:
        kept.write(KEY, NETWORKS)
        assert kept.read(KEY) == NETWORKS


def taken_by_another(kept: CompiledFile, ends: Callable[[], None]) -> int:
    """By a process that ends so; its number."""
    fork = os.fork()
    if not fork:
        try:
            assert kept.read(KEY) == NETWORKS
            ends()
        finally:
            os._exit(1)
    os.waitpid(fork, 0)
    return fork


def test_networks_with_which_a_process_ended_are_thrown_away_once(
    kept: CompiledFile, caplog: pytest.LogCaptureFixture
) -> None:
    assert kept.read(KEY) == kept.read(KEY) == NETWORKS  # this one runs still
    taken_by_another(kept, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with caplog.at_level(logging.WARNING, "scanside"):
        assert kept.read(KEY) is None
    assert "a process ended with those" in caplog.text
    kept.write(KEY, NETWORKS)
    assert kept.read(KEY) == NETWORKS


def test_networks_with_which_a_process_of_this_one_s_number_ended_are_thrown_away(kept: CompiledFile) -> None:
    """As in a container, where every run has the same one."""
    number = taken_by_another(kept, lambda: os.kill(os.getpid(), signal.SIGKILL))
    (mark,) = kept.folder.glob(f"*-{number}*")
    mark.rename(mark.with_name(mark.name.replace(str(number), str(os.getpid()), 1)))
    assert kept.read(KEY) is None


def test_networks_with_which_a_process_came_to_its_orderly_end_are_kept(kept: CompiledFile) -> None:
    taken_by_another(kept, lambda: atexit._run_exitfuncs())
    assert kept.read(KEY) == NETWORKS


def test_where_nothing_can_be_kept_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "a file").write_bytes(b"")
    place = CompiledFile(tmp_path / "a file" / "compiled")
    place.write(KEY, NETWORKS)
    assert place.read(KEY) is None


def test_another_bundle_way_or_engine_has_another_key(tmp_path: Path) -> None:
    bundle, other = write_bundle(tmp_path / "one"), write_bundle(tmp_path / "two", version="9.9.9")
    keys = {key_of(*one) for one in ((bundle, CHOICE), (other, CHOICE), (bundle, replace(CHOICE, precision="fp32")))}
    assert len(keys) == 3


def test_the_next_process_compiles_nothing_and_answers_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, place = write_bundle(tmp_path / "bundle"), CompiledFile(tmp_path / "compiled")
    load_networks(bundle, CHOICE, place)
    taken: list[bool] = []
    monkeypatch.setattr(module, "load_engine", lambda *these: taken.append(bool(these[2])) or load_engine(*these))
    load_networks(bundle, CHOICE, place)
    assert taken == [True, True]


def test_what_the_engine_refuses_is_kept_anew(tmp_path: Path) -> None:
    bundle, place = write_bundle(tmp_path / "bundle"), CompiledFile(tmp_path / "compiled")
    key = key_of(bundle, CHOICE)
    place.write(key, {"lungs": b"hello"})
    load_networks(bundle, CHOICE, place)
    found = place.read(key)
    assert found is not None
    assert set(found) == {"lungs", "infection"} and found["lungs"] != b"hello"


def test_the_program_keeps_them_among_the_users_caches_and_a_box_keeps_none(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = write_bundle_with_sample(tmp_path / "bundle").folder
    (tmp_path / "box").mkdir()
    asked = ("selftest", "--bundle", bundle, "--engine", "openvino", "--precision", "fp32", "--json")
    said = [run("--root", tmp_path / root, *asked) for root in ("box", "nowhere", "nowhere")]
    assert said[0] == said[1] == said[2] and said[0][0] == 0
    assert [one.name for one in (tmp_path / "cache" / "scanside").rglob("[!.]*") if one.is_file()] == [
        "networks.compiled"
    ]
    shutil.rmtree(tmp_path / "cache" / "scanside")
    run("--root", tmp_path / "box", *asked)
    assert compiled_networks(tmp_path / "box") is None and not (tmp_path / "cache" / "scanside").exists()
