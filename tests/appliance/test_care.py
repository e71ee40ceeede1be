"""What is due is said where people look: a backup, stored files that nobody read for long; and the archive is asked."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kit.archives import LOOPBACK, free_port
from kit.watch_box import Box, study
from scanside_appliance.bundles.record import BundleChange, put_in_force
from scanside_appliance.clock import Clock, time_text
from scanside_appliance.doctor import network, work
from scanside_appliance.doctor.conditions import Examined, Health
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.store import HOURS_RUN, Store
from scanside_appliance.upkeep.care import (
    DAY_S,
    LastBackup,
    LastVerified,
    bundle_reminders,
    note_done,
    reminders,
)
from scanside_runtime.process.child import module
from scanside_runtime.settings.box import CareSettings
from scanside_runtime.settings.send import SendSettings
from scanside_runtime.settings.tables import Settings

NOW = Clock(wall=lambda: datetime(2026, 11, 30, tzinfo=UTC).timestamp())


@pytest.fixture
def layout(tmp_path: Path) -> BoxLayout:
    layout = BoxLayout(tmp_path / "box")
    layout.make()
    return layout


def said(layout: BoxLayout, days_run: float, **settings: float) -> list[str]:
    return list(reminders(layout, replace(CareSettings(), **settings), days_run, NOW))


def test_a_backup_that_was_never_made_is_asked_for_once_the_box_has_run_for_long(layout: BoxLayout) -> None:
    assert said(layout, 29.0, verify_days=0.0) == []
    assert "no backup was ever made in 31 days" in said(layout, 31.0, verify_days=0.0)[0]
    assert said(layout, 31.0, verify_days=0.0, backup_days=0.0) == []


def test_an_old_backup_is_asked_for_again_and_a_new_one_is_not(layout: BoxLayout) -> None:
    note_done(layout.last_backup, LastBackup("2026-10-20T00:00:00+00:00", "/stick", 12))
    assert "41 days old" in said(layout, 1.0)[0]
    note_done(layout.last_backup, LastBackup("2026-11-20T00:00:00+00:00", "/stick", 12))
    assert said(layout, 1.0) == []
    note_done(layout.last_backup, LastBackup("2036-11-20T00:00:00+00:00", "/stick", 12))  # the clock jumped
    assert "dated 2036-11-20, which is to come" in said(layout, 1.0)[0]
    layout.last_backup.write_text("no note")
    assert "no backup" in said(layout, 31.0)[0]


def test_files_that_were_not_read_for_long_or_not_as_written_are_named(layout: BoxLayout) -> None:
    assert said(layout, 20.0) == []
    assert "not verified for 25 days" in said(layout, 25.0)[0]
    note_done(layout.last_verified, LastVerified("2026-11-29T02:00:00+00:00", 0))
    assert said(layout, 25.0) == []
    note_done(layout.last_verified, LastVerified("2026-11-29T02:00:00+00:00", 3))
    assert "3 file(s) were not as written on 2026-11-29" in said(layout, 25.0)[0]


def test_status_and_worklist_ask_for_it(box: Box) -> None:
    box.put(*study(1))
    box.run()
    with Store(BoxLayout(box.root).database) as store:
        store.count(HOURS_RUN, 24 * 40)
    box.run()
    assert "no backup was ever made in 40 days" in box.scanside("status").output
    assert json.loads(box.scanside("status", "--json").output)["reminders"]


def test_verify_is_remembered_and_the_doctor_tells(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanside_appliance.upkeep.verify._bundles", lambda *_: [])
    box.put(*study(1))
    box.run()
    examined = Examined(BoxLayout(box.root), Settings())
    assert "not verified yet" in str(work.verified(examined).found)
    assert box.scanside("verify").exit_code == 0
    found = work.verified(examined)
    assert (found.health, "all as written" in str(found.found)) == (Health.good, True)
    next(box.root.glob("archive/*/*/*.dcm")).write_bytes(b"other")
    assert box.scanside("verify").exit_code == 5
    found = work.verified(examined)
    assert (found.health, "1 not as written" in str(found.found)) == (Health.bad, True)


def asked(port: int, layout: BoxLayout, **settings: object) -> tuple[Health, str]:
    send = SendSettings(host=LOOPBACK, port=port, called_ae="ARCHIVE", **settings)
    found = network.archive(Examined(layout, Settings(send=send)))
    return found.health, str(found.found)


def test_the_archive_is_asked_whether_it_answers(layout: BoxLayout) -> None:
    pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")
    from pynetdicom.ae import ApplicationEntity
    from pynetdicom.sop_class import Verification

    entity = ApplicationEntity("ARCHIVE")
    entity.add_supported_context(Verification)
    server = entity.start_server((LOOPBACK, 0), block=False)
    try:
        port = server.server_address[1]
        assert asked(port, layout) == (Health.good, f"ARCHIVE@{LOOPBACK}:{port} answers")
        assert asked(port, layout, automatic=False)[0] is Health.caution
    finally:
        server.shutdown()
    health, words = asked(free_port(), layout)
    assert health is Health.bad and "BOX_SEND" in words


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_archive_that_never_answers_is_not_waited_for(layout: BoxLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")
    monkeypatch.setattr(network, "ANSWER_S", 0.3)
    with socket.create_server((LOOPBACK, 0)) as silent:
        health, _ = asked(silent.getsockname()[1], layout)
    assert health is Health.bad


@pytest.mark.usefixtures("no_selftest")
def test_without_an_archive_nobody_is_asked(layout: BoxLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanside_appliance.doctor.examine import examine

    monkeypatch.setattr(network, "archive", lambda _: pytest.fail("nobody set an archive"))
    assert "archive" not in {one.subject for one in examine(Examined(layout, Settings(), systemctl="/nowhere"))}


def test_a_bundle_that_was_put_aside_is_told_by_status_and_worklist_for_a_month(box: Box) -> None:
    box.worklist = module("scanside_appliance.worklist.writer_process")
    box.run()
    put_in_force(box.root, BundleChange(time_text(time.time()), "put aside", None, "b" * 16, "chest 0.3.0", "no key"))
    box.run()
    assert "in force is chest 0.3.0: no key" in box.scanside("status").output
    assert "in force is chest 0.3.0: no key" in (box.root / "results/index.html").read_text()
    later = Clock(wall=lambda: time.time() + 31 * DAY_S)
    assert list(bundle_reminders(box.root, box.root / "keys.d", later)) == []
