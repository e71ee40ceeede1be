"""The sweeps in their short form: what they break must leave no trace. The long form: docs/developing.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps import clocks, crash, fulldisk, hostile_sender, powercut, slow, tamper, unit
from sweeps.crash import Fault, Story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    if not crash.strace_works():
        pytest.skip("strace can't trace here")
    return Story(tmp_path_factory.mktemp("story"))


@pytest.fixture(scope="module")
def calls(story: Story) -> dict[str, tuple[int, int]]:
    """By kind of call: how many before the daemon begins its work, and how many in all."""
    return story.calls("daemon")


@pytest.mark.parametrize(
    ("name", "call", "part"),
    [
        ("KILL", "rename", 0.2),
        ("KILL", "fsync", 0.15),
        ("KILL", "fdatasync", 0.2),
        ("ENOSPC", "fdatasync", 0.1),
        ("ENOSPC", "pwrite64", 0.15),
        ("EIO", "fsync", 0.1),
        ("EIO", "rename", 0.25),
        ("EIO", "read", 0.06),  # an answer of the child that reads headers
        ("EIO", "newfstatat", 0.78),  # a file on its way to the archive
    ],
)
def test_a_call_that_fails_or_is_the_last_one_loses_nothing(
    story: Story, calls: dict[str, tuple[int, int]], name: str, call: str, part: float
) -> None:
    before, total = calls[call]
    assert story.problems(Fault(name, call, before + 1 + int(part * (total - before - 1))), "daemon") == []


def test_a_worker_that_can_not_write_or_is_killed_while_it_writes_loses_nothing(story: Story) -> None:
    for fault in (Fault("ENOSPC", "write", 2), Fault("KILL", "rename", 1)):
        assert story.problems(fault, "worker") == []


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
