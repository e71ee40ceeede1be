"""Slow writers: a study drips in with pauses longer than the quiet time, files grow, files are renamed in.

    python -m tests.sweeps.slow [--slices 60] [--seconds 60]

At the end the newest revision holds every slice, and each revision supersedes the one before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .box import Slice, lost, start, unsound_results, write_settings
from .fulldisk import wait

QUIET_S = 1.0


def write_slowly(path: Path, content: bytes, way: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if way == "renamed":
        part = path.with_name(path.name + ".part")
        part.write_bytes(content)
        time.sleep(0.05)
        part.rename(path)
        return
    with path.open("wb") as file:
        for start_at in range(0, len(content), max(1, len(content) // 4)):
            file.write(content[start_at : start_at + max(1, len(content) // 4)])
            file.flush()
            time.sleep(0.05 if way == "growing" else 0.0)


def revisions(root: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in (root / "results").glob("[!.]*/*/*/result.json")]
    return sorted(found, key=lambda one: one["revision"])


def sweep(folder: Path, slices: int, seconds: float, seed: int = 1) -> tuple[int, list[str]]:
    """How many revisions, and what broke."""
    root, chance, sums, broken = folder / "box", random.Random(seed), set(), []
    root.mkdir()
    write_settings(root, quiet_s=QUIET_S, patience_s=5 * QUIET_S)
    daemon = start(root)
    try:
        for number in range(slices):
            content = Slice(1, number).content()
            sums.add(hashlib.sha256(content).hexdigest())
            way = ("plain", "growing", "renamed")[number % 3]
            write_slowly(root / "inbox" / "slow" / f"{number}.dcm", content, way)
            pause = seconds / slices
            time.sleep(3 * QUIET_S if number in (slices // 3, slices // 2) else chance.uniform(0, 2 * pause))
        if not wait(lambda: revisions(root) and set(revisions(root)[-1]["inputs"]) == sums):
            broken.append(f"the newest revision lacks slices: {[len(one['inputs']) for one in revisions(root)]}")
        time.sleep(2 * QUIET_S)
        found = revisions(root)
        chain = [(one["revision"], one["supersedes"]) for one in found]
        if chain != [(n, str(n - 1) if n > 1 else None) for n in range(1, len(found) + 1)]:
            broken.append(f"revisions do not supersede one another: {chain}")
        broken += [*lost(root, sums), *unsound_results(root)]
        return len(found), broken
    finally:
        daemon.terminate()
        daemon.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        count, broken = sweep(Path(folder), asked.slices, asked.seconds)
    print(*broken, f"{count} revision(s), {len(broken)} violations", sep="\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
