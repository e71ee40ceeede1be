"""A small disk is filled to the last byte while studies arrive, and emptied again.

    python -m tests.sweeps.fulldisk [--rounds 5]          (needs root: it mounts a tmpfs)

Nothing may be lost, the daemon must say that the disk is full, live on, and recover by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .box import LONGEST_S, Slice, lost, put, said, start, unsound_results, write_settings

DISK_MB = 12


def fill(path: Path) -> None:
    """Ballast until nothing more fits."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for size in (2**16, 2**12, 2**9, 1):
            while True:
                try:
                    os.write(handle, b"0" * size)
                except OSError:
                    break
    finally:
        os.close(handle)


def wait(condition: Callable[[], Any], seconds: float = LONGEST_S) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.05)
    return False


def speaks_of_it(text: str) -> bool:
    return any(word in text for word in ("full", "space"))


def results(root: Path) -> int:
    return len(list((root / "results").glob("[!.]*/*/*/result.json")))


def sweep(folder: Path, rounds: int, **settings: Any) -> list[str]:
    """What broke. `settings`: with a guard at 99.9 % the guard never acts, and every write may fail."""
    disk, broken = folder / "disk", []
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", disk], check=True)
    root = disk / "box"
    root.with_suffix(".log").symlink_to(folder / "box.log")  # what is said must find room
    (root / "inbox").mkdir(parents=True)
    quick = {"quiet_s": 0.3, "patience_s": 0.3, "stop_percent": 100.0, "clean_to_percent": 99.0}
    write_settings(root, **{**quick, **settings})
    daemon, sums = start(root), set()
    try:
        wait(lambda: (root / "status.json").exists())
        for number in range(rounds):
            sums |= put(root / "inbox", [Slice(number, n) for n in (1, 2, 3)])
            time.sleep(0.15 * (number % 5))
            fill(disk / "ballast")
            time.sleep(2.0)
            wait(lambda: speaks_of_it(said(root)), 60.0)  # on a busy machine the daemon may not have had its turn yet
            if daemon.poll() is not None:
                broken.append(f"round {number}: the daemon ended with {daemon.returncode}")
                break
            broken += [f"round {number}, full: {problem}" for problem in lost(root, sums, sent_twice=sums)]
            (disk / "ballast").unlink()
            if not wait(lambda n=number: results(root) == n + 1):
                status = json.loads((root / "status.json").read_text())
                broken.append(f"round {number}: {results(root)} results; {status}")
                break
        time.sleep(1.0)
        broken += [*lost(root, sums), *unsound_results(root)]
    finally:
        daemon.terminate()
        daemon.wait()
        text = said(root)
        subprocess.run(["umount", disk], check=True)
    if not speaks_of_it(text):
        broken.append(f"it never said that the disk is full: {text}")
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    broken: list[str] = []
    for settings in ({}, {"stop_percent": 90.0, "clean_to_percent": 80.0, "reserve_mb": 1}):
        with tempfile.TemporaryDirectory() as folder:
            broken += sweep(Path(folder), asked.rounds, **settings)
    print(*broken, sep="\n")
    print(f"{2 * asked.rounds} full disks, {len(broken)} violations")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
