"""A box with cheap children in place of headers and networks, for the tests of the watched folder."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scanside_appliance.cli import main as cli
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import study_key
from scanside_appliance.inbox.facts import Prober
from scanside_appliance.service.plan import Plan
from scanside_appliance.service.service import watch
from scanside_runtime.settings.load import load_settings
from scanside_runtime.settings.tables import Settings
from sweeps.box import HERE, LONGEST_S, Slice, contents, lost, put, unsound_results, write_settings

PYTHON = (sys.executable, "-S")


class Box:
    """A box with cheap children. `run` is `watch --once`."""

    def __init__(self, root: Path) -> None:
        self.root, self.inbox = root, root / "inbox"
        self.sums: set[str] = set()
        self.settings: dict[str, Any] = {}
        self.clock = clock_of_hangs(root)
        self.worklist: Sequence[str] = ()

    def put(self, *slices: Slice, folder: str = "") -> None:
        self.sums |= put(self.inbox, slices, folder)

    def run(self, **changes: Any) -> None:
        self.settings |= changes
        path = write_settings(self.root, **self.settings)
        watch(self.plan(lambda: load_settings(path)))

    def plan(self, read_settings: Callable[[], Settings]) -> Plan:
        return Plan(
            self.root,
            read_settings,
            once=True,
            clock=self.clock,
            worker=(*PYTHON, str(HERE / "fake_worker.py")),
            probe=(*PYTHON, str(HERE / "fake_probe.py")),
            porter=(),
            worklist=self.worklist,
            hint=False,
        )

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By study key and revision."""
        return {
            (path.parent.parent.name, path.parent.name): json.loads(path.read_text())
            for path in self.root.glob("results/[!.]*/*/*/result.json")
        }

    def of(self, study: int) -> list[dict[str, Any]]:
        """The revisions of a study."""
        key = study_key(f"1.2.{study}")
        return [document for (one, _), document in sorted(self.results().items()) if one == key]

    def places(self, area: str) -> list[str]:
        return sorted(place for found in contents(self.root).values() for place in found if place.startswith(area))

    def is_lossless(self) -> bool:
        """Whether all that was put into the inbox is somewhere, once; what is being taken may lie there still, too."""
        return not lost(self.root, self.sums, sent_twice=self.sums)

    def is_sound(self) -> bool:
        return not lost(self.root, self.sums) and not unsound_results(self.root)

    def rebuild(
        self,
        monkeypatch: pytest.MonkeyPatch,
        *options: str,
        command: Sequence[str] = (*PYTHON, str(HERE / "fake_probe.py")),
    ) -> dict[str, Any]:
        """`scanside rebuild`, with the cheap child that reads headers."""
        with monkeypatch.context() as patch:
            patch.setattr("scanside_appliance.inbox.facts.Prober", partial(Prober, command=command))
            shown = self.scanside("rebuild", "--json", *options)
        if shown.exception and not isinstance(shown.exception, SystemExit):
            raise shown.exception
        found: dict[str, Any] = json.loads(shown.output)
        return found

    def scanside(self, *arguments: str) -> Any:
        return CliRunner().invoke(cli.app, ["--root", str(self.root), *arguments])


def clock_of_hangs(root: Path) -> Clock:
    """The machine's clocks, but an hour passes whenever an analysis hangs: time limits are met without waiting."""
    hung: set[str] = set()
    unfinished = root / "results" / ".unfinished"

    def skipped_s() -> float:
        # A daemon asks two hundred times in a run, so nothing dearer than a look into a folder that is mostly empty.
        with suppress(FileNotFoundError):
            hung.update(name for name in os.listdir(unfinished) if os.path.lexists(f"{unfinished}/{name}/hangs"))
        return 3600.0 * len(hung)

    return Clock(lambda: time.monotonic() + skipped_s(), lambda: time.time() + skipped_s())


def study(number: int, slices: int = 3, **changes: Any) -> list[Slice]:
    return [Slice(number, n, **changes) for n in range(1, slices + 1)]


def wait_for(condition: Callable[[], Any], seconds: float = LONGEST_S) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
