"""How far a piece of work is: the time that remains is that of the piece under way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import rich.progress
from rich.text import Text

from scanside_appliance.cli.progress import long_progress, progress


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[rich.progress.Progress]:
    """Every bar that is drawn, on a terminal whose clock goes on by a second at each look."""
    made: list[rich.progress.Progress] = []
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    class Kept(rich.progress.Progress):
        def __init__(self, *columns: Any, **options: Any) -> None:
            super().__init__(*columns, **options, get_time=clock, auto_refresh=False)
            made.append(self)

    monkeypatch.setattr(rich.progress, "Progress", Kept)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    return made


@pytest.mark.parametrize("shown", [progress, long_progress])
def test_time_remains_after_a_stage_that_is_done(shown: Callable[..., Any], bars: list[rich.progress.Progress]) -> None:
    """A bar that was full once said 0:00:00 for all that came after."""
    with shown() as report:
        for done in range(1, 13):
            report("decode", done, 12)
        (task,) = bars[0].tasks
        assert task.finished
        for total in (40, 40):  # the second stage has as many pieces as the one before
            for done in range(1, 11):
                report("segment", done, total)
            assert (task.finished, task.completed, task.total) == (False, 10, 40)
            assert task.time_remaining > 0
            report("segment", 40, 40)


@pytest.mark.parametrize("shown", [progress, long_progress])
def test_what_has_no_known_end_has_no_time_left(shown: Callable[..., Any], bars: list[rich.progress.Progress]) -> None:
    with shown() as report:
        for files in range(1, 50):
            report("files looked at", files, 0)
        (task,) = bars[0].tasks
        assert (task.total, task.time_remaining, task.completed) == (None, None, 49)
        report("a study", 1, 8)
        report("a study", 2, 8)
        assert (task.total, task.finished) == (8, False)
        assert task.time_remaining > 0


def test_what_is_worked_at_is_a_name_and_no_command(bars: list[rich.progress.Progress]) -> None:
    with long_progress() as report:
        report("a[/x]\x1b[2J", 1, 2)
    (task,) = bars[0].tasks
    assert Text.from_markup(task.description).plain == r"a[/x]\x1b[2J"
