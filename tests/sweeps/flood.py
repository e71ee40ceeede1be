"""A hundred thousand files at once: many studies, junk among them, more events than the kernel's queue holds.

    python -m tests.sweeps.flood [--files 100000]

All must be accounted for, and the memory of the daemon is read all the while.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from .box import Slice, put, start, unsound_results, write_settings
from .endurance import resident_mb
from .fulldisk import wait

SLICES = 45
JUNK_EVERY = 10


def send(inbox: Path, files: int) -> tuple[int, int]:
    """(studies, junk files)."""
    studies, junk = files * (JUNK_EVERY - 1) // JUNK_EVERY // SLICES, 0
    for study in range(studies):
        put(inbox, [Slice(study, n) for n in range(SLICES)], f"day{study % 7}/study{study}")
        for _ in range(SLICES // (JUNK_EVERY - 1)):
            (inbox / f"day{study % 7}" / f"junk{junk}.txt").write_text(f"junk {junk}")
            junk += 1
    return studies, junk


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def accounted(root: Path) -> tuple[int, int]:
    """(files of studies in the book that left the inbox, junk put aside)."""
    with sqlite3.connect(root / "scanside.db", timeout=30) as sql:
        taken = sql.execute("SELECT count(*) FROM files WHERE study <> '' AND place <> 'inbox'").fetchone()[0]
        junk = sql.execute("SELECT count(*) FROM files WHERE study = '' AND place LIKE 'quarantine/%'").fetchone()[0]
    sql.close()
    return taken, junk


def sweep(folder: Path, files: int) -> list[str]:
    root = folder / "box"
    (root / "inbox").mkdir(parents=True)
    write_settings(root, quiet_s=5.0, patience_s=30.0)
    daemon, began, broken, most = start(root), time.monotonic(), [], 0.0
    try:
        time.sleep(1.0)
        print(f"at rest {resident_mb(daemon.pid):.1f} MB", flush=True)
        studies, junk = send(root / "inbox", files)
        print(f"{studies * SLICES + junk} files sent in {time.monotonic() - began:.0f} s", flush=True)
        until, told = time.monotonic() + files * 0.05 + 120, 0.0
        while time.monotonic() < until and accounted(root) != (studies * SLICES, junk):
            most = max(most, resident_mb(daemon.pid))
            if time.monotonic() - told > 20:
                told = time.monotonic()
                print(f"{time.monotonic() - began:5.0f} s: {accounted(root)} taken, {most:.1f} MB", flush=True)
            time.sleep(1.0)
        print(f"all taken in after {time.monotonic() - began:.0f} s; at most {most:.1f} MB", flush=True)
        wait(lambda: not files_in(root / "inbox"))  # a source goes after the book knows its copy
        left = files_in(root / "inbox")
        if left or accounted(root) != (studies * SLICES, junk):
            broken.append(f"{accounted(root)} of {(studies * SLICES, junk)}, {len(left)} left in the inbox")
        print(f"afterwards {resident_mb(daemon.pid):.1f} MB", flush=True)
    finally:
        daemon.terminate()
        daemon.wait()
    stored = sum(1 for area in ("work", "archive", "quarantine") for path in (root / area).rglob("*") if path.is_file())
    reasons = sum(1 for _ in (root / "quarantine").rglob("reason.txt"))
    if stored - reasons != studies * SLICES + junk:
        broken.append(f"{stored - reasons} files in work, archive and quarantine")
    return broken + unsound_results(root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broken = sweep(Path(folder), asked.files)
    print(*broken, f"{len(broken)} violations", sep="\n")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
