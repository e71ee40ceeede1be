"""The unit under a live systemd: it starts, tells how it is, reads settings again, is ended when it hangs, and stops.

    python -m tests.sweeps.unit          (needs root, systemd and util-linux; no booted system)

A user manager of systemd runs in a mount namespace of its own. The unit is the shipped one, but for its program (the
daemon with cheap children), a shorter watchdog, and what a user manager can't do: another user, and the options that
build a file system of its own for the service (those are left to `systemd-analyze verify`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .box import REPOSITORY, Slice, command, environment, put, write_settings
from .fulldisk import results, wait

MANAGER = Path("/lib/systemd/systemd")
NOT_FOR_A_USER = (
    "User Group Private(Tmp|Devices|Users|IPC) Protect(System|Home|Proc|ControlGroups|KernelLogs|KernelModules"
    "|KernelTunables) Read(Write|Only)Paths RequiresMountsFor After"
)
"""What a user's manager can't do: users, and mounts of the service's own."""
TARGETS = ("default", "basic", "shutdown", "sysinit")
WATCHDOG_S = 10
RESTARTS_AFTER_S = 5
CGROUPS = ("systemd", "unified", "")


def can_run() -> bool:
    return os.geteuid() == 0 and MANAGER.exists() and all(map(shutil.which, ("unshare", "nsenter", "systemctl")))


def write_units(folder: Path, root: Path) -> None:
    folder.mkdir()
    for name in TARGETS:
        (folder / f"{name}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    text = (REPOSITORY / "systemd" / "scanside-watch.service").read_text()
    text = re.sub(rf"(?m)^({NOT_FOR_A_USER.replace(' ', '|')})=.*\n", "", text)
    text = re.sub(r"(?m)^ExecStart=.*", f"ExecStart={' '.join(command(root, once=False))}", text)
    text = re.sub(r"(?m)^WatchdogSec=.*", f"WatchdogSec={WATCHDOG_S}s", text)
    paths = f"Environment=PYTHONPATH={environment()['PYTHONPATH']}\n"
    (folder / "scanside-watch.service").write_text(text.replace("[Service]\n", f"[Service]\n{paths}"))


class NoSystemd(Exception):
    """It does not start here."""


class Systemd:
    """A user manager, and `systemctl` for it."""

    def __init__(self, folder: Path) -> None:
        self._runtime = folder / "run"
        self._runtime.mkdir(mode=0o700)
        place = f"XDG_RUNTIME_DIR={self._runtime} SYSTEMD_UNIT_PATH={folder / 'units'}"
        start = f"exec env -i PATH=$PATH HOME=/root {place} {MANAGER} --user --log-target=null"
        inside = f"mount -t tmpfs none /run && mkdir -p /run/systemd/system && {start}"
        joins = "".join(f"echo $$ > {one}/cgroup.procs; " for one in self._groups())
        self._process = subprocess.Popen(["sh", "-c", f"{joins} exec unshare -m sh -c '{inside}'"])
        if not wait(lambda: (self._runtime / "systemd" / "private").exists(), 60.0):
            self.end()
            raise NoSystemd

    def _groups(self) -> Iterator[Path]:
        """A group of its own, so that the manager touches nobody else's."""
        for kind in CGROUPS:
            base = Path("/sys/fs/cgroup") / kind
            if (base / "cgroup.procs").exists():
                (base / f"sweep-{os.getpid()}").mkdir()
                yield base / f"sweep-{os.getpid()}"

    def ctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        enter = ["nsenter", "-m", "-t", str(self._process.pid), "env", f"XDG_RUNTIME_DIR={self._runtime}"]
        return subprocess.run(
            [*enter, "systemctl", "--user", *arguments], capture_output=True, text=True, check=False, timeout=600
        )

    def show(self, what: str) -> str:
        return self.ctl("show", "-p", what, "--value", "scanside-watch").stdout.strip()

    def end(self) -> None:
        self.ctl("stop", "scanside-watch")
        self._process.kill()
        self._process.wait()
        time.sleep(0.5)
        for kind in CGROUPS:
            with_children = sorted((Path("/sys/fs/cgroup") / kind).glob(f"sweep-{os.getpid()}/**/"), reverse=True)
            for group in with_children:
                group.rmdir()


@contextmanager
def live(folder: Path) -> Iterator[Systemd]:
    systemd = Systemd(folder)
    try:
        yield systemd
    finally:
        systemd.end()


def sweep(folder: Path) -> list[str]:
    """What the unit did not do."""
    root, broken = folder / "box", []
    (root / "inbox").mkdir(parents=True)
    write_settings(root)
    write_units(folder / "units", root)

    def must(what: str, holds: bool) -> None:
        if not holds:
            broken.append(f"{what}: {systemd.show('ActiveState')}, {systemd.show('StatusText')}")

    with live(folder) as systemd:
        must("a start comes to readiness", systemd.ctl("start", "scanside-watch").returncode == 0)
        if broken:  # nothing of what follows can come
            return broken
        must("it says how it is", wait(lambda: "idle, 0 queued" in systemd.show("StatusText")))
        put(root / "inbox", [Slice(1, n) for n in (1, 2, 3)])
        must("a study becomes a result", wait(lambda: results(root) == 1))
        must("its settings are read again", systemd.ctl("reload", "scanside-watch").returncode == 0)
        first = systemd.show("MainPID")
        os.kill(int(first), signal.SIGSTOP)
        must("one that hangs is ended and started again", wait(lambda: systemd.show("NRestarts") == "1"))
        must("and stands again", wait(lambda: "idle, 0 queued" in systemd.show("StatusText")))
        must("it is another one", systemd.show("MainPID") != first)
        must("it stops for a moment", systemd.ctl("stop", "scanside-watch").returncode == 0)
        book = root / "scanside.db"
        good = book.read_bytes()
        book.write_bytes(b"no database" * 1000)
        must("with a damaged book it stands", systemd.ctl("start", "scanside-watch").returncode == 0)
        must("and waits for a person", wait(lambda: "waiting: BOX_DATABASE" in systemd.show("StatusText")))
        waiting = systemd.show("MainPID")
        time.sleep(2 * RESTARTS_AFTER_S)
        must("without being started over and over", systemd.show("MainPID") == waiting)
        (root / "scanside.new").write_bytes(good)
        (root / "scanside.new").replace(book)
        must("with a good one it goes on", wait(lambda: "idle, 0 queued" in systemd.show("StatusText")))
        must("it is the same process", systemd.show("MainPID") == waiting)
        must("it stops when it is told", systemd.ctl("stop", "scanside-watch").returncode == 0)
        must("of its own will", (systemd.show("Result"), systemd.show("ExecMainStatus")) == ("success", "0"))
    return broken


def main() -> None:
    if not can_run():
        raise SystemExit("this needs root, systemd, unshare and nsenter")
    with tempfile.TemporaryDirectory() as folder, suppress(NoSystemd):
        broken = ["systemd does not run here"]
        broken = sweep(Path(folder))
    print(*broken, f"{len(broken)} violations", sep="\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
