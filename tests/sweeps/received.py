"""A scanner sends by the network while the process that takes it ends, or a call of it fails."""

from __future__ import annotations

import encodings.idna  # noqa: F401  # for a socket's address; modules are imported before the run
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom.ae import ApplicationEntity

from kit.archives import LOOPBACK, free_port
from kit.receiving import OUT_OF_RESOURCES, SUCCESS, files_of
from scanside_appliance.files.layout import study_key
from scanside_runtime.process.start import end_with
from scanside_runtime.settings.load import load_settings

from . import forked
from .injected import Fault, Ran
from .lived import Lived, scanside, tree
from .stories import LIMIT_S

SETTINGS = """[receive]
port = {port}
callers = ["CT1@{address}"]
[disk]
stop_percent = 99.9
clean_to_percent = 99.0
"""


class Received(Lived):
    """A scanner sends three slices, one of which lies in the inbox already; then the receiver is told to end.

    Whatever is called a success lies in the inbox whole, and nothing lies there that is not whole; what is not is told
    as lack of resources, so that the scanner keeps it. When the scanner sends again, all of it is there, once, for the
    inbox's group to take, and nothing beside it.
    """

    program_role = "receive"

    def prepare(self) -> None:
        self.sent = files_of(self.folder / "scanner", 3, uid="1.2.3")
        (self.box(self.base) / "inbox").mkdir(parents=True)
        self.settings(self.base)
        said = str(self.base.with_suffix(".log"))
        program = partial(_receive, self.box(self.base), self.sent[:1], self.base.with_suffix(".answers"))
        assert forked.run("", None, program, is_a="receive", said=said, limit_s=LIMIT_S).code == 0, Path(
            said
        ).read_text()

    def settings(self, root: Path) -> None:
        root.with_suffix(".toml").write_text(SETTINGS.format(port=free_port(), address=LOOPBACK))
        root.with_suffix(".answers").write_text("")

    def program(self, root: Path) -> Callable[[], None]:
        return partial(_receive, self.box(root), self.sent, root.with_suffix(".answers"))

    def outcome(self, root: Path) -> Any:
        folder = self.box(root) / "inbox" / "received"
        return {path.name: (sum_, oct(path.stat().st_mode)) for path, sum_ in _files(folder)}

    def broken(self, ran: Ran) -> list[str]:
        found = [] if ran.code in (0, 5, -9) else [f"it ended with {ran.code}: {self.said(self.root)[-300:]}"]
        return [*found, *self._harm(self.root)]

    def _harm(self, root: Path) -> Iterator[str]:
        there = {name: what for name, what in self.outcome(root).items() if not name.startswith(".")}
        for name, (sum_, _) in there.items():
            if sum_ != self.expected[name][0]:
                yield f"{name} is not whole"
        for line in root.with_suffix(".answers").read_text().splitlines():
            name, status = line.split()
            if int(status) == SUCCESS and name not in {one.partition("-")[0] for one in there}:
                yield f"{name} was called a success and is not there"
            if int(status) not in (SUCCESS, OUT_OF_RESOURCES):
                yield f"the scanner was told {int(status):#06x}"

    def differences(self, role: str, fault: Fault) -> list[str]:
        ended = self.outcome(self.root)
        names = {*ended, *self.expected}
        found = [f"{name}: {ended.get(name)}" for name in names if ended.get(name) != self.expected.get(name)]
        return [*found, *self._harm(self.root)]


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    for name, sum_ in tree(folder).items():
        yield folder / name, sum_


def _receive(box: Path, sent: list[Path], answers: Path) -> None:
    """The receiver; a fork of it is the scanner, whose calls are nobody's."""
    receiver, settings = os.getpid(), box.parent.with_suffix(".toml")
    if os.fork() == 0:
        try:
            end_with(receiver)
            _send(load_settings(settings).receive.port, sent, answers)
            os.kill(receiver, signal.SIGTERM)
        finally:
            os._exit(0)
    scanside("--root", box, "--settings", settings, "receive")()


def _send(port: int, paths: list[Path], answers: Path) -> None:
    """Each slice, with what is answered; what is not answered is not noted."""
    entity = ApplicationEntity("CT1")
    entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    while not (line := entity.associate(LOOPBACK, port, ae_title="SCANSIDE")).is_established:
        time.sleep(0.02)
    for path in paths:
        slice_ = pydicom.dcmread(path)
        answer = line.send_c_store(slice_)
        with answers.open("a") as file:
            file.write(f"{study_key(slice_.SOPInstanceUID)} {answer.Status}\n" if "Status" in answer else "")
    line.release()
