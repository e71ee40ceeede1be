"""A bare Debian or Ubuntu, booted without any network, for sweeps: root, debootstrap, systemd-nspawn."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGES = "python3,systemd,systemd-sysv,dbus,openssl"
UBUNTU_SCRIPT = "/usr/share/debootstrap/scripts/gutsy"
BOOT_S = 60.0
RELEASE = "/root/release"
STATE = ("/opt/scanside", "/usr/local/bin", "/etc/systemd", "/etc/sysusers.d", "/etc/tmpfiles.d", "/etc/scanside")
WORKS = "scanside --version && systemctl start scanside-watch && systemctl is-active scanside-watch"


@dataclass(frozen=True)
class Machine:
    """A booted root, and its first process."""

    root: Path
    init: int

    def run(self, command: str, timeout_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-t", str(self.init), *("-m", "-u", "-i", "-n", "-p"), "--", "/usr/bin/env", "-i"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return subprocess.run(
            [*enter, path, "HOME=/root", "sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def wait_for(self, command: str, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.run(command).returncode == 0:
                return True
            time.sleep(0.5)
        return False

    def state(self) -> dict[str, str]:
        """Every file of an installation: what it is, and its bytes. Compiled modules may come at any time."""
        found: dict[str, str] = {}
        for folder in STATE:
            for path in sorted(Path(self.root, folder.lstrip("/")).rglob("*")):
                if "__pycache__" in path.parts:
                    continue
                name = str(path.relative_to(self.root))
                if path.is_symlink():
                    found[name] = f"-> {path.readlink()}"
                elif path.is_file():
                    found[name] = f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        return found


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """systemd in a container with a loopback and nothing else."""
    options = ("--quiet", "--private-network", "--register=no", "--keep-unit", "--boot", "--console=passive")
    with subprocess.Popen(["systemd-nspawn", "-D", str(root), *options], stdout=subprocess.DEVNULL) as container:
        try:
            machine = Machine(root, _init_of(container.pid))
            if not machine.wait_for("systemctl is-system-running | grep -qE 'running|degraded'", BOOT_S):
                raise SystemExit("the root does not boot")
            yield machine
        finally:
            container.terminate()


def _init_of(pid: int) -> int:
    until = time.monotonic() + BOOT_S
    while time.monotonic() < until:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.2)
    raise SystemExit("the container has no first process")


def make_root(root: Path, suite: str, mirror: str) -> None:
    """A bare system; made once, and copied."""
    pristine = root.with_name(f"{root.name}.pristine")
    if not (pristine / "etc/debian_version").exists():
        # One script does for all of Ubuntu; whose packages are signed by whom this machine need not know.
        how = ["--no-check-gpg", suite, str(pristine), mirror, UBUNTU_SCRIPT] if mirror else [suite, str(pristine)]
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", *how], check=True)
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "-a", str(pristine), str(root)], check=True)


def unpack(tar: Path, root: Path, folder: str = RELEASE) -> None:
    target = Path(root, folder.lstrip("/"))
    target.mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(tar), "-C", str(target), "--strip-components", "1"], check=True)


def as_next(root: Path, name: str, spoil: str = "") -> str:
    """The same release under the next version's name; `spoil` goes into it. Its sums are made anew."""
    folder, source = Path(root, "root", name), Path(root, RELEASE.lstrip("/"))
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, copy_function=_link)
    (folder / "VERSION").unlink()
    (folder / "VERSION").write_text(name)
    if spoil:
        unit = folder / "systemd/scanside-watch.service"
        text = unit.read_text()
        unit.unlink()
        unit.write_text(text + spoil)
    (folder / "SHA256SUMS").unlink()
    sums = "find . -type f ! -name 'SHA256SUMS*' -printf '%P\\n' | sort | xargs sha256sum > SHA256SUMS"
    subprocess.run(["sh", "-c", sums], cwd=folder, check=True)
    return f"/root/{name}"


def _link(source: str, target: str) -> str:
    Path(target).hardlink_to(source)
    return target


class Tally:
    """What held and what did not."""

    def __init__(self) -> None:
        self.violations = 0

    def check(self, holds: bool, what: str, why: str = "") -> None:
        self.violations += not holds
        print(f"{'ok' if holds else 'VIOLATED'}  {what}{'' if holds else f': {why[-400:]}'}", flush=True)
