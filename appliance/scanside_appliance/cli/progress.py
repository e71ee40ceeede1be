"""How far a long piece of work is, on stderr: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from scanside_runtime.errors import shown
from scanside_runtime.progress import Progress as Report

if TYPE_CHECKING:
    from rich.progress import Progress

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def long_progress() -> Iterator[Report]:
    """A callback (what, done, total) for work of minutes to days; total 0 where nobody knows how much there is."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _followed(bar, "")


def _followed(bar: Progress, first: str) -> Report:
    """One line of the bar for one piece of work after the other: time that remains is that of the piece alone.

    A piece is another one when its total changes or it begins again; one without an end (total 0) has no time left.
    """
    from rich.markup import escape

    task = bar.add_task(first, total=None)
    last = (0, 0)

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if total != last[1] or done < last[0]:
            bar.reset(task, total=total or None)
        last = (done, total)
        bar.update(task, description=escape(shown(what)), completed=done)

    return report


def _lines() -> Report:
    last = time.monotonic()

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            typer.echo(shown(f"{done} of {total}: {what}" if total else f"{done} {what}"), err=True)

    return report


@contextmanager
def progress(first: str = "starting") -> Iterator[Report | None]:
    """A callback (stage, done, total) for work of seconds, that draws a bar; None where stderr is no terminal.

    first: what the bar is labelled with until a stage is named.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield _followed(bar, first)


def complain(code: str, text: str) -> None:
    """One line on stderr."""
    typer.echo(f"scanside: {code}: {text}", err=True)
