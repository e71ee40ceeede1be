"""Every file-system call of the daemon, and of its worker, fails or is the last one; then it starts again.

    python -m tests.sweeps.crash [--every 1] [--fault KILL|ENOSPC|EIO] [--who daemon|worker]

strace injects the fault at the k-th call of a kind (`-e inject=CALL:signal=KILL:when=k`). The story of each run: a
study that is known gets a late slice and one of its slices once more, a new study, a file that is no image, a study
whose analysis crashes, a slice with another content, a study that was refused and for which a person has chosen
another series. After the fault nothing may be lost and no result unsound, though what was copied may lie in the inbox
still; after the next start the box must stand where an undisturbed run stands.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scanside_appliance.files.layout import BoxLayout, study_key
from scanside_appliance.jobs.book_file import existing_book
from scanside_appliance.jobs.release import Decisions

from .box import Slice, lost, outcome, put, run_once, unsound_results, write_settings

WRITES = "openat write pwrite64 fsync fdatasync ftruncate chmod ioctl".split()  # noqa: SIM905
WRITES += "rename renameat unlink unlinkat linkat mkdir mkdirat rmdir".split()  # noqa: SIM905
READS = "read pread64 newfstatat getdents64".split()  # noqa: SIM905
FAULTS = {
    "KILL": ("signal=KILL", [*WRITES, *READS]),
    "ENOSPC": ("error=ENOSPC", [*WRITES[:6], "rename", "renameat", "mkdir"]),
    "EIO": ("error=EIO", [*WRITES, *READS]),
}

FIRST_ONLY = 'first="$0"; if mkdir "$first"; then exec "$@"; fi; while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
"""A shell that puts strace before the first worker alone: who dies at each attempt is rightly put aside."""


@dataclass(frozen=True)
class Fault:
    """The k-th call of a kind."""

    name: str
    call: str
    k: int


class Story:
    """A prepared box that is copied for each run, and how it ends undisturbed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base, self.root = folder, folder / "base", folder / "box"
        self.sums = put(self.base / "inbox", [Slice(1, n) for n in (1, 2, 3)])
        self._settings(self.base)
        self.sums |= put(self.base / "inbox", [Slice(5, n, "HEAD") for n in (1, 2)])
        first = run_once(self.base)
        if first.returncode != 0:
            raise SystemExit(first.stderr)
        with existing_book(BoxLayout(self.base)) as store:
            Decisions(BoxLayout(self.base), store).release(study_key("1.2.5"), "2")
        inbox = self.base / "inbox"
        self.sums |= put(inbox, [Slice(1, 4)])
        put(inbox, [Slice(1, 2)], "again")
        self.sums |= put(inbox, [Slice(2, n) for n in (1, 2, 3)])
        self.sums |= put(inbox, [Slice(3, 1, "CRASH")])
        self.sums |= put(inbox, [Slice(4, 1), Slice(4, 2), Slice(4, 2, "other")])
        (inbox / "notes.txt").write_text("no image")
        self.fresh()
        self.run()
        self.expected = outcome(self.root)

    def _settings(self, root: Path) -> None:
        write_settings(root)

    def fresh(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.base, self.root)
        self._settings(self.root)

    def run(self) -> None:
        done = run_once(self.root)
        if done.returncode != 0:
            raise SystemExit(f"an undisturbed run ended with {done.returncode}: {done.stderr}")

    def calls(self, who: str) -> dict[str, tuple[int, int]]:
        """By kind of call: how many before the daemon begins its work, and how many in all."""
        self.fresh()
        log = self.folder / "calls.log"
        kinds = ",".join([*WRITES, *READS])
        trace = ["strace", "-qq", "-o", str(log), "-e", f"trace={kinds}"]
        if who == "daemon":
            run_once(self.root, *trace)
            marker = "scanside.lock"
        else:
            run_once(self.root, worker_prefix=trace)
            marker = f"{self.root}/work/"  # what comes before is the start of the interpreter
        lines = log.read_text(errors="replace").splitlines()
        start = next(number for number, line in enumerate(lines) if marker in line)
        before = Counter(line.partition("(")[0] for line in lines[:start])
        total = Counter(line.partition("(")[0] for line in lines)
        return {kind: (before[kind], total[kind]) for kind in total if re.fullmatch(r"\w+", kind)}

    def problems(self, fault: Fault, who: str) -> list[str]:
        """What a fault broke."""
        self.fresh()
        shutil.rmtree(self.folder / "first", ignore_errors=True)
        how, _ = FAULTS[fault.name]
        inject = ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={fault.call}"]
        inject += ["-e", f"inject={fault.call}:{how}:when={fault.k}"]
        once = ["sh", "-c", FIRST_ONLY, str(self.folder / "first"), *inject, "--"]
        done = run_once(self.root, *inject) if who == "daemon" else run_once(self.root, worker_prefix=once)
        found = ["it hangs"] if done.returncode == -9 and fault.name != "KILL" else []
        found += [*lost(self.root, self.sums, sent_twice=self.sums), *unsound_results(self.root)]
        again = run_once(self.root)
        if again.returncode != 0:
            found.append(f"the next start ended with {again.returncode}: {again.stderr[-300:]}")
        found += [*lost(self.root, self.sums), *unsound_results(self.root)]
        ended = outcome(self.root)
        if ended["results"] != self.expected["results"]:
            found.append(f"other results than of an undisturbed run: {sorted(ended['results'])}")
        if ended["areas"] != self.expected["areas"]:
            found.append(f"files end elsewhere than in an undisturbed run: {ended['areas'] - self.expected['areas']}")
        return found


def faults(calls: dict[str, tuple[int, int]], name: str, every: int) -> Iterator[Fault]:
    for call in FAULTS[name][1]:
        before, total = calls.get(call, (0, 0))
        for k in range(before + 1, total + 1, every):
            yield Fault(name, call, k)


def sweep(folder: Path, names: list[str], every: int, who: str) -> tuple[int, list[str]]:
    """How many faults were tried, and what they broke."""
    story = Story(folder)
    calls = story.calls(who)
    tried, broken = 0, []
    for name in names:
        for fault in faults(calls, name, every):
            tried += 1
            for problem in story.problems(fault, who):
                broken.append(f"{fault}: {problem}")
                print(broken[-1], flush=True)
    return tried, broken


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--who", choices=("daemon", "worker"), default="daemon")
    asked = parser.parse_args()
    if not strace_works():
        raise SystemExit("strace can't trace here")
    with tempfile.TemporaryDirectory() as folder:
        tried, broken = sweep(Path(folder), asked.fault or list(FAULTS), asked.every, asked.who)
    print(f"{tried} faults, {len(broken)} violations")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
