"""The box proves itself while it runs. While it can't, studies are taken in and wait; what is in doubt is named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kit.selftest_samples import write_bundle_with_sample
from kit.watch_box import Box, study
from scanside_appliance.clock import Clock, time_text
from scanside_appliance.files.layout import BoxLayout, study_key
from scanside_appliance.jobs.book.audit import doubted, note
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.proved import prove_box, read_proof
from scanside_appliance.service.daemon import Daemon
from scanside_appliance.service.proving import EVERY_S
from scanside_runtime.model import selftest
from scanside_runtime.settings.load import load_settings
from scanside_runtime.settings.tables import BundleSettings, Settings
from sweeps.box import LONGEST_S, write_settings


@dataclass
class Running:
    """A daemon that is given its turns by hand, and hours by hand."""

    box: Box
    daemon: Daemon
    skipped_s: float = 0.0

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + LONGEST_S
        while not condition():
            assert time.monotonic() < end, self.daemon.report()
            self.daemon.tick()
            time.sleep(0.01)

    def settings(self) -> Settings:
        """As the daemon read them at its start."""
        return load_settings(self.box.root.with_suffix(".toml"))

    def says(self, word: str) -> None:
        """What the worker will answer to the next self-test."""
        self.box.root.with_suffix(".selftest").write_text(word)

    def a_day_goes_by(self) -> None:
        self.skipped_s += EVERY_S + 1

    @contextmanager
    def proof_under_way(self) -> Iterator[None]:
        """The self-test of the next day has begun, and does not go on."""
        child = self.daemon._worker_client._child
        assert child is not None
        os.kill(child._process.pid, signal.SIGSTOP)
        self.a_day_goes_by()
        self.until(lambda: self.daemon.computing)
        yield
        os.kill(child._process.pid, signal.SIGCONT)

    def proofs(self) -> int:
        """How many self-tests stand in the audit."""
        with closing(sqlite3.connect(BoxLayout(self.box.root).database)) as book:
            return int(book.execute("SELECT count(*) FROM audit WHERE event = 'selftest'").fetchone()[0])

    def measured(self, number: int) -> bool:
        return self.daemon.report().jobs.get("done", 0) >= number


@pytest.fixture
def running(box: Box) -> Iterator[Running]:
    path = write_settings(box.root)
    plan = replace(box.plan(lambda: load_settings(path)), once=False)
    layout = BoxLayout(box.root)
    layout.make()
    with Store(layout.database) as store:
        found: list[Running] = []
        clock = Clock(lambda: time.monotonic() + (found[0].skipped_s if found else 0.0), time.time)
        daemon = Daemon(replace(plan, clock=clock), layout, store, plan.read_settings())
        found.append(Running(box, daemon))
        try:
            yield found[0]
        finally:
            daemon.close()


def test_a_day_later_a_box_that_computes_wrong_takes_studies_in_and_measures_none_until_it_is_right(
    running: Running,
) -> None:
    running.daemon.start()
    running.box.put(*study(1))
    running.until(lambda: running.measured(1))
    running.says("WRONG")
    running.a_day_goes_by()
    running.until(lambda: running.daemon.trouble)
    running.box.put(*study(2))
    running.until(lambda: running.daemon.report().jobs.get("queued"))
    for _ in range(20):
        running.daemon.tick()
    shown = running.box.scanside("status", "--json")
    said = json.loads(shown.output)
    assert shown.exit_code == 5 and "MODEL_SELFTEST" in said["trouble"] and "nothing is measured" in said["trouble"]
    assert said["doubted"] == [study_key("1.2.1")] and not running.measured(2)
    running.says("")
    running.skipped_s += 3600.0
    running.until(lambda: running.measured(2))
    assert running.daemon.trouble is None


def test_what_a_failed_self_test_puts_in_doubt_is_named_until_it_is_measured_again(running: Running) -> None:
    running.daemon.start()
    running.box.put(*study(1))
    running.until(lambda: running.measured(1))
    running.says("OTHER")
    running.a_day_goes_by()
    running.until(lambda: running.daemon.report().doubted)
    report = running.daemon.report()
    assert (report.trouble, report.engine, report.other_way) == (None, "fake fp32", "fake int8: Dice 0.500")
    running.daemon.tick()
    assert "scanside redo" in running.box.scanside("status").output
    assert running.box.scanside("redo", study_key("1.2.1")).exit_code == 0
    running.until(lambda: not running.daemon.report().doubted)
    assert [one["revision"] for one in running.box.of(1)] == [1, 2]


def test_a_study_that_was_taken_away_is_in_no_doubt_once_the_book_was_made_anew(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1), *study(2))
    box.run()
    box.root.with_suffix(".selftest").write_text("OTHER")
    box.run()
    box.root.with_suffix(".selftest").write_text("")
    gone, stays = study_key("1.2.1"), study_key("1.2.2")
    assert {*json.loads(box.scanside("status", "--json").output)["doubted"]} == {gone, stays}
    for folder in (*box.root.glob(f"results/*/{gone}"), *box.root.glob(f"archive/*/{gone}")):
        shutil.rmtree(folder)
    box.rebuild(monkeypatch, "--anyway")
    box.run()
    shown = box.scanside("status", "--json")
    assert (json.loads(shown.output)["doubted"], shown.exit_code) == ([stays], 5)
    assert box.scanside("redo", stays).exit_code == 0
    box.run()
    shown = box.scanside("status", "--json")
    assert (json.loads(shown.output)["doubted"], shown.exit_code) == ([], 0)


def test_a_daemon_that_is_told_to_end_hears_a_self_test_to_its_end(running: Running) -> None:
    """Cut short, it speaks against the way that it tries."""
    running.daemon.start()
    with running.proof_under_way():
        running.daemon.taking = False
        running.daemon.tick()
        assert running.daemon.computing
    running.until(lambda: not running.daemon.computing)
    assert running.daemon.trouble is None


def test_what_is_about_to_be_tried_lies_on_the_disk_and_is_no_proof_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_bundle_with_sample(tmp_path / "bundle")

    def cut(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(selftest, "prove_way", cut)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                prove_box(tmp_path, bundle, 1, keep=True)
    begun = json.loads(BoxLayout(tmp_path).proof.read_bytes())["begun"]
    assert (len(begun), begun[0]["times"], read_proof(tmp_path)) == (1, 2, None)
    found = prove_box(tmp_path, bundle, 1, keep=True)
    assert [one.name for one in found.wrong] == [begun[0]["name"]] and read_proof(tmp_path) == found


def test_it_is_proved_again_as_soon_as_the_bundle_or_the_way_to_compute_was_changed(running: Running) -> None:
    running.daemon.start()
    running.says("WRONG")
    running.box.put(*study(1))
    BoxLayout(running.box.root).tuning.write_text("{}")
    running.until(lambda: running.daemon.trouble)
    assert not running.measured(1)


def test_what_is_changed_while_it_is_proved_is_proved_once_more(running: Running) -> None:
    running.daemon.start()
    with running.proof_under_way():
        running.daemon.use(running.settings())
    running.until(lambda: running.proofs() == 3)


def test_it_is_proved_again_as_soon_as_a_key_is_exchanged_or_revoked(running: Running, tmp_path: Path) -> None:
    key = tmp_path / "keys.d" / "maker.pem"
    key.parent.mkdir()
    key.touch()
    running.daemon.use(replace(running.settings(), bundles=BundleSettings(str(key.parent))))
    running.daemon.start()
    running.until(lambda: running.proofs() == 1)
    key.write_text("another one, in the same file")
    running.until(lambda: running.proofs() == 2)
    key.unlink()
    running.until(lambda: running.proofs() == 3)


def test_a_start_with_networks_that_are_wrong_still_takes_in_what_arrives(running: Running) -> None:
    running.says("WRONG")
    running.daemon.start()
    running.box.put(*study(1))
    running.until(lambda: running.daemon.report().jobs.get("queued"))
    assert "MODEL_SELFTEST" in str(running.daemon.trouble)


def test_a_self_test_without_an_answer_holds_studies_and_puts_none_in_doubt(running: Running) -> None:
    running.daemon.start()
    running.box.put(*study(1))
    running.until(lambda: running.measured(1))
    running.says("DIES")
    running.a_day_goes_by()
    running.until(lambda: running.daemon.trouble)
    assert "BOX_SELFTEST" in str(running.daemon.trouble) and not running.daemon.report().doubted


def test_the_order_of_the_audit_says_which_results_a_self_test_speaks_of(running: Running) -> None:
    with Store(BoxLayout(running.box.root).database) as store:
        for name in ("before", "between", "again", "after"):
            store.add_job(State.done, time_text(0.0), study=name)
        for event, name, facts in (
            ("result", "before", {}),
            ("selftest", "", {"passed": True}),
            ("result", "between", {}),
            ("result", "again", {}),
            ("result", "taken away", {}),
            ("selftest", "", {"passed": None}),
            ("selftest", "", {"passed": False}),
            ("selftest", "", {"passed": False}),
            ("result", "again", {}),
            ("result", "after", {}),
            ("selftest", "", {"passed": True}),
        ):
            note(store, event, name, **facts)
        assert doubted(store) == ["between"]
