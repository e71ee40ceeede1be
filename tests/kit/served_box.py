"""A box whose results are shown by `scanside serve`, and a client that says bytes as it likes, for tests."""

from __future__ import annotations

import asyncio
import base64
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.archives import LOOPBACK, free_port
from kit.listed_box import Listed, listed_box
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.serve.connection import Gate
from scanside_appliance.serve.password import Password, set_password
from scanside_appliance.serve.server import Server, tls_of
from scanside_appliance.worklist.write import write_worklist
from scanside_runtime.settings.serve import ServeSettings
from scanside_runtime.settings.tables import SiteSettings

PASSWORD = "a ward of Käthe's"
LONGEST_S = 300.0
PROGRAM = (sys.executable, "-c", "from scanside_appliance.cli.main import main; main()")


def basic(password: str, user: str = "nurse") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


@dataclass(frozen=True)
class Answer:
    """What came back. headers: by name in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class HeldLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still until a test moves it: no time limit is met by a machine that is busy."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        """From any thread: so much later, all that is due happens."""
        self.now_s += seconds
        self.call_soon_threadsafe(lambda: None)


@dataclass(frozen=True)
class Shown:
    """A server that runs. process: where it is one of its own. loop: where it is a thread of this one."""

    layout: BoxLayout
    port: int
    process: subprocess.Popen[str] | None = None
    tls: ssl.SSLContext | None = None
    loop: HeldLoop | None = None

    def connect(self) -> socket.socket:
        plain = socket.create_connection((LOOPBACK, self.port), timeout=LONGEST_S)
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname=LOOPBACK)

    def later(self, seconds: float) -> None:
        """So much time passes for the server, and none for the test."""
        assert self.loop is not None
        self.loop.pass_s(seconds)

    def say(self, raw: bytes) -> Answer:
        """Bytes as they are, and what comes back until the other side closes."""
        with self.connect() as line:
            line.sendall(raw)
            return answer_of(all_of(line))

    def get(self, path: str, method: str = "GET", password: str | None = PASSWORD, **more: str) -> Answer:
        headers = {"Host": "box", **({} if password is None else {"Authorization": basic(password)})}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return self.say("\r\n".join(lines).encode("latin-1"))


def all_of(line: socket.socket) -> bytes:
    parts = []
    try:
        while part := line.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def answer_of(raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    found = re.match(r"HTTP/1\.1 (\d{3}) ", first)
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(found[1]) if found else 0, {name.lower(): value for name, value in headers.items()}, body)


def box_with_results(root: Path) -> BoxLayout:
    """Two results and their list; the password is set."""
    with listed_box(root) as box:
        jobs = box.put(Listed(1, name="Phantom^Änna"), Listed(2, name="Mwangi^Baraka"))
        write_worklist(box.layout, box.store, SiteSettings(), Clock())
    for job in jobs:
        box.layout.result(job.patient, job.study, 1).joinpath("seg.dcm").write_bytes(b"DICM" * 100_000)
    set_password(box.layout, PASSWORD)
    return box.layout


@contextmanager
def shown(root: Path) -> Iterator[Shown]:
    """Served by the command itself; ended as systemd ends it."""
    layout = box_with_results(root)
    port = free_port()
    command = [*PROGRAM, "--root", str(root), "serve", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.readline()
        assert f"http://127.0.0.1:{port}/" in said, said + process.stderr.read()
        try:
            yield Shown(layout, port, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LONGEST_S)


@contextmanager
def shown_here(root: Path, tls: ssl.SSLContext | None = None, language: str = "en", **settings: Any) -> Iterator[Shown]:
    """Served by a thread of this process, so that a test may change what it costs and what time it is."""
    layout, chosen = box_with_results(root), ServeSettings(**settings)
    server = Server(layout.results, Gate(Password(layout)), chosen, tls_of(chosen), language)
    loop, end, ready = HeldLoop(), asyncio.Event(), threading.Event()
    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.setblocking(False)
        thread = threading.Thread(target=loop.run_until_complete, args=[server.run(listener, ready.set, end)])
        thread.start()
        assert ready.wait(LONGEST_S)
        try:
            yield Shown(layout, listener.getsockname()[1], tls=tls, loop=loop)
        finally:
            loop.call_soon_threadsafe(end.set)
            thread.join(LONGEST_S)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
