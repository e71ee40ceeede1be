"""A bundle from a stick: nothing that nobody vouches for, nothing unproved, and never a box without a bundle."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.stick import Stick, made_stick, prove
from scanside_appliance.bundles import record
from scanside_appliance.bundles.errors import BundleRecordUnusable, ModelArchive, ModelOlder, NoEarlierBundle
from scanside_appliance.bundles.record import bundle_in_force, bundles_folder, read_record, record_file, step_back
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.upkeep import verify
from scanside_runtime.errors import BoxOutput, ScansideError
from scanside_runtime.model.bundle import MANIFEST, open_bundle
from scanside_runtime.model.errors import ModelBundleDamaged, ModelNeedsNewer, ModelSelfTest, ModelUntrusted
from scanside_runtime.model.signature import SIGNATURE, check_signature, new_key, public_key, sign, trusted_keys

LUNGS = "lungs.int8.onnx"


@pytest.fixture
def stick(tmp_path: Path) -> Stick:
    return made_stick(tmp_path)


def test_a_signed_bundle_is_in_force_with_a_receipt_and_the_way_back_leads_to_the_one_before(stick: Stick) -> None:
    first, second = stick.install(stick.zip("1.0")), stick.install(stick.zip("1.1"))
    assert stick.in_force() == "1.1"
    assert (second.title, second.replaced, second.signed_by) == ("tiny 1.1", "tiny 1.0", "maker")
    receipt = json.loads(second.receipt.read_bytes()) if second.receipt else {}
    assert receipt["sha256"] == second.sha256 != first.sha256 and receipt["selftest"]["lungs_dice"] == 1.0
    step_back(stick.root, "rollback", "asked for")
    assert stick.in_force() == "1.0"
    step_back(stick.root, "rollback", "asked for")
    assert bundle_in_force(stick.root, stick.keys) is None
    with pytest.raises(NoEarlierBundle):
        step_back(stick.root, "rollback", "asked for")


def test_two_bundles_stay_the_one_in_force_and_the_one_to_go_back_to(stick: Stick) -> None:
    for version in ("1.0", "1.1", "1.2"):
        stick.install(stick.zip(version))
    kept = {open_bundle(path).version for path in bundles_folder(stick.root).iterdir() if path.is_dir()}
    assert kept == {"1.1", "1.2"}


def test_the_same_zip_again_changes_nothing_and_tidies_the_stick(stick: Stick) -> None:
    archive = stick.zip("1.0")
    receipt = stick.install(archive).receipt
    cut_short = archive.with_name(f".{receipt.name if receipt else ''}.0a1b2c3d.part")
    cut_short.touch()
    before = record_file(stick.root).read_bytes()
    assert stick.install(archive).title == "tiny 1.0"
    assert record_file(stick.root).read_bytes() == before and stick.in_force() == "1.0"
    assert not cut_short.exists()


def test_an_older_one_needs_force(stick: Stick) -> None:
    stick.install(stick.zip("1.10"))
    older = stick.zip("1.9")
    with pytest.raises(ModelOlder):
        stick.install(older)
    assert stick.in_force() == "1.10"
    stick.install(older, force=True)
    assert stick.in_force() == "1.9"


def test_what_needs_newer_software_is_refused_with_that_word(stick: Stick) -> None:
    with pytest.raises(ModelNeedsNewer, match=r"needs Scanside 99\.0 or newer"):
        stick.install(stick.zip("2.0", minimum_software="99.0"))
    assert bundle_in_force(stick.root, stick.keys) is None


def test_what_fails_its_self_test_is_not_kept_and_the_old_one_stays(stick: Stick) -> None:
    stick.install(stick.zip("1.0"))
    with pytest.raises(ModelSelfTest):
        stick.install(stick.zip("1.1", same=False))
    assert stick.in_force() == "1.0"
    assert len([path for path in bundles_folder(stick.root).iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("keys", ["none", "another's"])
def test_nobody_else_s_bundle_is_installed(stick: Stick, keys: str) -> None:
    archive = stick.zip("1.0")
    (stick.keys / "maker.pem").unlink()
    if keys == "another's":
        (stick.keys / "other.pem").write_bytes(new_key()[1])
    with pytest.raises(ModelUntrusted, match="trusted here"):
        stick.install(archive)
    assert not list(bundles_folder(stick.root).iterdir())


def test_a_key_that_is_taken_away_ends_the_use_of_what_it_signed(stick: Stick) -> None:
    stick.install(stick.zip("1.0"))
    (stick.keys / "maker.pem").unlink()
    with pytest.raises(ModelUntrusted):
        bundle_in_force(stick.root, stick.keys)


def test_what_was_put_aside_as_its_key_is_gone_is_no_damaged_file_and_while_it_is_in_force_it_is(stick: Stick) -> None:
    stick.install(stick.zip("1.0"))
    (stick.keys / "maker.pem").unlink()
    found = [one.why for one in verify._bundles(BoxLayout(stick.root), stick.keys)]
    assert [why.split(":")[0] for why in found] == ["MODEL_UNTRUSTED"]
    step_back(stick.root, "put aside", "MODEL_UNTRUSTED")
    assert not list(verify._bundles(BoxLayout(stick.root), stick.keys))


def test_what_was_put_aside_and_installed_again_is_asked_for_its_signature_as_the_one_to_go_back_to(
    stick: Stick,
) -> None:
    older = stick.zip("1.0")
    stick.install(older)
    step_back(stick.root, "put aside", "MODEL_SELFTEST")
    stick.install(older)
    secret, public = new_key()
    (stick.keys / "other.pem").write_bytes(public)
    stick.install(stick.zip("1.1", secret=secret))
    (stick.keys / "maker.pem").unlink()
    assert [one.why.split(":")[0] for one in verify._bundles(BoxLayout(stick.root), stick.keys)] == ["MODEL_UNTRUSTED"]


def test_a_file_of_keys_that_is_no_key_is_named_where_it_is_needed_and_takes_nothing_from_the_others(
    stick: Stick,
) -> None:
    stick.install(stick.zip("1.0"))
    (stick.keys / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nno\n-----END PUBLIC KEY-----\n")
    assert stick.in_force() == "1.0"
    (stick.keys / "maker.pem").rename(stick.keys / "maker.old")
    signer = public_key((stick.keys / "maker.old").read_bytes(), "maker").key_id
    with pytest.raises(ModelUntrusted, match=rf"key {signer}; trusted here: none; .*broken\.pem"):
        stick.in_force()


def changed(archive: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(archive) as before:
        contents = {name: before.read(name) for name in before.namelist()}
    change(contents)
    with zipfile.ZipFile(archive, "w") as after:
        for name, content in contents.items():
            after.writestr(name, content)
    return archive


def _new_hashes(contents: dict[str, bytes]) -> None:
    """Weights exchanged, and the manifest made to fit them: only the signature knows."""
    manifest = json.loads(contents[MANIFEST])
    manifest["version"] = "1.1"
    contents[MANIFEST] = json.dumps(manifest).encode()


TAMPERED: dict[str, tuple[Callable[[dict[str, bytes]], Any], type[ScansideError]]] = {
    "the manifest with new hashes": (_new_hashes, ModelUntrusted),
    "no signature": (lambda files: files.pop(SIGNATURE), ModelArchive),
    "a signature of something else": (lambda files: files.update({SIGNATURE: b"0" * 16 + b" no"}), ModelUntrusted),
    "a network exchanged": (lambda files: files.update({LUNGS: files["lungs.fp16.onnx"]}), ModelBundleDamaged),
    "a network longer": (lambda files: files.update({LUNGS: files[LUNGS] + b"0"}), ModelBundleDamaged),
    "a network missing": (lambda files: files.pop(LUNGS), ModelArchive),
    "no manifest": (lambda files: files.pop(MANIFEST), ModelArchive),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_what_was_changed_on_its_way_is_refused_and_leaves_nothing(stick: Stick, how: str) -> None:
    change, error = TAMPERED[how]
    archive = changed(stick.zip("1.0"), change)
    with pytest.raises(error):
        stick.install(archive)
    assert bundle_in_force(stick.root, stick.keys) is None
    assert not list(bundles_folder(stick.root).iterdir())


def test_every_changed_byte_of_the_manifest_or_the_signature_is_found(stick: Stick) -> None:
    manifest = b'{"schema": "scanside.bundle/1", "files": {"lungs.int8.onnx": {"bytes": 3}}}' * 20
    signature, trusted = sign(manifest, stick.secret), trusted_keys(stick.keys)
    assert check_signature(manifest, signature, trusted).name == "maker"
    rng = np.random.default_rng(1)
    for _ in range(1000):
        spoilt = [bytearray(manifest), bytearray(signature.rstrip(b"\n"))]
        which = int(rng.integers(2))
        spoilt[which][int(rng.integers(len(spoilt[which])))] ^= 1 << int(rng.integers(8))
        with pytest.raises(ModelUntrusted):
            check_signature(bytes(spoilt[0]), bytes(spoilt[1]), trusted)


def test_a_zip_that_breaks_off_or_is_none_is_refused(stick: Stick, tmp_path: Path) -> None:
    archive = stick.zip("1.0")
    archive.write_bytes(archive.read_bytes()[:-200])
    for path in (archive, tmp_path / "nothing.zip"):
        with pytest.raises(ModelArchive):
            stick.install(path)


def test_a_zip_that_is_larger_than_any_bundle_is_refused_before_its_list_is_read(stick: Stick) -> None:
    archive = stick.zip("1.0")
    content = archive.read_bytes()
    with archive.open("r+b") as file:  # the list of its contents lies behind a hole of 64 GB
        file.seek(2**36)
        file.write(content)
    with pytest.raises(ModelArchive, match="has more than"):
        stick.install(archive)


def test_weights_that_change_on_the_box_are_found_when_they_are_used(stick: Stick) -> None:
    stick.install(stick.zip("1.0"))
    folder = bundle_in_force(stick.root, stick.keys)
    assert folder is not None
    manifest = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"version": "1.1"}))
    with pytest.raises(ModelUntrusted):
        bundle_in_force(stick.root, stick.keys)


def test_an_installation_that_ends_at_any_step_leaves_a_bundle_that_works(
    stick: Stick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that changes the disk is the last one once; then the same command is given again."""
    stick.install(stick.zip("1.0"))
    whole = shutil.copytree(stick.root, stick.folder / "whole")
    newer = stick.zip("1.1")
    calls = _count_calls(monkeypatch, lambda: stick.install(newer))
    assert calls > 10
    for last in range(1, calls + 1):
        shutil.rmtree(stick.root)
        shutil.copytree(whole, stick.root)
        _end_at(monkeypatch, last, lambda: stick.install(newer))
        assert stick.in_force() in ("1.0", "1.1")
        prove(open_bundle(bundle_in_force(stick.root, stick.keys)))
        stick.install(newer)
        assert stick.in_force() == "1.1"
        assert not [path for path in bundles_folder(stick.root).iterdir() if path.name.endswith(".part")]


class _Killed(BaseException):
    """Nothing of the product catches it, as nothing catches a kill."""


CHANGING = ("rename", "replace", "mkdir", "unlink", "rmdir", "open", "fsync")


def _end_at(monkeypatch: pytest.MonkeyPatch, last: int, act: Callable[[], Any]) -> int:
    """Run `act` until the call with this number; how many there were. What follows a kill is not done either."""
    seen = 0

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal seen
            if real is os_open and not (len(args) > 1 and args[1] & (os.O_WRONLY | os.O_RDWR)):
                return real(*args, **options)
            seen += 1
            if seen >= last:
                raise _Killed
            return real(*args, **options)

        return call

    os_open = os.open
    with monkeypatch.context() as patched:
        for name in CHANGING:
            patched.setattr(os, name, counted(getattr(os, name)))
        with contextlib.suppress(_Killed):
            act()
    return seen


def _count_calls(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> int:
    return _end_at(monkeypatch, 10**9, act)


def test_a_full_disk_is_told_as_such_and_changes_nothing(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    stick.install(stick.zip("1.0"))
    newer = stick.zip("1.1")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record, "replace_json", full)
    with pytest.raises(BoxOutput, match="No space left"):
        stick.install(newer)
    assert stick.in_force() == "1.0"


@pytest.mark.parametrize("content", ["[]", "{", '{"schema": "other/1", "changes": []}', '{"changes": [{"at": 1}]}'])
def test_a_record_that_can_t_be_read_is_named_and_never_taken_for_none(stick: Stick, content: str) -> None:
    stick.install(stick.zip("1.0"))
    record_file(stick.root).write_text(content)
    with pytest.raises(BundleRecordUnusable):
        read_record(stick.root)


def test_keys_are_told_by_the_hash_of_their_bytes() -> None:
    _, public = new_key()
    key = public_key(public, "maker")
    assert len(key.key_id) == 16 and len(key.public) == 32
    with pytest.raises(ValueError, match=r"."):
        public_key(b"no key", "maker")


def test_installed_again_the_one_in_force_never_leaves_its_place(stick: Stick, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = stick.zip("1.0")
    stick.install(archive)

    def cut(*_: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "rename", cut)
    with contextlib.suppress(BoxOutput):
        stick.install(archive)
    assert stick.in_force() == "1.0"


def test_the_same_bundle_signed_by_another_key_is_trusted_by_that_one_from_then_on(stick: Stick) -> None:
    stick.install(stick.zip("1.0"))
    secret, public = new_key()
    shutil.rmtree(stick.folder / "made")
    archive = stick.zip("1.0", secret=secret)
    (stick.keys / "maker.pem").write_bytes(public)
    stick.install(archive)
    assert stick.in_force() == "1.0"


def test_a_zip_that_can_t_be_read_is_the_zip_s_trouble(stick: Stick) -> None:
    with pytest.raises(ModelArchive, match="no file"):
        stick.install(stick.folder)
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(stick.zip("1.0")) as whole:
            contents = {name: whole.read(name) for name in whole.namelist()}
        packed = stick.folder / "packed.zip"
        with zipfile.ZipFile(packed, "w", method) as out:
            for name, content in contents.items():
                out.writestr(name, content)
            place = out.getinfo(LUNGS)
        data = bytearray(packed.read_bytes())
        for at in range(place.header_offset + 30 + len(LUNGS), place.header_offset + 60 + len(LUNGS)):
            data[at] ^= 0xFF
        packed.write_bytes(data)
        with pytest.raises(ModelArchive):
            stick.install(packed)
