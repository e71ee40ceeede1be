"""Keys and signed bundles: what the exporter delivers is what a box takes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kit.selftest_samples import write_bundle_with_sample
from scanside_appliance.bundles.install import install
from scanside_appliance.bundles.record import bundle_in_force
from scanside_export.bundling.deliver import deliver, make_key
from scanside_export.errors import KeyUnusable
from scanside_runtime.model.engine import choose_engine
from scanside_runtime.model.errors import ModelBundleDamaged
from scanside_runtime.model.networks import load_networks
from scanside_runtime.model.selftest import run_selftest


def test_a_delivered_bundle_is_installed_by_a_box_that_has_the_public_key(tmp_path: Path) -> None:
    private, public, _ = make_key(tmp_path / "keys", "maker")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    archive = deliver(write_bundle_with_sample(tmp_path / "bundle"), private, tmp_path / "bundle.zip")
    (tmp_path / "keys.d").mkdir()
    public.rename(tmp_path / "keys.d" / public.name)
    choice = choose_engine("onnxruntime", "fp32", 1)
    done = install(archive, tmp_path / "box", tmp_path / "keys.d", lambda one: run_selftest(load_networks(one, choice)))
    assert (done.signed_by, done.title) == ("maker", "tiny 1")
    assert bundle_in_force(tmp_path / "box", tmp_path / "keys.d") is not None


def test_no_private_key_is_made_in_a_repository_or_over_another(tmp_path: Path) -> None:
    make_key(tmp_path, "maker")
    with pytest.raises(KeyUnusable, match="exists"):
        make_key(tmp_path, "maker")
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    with pytest.raises(KeyUnusable, match="repository"):
        make_key(tmp_path / "checkout" / "keys", "maker")
    assert not (tmp_path / "checkout" / "keys").exists()


def test_what_is_no_private_key_and_what_is_damaged_is_not_delivered(tmp_path: Path) -> None:
    private, public, _ = make_key(tmp_path, "maker")
    bundle = write_bundle_with_sample(tmp_path / "bundle")
    with pytest.raises(KeyUnusable):
        deliver(bundle, public, tmp_path / "out.zip")
    (bundle.folder / "lungs.int8.onnx").write_bytes(b"other")
    with pytest.raises(ModelBundleDamaged):
        deliver(bundle, private, tmp_path / "out.zip")
    assert not list(tmp_path.glob("*out.zip*"))


def test_a_public_key_whose_private_one_lies_elsewhere_is_not_written_over(tmp_path: Path) -> None:
    private, public, _ = make_key(tmp_path, "maker")
    private.unlink()
    before = public.read_bytes()
    with pytest.raises(KeyUnusable, match="exists"):
        make_key(tmp_path, "maker")
    assert public.read_bytes() == before and not private.exists()
