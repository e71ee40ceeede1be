"""What `scanside serve` does: everything is checked before anything listens."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.owner import become_owner
from scanside_appliance.serve.connection import Gate
from scanside_appliance.serve.password import Password
from scanside_appliance.serve.server import Server, listener_of, tls_of
from scanside_runtime.settings.serve import ServeSettings


def show_until_told(layout: BoxLayout, settings: ServeSettings, language: str, ready: Callable[[str], None]) -> None:
    """Show results until SIGTERM or SIGINT. ready: told the address when browsers may come.

    language: of what is said to somebody at a browser.

    Raises BoxServePassword, BoxServeOpen, BoxServePort, BoxServeTls, BoxRoot.
    """
    server = Server(layout.results, Gate(Password(layout)), settings, tls_of(settings), language)
    scheme = "https" if settings.tls_certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host

    async def show() -> None:
        end, loop = asyncio.Event(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end.set)
        await server.run(listener, lambda: ready(f"{scheme}://{host}:{settings.port}/"), end)

    with listener_of(settings) as listener:
        become_owner(layout.root)  # root, if anything, was for the port and the key
        asyncio.run(show())
