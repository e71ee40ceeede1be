"""The daemon as a service: its status, the words that systemd hears, signals, starts that fail."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.child_programs import BEGINS
from kit.dicom_samples import make_slice, write
from kit.watch_box import PYTHON, Box, study, wait_for
from scanside_appliance.files.layout import BoxLayout, study_key
from scanside_appliance.inbox.facts import PROBE
from scanside_appliance.inbox.scan import scan
from scanside_appliance.jobs.book.errors import BoxDatabase, BoxDatabaseLost
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxSelfTest
from scanside_appliance.jobs.worker_client import WORKER
from scanside_appliance.languages.words import words
from scanside_appliance.service import daemon, queue_view, service
from scanside_appliance.service.errors import BoxRunning
from scanside_appliance.service.queue_words import live_rows
from scanside_appliance.service.service import watch
from scanside_appliance.service.status import write_failure, write_report
from scanside_appliance.service.systemd import alive
from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.model.errors import ModelBundleMissing, ModelSelfTest
from scanside_runtime.process.cell import CellStrength
from scanside_runtime.process.messages import Failed, encode
from scanside_runtime.settings.load import load_settings
from scanside_runtime.settings.tables import Settings
from sweeps.box import LONGEST_S, Slice, environment, said, start, write_settings


def test_the_status_says_what_is_the_matter_in_words_and_for_programs(box: Box) -> None:
    box.put(*study(1))
    box.put(Slice(2, 1, "CRASH"))
    box.run()
    facts = json.loads(box.scanside("status", "--json").output)
    assert (facts["schema"], facts["running"]) == ("scanside.status/1", False)
    assert (facts["jobs"]["done"], facts["jobs"]["quarantined"]) == (1, 1)
    assert "1 done, 1 put aside" in box.scanside("status").output
    assert 'scanside_jobs{state="done"} 1' in (box.root / "metrics.prom").read_text()


def test_the_status_says_what_the_kernel_lacks_to_lock_readers_in(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "cell_strength", lambda: CellStrength(0, True))
    box.run()
    assert json.loads(box.scanside("status", "--json").output)["cell"] == "the kernel offers no Landlock"
    shown = box.scanside("status")
    assert (shown.exit_code, "CELL      the kernel offers no Landlock" in shown.output) == (0, True)


LIVE = """
import pathlib, signal, sys, time
from scanside_appliance.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background is started with it ignored
drawn, pause = pathlib.Path(sys.argv.pop(1)), time.sleep
time.sleep = lambda seconds: (seconds == 1.0 and drawn.touch(), pause(seconds))  # not while a child is waited for
main()
"""


def test_the_live_screen_shows_the_queue_until_it_is_ended(box: Box, tmp_path: Path) -> None:
    box.put(*study(1, text="CRASH"))
    box.run()
    command = [sys.executable, "-c", LIVE, str(tmp_path / "drawn"), "--root", str(box.root), "queue", "--live"]
    screen = subprocess.Popen(command, env=environment(COLUMNS="160"), stdout=subprocess.PIPE, text=True)
    wait_for((tmp_path / "drawn").exists)
    screen.send_signal(signal.SIGINT)
    shown = screen.communicate(timeout=LONGEST_S)[0]
    assert screen.returncode == 0
    assert study_key("1.2.1") in shown


def test_the_queue_names_patient_date_poi_and_report_but_not_on_a_screen_that_others_see(box: Box) -> None:
    box.put(*study(1))
    box.put(*study(2, text="CRASH"), folder="from the scanner")
    box.run()
    (path,) = box.root.glob("results/*/*/1/result.json")
    document = json.loads(path.read_text()) | {"schema": "scanside.result/1", "biomarkers": {"poi_percent": 7.25}}
    document["study"] |= {"patient_name": "A^\x1bB", "acquired_at": "2026-01-31T10:00:00"}
    path.write_text(json.dumps(document))
    shown = box.scanside("queue", "--all").output
    assert r"A^\x1bB, 2026-01-31T10:00:00, POI 7.2 %" in shown
    assert str(path.with_name("report.html")) in shown
    assert "from inbox/from the scanner" in shown
    hidden = box.scanside("queue", "--all", "--no-names").output
    assert not [word for word in ("A^", "POI", "report.html", "scanner") if word in hidden]


def test_the_live_queue_shows_what_arrives_and_what_was_done(box: Box) -> None:
    box.put(*study(1))
    box.run()
    said = json.loads((box.root / "status.json").read_text())
    said["waiting"] = [{"study": "abc", "files": 3, "why": "still arriving"}]
    said["waiting"].append({"study": "", "files": 1, "why": "can't be read: DOE^JANE/1.dcm"})
    (box.root / "status.json").write_text(json.dumps(said))
    rows, below = live_rows(BoxLayout(box.root), words("en"), every=False, names=False)
    assert (rows[0], below) == (("abc", "arriving", "3 files, still arriving"), [])
    assert [row[:2] for row in rows[1:]] == [(study_key("1.2.1"), "done")]
    rows, _ = live_rows(BoxLayout(box.root), words("en"), every=False, names=True)
    assert rows[1] == ("-", "arriving", "1 file, can't be read: DOE^JANE/1.dcm")
    assert box.scanside("queue").output == "nothing waits\nstudies are arriving: see scanside status\n"


def test_status_and_queue_of_a_box_that_was_never_started_are_no_error(box: Box) -> None:
    assert "not running" in box.scanside("status").output
    assert box.scanside("queue").output == "nothing waits\n"


def test_a_second_daemon_is_refused(box: Box) -> None:
    box.root.mkdir()
    write_settings(box.root)
    daemon = start(box.root)
    try:
        wait_for(lambda: (box.root / "status.json").exists())
        with pytest.raises(BoxRunning):
            box.run()
        assert json.loads(box.scanside("status", "--json").output)["running"]
    finally:
        daemon.terminate()
        daemon.wait()
    box.run()


def test_the_daemon_sees_what_comes_while_it_runs_and_ends_on_sigterm(box: Box) -> None:
    box.root.mkdir()
    write_settings(box.root)
    daemon = start(box.root)
    box.inbox.mkdir(exist_ok=True)
    try:
        box.put(*study(1))
        wait_for(lambda: len(box.of(1)) == 1)
        box.put(Slice(1, 4))
        wait_for(lambda: len(box.of(1)) == 2)
    finally:
        daemon.terminate()
        daemon.wait()
    assert (daemon.returncode, said(box.root).splitlines()[-1][20:]) == (0, "ended")
    assert box.is_sound()


def test_a_daemon_whose_starter_blocked_its_signals_ends_on_sigterm(box: Box) -> None:
    box.root.mkdir()
    write_settings(box.root)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        daemon = start(box.root)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    wait_for(lambda: (box.root / "status.json").exists())
    daemon.terminate()
    assert daemon.wait(LONGEST_S) == 0


def test_the_status_of_a_box_that_begins_its_book_at_this_moment_is_said(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks there was a book of 0 bytes: the command ended with that, and said nothing of the box."""
    box.root.mkdir()
    found = iter([None])

    def looked(_: BoxLayout) -> None:
        for one in found:
            return one
        raise BoxDatabaseLost(name="scanside.db", how="empty")

    monkeypatch.setattr(queue_view, "_unattended", looked)
    shown = box.scanside("status", "--json")
    assert json.loads(shown.output)["trouble"].startswith("BOX_DATABASE_LOST")


@pytest.mark.parametrize("begun", ["", "PRAGMA journal_mode = WAL"], ids=["of 0 bytes", "without a table"])
def test_a_box_that_begins_its_book_at_this_moment_has_lost_none(box: Box, begun: str) -> None:
    """Who is told at a first start to make it anew from archive and results looks for what never was."""
    box.root.mkdir()
    with closing(sqlite3.connect(box.root / "scanside.db")) as sql:
        sql.execute(begun)
    (box.root / "scanside.db").touch()
    BoxLayout(box.root).make()
    told = (box.scanside("status", "--json"), box.scanside("queue", "--json"))
    assert [one.output.count("BOX_DATABASE_LOST") for one in told] == [0, 0]
    box.put(*study(1))
    box.run()
    assert box.of(1)


def test_slices_that_come_while_their_study_is_queued_join_it(box: Box) -> None:
    box.root.mkdir()
    write_settings(box.root)
    box.put(*study(1, text="WAIT"))
    daemon = start(box.root)
    try:
        wait_for(lambda: "analysing" in json.loads(box.scanside("status", "--json").output)["headline"])
        box.put(*study(2))
        wait_for(lambda: any(one["state"] == "queued" for one in json.loads(box.scanside("queue", "--json").output)))
        box.put(Slice(2, 4))
        wait_for(lambda: not box.places("inbox"))
        box.root.with_suffix(".go").touch()
        wait_for(lambda: box.of(2))
    finally:
        daemon.terminate()
        daemon.wait()
    assert [len(one["inputs"]) for one in box.of(2)] == [4]
    assert box.is_sound()


def test_sigterm_hands_back_what_can_not_be_finished_in_time(box: Box, systemd: Systemd) -> None:
    box.root.mkdir()
    write_settings(box.root)
    box.put(*study(1, text="HANG"))
    daemon = start(box.root)
    try:
        wait_for(lambda: "analysing" in json.loads(box.scanside("status", "--json").output)["headline"])
        daemon.terminate()
        wait_for(lambda: "STATUS=ending" in systemd.words)
    finally:
        daemon.terminate()  # the second one does not wait
        daemon.wait()
    (job,) = json.loads(box.scanside("queue", "--json").output)
    assert (daemon.returncode, job["state"], job["attempts"]) == (0, "queued", 0)
    assert box.is_sound()


def test_sighup_reads_the_settings_again_and_bad_ones_change_nothing(box: Box) -> None:
    box.root.mkdir()
    path = write_settings(box.root, quiet_s=600, patience_s=600)
    box.put(*study(1))
    daemon = start(box.root)
    try:
        wait_for(lambda: json.loads(box.scanside("status", "--json").output).get("waiting"))
        path.write_text("[inbox]\nquite_s = 1")
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "BOX_SETTINGS" in said(box.root))
        assert daemon.poll() is None
        path.write_text("a = " + "[" * 100_000)
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: "nested too deeply" in said(box.root))
        assert daemon.poll() is None
        write_settings(box.root)
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: len(box.of(1)) == 1)
    finally:
        daemon.terminate()
        daemon.wait()
    assert "settings read again" in said(box.root)


class Systemd:
    """The other end of NOTIFY_SOCKET: what was said, in the order in which it was said. It reads all the time."""

    def __init__(self, address: Path) -> None:
        self._address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self._address)
        self._heard: list[str] = []
        self._ear = threading.Thread(target=self._listen)
        self._ear.start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096).decode():
            self._heard.append(message + "\n")

    def _say(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(message, self._address)

    @property
    def words(self) -> str:
        """Everything that was said before this was asked."""
        mark = f"asked {len(self._heard)} {time.monotonic_ns()}\n"
        self._say(mark.strip().encode())
        wait_for(lambda: mark in self._heard)
        return "".join(one for one in self._heard if not one.startswith("asked "))

    def close(self) -> None:
        self._say(b"")
        self._ear.join()
        self._socket.close()


@pytest.fixture
def systemd(box: Box, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    address = box.root.parent / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(address))
    with closing(Systemd(address)) as listening:
        yield listening


def test_systemd_hears_ready_status_and_watchdog(box: Box, systemd: Systemd) -> None:
    box.put(*study(1, text="WAIT"))

    def let_it_end() -> None:
        wait_for(lambda: f"STATUS=analysing {study_key('1.2.1')}, 0 queued" in systemd.words)
        box.root.with_suffix(".go").touch()

    with ThreadPoolExecutor(1) as beside:
        heard = beside.submit(let_it_end)
        box.run()
    heard.result()
    words = systemd.words
    assert words.index("READY=1") < words.index("STOPPING=1") and "WATCHDOG=1" in words
    assert "STATUS=idle, 0 queued" in words


def test_a_listener_that_does_not_read_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "deaf"))
    monkeypatch.setattr("scanside_appliance.service.systemd.LONGEST_WAIT_S", 0.001)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        for _ in range(1000):
            alive()


def test_a_turn_that_does_not_come_to_its_end_leaves_the_watchdog_alone(
    box: Box, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    def hang(*_: Any) -> Any:
        heard.append(systemd.words)
        raise KeyboardInterrupt

    monkeypatch.setattr("scanside_appliance.inbox.errands.scan", hang)
    with pytest.raises(KeyboardInterrupt):
        box.run()
    assert "WATCHDOG" not in heard[0]
    assert "READY" not in heard[0]  # the time that a start may take ends it


@pytest.mark.parametrize("ailing", ["inbox", "disk", "nothing", "what was before"])
def test_who_is_told_that_the_service_is_ready_finds_in_its_status_what_ails_it(
    box: Box, monkeypatch: pytest.MonkeyPatch, ailing: str
) -> None:
    """The installer asks then, and goes back to the release before."""
    box.run()
    path = write_settings(box.root, stop_percent=1.0, clean_to_percent=1.0) if ailing == "disk" else None
    if ailing == "inbox":
        box.inbox.rename(box.root / "away")
        box.inbox.touch()
    found: list[str | None] = []
    if ailing == "what was before":  # and at first the disk takes no other status
        write_failure(BoxLayout(box.root), "", "of before")
        written = iter([refused, refused, *[write_report] * 99])
        monkeypatch.setattr(daemon, "write_report", lambda *what: next(written)(*what))

    def notified(**words: object) -> None:
        if "READY" in words:
            found.append(json.loads(BoxLayout(box.root).status.read_text())["trouble"])
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(service, "notify", notified)
    watch(replace(box.plan(lambda: load_settings(path)), once=False))
    expected = {"inbox": "BOX_INBOX: ", "disk": "BOX_DISK_NEARLY_FULL: "}
    (trouble,) = found
    assert str(trouble).startswith(expected.get(ailing, "None"))


def refused(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_each_file_read_and_each_move_done_is_progress_however_long_a_turn_takes(box: Box) -> None:
    pings: list[str] = []
    for number in range(3):
        box.put(*study(number))
    path = write_settings(box.root)
    watch(replace(box.plan(lambda: load_settings(path)), progressed=lambda: pings.append("")))
    assert len(pings) >= 9 + 6  # nine files; each study to work, and to the archive


def test_systemd_hears_of_a_reload_and_of_the_end(box: Box, systemd: Systemd) -> None:
    box.root.mkdir()
    write_settings(box.root)
    daemon = start(box.root)
    try:
        wait_for(lambda: "READY=1" in systemd.words)
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: systemd.words.count("READY=1") == 2)
    finally:
        daemon.terminate()
        daemon.wait()
    _, reloading, _ = re.split(r"READY=1\n", systemd.words)[0:3]
    assert re.search(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
    assert "STOPPING" not in reloading
    assert "STOPPING=1" in systemd.words


def test_ready_is_not_said_where_the_selftest_comes_to_no_answer_and_another_start_is_allowed(
    box: Box, systemd: Systemd
) -> None:
    plan = box.plan(Settings)
    with pytest.raises(BoxSelfTest, match="with exit code 7") as failed:
        watch(replace(plan, worker=(*PYTHON, "-c", BEGINS + "raise SystemExit(7)")))
    assert failed.value.exit_code == 5
    assert "READY" not in systemd.words


def test_networks_that_fail_the_selftest_end_with_4(box: Box) -> None:
    failed = encode(Failed.of(ModelSelfTest(why="too far off"))).decode()
    answer = f"{BEGINS}import sys; input(); print({failed!r}, flush=True); sys.stdin.read()"
    with pytest.raises(ModelSelfTest, match="too far off") as failed:
        watch(replace(box.plan(Settings), worker=(*PYTHON, "-c", answer)))
    assert failed.value.exit_code == 4


def test_what_is_wrong_with_the_bundle_is_said_as_the_error_that_it_is(box: Box, tmp_path: Path) -> None:
    plan = replace(box.plan(Settings), worker=WORKER, bundle=tmp_path / "nowhere")
    with pytest.raises(ModelBundleMissing, match="nowhere"):
        watch(plan)


CHATTY = """import sys
for line in sys.stdin:
    if line.startswith('{"SelfTestOrder"'):
        print('{"SelfTested": {"engine": "fake"}}', flush=True)
    else:
        print('\\n'.join(['{"StageReached": {"name": "decode", "done": 1, "total": 5000}}'] * 5000))
        print('{"Ended": {"exit_code": 1, "code": "BOX_DEFECT", "reason": "heard to its end"}}', flush=True)
"""


def test_a_worker_that_says_thousands_of_things_between_two_turns_is_heard_to_its_end(box: Box) -> None:
    box.put(*study(1))
    path = write_settings(box.root)
    watch(replace(box.plan(lambda: load_settings(path)), worker=(*PYTHON, "-c", BEGINS + CHATTY)))
    (job,) = json.loads(box.scanside("queue", "--json").output)
    assert "heard to its end" in job["reason"]


def test_the_inbox_reads_files_as_large_as_the_settings_say_also_when_these_are_read_again(box: Box) -> None:
    path = write_settings(box.root)
    plan = replace(box.plan(lambda: load_settings(path)), probe=PROBE)
    quick, counts = path.read_text(), []
    for number, max_file_mb in enumerate((1, 3)):
        write(box.inbox / str(number), [make_slice(number, Rows=1024, Columns=1025, PixelData=bytes(2 * 1024 * 1025))])
        path.write_text(f"{quick}[reading]\nmax_file_mb = {max_file_mb}\n")
        watch(plan)
        counts.append((len(box.places("inbox")), len(box.places("archive"))))
    assert counts == [(1, 0), (0, 2)]


@pytest.mark.parametrize("defect", [RecursionError, MemoryError])
def test_a_step_that_needs_too_much_is_a_trouble_of_that_step_and_not_the_end(
    box: Box, monkeypatch: pytest.MonkeyPatch, defect: type[Exception]
) -> None:
    box.put(*study(1))
    failures = iter([defect("CANARY")] * 3)

    def broken(*_: Any) -> Any:
        if (failure := next(failures, None)) is not None:
            raise failure
        return scan(box.inbox)

    monkeypatch.setattr("scanside_appliance.inbox.errands.scan", broken)
    box.run()
    assert len(box.of(1)) == 1


def test_the_status_is_no_good_after_a_start_that_failed_until_one_succeeds(box: Box) -> None:
    box.put(*study(1))
    box.run()
    assert box.scanside("status").exit_code == 0
    with pytest.raises(BoxSelfTest):
        watch(replace(box.plan(Settings), worker=(*PYTHON, "-c", BEGINS + "raise SystemExit(7)")))
    failed = box.scanside("status", "--json")
    assert failed.exit_code == 5
    assert "BOX_SELFTEST" in json.loads(failed.output)["trouble"]
    assert json.loads(failed.output)["jobs"]["done"] == 1
    assert "scanside_trouble 1" in (box.root / "metrics.prom").read_text()
    box.run()
    assert box.scanside("status").exit_code == 0


def test_a_start_with_bad_settings_or_a_damaged_database_stands_in_the_status(box: Box) -> None:
    box.run()

    def unusable() -> Settings:
        raise SettingsUnusable(key="quite_s", why="it is not known")

    with pytest.raises(SettingsUnusable):
        watch(box.plan(unusable))
    assert "BOX_SETTINGS" in json.loads(box.scanside("status", "--json").output)["trouble"]
    (box.root / "scanside.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    with pytest.raises(BoxDatabase):
        box.run()
    assert "BOX_DATABASE" in json.loads(box.scanside("status", "--json").output)["trouble"]


@pytest.mark.parametrize("settings", ["quite_s = 1\n", "[inbox", None])
def test_the_status_names_settings_that_can_not_be_used(box: Box, settings: str | None) -> None:
    box.run()
    file = box.root.with_suffix(".other.toml")
    if settings is not None:
        file.write_text(settings)
    shown = box.scanside("--settings", str(file), "status")
    assert shown.exit_code == 5
    assert "BOX_SETTINGS: The setting " in shown.output
    assert "Correct the settings file" in shown.output


def test_the_status_of_a_root_that_is_missing_or_a_file_says_so(box: Box) -> None:
    missing = box.scanside("status")
    box.root.write_text("")
    file = json.loads(box.scanside("status", "--json").output)
    assert missing.exit_code == 5
    assert f"BOX_ROOT: The box's folder {box.root} can't be used: No such file" in missing.output
    assert "Not a directory. Check that it exists" in file["trouble"]


def test_the_status_of_a_damaged_book_is_still_a_status(box: Box) -> None:
    box.run()
    (box.root / "scanside.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    shown = json.loads(box.scanside("status", "--json").output)
    assert (shown["running"], shown["trouble"].partition(":")[0]) == (False, "BOX_DATABASE")


def test_a_start_says_where_it_works_by_which_settings_and_what_waits(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.put(*study(1), Slice(1, 2, "other"))
    box.run()
    caplog.clear()
    caplog.set_level("INFO", logger="scanside")
    path = write_settings(box.root, **box.settings)
    watch(replace(box.plan(lambda: load_settings(path)), settings_file=Path("/etc/some.toml")))
    assert caplog.messages[:4] == [
        f"root      {box.root}",
        f"inbox     {box.inbox}",
        "settings  /etc/some.toml",
        "waiting   0 study(ies) under way, 1 held",
    ]


def test_a_defect_of_the_daemon_stands_in_the_status_by_type_and_place_alone(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("CANARY")

    monkeypatch.setattr("scanside_appliance.inbox.errands.scan", broken)
    with pytest.raises(KeyError):
        box.run()
    shown = box.scanside("status")
    assert shown.exit_code == 5
    assert "BOX_DEFECT: KeyError at test_watch_service.py:" in shown.output
    assert "CANARY" not in shown.output


def test_a_second_daemon_that_is_refused_leaves_the_status_of_the_first(box: Box) -> None:
    box.run()
    before = (box.root / "status.json").read_text()
    with locked(box.root / "scanside.lock"), pytest.raises(BoxRunning):
        box.run()
    assert (box.root / "status.json").read_text() == before


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_studies_that_wait_while_nobody_works_are_a_trouble(box: Box) -> None:
    box.put(*study(1))
    box.run()
    with Store(box.root / "scanside.db") as store:
        store.add_job(State.queued, "", study="s")
    shown = box.scanside("status")
    assert shown.exit_code == 5
    assert "it does not run, and 1 job is not finished" in shown.output
