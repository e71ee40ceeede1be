"""The watched folder after what should not happen: lost books, files that change, full disks, wrong clocks."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kit.child_programs import BEGINS
from kit.watch_box import PYTHON, Box, study
from scanside_appliance.clock import Clock
from scanside_appliance.files import durable_files as moves
from scanside_appliance.files.layout import BoxLayout
from scanside_appliance.inbox.porter import Porter
from scanside_appliance.jobs.book.errors import BoxDatabase, BoxDatabaseLost, BoxDatabaseReplaced
from scanside_appliance.jobs.book.file import keep_in_place
from scanside_appliance.jobs.book.rows import MOVING, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.service import wait_for_person
from scanside_appliance.service.housekeeping import ANOTHER_EVERY_S, DAY_S, Housekeeping
from scanside_appliance.service.root_lock import RootLock
from scanside_appliance.service.wait_for_person import LOOK_EVERY_S, WAITS
from scanside_runtime.errors import ScansideError, SettingsUnusable
from scanside_runtime.settings.tables import Settings
from sweeps.box import LONGEST_S, Slice, put, said, start
from sweeps.fulldisk import wait

SERVICE = {"NOTIFY_SOCKET": "/nowhere/notify"}


def test_a_damaged_database_is_said_and_nothing_is_touched(box: Box) -> None:
    box.put(*study(1))
    box.run()
    database = box.root / "scanside.db"
    database.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    box.put(*study(2))
    with pytest.raises(BoxDatabase):
        box.run()
    assert len(box.places("inbox")) == 3


def test_a_service_whose_book_is_damaged_waits_for_a_person_loses_nothing_and_goes_on_with_a_good_one(
    box: Box,
) -> None:
    """Not once more every few seconds for ever, as systemd would have it."""
    box.put(*study(1))
    box.run()
    database, status = box.root / "scanside.db", box.root / "status.json"
    good = database.read_bytes()
    database.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    box.put(*study(2))
    daemon = start(box.root, **SERVICE)
    try:
        assert wait(lambda: WAITS in (json.loads(status.read_text())["trouble"] or ""))
        time.sleep(1.5 * LOOK_EVERY_S)
        assert (daemon.poll(), said(box.root).count("BOX_DATABASE")) == (None, 1)
        assert len(box.places("inbox")) == 3
        part = database.with_suffix(".new")
        part.write_bytes(good)
        part.replace(database)
        assert wait(lambda: box.of(2))
        assert wait(lambda: json.loads(status.read_text())["trouble"] is None)
    finally:
        daemon.terminate()
        ended = daemon.wait(LONGEST_S)
    assert (ended, box.is_sound()) == (0, True)


def test_a_book_that_is_damaged_while_the_service_works_is_waited_for_and_nothing_is_lost(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it is gone, as a disk or another program leaves it: what came before and comes after is measured once."""
    box.put(*study(1))
    box.run()
    database = box.root / "scanside.db"
    with service_of(box):
        assert wait(lambda: not trouble(box) and "watched" in said(box.root))
        os.truncate(database, database.stat().st_size // 2)
        box.put(*study(2))
        assert wait(lambda: trouble(box).startswith("BOX_DATABASE") and WAITS in trouble(box))
        assert box.is_lossless()
        box.rebuild(monkeypatch)
        assert wait(lambda: box.of(2) and not trouble(box))
    assert (len(box.of(1)), box.is_sound()) == (1, True)


@pytest.mark.parametrize("when", ["a reader fails", "a day has passed"])
def test_a_book_that_is_damaged_under_a_daemon_that_knows_its_pages_is_noticed(box: Box, when: str) -> None:
    """SQLite reads no page twice without need: the daemon went on by heart, until a start weeks later."""
    box.put(*study(1))
    box.run()
    layout, jumps = BoxLayout(box.root), [0.0]
    with Store(layout.database, make=False) as store:
        house = Housekeeping(layout, store, Clock(lambda: time.monotonic() + jumps[0], time.time))
        store.check()
        with layout.database.open("rb+") as file:
            file.seek(4096)
            file.write(b"\xff" * (layout.database.stat().st_size - 4096))
        assert len(store.jobs([State.done])) == 1
        house.read_book(0)
        jumps[0] = DAY_S if when == "a day has passed" else 0.0
        with pytest.raises(BoxDatabase):
            house.read_book(int(when == "a reader fails"))


def test_a_book_that_another_wrote_to_is_read_at_once_and_one_that_we_wrote_to_is_not(box: Box) -> None:
    """An idle box said for 40 s that all was well."""
    box.put(*study(1))
    box.run()
    layout, now, alive = BoxLayout(box.root), [0.0], list[float]()
    with Store(layout.database, make=False) as store:
        house = Housekeeping(layout, store, Clock(lambda: now[0], time.time), lambda: alive.append(now[0]))

        def after_5_s() -> None:
            now[0] += 5.0
            house.read_book(0)

        after_5_s()
        store.count("ours")
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        after_5_s()
        assert alive == []
        with Store(layout.database, make=False) as command:
            command.count("another's")
            command.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        after_5_s()
        after_5_s()
        assert alive == [15.0]
        now[0] += ANOTHER_EVERY_S
        with layout.database.open("rb+") as file:
            file.seek(4096)
            file.write(b"\xff" * (layout.database.stat().st_size - 4096))
        with pytest.raises(BoxDatabase):
            after_5_s()


@contextmanager
def book_that_was_read(box: Box) -> Iterator[tuple[BoxLayout, Store, Housekeeping]]:
    """Of a box with one study that is done, open as a daemon has it."""
    box.put(*study(1))
    box.run()
    layout = BoxLayout(box.root)
    with Store(layout.database, make=False) as store:
        house = Housekeeping(layout, store, Clock())
        house.read_book(0)
        yield layout, store, house


def test_a_book_that_is_removed_within_a_turn_is_not_read_and_the_next_turn_writes_it_anew(box: Box) -> None:
    """To end over it would lose what is in none but the open one."""
    with book_that_was_read(box) as (layout, store, house):
        layout.database.unlink()
        house.read_book(0)
        keep_in_place(layout, store)
        house.read_book(0)
    with Store(layout.database, make=False) as store:
        assert len(store.jobs([State.done])) == 1


def test_a_book_that_is_replaced_within_a_turn_is_kept_beside_before_the_other_is_called_damaged(box: Box) -> None:
    with book_that_was_read(box) as (layout, store, house):
        (other := box.root / "other").write_bytes(b"no book" * 1000)
        other.rename(layout.database)
        house.read_book(0)
        with pytest.raises(BoxDatabaseReplaced):
            keep_in_place(layout, store)


def test_a_list_that_fails_each_minute_has_the_book_read_once_an_hour_with_a_sign_of_life_before(box: Box) -> None:
    """A book of five years takes a minute and more to read, and all else waits."""
    box.run()
    layout, now, alive = BoxLayout(box.root), [0.0], list[float]()
    with Store(layout.database, make=False) as store:
        house = Housekeeping(layout, store, Clock(lambda: now[0], time.time), lambda: alive.append(now[0]))
        for failures in range(1, 125):
            now[0] += 60.0
            house.read_book(failures)
    assert alive == [60.0, 3660.0, 7260.0]


def test_a_list_that_fails_because_the_book_is_damaged_ends_the_run_with_that(box: Box) -> None:
    """The ward's list stood still, and nothing else said why."""
    box.put(*study(1))
    box.run()
    database = box.root / "scanside.db"
    damage = f"file = open({str(database)!r}, 'rb+'); file.seek(4096); file.write(bytes({database.stat().st_size}))"
    box.worklist = (*PYTHON, "-c", f"{damage}; file.close(); raise SystemExit(3)")
    box.put(*study(2))
    with pytest.raises(BoxDatabase):
        box.run(quiet_s=0.3, patience_s=0.3)
    assert box.is_lossless()


def test_a_service_that_waits_for_its_book_ends_when_it_is_told(box: Box) -> None:
    box.run()
    lose_book(box, "gone")
    daemon = start(box.root, **SERVICE)
    assert wait(lambda: WAITS in (json.loads((box.root / "status.json").read_text())["trouble"] or ""))
    daemon.terminate()
    assert daemon.wait(LONGEST_S) == 0


@contextmanager
def service_of(box: Box) -> Iterator[None]:
    """As systemd starts it, to its end."""
    daemon = start(box.root, **SERVICE)
    try:
        yield
    finally:
        daemon.terminate()
        assert daemon.wait(LONGEST_S) == 0


def trouble(box: Box) -> str:
    return json.loads((box.root / "status.json").read_text())["trouble"] or ""


def test_a_service_with_settings_that_can_t_be_used_waits_and_goes_on_when_they_are_put_right(box: Box) -> None:
    box.run()
    settings = box.root.with_suffix(".toml")
    right = settings.read_text()
    settings.write_text("[inbox]\nquite_s = 1\n")
    with service_of(box):
        assert wait(lambda: trouble(box).startswith("BOX_SETTINGS") and WAITS in trouble(box))
        settings.write_text(right)
        assert wait(lambda: not trouble(box))


def wait_in(
    box: Box, monkeypatch: pytest.MonkeyPatch, mend: Callable[[], object], read: Callable[[], Settings] = Settings
) -> int:
    """Wait for a person who mends it after the second look; how often it was looked until it went on, five at most."""
    looked: list[str] = []

    def notified(**words: object) -> None:
        if "WATCHDOG" in words:
            looked.append("")
            {2: mend, 5: lambda: os.kill(os.getpid(), signal.SIGTERM)}.get(len(looked), lambda: None)()

    monkeypatch.setattr(wait_for_person, "notify", notified)
    monkeypatch.setattr(wait_for_person, "LOOK_EVERY_S", 0.0)
    plan = replace(box.plan(read), settings_file=box.root.with_suffix(".toml"))
    lost = BoxDatabaseLost(name="scanside.db", how="gone")
    wait_for_person.WaitForPerson(plan, BoxLayout(box.root)).goes_on_after(lost)
    return len(looked)


@pytest.mark.parametrize("mended", ["book", "settings", "root", "mount", "nothing"])
def test_what_rights_alone_kept_from_working_is_tried_as_soon_as_they_are_put_right(
    box: Box, monkeypatch: pytest.MonkeyPatch, mended: str
) -> None:
    box.root.mkdir()
    book, settings = box.root / "scanside.db", box.root.with_suffix(".toml")
    for path in (book, settings, box.root):
        path.touch()
        path.chmod(0o755)
    mends = {
        "book": lambda: book.chmod(0o700),
        "settings": lambda: settings.chmod(0o700),
        "root": lambda: box.root.chmod(0o700),
        "mount": lambda: monkeypatch.setattr(os, "access", lambda *_, **__: False),
        "nothing": lambda: (box.root / "other").touch(),
    }
    assert wait_in(box, monkeypatch, mends[mended]) == (5 if mended == "nothing" else 2)


def test_whoever_waited_for_the_service_finds_in_its_status_for_what_it_waits(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.root.mkdir()
    lost, found = BoxDatabaseLost(name="scanside.db", how="gone"), []

    def notified(**words: object) -> None:
        if "READY" in words:
            found.append(trouble(box))
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(wait_for_person, "notify", notified)
    wait_for_person.WaitForPerson(box.plan(Settings), BoxLayout(box.root)).goes_on_after(lost)
    assert ["BOX_DATABASE_LOST" in str(one) for one in found] == [True]


def test_the_worklist_names_settings_that_can_t_be_used_without_what_these_say(
    box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unusable() -> Settings:
        raise SettingsUnusable(key="quite_s", why="it is not known")

    box.root.mkdir()
    box.worklist = (*PYTHON, "-c", f"{BEGINS}open({str(tmp_path / 'asked')!r}, 'w').write(input())")
    wait_in(box, monkeypatch, box.root.with_suffix(".toml").touch, unusable)
    (order,) = json.loads((tmp_path / "asked").read_text()).values()
    assert WAITS in order["trouble"]


def test_a_service_whose_box_another_one_works_in_waits_leaves_its_status_and_goes_on_after_it(box: Box) -> None:
    box.run()
    layout = BoxLayout(box.root)
    before = layout.status.read_bytes()
    other = RootLock(layout)
    with service_of(box):
        assert wait(lambda: "BOX_RUNNING" in said(box.root))
        assert layout.status.read_bytes() == before
        other.close()
        assert wait(lambda: layout.status.read_bytes() != before)


@pytest.mark.parametrize("how", ["gone", "empty", "header"])
@pytest.mark.parametrize("marked", [True, False])
def test_a_lost_book_is_no_first_start(box: Box, how: str, marked: bool) -> None:
    box.put(*study(1))
    box.run()
    lose_book(box, how)
    if not marked:
        BoxLayout(box.root).marker.unlink()
    for begin in (box.run, lambda: raised_by(box.scanside("queue"))):
        with pytest.raises(BoxDatabaseLost) as lost:
            begin()
        assert (lost.value.code, lost.value.exit_code) == ("BOX_DATABASE_LOST", 5)
    shown = box.scanside("status")
    assert shown.exit_code == 5
    assert "BOX_DATABASE_LOST" in shown.output


def lose_book(box: Box, how: str) -> None:
    for path in box.root.glob("scanside.db*"):
        if path != BoxLayout(box.root).marker:
            path.unlink()
    if how == "empty":
        (box.root / "scanside.db").touch()
    elif how == "header":
        with closing(sqlite3.connect(box.root / "scanside.db")) as sql:
            sql.execute("VACUUM")


def raised_by(shown: Any) -> None:
    raise shown.exception


def test_with_a_book_that_was_made_anew_nothing_is_lost_and_no_result_overwritten(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    lose_book(box, "gone")
    (box.root / "work" / "7").mkdir()
    box.sums |= put(box.root / "work" / "7", study(2), folder=".")
    box.rebuild(monkeypatch)
    box.put(*study(1), Slice(1, 4))
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


def test_the_copy_of_a_file_that_lies_in_the_inbox_still_is_not_kept_twice(box: Box) -> None:
    box.run()
    (box.inbox / "notes.txt").write_text("no image")
    arriving = box.root / "work" / "arriving-0123"
    arriving.mkdir()
    (arriving / "453361fd-000").write_text("no image")
    (arriving / "00000000-001").write_text("no image and nowhere else")
    box.run()
    assert len(box.places("quarantine/INPUT_NOT_DICOM/")) == 2
    assert box.is_sound()


def test_what_a_person_left_in_the_boxs_folders_keeps_it_from_nothing(box: Box) -> None:
    box.run()
    left = [box.root / place / "note.txt" for place in ("work", "quarantine", "quarantine/BOX_DEFECT", "work/7/sub")]
    for note in left:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text("seen, call me")
    box.put(*study(1))
    box.run()
    assert len(box.of(1)) == 1
    assert all(note.exists() for note in left)


@pytest.mark.parametrize("moved", [1, 2, 3, 4, 5])
def test_moves_that_were_cut_short_go_on_where_they_were(box: Box, monkeypatch: pytest.MonkeyPatch, moved: int) -> None:
    box.put(*study(1))
    calls = iter(range(moved))

    def cut(*arguments: Any) -> bool:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return moves.move_file(*arguments)

    monkeypatch.setattr("scanside_appliance.jobs.file_mover.move_file", cut)
    with pytest.raises(KeyboardInterrupt):
        box.run()
    monkeypatch.undo()
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    assert len(box.places("archive")) == 3
    assert "files_missing" not in json.loads(box.scanside("status", "--json").output)["counters"]
    assert box.is_sound()


def test_files_that_change_after_they_were_taken_go_back_to_the_inbox(box: Box) -> None:
    box.put(*study(1))
    box.run()
    layout = BoxLayout(box.root)
    with Store(layout.database) as store:
        file_mover = FileMover(layout, store, Clock(), Porter(layout, Clock().monotonic, ()))
        (job,) = store.jobs([State.done])
        store.files(job.id)[0].path(box.root).write_bytes(Slice(1, 1, "more").content())
        folder = layout.unfinished / "x"
        folder.mkdir()
        assert file_mover.hand_over_result(job, folder).state == State.returning
        while moving := store.jobs(MOVING):
            file_mover.advance(moving[0])
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
    said = box.scanside("status").output
    assert ("Copy old results and archives to another disk" in said, "TO DO" in said) == (True, False)
    assert "Copy old results and archives to another disk" in box.scanside("worklist").output
    assert "Copiez d'anciens" in box.scanside("--language", "fr", "worklist").output
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


def test_status_ends_with_5_and_says_why_while_the_clock_stands_before_the_software(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    assert box.scanside("status").exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr("scanside_appliance.clock.SOFTWARE_MADE", 4e9)
        shown = box.scanside("status")
        assert (shown.exit_code, "before this software was made" in shown.output) == (5, True)
        assert json.loads(box.scanside("status", "--json").output)["clock"] in shown.output
    box.clock = Clock(wall=lambda: 0.0)
    box.run()
    assert json.loads((box.root / "status.json").read_text())["clock"].endswith("before this software was made")
    set_since = box.scanside("status")
    assert (set_since.exit_code, "CLOCK" in set_since.output) == (0, False)


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

    for module in ("files.durable_files", "jobs.file_mover", "jobs.sources"):
        monkeypatch.setattr(f"scanside_appliance.{module}.is_there", refuse)
    box.put(*study(1), folder="again")
    box.put(*study(2))
    with pytest.raises(ScansideError, match="Input/output error"):
        box.run()
    assert len(box.of(2)) == 1
    monkeypatch.undo()
    box.run()
    assert box.is_sound()
