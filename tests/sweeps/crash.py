"""Every file-system call of the daemon, of its children and of commands fails, or is the last.

    python -m tests.sweeps.crash [--who daemon|worker|backup|...] [--fault KILL|ENOSPC|EIO] [--sites]

Each fault is a run of its own (`stories`), in which the kernel asks at each call of that kind (`injected`) and the k-th
ends the process or fails. Then nothing may be lost and no result unsound, though what was copied may lie in the inbox
still; after the next start the box must stand where an undisturbed run stands. What this means for who sends and
receives, for who writes the list and for each command stands where its story is told (`children`, `received`,
`commands`). Modules are imported, and templates compiled, before the run.

With --sites a call is tried at its first, second and last time from each of its sites alone: what it was about (a slice
of a study, a part of a result) and what was called before; and a process is killed only where it is about to change
what lies on a disk, as between two such calls a kill leaves the same. All of them is a matter of a night.

Several runs go side by side. What was tried is kept in a file (--totals), so that a sweep that was stopped goes on
where it stopped; with another version of the software, or --again, it begins anew. Needs root and Linux on x86-64.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scanside_runtime.process.start import end_with

from . import fake_probe, fake_sender, fake_worker, warm  # noqa: F401  # a fork becomes one of them
from .box import REPOSITORY
from .injected import FAULTS, Fault, can_intercept, is_changing
from .stories import Story

STORIES: dict[str, tuple[str, ...]] = {
    "stories.Everyday": ("daemon",),
    "stories.Carried": ("porter",),
    "children.Sent": ("sender",),
    "children.Listed": ("writer",),
    "received.Received": ("receive",),
    "commands.BackedUp": ("backup",),
    "commands.Restored": ("restore",),
    "commands.Rebuilt": ("rebuild",),
    "commands.Upgraded": ("upgrade",),
    "commands.Decided": ("release",),
    "commands.Installed": ("install",),
    "children.Read": ("prober",),
    "measured.Measured": ("reader", "worker"),
}
"""By story, the roles that are tried in it."""
ROLES = tuple(role for roles in STORIES.values() for role in roles)
MEMORY = Path("/dev/shm")  # to sync costs nothing there
MORE = 1.02
"""Two runs do not make the same number of calls: so many are tried as an undisturbed one makes, and some more."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault of one role."""

    who: str
    fault: Fault

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.who, self.fault.name, self.fault.call, self.fault.k


def story_of(who: str, folder: Path) -> Story:
    """The daemon's has cheap children, so that it may do all that it can; that of who reads and measures real ones."""
    named = next(name for name, roles in STORIES.items() if who in roles)
    module, name = named.split(".")
    found = importlib.import_module(f"{__package__}.{module}")  # a fork costs what was imported before
    if module != "stories":
        warm.import_everything()
    story: Story = getattr(found, name)(folder)
    return story


def trials(story: Story, who: Iterable[str], names: Collection[str], *, sites: bool) -> list[Trial]:
    """Every fault of these roles, and a few that may hit nothing; or those of each site."""
    found = []
    for role in who:
        for (name, call), at in story.calls(role).calls.items():
            if name in names:
                numbers = of_each_site(at, changing=name == "KILL") if sites else range(1, int(len(at) * MORE) + 3)
                found += [Trial(role, Fault(name, call, k)) for k in numbers]
    return found


def of_each_site(at: Sequence[str], *, changing: bool) -> list[int]:
    """The first, second and last time that a call comes from each of its sites, counted from 1.

    changing: those alone that change a disk. Who is killed at one that reads leaves what he leaves at the next of them.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, site in enumerate(at, start=1):
        if not changing or is_changing(site):
            numbers[site].append(number)
    return sorted({one for each in numbers.values() for one in (*each[:2], each[-1])})


def try_all(story: Story, wanted: Sequence[Trial], totals: Path, together: int) -> None:
    """Each trial once, so many at a time, with a line in the file for each."""
    numbers, more = os.pipe()
    workers, ours = [], os.getpid()
    for worker in range(together):
        if (pid := os.fork()) == 0:
            end_with(ours)
            os.close(more)
            with totals.open("a") as file:
                mine = story.beside(f"box{worker}")
                while number := os.read(numbers, 4):
                    _try_one(mine, wanted[int.from_bytes(number, "little")], file)
            os._exit(0)
        workers.append(pid)
    os.close(numbers)
    with os.fdopen(more, "wb", buffering=0) as out:
        for number in range(len(wanted)):
            out.write(number.to_bytes(4, "little"))
    if any([os.waitpid(pid, 0)[1] for pid in workers]):
        raise SystemExit("the sweep itself ended before its time")


def _try_one(story: Story, trial: Trial, file: Any) -> None:
    began = time.monotonic()
    ran, problems = story.disturbed(trial.who, trial.fault)
    for problem in problems:
        print(f"{trial.who} {trial.fault} at {ran.at}: {problem}", flush=True)
    line = {"version": version(), "who": trial.who, **asdict(trial.fault), "at": ran.at, "problems": problems}
    file.write(json.dumps({**line, "seconds": round(time.monotonic() - began, 2)}) + "\n")
    file.flush()


_VERSION: list[str] = []
_TRIED = ("appliance", "runtime", "tests/sweeps")


def version() -> str:
    """Of what is tried and how, changes that are not committed included."""
    if not _VERSION:
        said = [
            subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, check=False).stdout
            for words in (("ls-tree", "HEAD", *_TRIED), ("diff", "HEAD", "--", *_TRIED))
        ]
        _VERSION.append(hashlib.sha256(b"".join(said)).hexdigest()[:12])
    return _VERSION[0]


def tried(totals: Path) -> list[dict[str, Any]]:
    """What the file says of this version."""
    lines = totals.read_text().splitlines() if totals.exists() else []
    return [one for one in map(json.loads, lines) if one["version"] == version()]


def sum_up(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Faults that hit something and violations: of each role and kind by call, and together."""
    faults: Counter[tuple[str, str, str]] = Counter()
    broken: Counter[tuple[str, str, str]] = Counter()
    for one in lines:
        for key in ((one["who"], one["name"], one["call"]), (one["who"], one["name"], ""), ("", "", "")):
            faults[key] += bool(one["at"])
            broken[key] += bool(one["problems"])
    text = []
    for who, name in sorted({key[:2] for key in faults if key[2]}):
        called = [(key[2], number) for key, number in faults.most_common() if key[:2] == (who, name) and key[2]]
        calls = ", ".join(f"{call} {number}" for call, number in called)
        text.append(f"{who} {name}: {faults[who, name, '']} faults, {broken[who, name, '']} violations ({calls})")
    return [*text, f"{faults['', '', '']} faults, {broken['', '', '']} violations"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="of all faults each so manieth")
    parser.add_argument("--each", type=int, help="of each role so many, spread over all of them")
    parser.add_argument("--sites", action="store_true", help="from each site the first, second and last call alone")
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--who", choices=ROLES, action="append")
    parser.add_argument("--together", type=int, default=3, help="runs side by side; most of a run is waiting")
    parser.add_argument("--totals", type=Path, default=Path(tempfile.gettempdir()) / "scanside-crash.jsonl")
    parser.add_argument("--again", action="store_true", help="forget what was tried")
    asked = parser.parse_args()
    if not can_intercept():
        raise SystemExit("this needs root, and a kernel for x86-64 that asks about system calls")
    if asked.again:
        asked.totals.unlink(missing_ok=True)
    wanted = []
    who = asked.who or list(ROLES)
    for roles in STORIES.values():
        wanted += sweep([role for role in roles if role in who], asked)
    keys = {one.key for one in wanted}
    lines = [one for one in tried(asked.totals) if _key(one) in keys]
    print(*sum_up(lines), sep="\n")
    sys.exit(any(one["problems"] for one in lines))


def sweep(who: Sequence[str], asked: argparse.Namespace) -> list[Trial]:
    """Try what was not tried yet of the roles of one story; what is wanted in all."""
    if not who:
        return []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        story = story_of(who[0], Path(folder))
        wanted = []
        for role in who:
            found = trials(story, [role], asked.fault or list(FAULTS), sites=asked.sites)
            wanted += spread(found, asked.each or len(found) // asked.every or 1)
        known = {_key(one) for one in tried(asked.totals)}
        left = [one for one in wanted if one.key not in known]
        print(f"{', '.join(who)}: {len(left)} runs of {len(wanted)}, version {version()}", flush=True)
        try_all(story, left, asked.totals, asked.together)
    return wanted


def spread(found: Sequence[Trial], number: int) -> list[Trial]:
    """So many of these, as far from each other and from both ends as can be: the first calls come before any work."""
    number = min(number, len(found))
    return [found[(2 * at + 1) * len(found) // (2 * number)] for at in range(number)]


def _key(line: dict[str, Any]) -> tuple[str, str, str, int]:
    return line["who"], line["name"], line["call"], line["k"]


if __name__ == "__main__":
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()
