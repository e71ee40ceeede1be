"""The watched folder from inbox to archive: `scanside watch` with cheap children in place of headers and networks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scanside_appliance import cli, moves
from scanside_appliance.clock import Clock
from scanside_appliance.conveyor import TIRED, Conveyor
from scanside_appliance.daemon import Plan
from scanside_appliance.places import Places, study_key
from scanside_appliance.store import MOVING, State, Store
from scanside_appliance.watch import watch
from scanside_runtime.errors import BoxDatabase, BoxRunning, BoxSelfTest, ModelSelfTestFailed, ScansideError
from scanside_runtime.settings import Settings, load_settings
from sweeps.box import HERE, Section, contents, environment, lost, put, said, start, unsound_results, write_settings

PYTHON = (sys.executable, "-S")


class Box:
    """A box with cheap children. `run` is `watch --once`."""

    def __init__(self, root: Path) -> None:
        self.root, self.inbox = root, root / "inbox"
        self.sums: set[str] = set()
        self.settings: dict[str, Any] = {}
        self.clock = Clock()

    def put(self, *sections: Section, folder: str = "") -> None:
        self.sums |= put(self.inbox, sections, folder)

    def run(self, **changes: Any) -> None:
        self.settings |= changes
        path = write_settings(self.root, **self.settings)
        watch(self.plan(lambda: load_settings(path)))

    def plan(self, read_settings: Callable[[], Settings]) -> Plan:
        return Plan(
            self.root,
            read_settings,
            once=True,
            clock=self.clock,
            worker=(*PYTHON, str(HERE / "fake_worker.py")),
            probe=(*PYTHON, str(HERE / "fake_probe.py")),
            hint=False,
        )

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By study key and revision."""
        return {
            (path.parent.parent.name, path.parent.name): json.loads(path.read_text())
            for path in self.root.glob("results/[!.]*/*/*/result.json")
        }

    def of(self, study: int) -> list[dict[str, Any]]:
        """The revisions of a study."""
        key = study_key(f"1.2.{study}")
        return [document for (one, _), document in sorted(self.results().items()) if one == key]

    def places(self, area: str) -> list[str]:
        return sorted(place for found in contents(self.root).values() for place in found if place.startswith(area))

    def is_sound(self) -> bool:
        return not lost(self.root, self.sums) and not unsound_results(self.root)

    def scanside(self, *arguments: str) -> Any:
        return CliRunner().invoke(cli.app, ["--root", str(self.root), *arguments])


@pytest.fixture(autouse=True)
def children_find_the_sources() -> Iterator[None]:
    """The cheap children start without `site`, which is what makes them cheap."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
        yield


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    before = os.umask(0o022)
    yield Box(tmp_path / "box")
    os.umask(before)


def study(number: int, sections: int = 3, **changes: Any) -> list[Section]:
    return [Section(number, n, **changes) for n in range(1, sections + 1)]


def test_a_study_goes_from_the_inbox_to_a_result_and_the_archive(box: Box) -> None:
    box.put(*study(1))
    box.run()
    (result,) = box.of(1)
    assert result["inputs"] == sorted(box.sums)
    assert len(box.places("archive")) == 3
    assert box.is_sound()


def test_an_empty_inbox_is_no_trouble_and_makes_the_folders(box: Box) -> None:
    box.run()
    assert {"inbox", "work", "archive", "quarantine", "results", "scanside.db"} <= set(os.listdir(box.root))


def test_studies_mixed_in_one_folder_become_results_of_their_own(box: Box) -> None:
    for section in (*study(1), *study(2)):
        box.put(replace(section), folder=f"flat/{section.study}")
    box.run()
    assert len(box.results()) == 2
    assert box.is_sound()


def test_the_same_study_again_changes_nothing(box: Box) -> None:
    box.put(*study(1))
    box.run()
    before = box.results()
    box.put(*study(1), folder="again")
    box.put(*study(1), folder="and-again")
    box.run()
    assert box.results() == before
    assert box.places("inbox") == []
    assert box.is_sound()


def test_a_late_section_makes_a_revision_that_supersedes_and_the_old_result_stays(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(Section(1, 4))
    box.run()
    first, second = box.of(1)
    assert (first["revision"], second["revision"], second["supersedes"]) == (1, 2, "1")
    assert len(second["inputs"]) == 4
    assert box.is_sound()


def test_the_same_uid_with_other_content_is_held_and_released_by_a_person(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(Section(1, 2, "other"))
    box.run()
    assert len(box.of(1)) == 1
    key = study_key("1.2.1")
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["study"], held["state"], held["code"]) == (key, "held", "INPUT_CONFLICT")
    assert box.scanside("release", key).exit_code == 0
    box.run()
    new = hashlib.sha256(Section(1, 2, "other").content()).hexdigest()
    old = hashlib.sha256(Section(1, 2).content()).hexdigest()
    assert new in box.of(1)[1]["inputs"]
    assert old not in box.of(1)[1]["inputs"]
    assert [old[:40] in place for place in box.places("quarantine/INPUT_SUPERSEDED")] == [True]
    assert box.is_sound()


def test_what_was_released_leaves_no_reason_behind_in_quarantine(box: Box) -> None:
    box.put(*study(1), Section(1, 2, "other"))
    box.run()
    assert box.scanside("release", study_key("1.2.1")).exit_code == 0
    box.run()
    assert list(box.root.glob("quarantine/INPUT_CONFLICT/*")) == []
    assert len(list(box.root.glob("quarantine/INPUT_SUPERSEDED/*/reason.txt"))) == 1


def hold_for_another_person(box: Box) -> str:
    """Two studies under one patient ID, of which the second is another person's; its key."""
    box.put(*study(1, patient="one"))
    box.run()
    box.put(*study(2, patient="one", text="CONFLICT"))
    box.run()
    return study_key("1.2.2")


def test_a_study_under_another_persons_id_is_held_and_stands_in_the_queue(box: Box) -> None:
    key = hold_for_another_person(box)
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["study"], held["verdict"], held["code"]) == (key, "held", "PATIENT_CONFLICT")
    assert "held PATIENT_CONFLICT" in box.scanside("queue").output
    assert "1 held" in json.loads((box.root / "status.json").read_text())["headline"]
    assert "scanside_studies_held 1" in (box.root / "metrics.prom").read_text()


def test_a_patient_conflict_that_is_released_becomes_a_revision_that_stands_by_itself(box: Box) -> None:
    key = hold_for_another_person(box)
    assert box.scanside("release", key).exit_code == 0
    box.run()
    held, released = box.of(2)
    assert (held["verdict"], released["verdict"], released["alone"]) == ("held", "analysed", True)
    assert (released["earlier"], released["supersedes"]) == ([], "1")
    assert box.scanside("queue").output == "nothing waits\n"
    assert isinstance(box.scanside("release", key).exception, ScansideError)
    assert box.is_sound()


def test_what_a_person_released_stays_by_itself_when_a_late_section_comes(box: Box) -> None:
    box.scanside("release", hold_for_another_person(box))
    box.run()
    box.put(Section(2, 4))
    box.run()
    assert [(one["alone"], len(one["inputs"])) for one in box.of(2)] == [(False, 3), (True, 3), (True, 4)]


def test_the_files_of_a_study_that_waits_for_a_person_are_not_cleaned_away(box: Box) -> None:
    hold_for_another_person(box)
    clean_archive(box)
    assert len(box.places("archive")) == 3


def clean_archive(box: Box) -> None:
    with pytest.raises(ScansideError):
        box.put(*study(99))
        box.run(stop_percent=0.001, clean_to_percent=0.0, clean_archive="true")
    box.settings |= {"stop_percent": 99.9, "clean_to_percent": 99.0}
    box.sums = set(contents(box.root))


def test_a_late_section_whose_study_was_cleaned_away_is_held_and_the_good_result_stays(box: Box) -> None:
    box.put(*study(1))
    box.run()
    clean_archive(box)
    box.put(Section(1, 4))
    box.run()
    key = study_key("1.2.1")
    assert len(box.of(1)) == 1
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["study"], held["state"], held["code"]) == (key, "held", "INPUT_BASE_GONE")
    refused = box.scanside("release", key).exception
    assert isinstance(refused, ScansideError)
    assert (refused.code, refused.exit_code) == ("INPUT_BASE_GONE", 6)
    assert box.is_sound()


def test_a_late_section_of_a_study_that_was_cleaned_away_is_measured_when_all_of_it_is_sent_again(box: Box) -> None:
    box.put(*study(1))
    box.run()
    clean_archive(box)
    for late in (4, 5):
        box.put(Section(1, late))
        box.run()
    box.put(*study(1, sections=2))
    box.run()
    assert len(box.of(1)) == 1  # the third section is missing still
    box.put(*study(1, sections=6), folder="again")
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 6]
    assert box.scanside("queue").output == "nothing waits\n"
    assert list(box.root.glob("quarantine/INPUT_BASE_GONE/*")) == []
    assert box.is_sound()


def test_another_content_of_a_section_is_not_released_while_the_rest_of_its_study_is_gone(box: Box) -> None:
    box.put(*study(1))
    box.run()
    clean_archive(box)
    box.put(Section(1, 2, "other"))
    box.run()
    key = study_key("1.2.1")
    assert getattr(box.scanside("release", key).exception, "code", None) == "INPUT_BASE_GONE"
    box.put(Section(1, 1), Section(1, 3), folder="again")
    box.run()
    assert box.scanside("release", key).exit_code == 0
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 3]
    assert box.is_sound()


def test_two_contents_of_one_section_in_one_delivery_hold_the_whole_study(box: Box) -> None:
    box.put(*study(1), Section(1, 2, "other"))
    box.run()
    assert box.results() == {}
    assert len(box.places("quarantine/INPUT_CONFLICT")) == 4
    assert box.is_sound()


def test_a_section_that_was_cut_off_is_replaced_by_the_whole_one(box: Box) -> None:
    box.put(Section(1, 1), Section(1, 2, whole=False), Section(1, 3))
    box.run()
    assert box.of(1)[0]["incomplete"] == "1 file(s) break off"
    box.put(Section(1, 2), folder="again")
    box.run()
    assert box.of(1)[1]["incomplete"] is None
    assert len(box.of(1)[1]["inputs"]) == 3
    assert len(box.places("quarantine/INPUT_SUPERSEDED")) == 1
    assert box.is_sound()


def test_a_cut_off_copy_of_a_whole_section_is_put_aside(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(Section(1, 2, whole=False))
    box.run()
    assert len(box.of(1)) == 1
    assert len(box.places("quarantine/INPUT_BROKEN")) == 1
    assert box.is_sound()


def test_a_study_with_a_hole_goes_on_as_incomplete(box: Box) -> None:
    box.put(*(Section(1, n) for n in (1, 2, 3, 7)))
    box.run()
    assert box.of(1)[0]["incomplete"] == "1 hole(s) between the sections"


def test_what_is_no_image_is_put_aside_with_a_reason_in_plain_words(box: Box) -> None:
    box.put(*study(1))
    for name in ("a.txt", "b.txt"):
        (box.inbox / name).write_text("the same")
    box.run()
    reasons = list(box.root.glob("quarantine/INPUT_NOT_DICOM/*/reason.txt"))
    assert reasons
    assert all("This is no DICOM image." in reason.read_text() for reason in reasons)
    assert len(box.places("quarantine/INPUT_NOT_DICOM")) == 2  # each of the two, though they are the same


@pytest.mark.parametrize("text", ["CRASH", "HANG", "HUNGRY", "DEFECT"])
def test_a_poisonous_study_is_tried_again_put_aside_and_does_not_stop_the_next(box: Box, text: str) -> None:
    box.put(*study(1, text=text))
    box.put(*study(2))
    box.run(time_limit_s=1.0)
    assert (len(box.of(1)), len(box.of(2))) == (0, 1)
    (put_aside,) = json.loads(box.scanside("queue", "--json").output)
    assert (put_aside["state"], put_aside["attempts"], put_aside["code"]) == ("quarantined", 2, "BOX_ANALYSIS_DIED")
    (reason,) = box.root.glob("quarantine/BOX_ANALYSIS_DIED/*/reason.txt")
    assert "scanside retry" in reason.read_text()
    assert box.is_sound()


def test_a_study_that_takes_the_whole_box_down_with_it_is_put_aside_in_the_end(box: Box) -> None:
    box.put(*study(1, text="BOX"))
    with pytest.raises(ScansideError):
        box.run()
    with Store(box.root / "scanside.db") as store:
        (job,) = store.jobs([State.queued])
        store.change(job.id, state=State.running, interruptions=TIRED - 1)
    box.run()
    assert "together with the whole box" in json.loads(box.scanside("queue", "--json").output)[0]["reason"]
    assert box.is_sound()


def test_retry_analyses_again_what_was_put_aside(box: Box) -> None:
    box.put(*study(1, text="HANG"))
    box.run(time_limit_s=0.3)
    key = study_key("1.2.1")
    assert box.scanside("retry", key).exit_code == 0
    box.run()
    assert json.loads(box.scanside("queue", "--json").output)[0]["state"] == "quarantined"
    assert box.is_sound()


@pytest.mark.parametrize("command", ["retry", "release"])
def test_retry_and_release_of_what_there_is_not_say_so(box: Box, command: str) -> None:
    box.run()
    done = box.scanside(command, "0123456789abcdef")
    assert isinstance(done.exception, ScansideError)
    assert (done.exception.code, done.exception.exit_code) == ("BOX_NO_SUCH_STUDY", 5)


def test_new_sections_of_a_study_that_was_put_aside_bring_all_of_it_back(box: Box) -> None:
    box.put(*study(1, text="HANG"))
    box.run(time_limit_s=0.3)
    box.put(Section(1, 4, "HANG"))
    box.run()
    assert len(box.places("quarantine/BOX_ANALYSIS_DIED")) == 4
    assert box.is_sound()


def test_a_refusal_is_a_result(box: Box) -> None:
    box.put(*study(1, text="REFUSED"))
    box.run()
    assert box.of(1)[0]["verdict"] == "refused"
    assert len(box.places("archive")) == 3


def test_severe_and_rising_patients_come_first_and_earlier_results_are_handed_over(box: Box) -> None:
    box.put(Section(1, 1, "SEVERE", patient="grave"))
    box.put(Section(2, 1, patient="well"))
    box.put(Section(3, 1, "RISING", patient="rising"))
    box.run()
    box.put(Section(5, 1, patient="well"))
    box.put(Section(6, 1, patient="rising"))
    box.put(Section(7, 1, patient="grave"))
    box.run()
    with sqlite3.connect(box.root / "scanside.db") as sql:
        done = sql.execute(
            "SELECT study_uid FROM result_files JOIN jobs ON id = job GROUP BY job ORDER BY min(result_files.rowid)"
        )
        assert [uid for (uid,) in done][3:] == ["1.2.7", "1.2.6", "1.2.5"]
    sql.close()
    assert [Path(one).parent.name for one in box.of(7)[0]["earlier"]] == [study_key("1.2.1")]


def test_names_and_files_of_patients_are_private(box: Box) -> None:
    box.put(*study(1), folder="CANARY^BIRD")
    box.run()
    for path in box.root.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        if box.inbox not in (path, *path.parents):
            assert mode & 0o027 == 0, (path, oct(mode))
            assert "CANARY" not in path.name


def test_no_name_reaches_a_log_a_status_or_an_error(
    box: Box, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for number, text in enumerate(("", "CRASH", "DEFECT", "BOX", "REFUSED")):
        box.put(*study(number, text=f"{text} CANARY", patient="CANARY"), folder=f"CANARY^BIRD{number}")
    (box.inbox / "CANARY.txt").write_text("CANARY")
    with pytest.raises(ScansideError) as stuck:
        box.run()
    printed = capfd.readouterr()
    words = [printed.out, printed.err, caplog.text, str(stuck.value)]
    words += [path.read_text() for path in (box.root / "status.json", box.root / "metrics.prom")]
    words += [path.read_text() for path in box.root.rglob("reason.txt")]
    words += [box.scanside(command, "--json").output for command in ("status", "queue")]
    assert len(words) > 8
    assert not [text for text in words if "CANARY" in text]


def test_the_status_says_what_is_the_matter_in_words_and_for_programs(box: Box) -> None:
    box.put(*study(1))
    box.put(Section(2, 1, "CRASH"))
    box.run()
    facts = json.loads(box.scanside("status", "--json").output)
    assert (facts["schema"], facts["running"]) == ("scanside.status/1", False)
    assert (facts["jobs"]["done"], facts["jobs"]["quarantined"]) == (1, 1)
    assert "1 done, 1 quarantined" in box.scanside("status").output
    assert 'scanside_jobs{state="done"} 1' in (box.root / "metrics.prom").read_text()


def test_the_live_screen_shows_the_queue_until_it_is_ended(box: Box) -> None:
    box.put(*study(1, text="CRASH"))
    box.run()
    program = "from scanside_appliance.cli import main; main()"
    command = [sys.executable, "-c", program, "--root", str(box.root), "queue", "--live"]
    screen = subprocess.Popen(command, env=environment(COLUMNS="160"), stdout=subprocess.PIPE, text=True)
    time.sleep(3.0)
    screen.send_signal(signal.SIGINT)
    shown = screen.communicate()[0]
    assert screen.returncode == 0
    assert study_key("1.2.1") in shown


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
        box.put(Section(1, 4))
        wait_for(lambda: len(box.of(1)) == 2)
    finally:
        daemon.terminate()
        daemon.wait()
    assert (daemon.returncode, said(box.root).splitlines()[-1][20:]) == (0, "ended")
    assert box.is_sound()


def test_sections_that_come_while_their_study_is_queued_join_it(box: Box) -> None:
    box.root.mkdir()
    write_settings(box.root, time_limit_s=2.0)
    box.put(*study(1, text="HANG"))
    daemon = start(box.root)
    try:
        wait_for(lambda: "analysing" in json.loads(box.scanside("status", "--json").output)["headline"])
        box.put(*study(2))
        wait_for(lambda: any(one["state"] == "queued" for one in json.loads(box.scanside("queue", "--json").output)))
        box.put(Section(2, 4))
        wait_for(lambda: box.of(2))
    finally:
        daemon.terminate()
        daemon.wait()
    assert [len(one["inputs"]) for one in box.of(2)] == [4]
    assert box.is_sound()


def test_sigterm_hands_back_what_can_not_be_finished_in_time(box: Box) -> None:
    box.root.mkdir()
    write_settings(box.root, time_limit_s=60.0)
    box.put(*study(1, text="HANG"))
    daemon = start(box.root)
    try:
        wait_for(lambda: "analysing" in json.loads(box.scanside("status", "--json").output)["headline"])
    finally:
        daemon.terminate()
        time.sleep(0.2)
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
        time.sleep(0.3)
        assert daemon.poll() is None
        write_settings(box.root)
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: len(box.of(1)) == 1)
    finally:
        daemon.terminate()
        daemon.wait()
    assert "BOX_SETTINGS" in said(box.root)
    assert "settings read again" in said(box.root)


def test_systemd_hears_ready_status_and_watchdog(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(box.root.parent / "notify"))
        systemd.settimeout(1.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(box.root.parent / "notify"))
        box.run()
        words = b"".join(iter(lambda: receive(systemd), b"")).decode()
    assert words.index("READY=1") < words.index("WATCHDOG=1") < words.index("STOPPING=1")
    assert "STATUS=idle, 0 queued" in words


def receive(systemd: Any) -> bytes:
    try:
        return bytes(systemd.recv(4096)) + b"\n"
    except TimeoutError:
        return b""


def test_ready_is_not_said_where_the_selftest_comes_to_no_answer_and_another_start_is_allowed(box: Box) -> None:
    plan = box.plan(Settings)
    with pytest.raises(BoxSelfTest, match="with exit code 7") as failed:
        watch(replace(plan, worker=(*PYTHON, "-c", "raise SystemExit(7)")))
    assert failed.value.exit_code == 5


def test_networks_that_fail_the_selftest_end_with_4(box: Box) -> None:
    answer = """import sys; input(); print('{"exit_code": 4, "reason": "too far off"}', flush=True); sys.stdin.read()"""
    with pytest.raises(ModelSelfTestFailed, match="too far off") as failed:
        watch(replace(box.plan(Settings), worker=(*PYTHON, "-c", answer)))
    assert failed.value.exit_code == 4


def test_a_damaged_database_is_said_and_nothing_is_touched(box: Box) -> None:
    box.put(*study(1))
    box.run()
    database = box.root / "scanside.db"
    database.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    box.put(*study(2))
    with pytest.raises(BoxDatabase):
        box.run()
    assert len(box.places("inbox")) == 3


def test_without_its_database_the_box_starts_anew_and_overwrites_no_result(box: Box) -> None:
    box.put(*study(1))
    box.run()
    for path in box.root.glob("scanside.db*"):
        path.unlink()
    (box.root / "work" / "7").mkdir()
    box.sums |= put(box.root / "work" / "7", study(2), folder=".")
    box.put(*study(1), Section(1, 4))
    box.run()
    first, second = box.of(1)
    assert (len(first["inputs"]), len(second["inputs"])) == (3, 4)
    assert len(box.of(2)) == 1


def test_a_file_in_work_that_no_job_knows_goes_back_to_the_inbox_though_its_folder_is_known(box: Box) -> None:
    box.put(*study(1, text="BOX"))
    with pytest.raises(ScansideError):
        box.run()
    (folder,) = (box.root / "work").iterdir()
    box.sums |= put(folder, study(2), folder=".")
    (folder / ".cut-short.dcm.part").write_bytes(b"the copy of a file that lies in the inbox")
    with pytest.raises(ScansideError):
        box.run()
    assert len(list(folder.iterdir())) == 3
    assert box.is_sound()


def test_files_that_change_after_they_were_taken_go_back_to_the_inbox(box: Box) -> None:
    box.put(*study(1))
    box.run()
    places = Places(box.root)
    with Store(places.database) as store:
        conveyor = Conveyor(places, store, Clock())
        (job,) = store.jobs([State.done])
        store.files(job.id)[0].path(box.root).write_bytes(Section(1, 1, "more").content())
        folder = places.unfinished / "x"
        folder.mkdir()
        assert conveyor.hand_over_result(job, folder).state == State.returning
        while moving := store.jobs(MOVING):
            conveyor.advance(moving[0])
        assert store.jobs(State) == []
    assert len(box.places("inbox/returned-1")) == 3
    box.run()
    assert len(box.of(1)) == 2


def test_old_studies_that_are_reported_make_room_on_a_full_disk_and_their_results_stay(box: Box) -> None:
    box.put(*study(1))
    box.put(*study(2, text="CRASH"))
    box.run()
    with pytest.raises(ScansideError) as stuck:
        box.put(*study(3))
        box.run(stop_percent=0.001, clean_to_percent=0.0, clean_archive="true")
    assert stuck.value.code == "BOX_STUCK"
    assert box.places("archive") == []
    assert len(box.places("quarantine")) == 3
    assert len(box.places("inbox")) == 3
    assert len(box.of(1)) == 1
    box.run(stop_percent=99.9, clean_to_percent=99.0)
    box.put(*study(1), folder="sent-again")
    box.run()
    assert (len(box.of(1)), len(box.of(3))) == (1, 1)
    assert len(box.places("archive")) == 6


def test_a_full_disk_stops_the_taking_and_is_said(box: Box) -> None:
    box.put(*study(1))
    with pytest.raises(ScansideError) as stuck:
        box.run(stop_percent=0.001, clean_to_percent=0.0)
    assert "full" in stuck.value.message
    assert "full" in json.loads(box.scanside("status", "--json").output)["trouble"]
    assert len(box.places("inbox")) == 3
    box.run(stop_percent=99.9, clean_to_percent=99.0)
    assert len(box.of(1)) == 1


def test_a_wall_clock_that_stands_in_1970_or_jumps_changes_no_result_and_is_said(box: Box) -> None:
    box.put(*study(1))
    wall = iter([0.0, 4e9] + [1.0, 9e9] * 100_000)
    box.clock = Clock(wall=lambda: next(wall))
    box.run()
    (result,) = box.of(1)
    assert result["inputs"] == sorted(box.sums)
    assert json.loads((box.root / "status.json").read_text())["clock"]


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def test_a_study_that_can_not_be_moved_or_compared_does_not_keep_the_next_from_its_result(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    bad = {hashlib.sha256(one.content()).hexdigest() for one in study(1)}
    is_there = moves.is_there

    def refuse(path: Path, sha256: str) -> bool:
        if sha256 in bad:
            raise OSError(5, "Input/output error", str(path))
        return is_there(path, sha256)

    for module in ("intake", "moves", "conveyor"):
        monkeypatch.setattr(f"scanside_appliance.{module}.is_there", refuse)
    box.put(*study(1), folder="again")
    box.put(*study(2))
    with pytest.raises(ScansideError, match="Input/output error"):
        box.run()
    assert len(box.of(2)) == 1
    monkeypatch.undo()
    box.run()
    assert box.is_sound()
