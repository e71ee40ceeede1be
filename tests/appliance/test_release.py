"""What a release is made of. The whole of it, on a bare Debian without network: `python -m tests.sweeps.install`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
SYSTEMD = HOME / "systemd"


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_the_scripts_are_plain_shell_and_may_be_run(script: str) -> None:
    path = SYSTEMD / script
    checked = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
    assert (checked.returncode, path.stat().st_mode & 0o111) == (0, 0o111), checked.stderr
    shown = subprocess.run([str(path), "--help"], capture_output=True, text=True, check=False)
    assert script in shown.stdout


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """What a copy that was spoilt is refused by, before anything is done."""
    shutil.copy(SYSTEMD / "install.sh", tmp_path)
    (tmp_path / "VERSION").write_text("1")
    sums = subprocess.run(["sha256sum", "VERSION"], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "SHA256SUMS").write_bytes(sums)
    return tmp_path


def install(release: Path, *arguments: str) -> str:
    ended = subprocess.run([str(release / "install.sh"), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    return ended.stderr


def test_a_copy_that_was_spoilt_is_refused_before_anything_is_done(release: Path) -> None:
    (release / "VERSION").write_text("2")
    assert "a file differs from SHA256SUMS" in install(release)


def test_a_folder_that_is_no_release_is_named(release: Path) -> None:
    (release / "SHA256SUMS").unlink()
    assert "this is no release" in install(release)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which checks the signature, is not installed")
def test_a_release_that_another_key_signed_is_refused(release: Path) -> None:
    from scanside_runtime.model.signature import new_key

    (release / "key.pem").write_bytes(new_key()[1])
    (release / "SHA256SUMS.sig").write_bytes(b"0" * 64)
    assert "is not signed by" in install(release, "--key", str(release / "key.pem"))


def test_every_file_that_the_scripts_install_lies_beside_them() -> None:
    text = (SYSTEMD / "install.sh").read_text()
    for name in ("scanside.sysusers.conf", "scanside.tmpfiles.conf", "scanside.toml", "scanside-watch.service"):
        assert (SYSTEMD / name).is_file()
        assert name in text or name.endswith(".service")
