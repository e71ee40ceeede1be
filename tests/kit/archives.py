"""Picture archives on loopback, to send to: DCMTK's storescp, Orthanc, and one of our own that can refuse."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest

from scanside_runtime.settings.send import SendSettings

LOOPBACK, CALLED, CALLING = "127.0.0.1", "ARCHIVE", "SCANSIDE"
STARTS_WITHIN_S = 300.0


def free_port() -> int:
    """Below those that the kernel hands out by itself: nobody's outgoing connection has it a moment later."""
    while True:
        with socket.socket() as listener, suppress(OSError):
            port = secrets.choice(range(15_000, 30_000))
            listener.bind((LOOPBACK, port))
            return port


def send_settings(port: int, **changes: Any) -> SendSettings:
    """To an archive on loopback that answers at once or never."""
    values = {"timeout_s": 120.0, "commitment_s": 0.0, "retry_after_s": 60.0, **changes}
    return SendSettings(host=LOOPBACK, port=port, called_ae=CALLED, calling_ae=CALLING, **values)


def program(*names: str) -> str:
    """The first of these programs that is installed; skips the test where none is."""
    found = next(filter(None, map(shutil.which, (*names, *(f"/usr/sbin/{name}" for name in names)))), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed")
    return found


def _wait(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while not ready():
        assert process.poll() is None, "the archive ended at its start"
        assert time.monotonic() < until, "the archive did not start in time"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@contextmanager
def storescp(folder: Path, port: int, *options: str) -> Iterator[Callable[[], list[Path]]]:
    """DCMTK's archive; gives the files that it has."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [program("storescp"), "-aet", CALLED, "-od", str(folder), *options, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, lambda: _listens(port))
        yield lambda: sorted(folder.iterdir())
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Orthanc:
    """Its REST interface, as far as the tests look into it."""

    http: int

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http}{path}", timeout=STARTS_WITHIN_S) as answer:
            return bytes(answer.read())

    def objects(self) -> dict[str, pydicom.Dataset]:
        """Every object that it has, by SOP Instance UID."""
        files = [self.get(f"/instances/{one}/file") for one in json.loads(self.get("/instances"))]
        found = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(file)) for file in files]
        return {str(one.SOPInstanceUID): one for one in found}


@contextmanager
def orthanc(folder: Path, port: int, commitment_port: int) -> Iterator[Orthanc]:
    """Debian's Orthanc, which offers storage commitment on a connection of its own."""
    http = free_port()
    folder.mkdir(parents=True)
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomPort": port,
        "DicomAet": CALLED,
        "DicomCheckCalledAet": True,
        "DicomModalities": {"box": [CALLING, LOOPBACK, commitment_port]},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    command = [program("Orthanc"), str(folder / "orthanc.json")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, lambda: _listens(http) and _listens(port))
        yield Orthanc(http)
    finally:
        process.terminate()
        process.wait()


@dataclass
class Peer:
    """An archive that answers as it is told. refuses: SOP classes that it does not accept. status: of each C-STORE."""

    status: int = 0x0000
    refuses: tuple[str, ...] = ()
    stored: list[str] = field(default_factory=list)

    def on_store(self, event: Any) -> int:
        self.stored.append(str(event.dataset.SOPInstanceUID))
        return self.status


@contextmanager
def peer(port: int, **answers: Any) -> Iterator[Peer]:
    """An archive of our own, by pynetdicom."""
    network = pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")
    storage = {"seg": "1.2.840.10008.5.1.4.1.1.66.4", "sr": "1.2.840.10008.5.1.4.1.1.88.33"}
    storage |= {"sc": "1.2.840.10008.5.1.4.1.1.7"}
    told = Peer(**answers)
    entity = network.AE(CALLED)
    for kind, sop_class in storage.items():
        if kind not in told.refuses:
            entity.add_supported_context(sop_class)
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server((LOOPBACK, port), block=False, evt_handlers=[(network.evt.EVT_C_STORE, told.on_store)])
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def slow_line(to_port: int, bytes_per_s: float) -> Iterator[int]:
    """A port on loopback that passes everything on, so many bytes a second; one connection at a time."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen()
        threading.Thread(target=_pass_on_all, args=(listener, to_port, bytes_per_s), daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def _pass_on_all(listener: socket.socket, to_port: int, bytes_per_s: float) -> None:
    with suppress(OSError):
        while True:
            here, _ = listener.accept()
            with here, socket.create_connection((LOOPBACK, to_port)) as there:
                here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                back = threading.Thread(target=_pass_on, args=(there, here, 1e9), daemon=True)
                back.start()
                _pass_on(here, there, bytes_per_s)
                back.join()


def _pass_on(one: socket.socket, other: socket.socket, bytes_per_s: float) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            time.sleep(len(data) / bytes_per_s)
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
