"""`scanside worklist`: who is sick, what waits for a person, what came last."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, open_store
from scanside_appliance.languages.catalogue import to_translate

THE_PAGE = to_translate("The list as it was last written, {moment}: {page}. Single reports: scanside results NAME")
HOW_TO_OPEN = to_translate("to open a report: scanside results NAME --open")


@contextmanager
def _leads_to_the_page(page: Path) -> Iterator[None]:
    """Where the book can't be read, results are still there, and so is the page of before."""
    from scanside_appliance.clock import time_text
    from scanside_runtime.errors import BoxFailed

    try:
        yield
    except BoxFailed:
        if page.is_file():
            written = time_text(page.stat().st_mtime)
            typer.echo(spoken()(THE_PAGE, moment=written, page=page), err=True)
        raise


def worklist(
    context: typer.Context,
    as_json: AsJson = False,
    every: Annotated[bool, typer.Option("--all", help="Every study, not only the newest of the others.")] = False,
    no_names: Annotated[bool, typer.Option("--no-names", help="For screens that others see: hashes alone.")] = False,
    show: Annotated[bool, typer.Option("--open", help="Open the list as a page in the browser instead.")] = False,
) -> None:
    """List results: who is sick first, then the newest.

    Severe and rising stand first, then not measured but extensive, held, to watch, the rest by age. The same list
    is the page results/index.html, which scanside watch writes anew at each result.

    Exit code: 0 listed, 5 the box.
    """
    from scanside_appliance.clock import Clock
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.service.queue_view import box_facts
    from scanside_appliance.worklist import terminal
    from scanside_appliance.worklist.known_facts import KnownFacts
    from scanside_appliance.worklist.listing import list_studies

    layout, clock = BoxLayout(context.obj.root), Clock()
    if show:
        typer.launch(str(layout.worklist.absolute()))
        return
    said = box_facts(layout, context.obj.settings)
    with (
        _leads_to_the_page(layout.worklist),
        open_store(context) as store,
        KnownFacts(layout.worklist_facts, keep=False) as known,
    ):
        listed = list_studies(layout, store, known, arriving=len(said["waiting"]), trouble=said["trouble"])
    entries = terminal.shown(listed, every=every)
    if as_json:
        found = terminal.list_document(listed, entries, clock.now_text(), names=not no_names)
        typer.echo(json.dumps(found, allow_nan=False))
        return
    lines = terminal.notes(listed, entries, spoken())
    if sys.stdout.isatty() and entries:
        from rich.console import Console

        screen = Console()
        screen.print(terminal.list_table(entries, clock.wall(), screen.width, spoken(), names=not no_names))
        lines = [*lines, spoken()(HOW_TO_OPEN)]
    else:
        lines = [*terminal.list_lines(entries, clock.wall(), spoken(), names=not no_names), *lines]
    typer.echo("".join(f"{line}\n" for line in lines), nl=False)
