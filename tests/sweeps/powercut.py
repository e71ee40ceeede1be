"""The mains fail: an ext4 image is copied under load, the copy is mounted, and the box must stand again.

    python -m tests.sweeps.powercut [--cuts 50]          (needs root and a loop device)

What the file system had handed to its disk at that moment is in the copy, what was only cached is not. The daemon is
stopped (SIGSTOP) for the milliseconds of the copy, so that the copy is of one moment. Only what was synced by its
writer counts as sent.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .box import Slice, lost, put, run_once, start, unsound_results, write_settings
from .fulldisk import wait

IMAGE_MB = 96
SLICES = 3


def can_mount() -> bool:
    return os.geteuid() == 0 and all(map(shutil.which, ("mkfs.ext4", "mount", "losetup")))


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, at], check=True, capture_output=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


def send(inbox: Path, study: int) -> set[str]:
    """A study, synced as a careful sender does."""
    sums = put(inbox, [Slice(study, n) for n in range(1, SLICES + 1)])
    for path in (*(inbox / f"study{study}").iterdir(), inbox / f"study{study}", inbox):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
    return sums


def after_the_cut(image: Path, at: Path, sums: set[str], studies: int) -> list[str]:
    with mounted(image, at) as disk:
        root = disk / "box"
        write_settings(root)
        found = [*lost(root, sums, sent_twice=sums), *unsound_results(root)]
        done = run_once(root)
        if done.returncode != 0:
            found.append(f"the next start ended with {done.returncode}: {done.stderr[-300:]}")
        found += [*lost(root, sums), *unsound_results(root)]
        whole = sum(len(inputs) == SLICES for inputs in newest(root))
        return found if whole == studies else [*found, f"{whole} studies of {studies} are measured whole"]


def newest(root: Path) -> list[list[str]]:
    """The slices of each study's newest result: a sender who was held up may have come in two parts."""
    of_study: dict[Path, dict[int, Path]] = {}
    for path in (root / "results").glob("[!.]*/*/*/result.json"):
        of_study.setdefault(path.parents[1], {})[int(path.parent.name)] = path
    return [json.loads(paths[max(paths)].read_text())["inputs"] for paths in of_study.values()]


def sweep(folder: Path, cuts: int, seed: int = 1) -> list[str]:
    """What broke."""
    chance = random.Random(seed)
    image, copy, broken = folder / "disk.img", folder / "copy.img", []
    subprocess.run(["truncate", "-s", f"{IMAGE_MB}M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with mounted(image, folder / "disk") as disk:
        root = disk / "box"
        (root / "inbox").mkdir(parents=True)
        write_settings(root)
        subprocess.run(["sync"], check=True)
        daemon, sums = start(root), set()
        try:
            wait(lambda: (root / "status.json").exists())
            for cut in range(cuts):
                sums |= send(root / "inbox", cut)
                time.sleep(chance.uniform(0.0, 0.8))
                daemon.send_signal(signal.SIGSTOP)
                shutil.copyfile(image, copy)
                daemon.send_signal(signal.SIGCONT)
                for problem in after_the_cut(copy, folder / "cut", sums, cut + 1):
                    broken.append(f"cut {cut}: {problem}")
                    print(broken[-1], flush=True)
        finally:
            daemon.kill()
            daemon.wait()
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=50)
    asked = parser.parse_args()
    if not can_mount():
        raise SystemExit("this needs root, mkfs.ext4 and loop devices")
    with tempfile.TemporaryDirectory() as folder:
        broken = sweep(Path(folder), asked.cuts)
    print(f"{asked.cuts} power cuts, {len(broken)} violations")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
