"""The listening side: a bounded number of connections, from known networks alone, none of which lasts for ever."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.files.owner import become_owner
from scanside_appliance.languages.catalogue import ENGLISH
from scanside_appliance.serve.connection import LARGEST_REQUEST_BYTES, REQUEST_S, Gate, Talk
from scanside_appliance.serve.errors import BoxServeOpen, BoxServePort, BoxServeTls
from scanside_appliance.serve.password import Password
from scanside_runtime.settings.serve import ServeSettings

LONGEST_S = 900.0
"""So long an answer may take: 40 MB at 384 kbit/s."""
LAST_S = 5.0
PAUSE_S = 1.0
BACKLOG = 128
log = logging.getLogger("scanside")


def show_until_told(layout: BoxLayout, settings: ServeSettings, language: str, ready: Callable[[str], None]) -> None:
    """Show results until SIGTERM or SIGINT; everything is checked before anything listens.

    language: of what is said to somebody at a browser. ready: told the address when browsers may come.
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


def listener_of(settings: ServeSettings) -> socket.socket:
    """A socket that listens. Raises BoxServeOpen where other machines would be served in the clear, BoxServePort."""
    if not (settings.this_machine_alone or settings.tls_certificate or settings.insecure_network):
        raise BoxServeOpen(host=settings.host)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise BoxServePort(address=where, why=error.strerror or type(error).__name__) from error
    listener.setblocking(False)
    return listener


def tls_of(settings: ServeSettings) -> ssl.SSLContext | None:
    """None without a certificate. Raises BoxServeTls."""
    if not settings.tls_certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise BoxServeTls(why=error) from error
    return context


@dataclass(slots=True)
class Server:
    """Shows a folder of results. The TLS handshake of a connection counts as a part of it."""

    results: Path
    gate: Gate
    settings: ServeSettings
    tls: ssl.SSLContext | None
    language: str = ENGLISH
    _talking: set[asyncio.Task[None]] = field(default_factory=set)
    _by_address: Counter[str] = field(default_factory=Counter)

    async def run(self, listener: socket.socket, ready: Callable[[], object], end: asyncio.Event) -> None:
        """Answer until `end`; what is being answered then has some seconds."""
        accepting = asyncio.create_task(self._accept(listener))
        ready()
        await end.wait()
        accepting.cancel()
        listener.close()
        if self._talking:
            await asyncio.wait(self._talking, timeout=LAST_S)
        for task in self._talking:
            task.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        loop, room = asyncio.get_running_loop(), asyncio.Semaphore(self.settings.connections)
        while True:
            await room.acquire()
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:  # no handle is left, or the caller is gone already
                log.warning("serve: a connection can't be taken: %s", error.strerror)
                room.release()
                await asyncio.sleep(PAUSE_S)
                continue
            task = asyncio.create_task(self._talk(connection, str(peer[0])))
            self._talking.add(task)
            task.add_done_callback(self._talking.discard)
            task.add_done_callback(lambda _: room.release())

    async def _talk(self, connection: socket.socket, address: str) -> None:
        is_welcome = self.settings.lets_in(address)
        if not is_welcome or self._by_address[address] >= self.settings.connections // 4:
            connection.close()
            return
        self._by_address[address] += 1
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._answer(connection, address)
        except OSError:  # the line broke, took too long (TimeoutError is one), or spoke no TLS
            pass
        finally:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def _answer(self, connection: socket.socket, address: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LARGEST_REQUEST_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        handshake_s, shutdown_s = (REQUEST_S, LAST_S) if self.tls else (None, None)  # asyncio takes none without TLS
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self.tls,
                ssl_handshake_timeout=handshake_s,
                ssl_shutdown_timeout=shutdown_s,
            )
        except BaseException:
            connection.close()
            raise
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await Talk(self.results, self.gate, reader, writer, address, self.language).answer()
            writer.close()
            await writer.wait_closed()
        finally:
            transport.abort()
