"""`scanside audit`: what the box did, in order."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import AsJson, open_store


def audit(
    context: typer.Context,
    since: Annotated[int, typer.Option(metavar="N", help="Only entries after this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print what the box did, and by what it works.

    Results, what was held, released or put aside; software, settings and networks. Each entry has the hash of all
    before it; `scanside verify` checks them, too. There are no names in it: a study is its key.

    Exit code: 0 printed, 5 the book can't be read, or the chain is broken: the entry is named.
    """
    from scanside_appliance.jobs.book.audit import broken_at, entries

    with open_store(context) as store:
        found, broken = [one.document() for one in entries(store, since)], broken_at(store)
    if as_json:
        typer.echo(json.dumps({"entries": found, "broken_at": broken}))
    else:
        for one in found:
            facts = ", ".join(f"{name} {value}" for name, value in one["facts"].items() if value is not None)
            typer.echo(f"{one['n']:>6}  {one['at']}  {one['event']:<13}  {one['study']}  {facts}")
        typer.echo(f"head {found[-1]['sha256']}" if found else spoken()("nothing after {number}", number=since))
    if broken is not None:
        typer.echo(spoken()("entry {number} does not follow from those before it", number=broken), err=True)
        raise typer.Exit(5)
