"""`make release`: everything that a box without internet needs, as one folder and one tar.

    python systemd/make_release.py [OUT] [--python 3.11 --python 3.12 ...] [--key PRIVATE.pem]

Wheels of every package for each Python (pip downloads them here, where there is internet), each with its hash in a
requirements file; units, settings, pages; SHA256SUMS over all, signed where a key is given (Ed25519, as
`scanside-export keygen` makes it).
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from packaging.utils import parse_wheel_filename

from scanside_runtime.version import checkout_commit

HOME = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
"""Debian 12, Ubuntu 24.04, Debian 13."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64", "manylinux1_x86_64")
"""What runs on glibc 2.36 (Debian 12) and newer."""
EXTRA = "dicom-network,serve"
"""A box may receive, send and show; what researchers and engineers need beside it is no part of a release."""
SCRIPTS = ("install.sh", "uninstall.sh")
UNITS = ("*.service", "*.timer", "*.target", "*.conf", "*.toml")


def main() -> None:
    """Build the release, and print where it lies."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=HOME / "dist")
    parser.add_argument("--python", action="append", dest="pythons", help="A version of Python; may be repeated.")
    parser.add_argument("--key", type=Path, help="Sign with this private key.")
    options = parser.parse_args()
    print(build(options.out.resolve(), options.pythons or PYTHONS, options.key))


def build(out: Path, pythons: Iterable[str], key: Path | None) -> Path:
    """The tar, beside the folder that is in it."""
    wheel = _own_wheel(out / "build")
    version = f"{parse_wheel_filename(wheel.name)[1]}-{(checkout_commit(HOME) or 'unknown')[:8]}"
    release = out / f"scanside-{version}-x86_64"
    shutil.rmtree(release, ignore_errors=True)
    (release / "wheels").mkdir(parents=True)
    for python in pythons:
        _collect(wheel, python, release)
    (release / "VERSION").write_text(version)
    _copy_pages_and_units(release)
    _sum_up(release, key)
    tar = release.with_name(f"{release.name}.tar")
    with tarfile.open(tar, "w") as archive:  # wheels are packed already
        archive.add(release, release.name)
    return tar


def _own_wheel(build: Path) -> Path:
    shutil.rmtree(build, ignore_errors=True)
    _pip("wheel", "--no-deps", "--wheel-dir", str(build), str(HOME))
    (wheel,) = build.glob("scanside-*.whl")
    return wheel


def _collect(wheel: Path, python: str, release: Path) -> None:
    """The wheels for one Python, and the requirements file that names each with its hash."""
    folder = wheel.parent / python
    platforms = [argument for platform in PLATFORMS for argument in ("--platform", platform)]
    target = ("--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms)
    _pip("download", "--dest", str(folder), *target, f"{wheel}[{EXTRA}]", "pip")
    lines = []
    for path in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(path.name)
        if name != "pip":
            lines.append(f"{name}=={version} --hash=sha256:{_sha256(path)}\n")
        shutil.copy(path, release / "wheels" / path.name)
    (release / f"requirements-{python}.txt").write_text("".join(lines))


def _copy_pages_and_units(release: Path) -> None:
    shutil.copytree(HOME / "docs", release / "docs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for name in ("README.md", "LICENSE"):
        shutil.copy(HOME / name, release)
    for name in SCRIPTS:
        shutil.copy(HOME / "systemd" / name, release)
    (release / "systemd").mkdir()
    for pattern in UNITS:
        for path in (HOME / "systemd").glob(pattern):
            shutil.copy(path, release / "systemd")


def _sum_up(release: Path, key: Path | None) -> None:
    paths = sorted(path for path in release.rglob("*") if path.is_file())
    sums = "".join(f"{_sha256(path)}  {path.relative_to(release)}\n" for path in paths).encode()
    (release / "SHA256SUMS").write_bytes(sums)
    if key is not None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        private = load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise SystemExit(f"{key} is no Ed25519 key")
        (release / "SHA256SUMS.sig").write_bytes(private.sign(sums))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pip(*arguments: str) -> None:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments)
    subprocess.run(command, check=True, cwd=HOME)


if __name__ == "__main__":
    main()
