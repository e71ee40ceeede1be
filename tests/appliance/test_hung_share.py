"""Commands that look at an inbox on a share that hangs answer within a bounded time, and say so."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kit.archives import LOOPBACK, free_port
from kit.watch_box import Box, wait_for
from scanside_appliance.doctor import folders
from scanside_appliance.doctor.conditions import Examined, Health
from scanside_appliance.files import answering
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.network import received
from scanside_appliance.service.errors import BoxInboxSilent
from scanside_runtime.settings.box import DiskSettings
from scanside_runtime.settings.tables import Settings
from sweeps.box import LONGEST_S

CALLS = ("stat", "lstat", "scandir", "listdir", "open", "access", "statvfs", "mkdir", "chmod")


@pytest.fixture
def hung(box: Box, monkeypatch: pytest.MonkeyPatch) -> Box:
    """A box whose inbox hangs: whoever asks anything of it waits for ever."""
    BoxLayout(box.root).make()
    hang(monkeypatch, box.inbox)
    return box


def hang(monkeypatch: pytest.MonkeyPatch, inbox: Path) -> None:
    """The child that asks waits for ever; in this process each question is told, as it would never return."""
    monkeypatch.setattr(answering, "ASK", "import signal; signal.pause()")
    monkeypatch.setattr(answering, "ANSWER_S", 0.2)
    for name in CALLS:
        monkeypatch.setattr(os, name, _waits(getattr(os, name), str(inbox)))


def _waits(call: Any, inbox: str) -> Any:
    def asked(path: Any = ".", *arguments: Any, **named: Any) -> Any:
        if isinstance(path, str | Path) and os.path.join(path, "").startswith(os.path.join(inbox, "")):
            pytest.fail(f"{call.__name__} of {path} would wait for ever")
        return call(path, *arguments, **named)

    return asked


def test_status_of_a_stopped_box_says_that_the_inbox_does_not_answer(hung: Box) -> None:
    shown = hung.scanside("status", "--json")
    assert (shown.exit_code, json.loads(shown.output)["trouble"][:16]) == (5, "BOX_INBOX_SILENT")


def test_the_doctor_says_that_the_inbox_does_not_answer_and_looks_on(hung: Box, tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text(f"//scanner/export {hung.inbox} cifs ro 0 0\n")
    box = Examined(BoxLayout(hung.root), Settings(), fstab=fstab)
    found = {one.subject: one for one in (folders.root(box), folders.inbox(box), folders.mounts(box))}
    assert {subject: one.health for subject, one in found.items()} == {
        "root": Health.good,
        "inbox": Health.bad,
        "mounts": Health.good,
    }
    assert "BOX_INBOX_SILENT" in str(found["inbox"].found)


def test_receive_says_that_the_inbox_does_not_answer_and_answers_nobody(hung: Box) -> None:
    settings = hung.root.parent / "scanside.toml"
    settings.write_text(f'[receive]\nport = {free_port()}\ncallers = ["CT1@{LOOPBACK}"]\n')
    shown = hung.scanside("--settings", str(settings), "receive")
    assert isinstance(shown.exception, BoxInboxSilent)


def test_while_one_object_waits_for_the_share_others_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, goes_on = [0.0], threading.Event()
    receiver = received.Receiver(tmp_path, DiskSettings(stop_percent=100.0, clean_to_percent=100.0), lambda: now[0])
    receiver.begin()
    looked = received.look
    monkeypatch.setattr(received, "look", lambda *of: (goes_on.wait(LONGEST_S), looked(*of))[1])
    waits = threading.Thread(target=receiver.keep, args=("1.2.1", b"first"))
    waits.start()
    wait_for(lambda: receiver._under_way)
    now[0] = received.LONGEST_KEEP_S + 1
    with pytest.raises(OSError, match="the inbox does not answer"):
        receiver.keep("1.2.2", b"second")
    goes_on.set()
    waits.join(LONGEST_S)
    assert receiver.keep("1.2.2", b"second").read_bytes() == b"second"
    assert len([*(tmp_path / "received").iterdir()]) == 2


def test_a_folder_that_is_not_there_answers(tmp_path: Path) -> None:
    assert answering.answers(tmp_path / "none")
