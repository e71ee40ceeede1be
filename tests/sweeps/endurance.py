"""Many studies, a kill at random every few seconds; then as many in one daemon, whose memory and handles are read.

    python -m tests.sweeps.endurance [--studies 500] [--kill-every 5]

Every study must end in exactly one result, and neither handles nor memory may grow.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import tempfile
import time
from pathlib import Path

from .box import Slice, lost, put, start, unsound_results, write_settings
from .fulldisk import results, wait


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def handles(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def kills(root: Path, studies: int, kill_every_s: float, seed: int = 1) -> tuple[int, list[str]]:
    """How often it was killed, and what broke."""
    chance, sums, sent, killed = random.Random(seed), set(), 0, 0
    daemon = start(root)
    while results(root) < studies:
        until = time.monotonic() + chance.uniform(0.2, 2 * kill_every_s)
        while time.monotonic() < until and results(root) < studies:
            if sent < studies:
                sums |= put(root / "inbox", [Slice(sent, n) for n in (1, 2, 3)])
                sent += 1
            time.sleep(0.02)
        daemon.kill()
        daemon.wait()
        killed += 1
        daemon = start(root)
    wait(lambda: not list((root / "work").iterdir()))
    daemon.terminate()
    daemon.wait()
    broken = [*lost(root, sums), *unsound_results(root)]
    return killed, broken if results(root) == studies else [*broken, f"{results(root)} results of {studies} studies"]


def growth(root: Path, studies: int, first: int) -> tuple[list[tuple[int, float, int]], list[str]]:
    """(studies done, memory in MB, handles) now and then in one daemon, and what broke."""
    seen: list[tuple[int, float, int]] = []
    before, daemon = results(root), start(root)
    try:
        for number in range(studies):
            put(root / "inbox", [Slice(first + number, n) for n in (1, 2, 3)])
            done = number + 1
            if not wait(lambda n=done: results(root) >= before + n - 5):
                status = (root / "status.json").read_text()
                return seen, [f"stuck after {results(root) - before} of {done} studies: {status}"]
            if done % max(studies // 10, 1) == 0:
                seen.append((done, resident_mb(daemon.pid), handles(daemon.pid)))
        wait(lambda: results(root) == before + studies)
    finally:
        daemon.terminate()
        daemon.wait()
    broken = [] if results(root) == before + studies else [f"{results(root) - before} results of {studies}"]
    return seen, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--kill-every", type=float, default=5.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "box"
        (root / "inbox").mkdir(parents=True)
        write_settings(root)
        killed, broken = kills(root, asked.studies, asked.kill_every)
        print(f"{asked.studies} studies, {killed} kills, {len(broken)} violations", *broken, sep="\n", flush=True)
        seen, stuck = growth(root, asked.studies, asked.studies)
        for done, memory_mb, open_handles in seen:
            print(f"after {done:4d} more studies: {memory_mb:.1f} MB, {open_handles} handles")
        print(*stuck, f"{len(stuck)} violations", sep="\n")
    sys.exit(bool(broken or stuck))


if __name__ == "__main__":
    main()
