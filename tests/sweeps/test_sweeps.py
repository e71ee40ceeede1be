"""The sweeps in their short form: what they break must leave no trace. The long form: docs/developing.md."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import clocks, fulldisk, hostile_sender, powercut, slow, tamper, unit
from sweeps.box import REPOSITORY, environment
from sweeps.injected import can_intercept


@pytest.mark.parametrize(
    ("who", "each"),
    [
        ("daemon", 4),
        ("prober worker sender writer receive backup restore rebuild upgrade release install", 1),
    ],
)
def test_a_call_that_fails_or_is_the_last_one_loses_nothing(tmp_path: Path, who: str, each: int) -> None:
    if not can_intercept():
        pytest.skip("this needs root, and a kernel for x86-64 that asks about system calls")
    roles = [word for role in who.split() for word in ("--who", role)]
    asked = [*roles, "--each", str(each), "--together", "2", "--totals", str(tmp_path / "totals.jsonl")]
    command = [sys.executable, "-m", "tests.sweeps.crash", *asked]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 violations" in done.stdout.splitlines()[-1]


def test_a_hostile_sender_harms_nobody_but_himself(tmp_path: Path) -> None:
    assert hostile_sender.sweep(tmp_path, operations=600, studies=4, seed=3)[1] == []


def test_after_a_power_cut_under_load_the_box_stands_again(tmp_path: Path) -> None:
    if not powercut.can_mount():
        pytest.skip("this needs root and loop devices")
    assert powercut.sweep(tmp_path, cuts=2) == []


def test_a_full_disk_loses_nothing_and_is_recovered_from(tmp_path: Path) -> None:
    if not powercut.can_mount():
        pytest.skip("this needs root: it mounts a tmpfs")
    assert fulldisk.sweep(tmp_path, rounds=2) == []


def test_a_study_that_drips_in_ends_as_one_newest_revision_with_every_slice(tmp_path: Path) -> None:
    assert slow.sweep(tmp_path, slices=8, seconds=2.0)[1] == []


def test_a_wall_clock_that_jumps_by_ten_years_changes_no_result(tmp_path: Path) -> None:
    if clocks.shutil.which("gcc") is None:
        pytest.skip("this needs gcc")
    library = clocks.build(tmp_path)
    calm, jumped = (clocks.run(tmp_path, library, seconds) for seconds in (0, clocks.JUMPS["ten years on"]))
    assert (calm[1], jumped[1]) == ([], [])
    assert calm[0] == jumped[0]
    assert (calm[2] is None, jumped[2] is None) == (True, False)


def test_the_unit_lives_under_a_real_systemd(tmp_path: Path) -> None:
    if not unit.can_run():
        pytest.skip("this needs root and systemd")
    try:
        assert unit.sweep(tmp_path) == []
    except unit.NoSystemd:
        pytest.skip("systemd does not start here")


def test_a_byte_that_somebody_changed_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanside_appliance.upkeep.verify.open_bundle", tamper.open_bundle)  # put back afterwards
    tally = tamper.sweep(tmp_path, number=12, seed=1)
    assert tally.missed == []
    assert all(tally.found[what] for what in tally.tried if what != "book")  # most of a small book is empty
