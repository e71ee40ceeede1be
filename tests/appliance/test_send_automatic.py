"""The watched folder sends by itself: what is new, once, with patience; and never waits for the network."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kit.analysis_samples import analysed
from kit.archives import free_port, peer, send_settings
from kit.sent_box import job_with_result
from kit.watch_box import Box, study
from scanside_appliance.clock import Clock
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.network.messages import ObjectSent
from scanside_appliance.network.outbox import Delivery, Outbox
from scanside_appliance.network.sender_client import SenderClient
from scanside_appliance.results.output import write_output
from scanside_appliance.service.service import watch
from scanside_runtime.settings.load import load_settings
from scanside_runtime.settings.send import SendSettings
from sweeps.box import HERE, LONGEST_S, write_settings

pytest.importorskip("pynetdicom", reason="the extra dicom-network is not installed")

AWAY = SendSettings(host="127.0.0.1", port=9, retry_after_s=60.0, retry_at_most_s=200.0)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    write_output(analysed(folder / "source"), folder / "out")
    return folder / "out"


class Hands:
    """A clock that is moved by hand."""

    def __init__(self, boot: str = "first") -> None:
        self.now = 1000.0
        self.clock = Clock(lambda: self.now, time.time, boot)


def deliveries(root: Path) -> list[Delivery]:
    with Store(BoxLayout(root.resolve()).database) as store:
        return Outbox(store, Clock()).all()


def advance_until_done(client: SenderClient, settings: SendSettings) -> None:
    until = time.monotonic() + LONGEST_S
    while client.is_due(settings):
        client.advance(settings)
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_box_sends_what_is_new_and_nothing_from_before_the_archive_was_set(box: Box, result: Path) -> None:
    port = free_port()
    send = send_settings(port)
    job_with_result(box.root, result, "000000000000000a")
    run(box, send)
    job_with_result(box.root, result, "000000000000000b")
    box.put(*study(1))
    with peer(port) as archive:
        run(box, send)
        run(box, send)
    assert len(archive.stored) == 9
    (delivery,) = deliveries(box.root)
    assert (delivery.state, delivery.attempts) == ("sent", 1)
    assert len(box.of(1)) == 1


def test_a_box_whose_archive_is_away_ends_its_work_and_keeps_what_waits(box: Box, result: Path) -> None:
    send = send_settings(free_port())
    run(box, send)
    job_with_result(box.root, result)
    run(box, send)
    (delivery,) = deliveries(box.root)
    assert (delivery.state, delivery.attempts, delivery.code) == ("waiting", 1, "BOX_SEND_UNREACHABLE")
    assert "archive   1 waiting" in box.scanside("status").output
    assert 'scanside_deliveries{state="waiting"} 1' in (box.root / "metrics.prom").read_text()


def test_only_the_newest_revision_of_those_that_wait_is_sent(tmp_path: Path, result: Path) -> None:
    port = free_port()
    settings = send_settings(port)
    with Store(made(tmp_path).database) as store:
        Outbox(store, Clock()).enrol(settings.target)
        for revision in (1, 2):
            job = job_with_result(tmp_path, result, revision=revision)
        client = SenderClient(made(tmp_path), store, Clock())
        with peer(port) as archive:
            client.advance(settings)
            advance_until_done(client, settings)
        client.close()
    assert len(archive.stored) == 9
    assert [one.job for one in deliveries(tmp_path)] == [job.id]


def run(box: Box, send: SendSettings) -> None:
    """`watch --once` with an archive."""
    path = write_settings(box.root)
    watch(box.plan(lambda: replace(load_settings(path), send=send)))


def made(root: Path) -> BoxLayout:
    layout = BoxLayout(root.resolve())
    layout.make()
    return layout


def test_waits_double_up_to_their_limit_and_outlive_a_restart_but_not_a_boot(tmp_path: Path, result: Path) -> None:
    hands, target = Hands(), AWAY.target
    job = job_with_result(tmp_path, result)
    waits = []
    for _ in range(4):
        with Store(made(tmp_path).database) as store:  # as a daemon that starts anew
            outbox = Outbox(store, hands.clock)
            due = outbox.next_due(target) or outbox.put(job, target)
            waits.append(outbox.note_failed(due, "BOX_SEND_UNREACHABLE", "away", AWAY))
            hands.now += waits[-1] - 1.0
            assert outbox.next_due(target) is None
            assert Outbox(store, Hands("second").clock).next_due(target) is not None
            hands.now += 1.0
    assert waits == [60.0, 120.0, 200.0, 200.0]


def test_an_archive_that_is_away_is_asked_once_for_all_that_wait(tmp_path: Path, result: Path) -> None:
    hands = Hands()
    jobs = [job_with_result(tmp_path, result, f"{number:016x}") for number in range(3)]
    with Store(made(tmp_path).database) as store:
        outbox = Outbox(store, hands.clock)
        first, *_ = [outbox.put(job, AWAY.target) for job in jobs]
        outbox.note_failed(first, "BOX_SEND_UNREACHABLE", "away", AWAY)
        assert outbox.next_due(AWAY.target) is None
        assert len(outbox.waiting(AWAY.target)) == 3


def test_what_was_cut_short_goes_on_with_what_is_missing(tmp_path: Path, result: Path) -> None:
    port = free_port()
    settings = send_settings(port)
    job = job_with_result(tmp_path, result)
    with Store(made(tmp_path).database) as store:
        outbox = Outbox(store, Clock())
        delivery = outbox.put(job, settings.target)
        for name in ("seg.dcm", "sr.dcm"):
            outbox.note_sent(delivery, ObjectSent(name, "1.2"))
        client = SenderClient(made(tmp_path), store, Clock())
        with peer(port) as archive:
            client.advance(settings)
            advance_until_done(client, settings)
        client.close()
    assert len(archive.stored) == 7
    assert [one.state for one in deliveries(tmp_path)] == ["sent"]


@pytest.mark.parametrize(
    ("hangs", "program", "how"),
    [(False, "raise SystemExit(7)", "exit code 7"), (True, "import time; time.sleep(600)", "without a word")],
)
def test_a_child_that_dies_or_hangs_costs_an_attempt_and_no_time(
    tmp_path: Path, result: Path, hangs: bool, program: str, how: str
) -> None:
    hands = Hands()
    job = job_with_result(tmp_path, result)
    with Store(made(tmp_path).database) as store:
        Outbox(store, hands.clock).put(job, AWAY.target)
        client = SenderClient(made(tmp_path), store, hands.clock, (sys.executable, "-c", program))
        client.advance(AWAY)
        hands.now += 3601.0 if hangs else 0.0
        until = time.monotonic() + LONGEST_S
        while client.busy and time.monotonic() < until:
            client.advance(AWAY)
            time.sleep(0.05)
        client.close()
    (delivery,) = deliveries(tmp_path)
    assert (delivery.state, delivery.attempts) == ("waiting", 1)
    assert how in (delivery.why or "")


def test_what_the_full_disk_kept_from_the_book_is_sent_again_and_not_waited_for(
    tmp_path: Path, result: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands()
    job = job_with_result(tmp_path, result)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with Store(made(tmp_path).database) as store:
        Outbox(store, hands.clock).put(job, AWAY.target)
        client = SenderClient(made(tmp_path), store, hands.clock, (sys.executable, str(HERE / "fake_sender.py")))
        client.advance(AWAY)
        with monkeypatch.context() as patch, pytest.raises(sqlite3.OperationalError):
            patch.setattr(Outbox, "note_end", full)
            advance_until_done(client, AWAY)
        assert not client.busy
        advance_until_done(client, AWAY)
        client.close()
    assert [one.state for one in deliveries(tmp_path)] == ["sent"]


def test_automatic_sending_can_be_left_out(tmp_path: Path, result: Path) -> None:
    job = job_with_result(tmp_path, result)
    settings = replace(AWAY, automatic=False)
    with Store(made(tmp_path).database) as store:
        Outbox(store, Clock()).put(job, settings.target)
        client = SenderClient(made(tmp_path), store, Clock())
        client.advance(settings)
        assert not client.busy
        assert not client.is_due(settings)


def test_a_result_without_objects_is_never_sent(tmp_path: Path, result: Path) -> None:
    shutil.copytree(result, tmp_path / "bare", ignore=shutil.ignore_patterns("*.dcm"))
    with Store(made(tmp_path).database) as store:
        Outbox(store, Clock()).enrol(AWAY.target)
        job_with_result(tmp_path, tmp_path / "bare")
        outbox = Outbox(store, Clock())
        outbox.enrol(AWAY.target)
        assert outbox.next_due(AWAY.target) is None
