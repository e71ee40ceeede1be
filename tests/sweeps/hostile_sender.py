"""A sender who means harm has the inbox in his hands while honest studies arrive beside him.

    python -m tests.sweeps.hostile_sender [--operations 10000] [--studies 20] [--seed 1]

At random he renames, links, swaps, cuts, grows, locks, touches, and puts pipes, odd names, links that lead out and
files of 500 GB there: in folders of his own, beside the honest ones, and under the names that the box uses itself. His
links lead to the book, to results, archive and work, and to a canary outside the root. He never goes through one
himself: that the box does not either is what is to be shown.

Nothing outside inbox and quarantine may be touched: no canary, no result, no file of an honest study. Each honest study
must be measured, with all its slices, and the daemon must live and still have its turns.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .box import Slice, contents, put, start, unsound_results, write_settings
from .fulldisk import wait
from .slow import revisions

HOSTILE = 1000
"""His studies are numbered from here on."""
SLICES = 5


@dataclass
class Sender:
    """What he does, one thing at a time; what fails, fails."""

    root: Path
    chance: random.Random

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    def folder(self) -> Path:
        return self.inbox / self.chance.choice(("evil", "evil/sub", "evil/sub/deep", "."))

    def some(self) -> Path:
        """One of his files, or a name that he has not used yet."""
        folder = self.folder()
        with suppress(OSError):
            there = [one for one in os.listdir(folder) if not one.startswith(("study", "evil"))]
            if there and self.chance.random() < 0.8:
                return folder / self.chance.choice(there)
        return folder / f"x{self.chance.randrange(40)}"

    def target(self) -> Path:
        """Where a link of his leads."""
        places = ("scanside.db", "results", "archive", "work", "quarantine", "status.json", "..", "../canary/secret")
        return self.root / self.chance.choice(places)

    def content(self) -> bytes:
        study = HOSTILE + self.chance.randrange(5)
        return Slice(study, self.chance.randrange(9), whole=self.chance.random() < 0.8).content()

    def put(self, path: Path, content: bytes, flags: int = os.O_TRUNC) -> None:
        """Through no link, and without waiting at a pipe."""
        flags |= os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        with os.fdopen(os.open(path, flags), "wb") as file:
            file.write(content)

    def write(self) -> None:
        self.put(self.some(), self.content())

    def make_folder(self) -> None:
        self.folder().mkdir(parents=True, exist_ok=True)

    def rename(self) -> None:
        self.some().rename(self.some())

    def link(self) -> None:
        self.some().symlink_to(self.target())

    def hard_link(self) -> None:
        os.link(self.some(), self.some())

    def swap_file(self) -> None:
        path = self.some()
        path.unlink()
        path.symlink_to(self.target())

    def swap_folder(self) -> None:
        """A folder of his is a link for a moment."""
        folder = self.inbox / self.chance.choice(("evil", "evil/sub"))
        aside = self.inbox / f"aside{self.chance.randrange(10**9)}"
        folder.rename(aside)
        folder.symlink_to(self.chance.choice((self.root, self.root / "archive", self.root / "work", self.root.parent)))
        time.sleep(self.chance.uniform(0.0, 0.05))
        folder.unlink()
        aside.rename(folder)

    def cut(self) -> None:
        path = self.some()
        if not path.is_symlink():
            os.truncate(path, self.chance.randrange(2000))

    def grow(self) -> None:
        self.put(self.some(), b"more", os.O_APPEND)

    def lock(self) -> None:
        path = self.some()
        if not path.is_symlink():
            path.chmod(self.chance.choice((0o000, 0o600, 0o666, 0o4777)))

    def touch(self) -> None:
        os.utime(self.some(), ns=(0, self.chance.choice((0, 1, 2**61, time.time_ns()))), follow_symlinks=False)

    def pipe(self) -> None:
        path = self.some()
        with suppress(OSError):
            path.unlink()
        os.mkfifo(path)

    def sparse(self) -> None:
        path = self.some()
        self.put(path, b"")
        if not path.is_symlink():
            os.truncate(path, 500 * 2**30)

    def name(self) -> None:
        odd_names = ("\x1b[2J", "a\nb", "locked", "." + "h" * 200, "x.part")
        self.put(self.folder() / self.chance.choice(odd_names), b"x")

    def remove(self) -> None:
        self.some().unlink()

    def take_its_names(self) -> None:
        """Where the box puts things back, or out of its way."""
        name = self.chance.choice(("returned-1", "returned-2", ".taken", "sent-again"))
        (self.inbox / name).symlink_to(self.target())

    def act(self) -> tuple[str, bool]:
        """What he did, and whether it went."""
        deeds: list[Callable[[], None]] = [
            self.write, self.write, self.write, self.make_folder, self.rename, self.link, self.hard_link,
            self.swap_file, self.swap_folder, self.cut, self.grow, self.lock, self.touch, self.pipe, self.sparse,
            self.name, self.remove, self.remove, self.take_its_names,
        ]  # fmt: skip
        deed = self.chance.choice(deeds)
        try:
            deed()
        except OSError:
            return deed.__name__, False
        return deed.__name__, True


def watched(root: Path) -> dict[str, tuple[int, bytes]]:
    """What he must never reach, by path: inode and content."""
    outside = [path for path in (root.parent / "canary").rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.read_bytes()) for path in outside}


def sweep(folder: Path, operations: int, studies: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How often he succeeded with what, and what broke."""
    root = folder / "box"
    (root / "inbox" / "evil" / "sub").mkdir(parents=True)
    (folder / "canary").mkdir()
    (folder / "canary" / "secret").write_bytes(Slice(1, 1, "secret").content())
    write_settings(root, quiet_s=0.4, scan_s=0.2, patience_s=2.0)
    sender, done, sums = Sender(root, random.Random(seed)), Counter[str](), {}
    before, daemon = watched(root), start(root)
    try:
        for number in range(operations):
            if number % max(operations // studies, 1) == 0 and len(sums) < studies:
                study = len(sums)
                sums[study] = put(root / "inbox", [Slice(study, n) for n in range(SLICES)])
            deed, went = sender.act()
            done[deed] += went
            if number % 20 == 0:
                time.sleep(0.01)
        broken = _in_the_end(root, sums)
        if daemon.poll() is not None:
            broken.append(f"the daemon ended with {daemon.returncode}")
    finally:
        daemon.terminate()
        daemon.wait()
    if watched(root) != before:
        broken.append("a file outside the box was touched")
    return done, [*broken, *unsound_results(root)]


def _in_the_end(root: Path, sums: dict[int, set[str]]) -> list[str]:
    """What of the honest studies is not measured, or lies in more or other places than the archive."""
    wanted = {frozenset(one) for one in sums.values()}

    def measured() -> set[frozenset[str]]:
        return {frozenset(one["inputs"]) for one in revisions(root) if not one["incomplete"]}

    wait(lambda: wanted <= measured(), 120.0)
    wait(lambda: not list((root / "inbox").glob("study*/*")), 30.0)
    wait(lambda: not list((root / "work").glob("*/*")), 30.0)  # what is measured goes to the archive
    broken = [f"{len(wanted - measured())} honest studies are not measured whole"] if wanted - measured() else []
    there = contents(root)
    for one in set().union(*sums.values()):
        if [place.partition("/")[0] for place in there.get(one, ["nowhere"])] != ["archive"]:
            broken.append(f"{one[:12]} is at {there.get(one)}")
    strange = [path for area in ("archive", "work", "quarantine") for path in (root / area).rglob("*") if odd(path)]
    return broken + [f"{path} is no file of the box's own" for path in strange]


def odd(path: Path) -> bool:
    """Neither a folder nor a file of one name."""
    return path.is_symlink() or not (path.is_dir() or path.is_file()) or (path.is_file() and path.stat().st_nlink > 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        done, broken = sweep(folder, asked.operations, asked.studies, asked.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(*(f"{deed:<16} {times}" for deed, times in sorted(done.items())), sep="\n")
    print(*broken, sep="\n")
    print(f"{asked.operations} operations, {done.total()} went, {asked.studies} studies, {len(broken)} violations")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
