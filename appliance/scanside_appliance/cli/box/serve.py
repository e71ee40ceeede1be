"""`scanside serve`: the worklist and its pages in a browser, on this machine or the local network."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from scanside_appliance.cli.language import spoken
from scanside_appliance.cli.options import as_its_owner


def serve(
    context: typer.Context,
    set_password: Annotated[
        bool, typer.Option("--set-password", help="Ask for the password (or read one line), keep its hash, and end.")
    ] = False,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on. [the setting serve.host]")] = None,
    port: Annotated[int | None, typer.Option("--port", help="Port to listen on. [the setting serve.port]")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure-network", help="Other machines without TLS: the network may read along.")
    ] = False,
) -> None:
    """Show worklist and pages to browsers, behind a password.

    Read-only, and off unless this is started. It listens to this machine alone unless told otherwise. Ends on
    SIGTERM or Ctrl-C.

    Exit code: 0 ended, 5 no password is set, the network would read along, the port is taken, or a file for TLS is
    bad.
    """
    from scanside_appliance.files.layout import BoxLayout
    from scanside_appliance.service.service import log_to_stderr

    layout = BoxLayout(context.obj.root)
    layout.check()
    if set_password:
        from scanside_appliance.serve.password import set_password as keep_password

        as_its_owner(context)
        keep_password(layout, _asked_for())
        typer.echo(spoken()("The password is set; it counts at once."), err=True)
        return
    from scanside_appliance.serve.server import show_until_told

    said = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    chosen = context.obj.settings()
    settings = replace(chosen.serve, **said, insecure_network=insecure or chosen.serve.insecure_network)
    log_to_stderr()
    show_until_told(layout, settings, chosen.site.language, _ready)


def _ready(address: str) -> None:
    from scanside_appliance.service.systemd import notify

    notify(READY=1, STATUS=f"results are shown at {address}")
    typer.echo(spoken()("Results are shown at {address}", address=address), err=True)


def _asked_for() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")
