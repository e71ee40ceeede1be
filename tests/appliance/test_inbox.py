"""When a study in the inbox counts as complete: by evidence, on a clock that nobody can turn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from scanside_appliance.files.layout import study_key
from scanside_appliance.files.signature import Signature
from scanside_appliance.inbox.empty_folders import EmptyFolders
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.inbox.readiness import STRAYS_AT_ONCE, Arrival, Inbox
from scanside_appliance.inbox.scan import scan
from scanside_appliance.languages.words import words
from scanside_runtime.settings.box import InboxSettings

QUIET_S, PATIENCE_S = 60.0, 900.0
A = study_key("1.2.1")


def one_slice(number: int, **changes: Any) -> Facts:
    stated: dict[str, Any] = {
        "sha256": f"{number:064x}",
        "size": 100,
        "mtime_ns": 1,
        "whole": True,
        "study_uid": "1.2.1",
        "sop_uid": f"1.2.1.{number}",
        "stack": "s",
        "along_mm": 5.0 * number,
    }
    return Facts("image", **{**stated, **changes})


class Desk:
    """An inbox and what lies in it; `at` is the monotonic clock."""

    def __init__(self, **changes: bool) -> None:
        self.inbox = Inbox(InboxSettings(quiet_s=QUIET_S, patience_s=PATIENCE_S), **changes)
        self.files: dict[str, tuple[Signature, Facts | None]] = {}

    def put(self, name: str, facts: Facts | None, size: int = 100, mtime_ns: int = 1) -> None:
        self.files[name] = (Signature(size, mtime_ns, 7), facts)

    def look(self, at: float) -> list[Arrival]:
        """A scan, everything readable read, and what is ready then."""
        self.inbox.look([(name, signature) for name, (signature, _) in self.files.items()], at)
        for name in self.inbox.unread(at):
            facts = self.files[name][1]
            if facts is not None:
                self.inbox.learn(name, facts, at)
        return list(self.inbox.sort_out(at)[0])

    def facts(self, name: str) -> list[Facts]:
        """What is known of a file: nothing, or its facts."""
        return [facts for found, facts in self.inbox._table.facts("kind <> ''", {}) if found == name]

    def why(self, at: float) -> list[str]:
        return [one.why for one in self.inbox.sort_out(at)[1]]


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    for number in (1, 2, 3):
        found.put(f"a/{number}", one_slice(number))
    return found


def test_a_name_that_a_folder_tells_twice_in_one_look_is_one_file() -> None:
    inbox, signature = Inbox(InboxSettings(quiet_s=QUIET_S, patience_s=PATIENCE_S)), Signature(100, 1, 7)
    inbox.look([("a.dcm", signature), ("a.dcm", signature)], 0.0)
    inbox.look([("a.dcm", signature), ("a.dcm", signature)], 1.0)
    assert list(inbox.unread(PATIENCE_S)) == ["a.dcm"]


def test_a_study_is_ready_after_the_quiet_time_and_not_before(desk: Desk) -> None:
    assert desk.look(0.0) == []
    assert desk.look(59.0) == []
    assert desk.why(59.0) == ["still arriving"]
    (study,) = desk.look(60.0)
    assert (study.study, len(study.files), study.incomplete) == (A, 3, None)


def test_a_slice_that_comes_late_starts_the_quiet_time_again(desk: Desk) -> None:
    desk.look(0.0)
    desk.look(50.0)
    desk.put("a/4", one_slice(4))
    assert desk.look(59.0) == []
    assert desk.look(118.0) == []
    (study,) = desk.look(120.0)
    assert len(study.files) == 4


def test_a_file_that_grows_is_not_read_and_keeps_its_study_waiting(desk: Desk) -> None:
    desk.look(0.0)
    for second in range(1, 200, 10):
        desk.put("a/4", None, size=second)
        assert desk.look(float(second)) == []
        assert "a/4" not in list(desk.inbox.unread(float(second)))


def test_a_known_slice_that_changes_is_read_again(desk: Desk) -> None:
    desk.look(0.0)
    desk.look(10.0)
    desk.put("a/3", one_slice(3, size=200, sha256="f" * 64), size=200)
    desk.look(30.0)
    assert desk.facts("a/3") == []
    assert desk.look(60.0) == []
    (study,) = desk.look(90.0)
    assert study.files["a/3"].size == 200


def test_facts_of_a_file_that_changed_while_it_was_read_are_not_believed(desk: Desk) -> None:
    desk.look(0.0)
    desk.inbox.learn("a/1", one_slice(1, size=99), 5.0)
    assert desk.facts("a/1") == []


def test_a_hole_is_waited_for_and_then_said(desk: Desk) -> None:
    desk.put("a/6", one_slice(6))
    desk.look(0.0)
    desk.look(10.0)
    assert desk.look(100.0) == []
    assert desk.why(100.0) == ["1 hole(s) between the slices; waiting for the rest"]
    (study,) = desk.look(PATIENCE_S)
    assert study.incomplete == "1 hole(s) between the slices"


def test_a_hole_that_is_filled_is_none(desk: Desk) -> None:
    desk.put("a/5", one_slice(5))
    desk.look(0.0)
    desk.look(100.0)
    desk.put("a/4", one_slice(4))
    desk.look(101.0)
    desk.look(110.0)
    (study,) = desk.look(161.0)
    assert (len(study.files), study.incomplete) == (5, None)


def test_slices_that_lie_twice_at_a_place_are_no_hole(desk: Desk) -> None:
    for number in (1, 2, 3):
        desk.put(f"a/{number}b", one_slice(number, sop_uid=f"1.2.1.9{number}"))
    desk.look(0.0)
    desk.look(10.0)
    assert [one.incomplete for one in desk.look(60.0)] == [None]


def test_a_file_that_breaks_off_is_waited_for(desk: Desk) -> None:
    desk.put("a/4", one_slice(4, whole=False))
    desk.look(0.0)
    desk.look(10.0)
    assert desk.look(100.0) == []
    (study,) = desk.look(PATIENCE_S)
    assert study.incomplete == "1 file(s) break off"


def test_a_neighbour_that_can_not_be_read_holds_the_study_up_but_not_for_ever(desk: Desk) -> None:
    desk.put("a/unknown", Facts("broken", sha256="0", size=100, mtime_ns=1))
    desk.look(0.0)
    desk.look(10.0)
    assert desk.look(60.0) == []
    assert desk.why(60.0) == ["a file beside it can't be read yet"]
    (study,) = (one for one in desk.look(PATIENCE_S) if one.study)
    assert study.incomplete == "a file beside it can't be read"


def test_a_neighbour_that_can_not_be_read_is_as_old_as_its_first_sight_however_often_it_is_touched(desk: Desk) -> None:
    ready: list[Arrival] = []
    for second in range(0, int(PATIENCE_S) + 61, 20):
        desk.put("a/locked", Facts("out_of_reach", why="Permission denied"), mtime_ns=1 + second // 60)
        ready += desk.look(float(second))
    assert [one.incomplete for one in ready if one.study][:1] == ["a file beside it can't be read"]
    assert desk.inbox.stays(PATIENCE_S) == "1 file(s) in the inbox can't be read: a/locked (Permission denied)"
    assert desk.inbox.stays(PATIENCE_S - 1) is None


def test_a_neighbour_that_could_not_be_read_long_before_a_study_came_is_none_of_its_files(desk: Desk) -> None:
    slices, desk.files = desk.files, {}
    desk.put("a/locked", Facts("out_of_reach", why="Permission denied"))
    desk.look(0.0)
    desk.look(10.0)
    desk.files |= slices
    came = PATIENCE_S + 10.0
    desk.look(came)
    desk.look(came + 10.0)
    assert [one.incomplete for one in desk.look(came + QUIET_S)] == [None]


def test_a_touch_that_changes_no_byte_renews_nothing(desk: Desk) -> None:
    ready: list[Arrival] = []
    for second in range(0, 100, 10):
        desk.put("a/1", one_slice(1, mtime_ns=1 + second // 20), mtime_ns=1 + second // 20)
        ready += desk.look(float(second))
    assert [one.study for one in ready][:1] == [A]


def test_a_file_that_is_touched_all_the_time_keeps_its_study_waiting_for_the_patience_once(desk: Desk) -> None:
    desk.inbox.settings = InboxSettings(quiet_s=10, patience_s=30)
    waited = []
    for second in range(150):
        desk.put("a/1", one_slice(1, mtime_ns=second), mtime_ns=second)
        if not desk.look(float(second)):
            waited.append(second)
    assert waited == list(range(30))


def test_a_file_that_was_not_what_it_was_known_to_be_is_read_again(desk: Desk) -> None:
    desk.look(0.0)
    desk.look(10.0)
    desk.inbox.doubt("a/2", 60.0)
    assert desk.look(61.0) == []
    assert desk.look(119.0) == []
    assert [len(one.files) for one in desk.look(121.0)] == [3]


def test_what_lay_still_for_long_is_waited_for_anew_when_a_copy_of_it_fails_and_not_for_ever(desk: Desk) -> None:
    """The study had to wait for another one; its copy fails again and again."""
    desk.look(0.0)
    desk.look(10.0)
    lacks = []
    for second in range(2000, 3200, 61):
        assert [len(one.files) for one in desk.look(float(second))] == [3]
        desk.inbox.doubt("a/2", second + 0.5)
        lacks.append([one.incomplete for one in desk.look(second + 1.0)])
    waited = sum(one == [] for one in lacks)
    assert lacks == [[]] * waited + [["1 file(s) are still changing"]] * (len(lacks) - waited)
    assert 61 * (waited - 1) <= PATIENCE_S < 61 * (waited + 1)


def test_a_neighbour_that_could_be_read_is_waited_for_whatever_the_patience(desk: Desk) -> None:
    desk.inbox.settings = InboxSettings(quiet_s=QUIET_S, patience_s=QUIET_S)
    desk.look(0.0)
    desk.look(10.0)
    desk.put("a/4", None)
    desk.look(11.0)
    desk.inbox.learn("a/1", one_slice(1), 80.0)
    assert [one.study for one in desk.look(71.5)] == []
    desk.put("a/4", one_slice(4))
    (study,) = desk.look(72.0)
    assert len(study.files) == 4


def test_a_copy_in_progress_is_not_read_and_holds_its_study_up(desk: Desk) -> None:
    desk.put("a/4.dcm.part", one_slice(4))
    for second in (0.0, 10.0, 60.0):
        assert desk.look(second) == []
    assert list(desk.inbox.unread(60.0)) == []


def test_another_study_dripping_into_the_same_folder_does_not_hold_a_study_up(desk: Desk) -> None:
    ready: list[Arrival] = []
    for second in range(90):
        desk.put(f"a/b{second}", one_slice(second, study_uid="1.2.2", sop_uid=f"1.2.2.{second}"))
        ready += desk.look(float(second))
    assert A in [one.study for one in ready]
    assert study_key("1.2.2") not in [one.study for one in ready]


def test_what_is_no_image_is_put_aside_after_the_quiet_time_and_what_breaks_off_after_the_patience(desk: Desk) -> None:
    desk.put("note.txt", Facts("other", sha256="0", size=100, mtime_ns=1))
    desk.put("half", Facts("broken", sha256="0", size=100, mtime_ns=1))
    desk.look(0.0)
    desk.look(10.0)
    assert [sorted(one.files) for one in desk.look(60.0) if not one.study] == [["note.txt"]]
    assert [sorted(one.files) for one in desk.look(PATIENCE_S) if not one.study] == [["half", "note.txt"]]


def test_what_is_out_of_reach_stays_and_is_tried_again(desk: Desk) -> None:
    desk.put("far", Facts("out_of_reach", why="Permission denied"))
    desk.look(0.0)
    desk.look(10.0)
    assert desk.why(59.0) == ["still arriving"]
    assert desk.why(61.0) == ["1 file(s) in the inbox can't be read: far (Permission denied)"]
    assert desk.why(PATIENCE_S) == []  # told by `stays` from then on
    assert "far" not in desk.inbox.unread(20.0)
    assert "far" in desk.inbox.unread(80.0)
    assert not any("far" in one.files for one in desk.look(PATIENCE_S * 2))


@pytest.mark.parametrize("unsure", ["a/2", "a/"])
def test_what_can_not_be_looked_at_is_neither_gone_nor_quiet(desk: Desk, unsure: str) -> None:
    desk.look(0.0)
    desk.look(10.0)
    seen = [(name, signature) for name, (signature, _) in desk.files.items() if not name.startswith(unsure)]
    desk.inbox.look([*seen, (unsure, None)], 60.0)
    assert list(desk.inbox.sort_out(60.0)[0]) == []
    desk.look(61.0)
    desk.look(70.0)
    assert desk.look(119.0) == []
    (study,) = desk.look(121.0)
    assert len(study.files) == 3


def test_what_vanishes_is_forgotten(desk: Desk) -> None:
    desk.look(0.0)
    desk.files.clear()
    assert desk.look(60.0) == []
    assert len(desk.inbox) == 0


def test_a_table_that_is_lost_is_said_and_all_is_seen_anew(desk: Desk) -> None:
    desk.look(0.0)
    desk.look(10.0)
    desk.inbox._table._sql.execute("DROP TABLE files")
    with pytest.raises(OSError, match="looked at anew"):
        desk.look(50.0)
    desk.look(51.0)
    assert desk.look(60.0) == []
    (study,) = desk.look(120.0)
    assert len(study.files) == 3


def test_names_that_are_no_text_are_kept_as_the_file_system_spells_them(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.dcm")).write_bytes(b"x")
    inbox = Inbox(InboxSettings(quiet_s=QUIET_S))
    inbox.look(scan(tmp_path), 0.0)
    (name,) = inbox.unread(50.0)
    assert (tmp_path / name).read_bytes() == b"x"


def test_files_of_no_study_come_some_hundred_at_a_time(desk: Desk) -> None:
    for number in range(STRAYS_AT_ONCE + 1):
        desk.put(f"note{number}", Facts("other", sha256="0", size=100, mtime_ns=1))
    desk.look(0.0)
    desk.look(10.0)
    assert [len(one.files) for one in desk.look(60.0) if not one.study] == [STRAYS_AT_ONCE, 1]


def test_folders_that_stay_empty_are_removed_and_others_are_not(tmp_path: Path) -> None:
    for name in ("left/empty", "fresh", "used"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "used" / "1").write_bytes(b"x")
    tidy = EmptyFolders(tmp_path)
    tidy.look()
    assert (tmp_path / "left" / "empty").is_dir()
    os.utime(tmp_path / "fresh", ns=(1, 1))
    tidy.look()
    assert sorted(os.listdir(tmp_path)) == ["fresh", "left", "used"]
    assert os.listdir(tmp_path / "left") == []
    tidy.look()
    tidy.look()
    assert os.listdir(tmp_path) == ["used"]


def test_a_scan_sees_files_at_any_depth_and_no_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "1").write_bytes(b"x")
    (tmp_path / "2").write_bytes(b"xy")
    (tmp_path / "link").symlink_to(tmp_path / "2")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert {name: seen and seen.size for name, seen in scan(tmp_path)} == {"a/b/1": 1, "2": 2}


def test_a_scan_tells_a_folder_and_a_file_that_can_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1").write_bytes(b"x")
    opened = os.open

    def refuse(name: Any, flags: int, **more: Any) -> int:
        if name == "bad":
            raise OSError(5, "Input/output error")
        return opened(name, flags, **more)

    monkeypatch.setattr(os, "open", refuse)
    assert {name: seen and seen.size for name, seen in scan(tmp_path)} == {"good/1": 1, "bad": None, "bad/": None}


def test_a_file_that_grows_for_ever_is_not_waited_for_for_ever(desk: Desk) -> None:
    """It is read now and then, and again and again it is another one by the time."""
    when = None
    for second in range(0, 3000, 10):
        desk.put("a/log", one_slice(9, size=-1), size=second + 1)
        if ready := desk.look(float(second)):
            when = second if when is None else when
            assert [(one.study, len(one.files)) for one in ready] == [(A, 3)]
    assert when is not None and PATIENCE_S <= when <= PATIENCE_S + 60


def test_a_slice_that_changes_for_ever_is_late_and_its_study_says_so(desk: Desk) -> None:
    ready = []
    for second in range(0, 3000, 10):
        size = max(second, 50)
        desk.put("a/3", one_slice(3, size=size, sha256=f"{size:064x}"), size=size)
        if found := desk.look(float(second)):
            ready.append((second, len(found[0].files), found[0].incomplete))
    assert ready[0][1:] == (2, "1 file(s) are still changing")
    assert words("en").phrase(ready[0][2]) == "1 file is still changing"
    assert PATIENCE_S <= ready[0][0] <= 2 * PATIENCE_S
    desk.look(4000.0)
    (study,) = desk.look(4100.0)
    assert (len(study.files), study.incomplete) == (3, None)


def test_what_is_read_in_vain_for_long_is_tried_the_more_seldom_and_after_what_is_new(desk: Desk) -> None:
    desk.look(0.0)
    desk.look(10.0)
    for name, took_s in (("a/1", 30.0), ("a/2", 0.0)):
        desk.inbox.learn(name, Facts("out_of_reach", why="it comes slowly"), 10.0, took_s)
    desk.put("b/1", None)
    desk.look(60.0)
    assert list(desk.inbox.unread(71.0)) == ["b/1", "a/2"]
    assert list(desk.inbox.unread(371.0)) == ["b/1", "a/1", "a/2"]


@pytest.fixture
def last_desk(desk: Desk) -> Desk:
    """The same files, in an inbox that `watch --once` works off."""
    last = Desk(all_has_come=True)
    last.files = desk.files
    return last


def test_where_all_has_come_a_hole_and_what_can_not_be_read_are_waited_for_the_quiet_time_alone(
    last_desk: Desk,
) -> None:
    del last_desk.files["a/2"]
    last_desk.put("a/4", one_slice(4))
    last_desk.put("a/5", one_slice(5))
    last_desk.put("a/6", Facts("out_of_reach", why="denied"))
    assert last_desk.look(0.0) == last_desk.look(10.0) == last_desk.look(59.0) == []
    (study,) = last_desk.look(61.0)
    assert study.incomplete == "1 hole(s) between the slices"
    for name in study.files:
        del last_desk.files[name]
    last_desk.look(62.0)
    assert last_desk.inbox.is_worked_off(62.0)


@pytest.mark.parametrize("name", ["a/3", "a/4.dcm.part", "a/log"], ids=["slice", "temporary", "other"])
def test_where_all_has_come_what_changes_still_is_waited_for_with_patience_and_counted(
    last_desk: Desk, name: str
) -> None:
    whole = one_slice(3) if name == "a/3" else Facts("other", size=100, mtime_ns=1, sha256="f" * 64)
    for second in range(0, 300, 10):
        last_desk.put(name, None, size=second + 1)
        assert last_desk.look(float(second)) == []
        assert not last_desk.inbox.is_worked_off(float(second))
    assert last_desk.inbox.changing(290.0) == 1
    del last_desk.files[name]
    last_desk.put(name.removesuffix(".part"), whole)  # the copy has its own name when it is whole
    ready = [arrival for second in (300, 310, 361) for arrival in last_desk.look(float(second))]
    assert (ready[0].study, len(ready[0].files), ready[0].incomplete) == (A, 3, None)


def test_what_changes_for_ever_does_not_keep_the_end_from_an_inbox_where_all_has_come_and_is_named(
    last_desk: Desk,
) -> None:
    for second in range(0, 1000, 10):
        last_desk.put("b/log", one_slice(9, size=-1), size=second + 1)
        for arrival in last_desk.look(float(second)):
            last_desk.files = {one: held for one, held in last_desk.files.items() if one not in arrival.files}
    assert last_desk.inbox.is_worked_off(990.0)
    assert last_desk.inbox.changing(990.0) == 1
    assert last_desk.inbox.stays(990.0) == "1 file(s) in the inbox can't be read: b/log (it changes while it is read)"
