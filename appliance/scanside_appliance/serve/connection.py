"""One connection, one request, one answer, each within a time and a size; h11 parses what comes."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from scanside_appliance.extras import extra
from scanside_appliance.serve.answers import METHODS, Headers, Request, headers_of, pass_header, refusal, request_of
from scanside_appliance.serve.errors import BoxServePassword
from scanside_appliance.serve.files import opened
from scanside_appliance.serve.password import Password
from scanside_appliance.serve.slow_down import FREE, SlowDown

with extra("serve"):
    import h11

LARGEST_REQUEST_BYTES = 16_384
REQUEST_S = 10.0
"""So long a browser has to say what it wants, however it drips in."""
PIECE_BYTES = 65_536
log = logging.getLogger("scanside")


@dataclass(slots=True)
class Gate:
    """Who may read. Passwords are tried one at a time, whoever asks."""

    password: Password
    slow_down: SlowDown = field(default_factory=SlowDown)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def opens(self, address: str, offered: bytes | None, shown_pass: bytes = b"") -> tuple[int, float]:
        """200, or 401, 429 or 503; with 429 how long to wait.

        shown_pass: with it a browser that was let in is told from somebody who guesses beside it, and does not wait.
        To ask for the known password alone would let him guess without end: 200 would stand out from 429.
        """
        now_s = asyncio.get_running_loop().time
        if offered is None:
            return HTTPStatus.UNAUTHORIZED, 0.0
        if self.password.lets_pass(offered, shown_pass):
            return HTTPStatus.OK, 0.0
        async with self._one:  # so that a guesser with many connections has no more tries than one with one
            wait_s = self.slow_down.wait_s(address, now_s())
            if wait_s:
                return HTTPStatus.TOO_MANY_REQUESTS, wait_s
            try:
                right = self.password.is_known(offered) or await asyncio.to_thread(self.password.is_right, offered)
            except BoxServePassword as error:
                log.error("serve: %s", error.message)
                return HTTPStatus.SERVICE_UNAVAILABLE, 0.0
            if right:
                return HTTPStatus.OK, 0.0
            failures = self.slow_down.failed(address, now_s())
        if failures % FREE == 0:
            log.warning("serve: %d wrong passwords from %s", failures, address)
        return HTTPStatus.UNAUTHORIZED, 0.0


@dataclass(slots=True)
class Talk:
    """The answering side of one connection. method: of what was asked, as soon as it is known."""

    results: Path
    gate: Gate
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    language: str
    parser: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_REQUEST_BYTES)
    )
    method: str = "GET"

    async def answer(self) -> None:
        """Hear one request and answer it. Raises OSError where the line breaks."""
        try:
            async with asyncio.timeout(REQUEST_S):
                request = await self._request()
        except TimeoutError:
            await self._refuse(HTTPStatus.REQUEST_TIMEOUT)
            return
        except h11.RemoteProtocolError as error:
            hint = error.error_status_hint
            await self._refuse(hint if hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE else HTTPStatus.BAD_REQUEST)
            return
        if request is not None:
            await self._hand_over(request)

    async def _request(self) -> Request | None:
        """None where the other side went away."""
        while (event := self.parser.next_event()) is h11.NEED_DATA:
            self.parser.receive_data(await self.reader.read(PIECE_BYTES))
        if not isinstance(event, h11.Request):
            return None
        return request_of(event.method, event.target, list(event.headers))

    async def _hand_over(self, request: Request) -> None:
        self.method = request.method
        if request.method not in METHODS:
            await self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        elif request.has_body:
            await self._refuse(HTTPStatus.BAD_REQUEST)
        else:
            status, wait_s = await self.gate.opens(self.address, request.password, request.shown_pass)
            if status == HTTPStatus.OK:
                await self._file(request)
            else:
                await self._refuse(status, wait_s)

    async def _file(self, request: Request) -> None:
        with opened(self.results, request.path) as file:
            if file is None:
                await self._refuse(HTTPStatus.NOT_FOUND)
                return
            given = self.gate.password.pass_of(request.password or b"")
            is_new, is_tls = given != request.shown_pass, self.writer.get_extra_info("ssl_object") is not None
            more = pass_header(given, tls=is_tls) if is_new else []
            await self._begin(HTTPStatus.OK, [*headers_of(file), *more])
            left = 0 if self.method == "HEAD" else file.bytes
            while left and (piece := os.read(file.handle, min(left, PIECE_BYTES))):
                await self._send(piece)
                left -= len(piece)
            if not left:
                self._end()

    async def _refuse(self, status: int, wait_s: float = 0.0) -> None:
        headers, words = refusal(status, wait_s, self.language)
        await self._begin(status, headers)
        if self.method != "HEAD":
            await self._send(words)
        self._end()

    async def _begin(self, status: int, headers: Headers) -> None:
        answer = h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase)
        self.writer.write(self.parser.send(answer) or b"")
        await self.writer.drain()

    async def _send(self, piece: bytes) -> None:
        self.writer.write(self.parser.send(h11.Data(data=piece)) or b"")
        await self.writer.drain()

    def _end(self) -> None:
        self.writer.write(self.parser.send(h11.EndOfMessage()) or b"")
