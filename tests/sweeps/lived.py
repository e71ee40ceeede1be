"""A box that has lived, of small DICOM files that are analysed in a blink, and commands that people start on it."""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from kit.dicom_samples import ROOT, make_series, write
from scanside_appliance.cli.main import main
from scanside_appliance.files.durable_files import file_sha256
from scanside_appliance.files.layout import study_key
from scanside_appliance.service.plan import Plan
from scanside_runtime.settings.load import load_settings

from . import forked
from .box import HERE, write_settings
from .injected import Fault, Ran
from .stories import AT_ONCE, LIMIT_S, PYTHON, Story, watched

SETTINGS = """commitment_s = 0
retry_after_s = 0.01
[reading]
memory_mb = 8192
"""
"""In `[send]`, which comes last, and after it; a fork begins with all the memory that we have."""
CHOSEN = study_key(f"{ROOT}.2")
"""The study that is refused until a person chooses another series."""
_ROWS = {
    "jobs": "study, study_uid, patient, state, revision, code, reason, alone, series_uid, verdict, severity, trend",
    "files": "study, sop_uid, sha256, size, whole, place, data_sha256",
    "result_files": "name",
    "audit": "n, event, study",
}


def send(inbox: Path, study: int, slices: int, name: str = "Test^Person") -> set[str]:
    """A study of so many slices comes, or the rest of it; a word in the patient's name says how its analysis ends."""
    uids = {"StudyInstanceUID": f"{ROOT}.{study}", "SeriesInstanceUID": f"{ROOT}.{study}.1"}
    series = make_series(slices, PatientID=f"P{study}", PatientName=name, **uids)
    for number, one in enumerate(series, start=1):
        one.SOPInstanceUID = f"{ROOT}.{study}.1.{number}"
    folder = write(inbox / f"study{study}", series)
    return {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def plan_of(box: Path, **changes: Any) -> Plan:
    """The daemon of such a box, which goes into the inbox itself."""
    command = {"worker": (*PYTHON, str(HERE / "fake_worker.py")), "porter": (), "worklist": (), "hint": False}
    return Plan(box, lambda: load_settings(settings_of(box)), once=True, **{**command, **changes})


def settings_of(box: Path) -> Path:
    """Beside the folder in which the box lies with what else the story has."""
    return box.parent.with_suffix(".toml")


def rows(box: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that the book says, but numbers of jobs, times and names of files."""
    with closing(sqlite3.connect(box / "scanside.db")) as sql:
        return {table: sorted(sql.execute(f"SELECT {names} FROM {table}"), key=repr) for table, names in _ROWS.items()}


def tree(folder: Path, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    """SHA-256 of all files by path, but those at the top whose names begin like this."""
    return {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not (without and path.relative_to(folder).parts[0].startswith(without))
    }


def scanside(*words: str | Path) -> Callable[[], None]:
    """A command of the command line, as a program of its own."""

    def program() -> None:
        sys.argv = ["scanside", *map(str, words)]
        main()

    return program


class Lived(Story):
    """A folder with a box in it, and whatever else the story needs beside that."""

    def box(self, root: Path) -> Path:
        return root / "box"

    def settings(self, root: Path) -> None:
        write_settings(root, **AT_ONCE, memory_limit_mb=4096)
        with root.with_suffix(".toml").open("a") as file:
            file.write(SETTINGS)

    def live(self, root: Path, role: str = "", **changes: Any) -> None:
        """The daemon works off what lies in the inbox. Raises AssertionError where it can't."""
        self.settings(root)
        program = partial(watched, plan_of(self.box(root), **changes))
        said = root.with_suffix(".log")
        done = forked.run(role, None, program, is_a="daemon", said=str(said), limit_s=LIMIT_S)
        assert done.code == 0, said.read_text(errors="replace")

    def first_days(self) -> Path:
        """Two studies, one of them refused for its series; the box."""
        box = self.box(self.base)
        self.sums = send(box / "inbox", 1, 3) | send(box / "inbox", 2, 2, "HEAD^A")
        self.live(self.base)
        return box

    def later_days(self) -> None:
        """A late slice, a study whose analysis ends the process, and what is no image."""
        inbox = self.box(self.base) / "inbox"
        self.sums |= send(inbox, 1, 4) | send(inbox, 3, 2, "CRASH^B")
        (inbox / "notes.txt").write_text("no image")
        self.sums.add(hashlib.sha256(b"no image").hexdigest())
        self.live(self.base)


class Command(Lived):
    """Somebody starts a command; it is ended, or a call of it fails; then it is started again.

    A call that fails ends it with a code of the box, never as a defect.
    """

    fair = (0, 5)
    """How it may end when a call fails."""

    @abstractmethod
    def command(self, root: Path) -> Sequence[str | Path]:
        """What is typed after `scanside`."""

    @abstractmethod
    def harm(self, root: Path) -> Iterator[str]:
        """What may not be at any moment, in words."""

    def program(self, root: Path) -> Callable[[], None]:
        return scanside("--root", self.box(root), "--settings", root.with_suffix(".toml"), *self.command(root))

    def broken(self, ran: Ran) -> list[str]:
        how = [] if ran.code in (*self.fair, -9) else [f"it ended with {ran.code}: {self.said(self.root)[-300:]}"]
        return [*how, *self.harm(self.root)]

    def differences(self, role: str, fault: Fault) -> list[str]:
        found = [*self.harm(self.root)]
        ended = self.outcome(self.root)
        return [*found, *(f"{what} is not as undisturbed: {_unlike(self.expected[what], ended[what])}"
                for what in self.expected if ended[what] != self.expected[what])]  # fmt: skip


def _unlike(expected: Any, ended: Any) -> str:
    if isinstance(expected, dict) and isinstance(ended, dict):
        other = {name: (ended.get(name), expected.get(name)) for name in {**expected, **ended}}
        return str({name: pair for name, pair in other.items() if pair[0] != pair[1]})[:400]
    return f"{str(ended)[:300]} for {str(expected)[:300]}"
