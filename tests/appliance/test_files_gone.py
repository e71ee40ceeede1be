"""A study that waits loses its files: a backup put back lacks them, or somebody empties a folder of the box."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kit.watch_box import Box, study, wait_for
from scanside_appliance.backup.make import back_up
from scanside_appliance.backup.restore import restore
from scanside_appliance.backup.stock import FILES
from scanside_appliance.files.layout import BoxLayout, study_key
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.intake import LACK_NOT_KNOWN
from scanside_appliance.jobs.scheduler import Scheduler
from scanside_appliance.service.daemon import Daemon
from sweeps.box import Slice

KEY = study_key("1.2.1")


def cut_short(scheduler: Scheduler, _: Any) -> None:
    """The power goes before the first study is analysed."""
    if scheduler._store.jobs([State.queued]):
        raise KeyboardInterrupt


@pytest.fixture
def waits(box: Box, monkeypatch: pytest.MonkeyPatch) -> Box:
    """Study 1 is queued."""
    box.put(*study(1))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Scheduler, "begin_next", cut_short)
        box.run()
    return box


def queue(box: Box) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(box.scanside("queue", "--json").output)
    return found


def in_state(box: Box, state: State) -> None:
    """As the book was when the backup was made."""
    with Store(BoxLayout(box.root).database) as store:
        (job,) = store.jobs_of_study(KEY)
        store.change(job.id, state=state, code=None, reason=None)


def remove(box: Box, *, but: int = 0) -> None:
    for path in sorted((box.root / "work").glob("*/*"))[but:]:
        path.unlink()


def put_back(box: Box, stick: Path) -> Box:
    """Another box with the backup of this one, whose files in work the stick lacks."""
    back_up(BoxLayout(box.root), None, stick, lambda *_: None)
    manifest = stick / "scanside-backup.json"
    stock = json.loads(manifest.read_text())
    stock["files"] = {name: one for name, one in stock["files"].items() if not name.startswith("work/")}
    manifest.write_text(json.dumps(stock))
    shutil.rmtree(stick / FILES / "work")
    other = Box(box.root.with_name("other"))
    restore(stick, BoxLayout(other.root), lambda *_: None)
    return other


@pytest.mark.parametrize("state", [State.claiming, State.running, State.publishing])
def test_a_study_whose_files_a_backup_lacks_is_held_says_so_and_is_measured_when_it_is_sent_again(
    waits: Box, tmp_path: Path, state: State
) -> None:
    in_state(waits, state)
    box = put_back(waits, tmp_path / "stick")
    box.run()
    (told,) = queue(box)
    assert (told["study"], told["state"], told["code"]) == (KEY, "held", "INPUT_FILES_GONE")
    assert "lacks 3 slices that the box had" in told["reason"] and "Send the whole study again" in told["reason"]
    assert "1 held" in box.scanside("status").output
    assert KEY in box.scanside("worklist").output
    box.run()  # and stays so
    assert queue(box) == [told]
    box.put(*study(2))
    box.run()
    assert len(box.of(2)) == 1
    box.put(*study(1)[:2])
    box.run()
    assert [one["state"] for one in queue(box)] == ["held"]
    box.put(*study(1))
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    assert queue(box) == []
    assert not list(box.root.glob("quarantine/*/*"))
    assert box.is_sound()


def test_a_study_that_loses_some_of_its_files_is_held_with_the_others_kept(waits: Box) -> None:
    remove(waits, but=2)
    waits.run()
    (told,) = queue(waits)
    assert "lacks 1 slice that the box had" in told["reason"]
    assert len(list(waits.root.glob("quarantine/INPUT_FILES_GONE/*/*.dcm"))) == 2
    waits.put(Slice(1, 4))  # late: it waits with the others
    waits.run()
    assert [(one["state"], one["code"]) for one in queue(waits)] == [("held", "INPUT_FILES_GONE")] * 2
    waits.put(*study(1))
    waits.run()
    assert [len(one["inputs"]) for one in waits.of(1)] == [4]
    assert queue(waits) == []
    assert waits.is_sound()


def test_a_person_goes_on_with_what_is_left_and_the_result_says_what_it_lacks(waits: Box) -> None:
    remove(waits, but=2)
    waits.run()
    assert waits.scanside("release", KEY).output == f"{KEY}  released, queued\n"
    waits.run()
    (result,) = waits.of(1)
    assert (len(result["inputs"]), result["incomplete"]) == (2, "1 file(s) were taken away")
    assert queue(waits) == []
    waits.put(*study(1))  # what comes after all is a late slice as any other
    waits.run()
    assert [len(one["inputs"]) for one in waits.of(1)] == [2, 3]


def test_a_study_of_which_nothing_is_left_goes_off_the_list_when_a_person_says_so(waits: Box) -> None:
    remove(waits)
    waits.run()
    assert "off the list" in waits.scanside("release", KEY).output
    waits.run()
    assert (queue(waits), waits.of(1)) == ([], [])
    waits.put(*study(1))  # as if it had never come
    waits.run()
    assert len(waits.of(1)) == 1


@pytest.mark.parametrize("left", [0, 2])
def test_what_came_last_with_another_content_is_what_a_release_takes(waits: Box, left: int) -> None:
    remove(waits, but=left)
    waits.run()
    waits.put(*study(1, text="other"), folder="again")
    waits.run()
    assert {one["code"] for one in queue(waits)} == {"INPUT_FILES_GONE", "INPUT_CONFLICT"}
    assert waits.scanside("release", KEY).output == f"{KEY}  released, queued\n"
    waits.run()
    (result,) = waits.of(1)
    assert (len(result["inputs"]), result["incomplete"]) == (3, None)
    assert queue(waits) == []
    assert len(list(waits.root.glob("quarantine/INPUT_SUPERSEDED/*/*.dcm"))) == left


def test_a_result_of_late_slices_alone_says_how_many_it_lacks_beside_what_was_said_before(waits: Box) -> None:
    remove(waits)
    waits.run()
    waits.put(Slice(1, 4))
    waits.run()
    with Store(BoxLayout(waits.root).database) as store:
        store.change(store.jobs_of_study(KEY)[-1].id, incomplete="2 file(s) were taken away while it was taken in")
    assert waits.scanside("release", KEY).exit_code == 0
    waits.run()
    (result,) = waits.of(1)
    why = "2 file(s) were taken away while it was taken in; 3 file(s) were taken away"
    assert (len(result["inputs"]), result["incomplete"]) == (1, why)


def test_no_series_is_chosen_of_a_study_of_which_nothing_is_left(waits: Box) -> None:
    remove(waits)
    waits.run()
    assert getattr(waits.scanside("release", KEY, "--series", "1.2.3").exception, "code", None) == "BOX_NO_SUCH_SERIES"
    assert [one["code"] for one in queue(waits)] == ["INPUT_FILES_GONE"]


def test_what_was_gone_for_a_while_only_is_measured_when_it_is_there_again(waits: Box) -> None:
    work = waits.root / "work"
    work.rename(waits.root / "elsewhere")
    waits.run()
    assert [one["code"] for one in queue(waits)] == ["INPUT_FILES_GONE"]
    work.rmdir()
    (waits.root / "elsewhere").rename(work)
    waits.run()
    assert [(len(one["inputs"]), one["incomplete"]) for one in waits.of(1)] == [(3, None)]
    assert queue(waits) == []
    assert waits.is_sound()


@pytest.mark.parametrize("code", ["INPUT_FILES_GONE", "INPUT_BASE_GONE"])
def test_from_a_book_that_was_made_anew_it_goes_on_only_when_a_person_says_so(
    waits: Box, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    remove(waits, but=2)
    waits.run()
    (waits.root / "quarantine/INPUT_FILES_GONE").rename(waits.root / "quarantine" / code)
    for path in waits.root.glob("scanside.db*"):
        path.unlink()
    waits.rebuild(monkeypatch)
    waits.run()
    assert ([one["code"] for one in queue(waits)], waits.of(1)) == ([code], [])
    assert waits.scanside("release", KEY).exit_code == 0
    waits.run()
    assert [(len(one["inputs"]), one["incomplete"]) for one in waits.of(1)] == [(2, LACK_NOT_KNOWN)]


def test_from_a_book_that_was_made_anew_it_is_measured_when_it_is_sent_again(
    waits: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove(waits, but=2)
    waits.run()
    for path in waits.root.glob("scanside.db*"):
        path.unlink()
    waits.rebuild(monkeypatch)
    waits.put(*study(1))
    waits.run()
    assert [(len(one["inputs"]), one["incomplete"]) for one in waits.of(1)] == [(3, None)]
    assert queue(waits) == []


def late_slice_of_a_lost_archive(box: Box) -> None:
    box.put(*study(1))
    box.run()
    shutil.rmtree(box.root / "archive")
    box.put(Slice(1, 4))
    box.run()


def test_a_measured_study_whose_archive_is_lost_is_missing_still_when_a_late_slice_waits(box: Box) -> None:
    late_slice_of_a_lost_archive(box)
    box.run()
    shown = box.scanside("status")
    assert (shown.exit_code, "MISSING" in shown.output) == (5, True)
    (told,) = queue(box)
    assert told["reason"].startswith("This study lacks 3 slices that the box had.")
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    box.put(*study(1))
    box.run()
    box.run()
    assert "MISSING" not in box.scanside("status").output
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 4]


def test_a_result_of_the_whole_study_is_not_hidden_by_one_of_a_part_unless_a_person_insists(box: Box) -> None:
    late_slice_of_a_lost_archive(box)
    kept = box.scanside("release", KEY).exception
    assert (getattr(kept, "code", None), getattr(kept, "exit_code", None)) == ("INPUT_RESULT_STAYS", 6)
    assert "3 slices are gone" in str(getattr(kept, "message", ""))
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    assert [one["code"] for one in queue(box)] == ["INPUT_FILES_GONE"]
    assert box.scanside("release", KEY, "--anyway").exit_code == 0
    box.run()
    assert [(len(one["inputs"]), one["incomplete"]) for one in box.of(1)] == [
        (3, None), (1, "3 file(s) were taken away"),
    ]  # fmt: skip


def test_a_study_that_lost_late_slices_alone_is_not_missing_and_a_release_measures_all_that_it_had(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    box.put(Slice(1, 4), Slice(1, 5))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Scheduler, "begin_next", cut_short)
        box.run()
    with Store(BoxLayout(box.root).database) as store:
        (late, _) = [row for row in store.files_of_study(KEY) if not row.is_in_a_result]
        late.path(box.root).unlink()
    box.run()
    box.run()
    shown = box.scanside("status")
    assert (shown.exit_code, "MISSING" in shown.output) == (0, False)
    (told,) = queue(box)
    assert told["reason"].startswith("This study lacks 1 slice that the box had.")
    assert box.scanside("release", KEY).exit_code == 0
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 4]
    assert "MISSING" not in box.scanside("status").output


def test_a_late_slice_that_went_through_two_held_jobs_is_in_no_result_and_takes_no_insisting(box: Box) -> None:
    box.put(*study(1))
    box.run()
    for number in (4, 5):  # of another patient, as the header says: each waits in a job of its own
        box.put(Slice(1, number, patient="Q1"))
        box.run()
    assert [one["code"] for one in queue(box)] == ["PATIENT_MIXED"] * 2
    late = [path for path in box.root.glob("quarantine/PATIENT_MIXED/*/*.dcm") if b"1.2.1.4" in path.read_bytes()]
    late[0].unlink()
    assert box.scanside("release", KEY).exit_code == 0
    box.run()
    assert [one["code"] for one in queue(box)] == ["INPUT_FILES_GONE"]
    shown = box.scanside("status")
    assert (shown.exit_code, "MISSING" in shown.output) == (0, False)
    assert box.scanside("release", KEY).exit_code == 0
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 4]
    assert box.of(1)[1]["incomplete"] == "1 file(s) were taken away"


def test_a_trouble_of_the_box_is_not_over_because_a_study_is_held(waits: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, after = Scheduler.begin_next, list[str | None]()

    def begin_next(scheduler: Scheduler, settings: Any) -> None:
        scheduler.box_trouble = "the disk fails" if not after else None
        begin(scheduler, settings)
        after.append(scheduler.box_trouble)

    monkeypatch.setattr(Scheduler, "begin_next", begin_next)
    remove(waits)
    waits.run()
    assert [one["code"] for one in queue(waits)] == ["INPUT_FILES_GONE"]
    assert after[0] == "the disk fails"


def test_what_was_held_already_says_so_when_a_person_releases_it(waits: Box) -> None:
    with Store(BoxLayout(waits.root).database) as store:
        store.change(store.jobs_of_study(KEY)[0].id, state=State.held, code="INPUT_CONFLICT", reason="")
    remove(waits)
    assert waits.scanside("release", KEY).exit_code == 0
    waits.run()
    assert [one["code"] for one in queue(waits)] == ["INPUT_FILES_GONE"]


def test_a_measured_study_that_loses_its_files_on_the_way_to_the_archive_is_told_as_missing(box: Box) -> None:
    box.put(*study(1))
    box.run()
    with Store(BoxLayout(box.root).database) as store:
        (job,) = store.jobs_of_study(KEY)
        store.moved(job.id, "work/1")
        store.change(job.id, state=State.archiving)
    shutil.rmtree(box.root / "archive")
    box.run()
    shown = box.scanside("status")
    assert (shown.exit_code, "MISSING" in shown.output) == (5, True)
    box.put(*study(1))
    box.run()
    box.run()  # it is looked for at a start, and each hour
    assert "MISSING" not in box.scanside("status").output
    assert box.is_sound()


def test_files_that_go_while_a_study_is_analysed_cost_no_other_study_and_are_no_trouble_of_the_box(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1, text="WAIT"))
    look = Daemon._rest

    def rest(daemon: Daemon) -> None:
        look(daemon)
        if daemon.computing and not box.root.with_suffix(".go").exists():
            wait_for(lambda: list((box.root / "results/.unfinished").glob("*/read")))
            remove(box)
            box.root.with_suffix(".go").touch()

    monkeypatch.setattr(Daemon, "_rest", rest)
    box.run()
    assert [(one["study"], one["code"]) for one in queue(box)] == [(KEY, "INPUT_FILES_GONE")]
    assert "TROUBLE" not in box.scanside("status").output
    box.put(*study(2))
    box.run()
    assert len(box.of(2)) == 1
