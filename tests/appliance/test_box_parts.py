"""The small parts of the box: clock, disk, database versions, order, hints."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.watch_box import Box, study
from scanside_appliance.clock import Clock, ClockWatch
from scanside_appliance.files.layout import BoxLayout, patient_key, study_key
from scanside_appliance.jobs.book.database import SCHEMA_VERSION
from scanside_appliance.jobs.book.errors import BoxDatabaseNewer
from scanside_appliance.jobs.book.rows import CLEANED, Job, NewFile, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.priority import PATIENCE, is_due, next_job, passed_over, rank
from scanside_appliance.jobs.retention import finish_cleaning, give_reserve, keep_reserve
from scanside_appliance.upkeep.book_shape import book_problems
from scanside_runtime.settings.box import DiskSettings

NOW = 1_800_000_000.0


def test_what_a_disk_says_is_told_with_the_box_s_folder_and_with_no_name_in_it(layout: BoxLayout) -> None:
    places = (str(layout.results / "Doe^Jane" / "1"), None, str(layout.root / "archive" / "x"))
    denied = PermissionError(13, "Permission denied", *places)
    assert layout.about(denied) == f"{layout.results} or {layout.root}/archive: Permission denied"
    assert layout.about(OSError(28, "No space left", "/elsewhere/Doe^Jane")) == "No space left"


def test_the_status_says_that_the_root_is_mounted_read_only_though_the_service_runs(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.run()
    assert box.scanside("status").exit_code == 0
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    status = box.scanside("status")
    assert (status.exit_code, "BOX_ROOT" in status.output, "Read-only file system" in status.output) == (5, True, True)


@pytest.fixture
def layout(tmp_path: Path) -> BoxLayout:
    found = BoxLayout(tmp_path / "box")
    found.make()
    return found


def job(layout: BoxLayout, number: int = 1, **columns: object) -> Job:
    with Store(layout.database) as store:
        return store.add_job(State.queued, "", study=f"s{number}", patient="p", **columns)


def test_a_jump_of_years_is_told_in_days() -> None:
    times = [NOW, 0.0]
    clocks = ClockWatch(Clock(wall=lambda: times[0], monotonic=lambda: times[1]))
    times[:] = [NOW - 3600.0, 0.0]
    assert clocks.look() == "the box's clock jumped by -3600 s while it ran"
    times[:] = [NOW - 3600.0 + 400 * 86_400.0, 0.0]
    assert clocks.look() == "the box's clock jumped by +400 days while it ran"


def test_a_wall_clock_that_runs_with_the_monotonic_one_is_no_trouble() -> None:
    times = [NOW, 0.0]
    watch = ClockWatch(Clock(monotonic=lambda: times[1], wall=lambda: times[0]))
    times[:] = [NOW + 3600.0, 3590.0]
    assert watch.look() is None


@pytest.mark.parametrize("jump_s", [10 * 365 * 86400.0, -40 * 86400.0])
def test_a_jump_of_the_wall_clock_is_said_until_the_daemon_ends(jump_s: float) -> None:
    times = [NOW, 0.0]
    watch = ClockWatch(Clock(monotonic=lambda: times[1], wall=lambda: times[0]))
    times[0] += jump_s
    assert "jumped" in str(watch.look())
    assert "jumped" in str(watch.look())


def test_a_clock_that_stands_in_1970_is_said() -> None:
    assert "1970-01-01" in str(ClockWatch(Clock(wall=lambda: 5.0)).look())


def test_the_reserve_is_kept_given_and_taken_again(layout: BoxLayout) -> None:
    settings = DiskSettings(reserve_mb=1)
    keep_reserve(layout, settings)
    assert layout.reserve.stat().st_size == 2**20
    give_reserve(layout)
    assert not layout.reserve.exists()
    keep_reserve(layout, settings)
    keep_reserve(layout, replace(settings, reserve_mb=0))
    assert layout.reserve.stat().st_size == 0


def test_a_cleaning_that_was_cut_short_is_finished_at_the_start(layout: BoxLayout) -> None:
    folder = layout.root / "archive" / "p" / "s1"
    folder.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm"):
        (folder / name).write_bytes(b"x")
    with Store(layout.database) as store:
        one = store.add_job(State.done, "", study="s1", patient="p")
        place = "archive/p/s1"
        store.add_files(one, [NewFile(b"", n, n, 1, True, place, f"{n}.dcm", 0) for n in ("1", "2")])
        store.put([store.files(one.id)[0].id], CLEANED)
        finish_cleaning(layout, store)
    assert [path.name for path in folder.iterdir()] == ["2.dcm"]


def test_a_database_of_a_newer_version_is_left_alone(layout: BoxLayout) -> None:
    job(layout)
    with sqlite3.connect(layout.database) as sql:
        sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(BoxDatabaseNewer, match="newer"):
        Store(layout.database)


def test_a_database_of_the_version_before_is_brought_up_and_keeps_its_jobs(layout: BoxLayout) -> None:
    before = job(layout, verdict="held")
    with sqlite3.connect(layout.database) as sql:
        sums = [f"DROP INDEX {one}_sum;" for one in ("jobs", "files", "result_files", "counters")]
        sql.executescript(
            f"{' '.join(sums)} DROP TABLE archives; DROP TABLE audit; DROP TABLE taken; "
            "ALTER TABLE files DROP COLUMN mtime_ns; "
            "ALTER TABLE files DROP COLUMN data_sha256; "
            "DROP TABLE sent_objects; DROP TABLE deliveries; ALTER TABLE jobs DROP COLUMN rested_h; "
            "ALTER TABLE jobs DROP COLUMN alone; ALTER TABLE jobs DROP COLUMN series_uid; PRAGMA user_version = 1;"
        )
    sql.close()
    with Store(layout.database) as store:
        assert store.jobs(State) == [before]
        assert store._sql.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert book_problems(store) == []


def test_a_transaction_that_fails_leaves_nothing(layout: BoxLayout) -> None:
    with Store(layout.database) as store:
        with pytest.raises(ZeroDivisionError), store.transaction():
            store.add_job(State.queued, "")
            raise ZeroDivisionError
        assert store.jobs(State) == []


def test_every_commit_is_synced_and_journalled_ahead(layout: BoxLayout) -> None:
    with Store(layout.database) as store:
        assert store._sql.execute("PRAGMA synchronous").fetchone() == (2,)
        assert store._sql.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_severe_then_rising_then_watched_then_the_oldest(layout: BoxLayout) -> None:
    found = {
        name: rank([job(layout, severity=severity, trend=trend)])
        for name, severity, trend in (
            ("severe and rising", "severe", "rising"),
            ("severe", "severe", "stable"),
            ("watched and rising", "watch", "rising"),
            ("rising", "none", "rising"),
            ("watched", "watch", None),
            ("well", "none", None),
        )
    }
    assert list(found) == sorted(found, key=found.__getitem__, reverse=True)
    assert len(set(found.values())) == 6
    assert rank([]) == 0


def test_the_last_result_that_says_something_counts(layout: BoxLayout) -> None:
    severe, refused = job(layout, severity="severe"), job(layout, severity="not_assessed")
    assert rank([severe, refused]) == rank([severe])


def test_who_can_not_be_measured_but_looks_extensive_is_at_the_front(layout: BoxLayout) -> None:
    watched, extensive = job(layout, severity="watch"), job(layout, severity="extensive")
    assert rank([watched, extensive]) == rank([job(layout, severity="severe")]) > rank([watched])


def test_who_was_passed_over_too_often_is_next(layout: BoxLayout) -> None:
    old, grave = job(layout, passed_over=PATIENCE), job(layout)
    assert next_job([old, grave], lambda one: int(one.id == grave.id)) == old
    assert next_job([replace(old, passed_over=0), grave], lambda one: int(one.id == grave.id)) == grave
    assert next_job([], lambda _: 0) is None


def test_of_what_is_measured_once_more_one_at_a_time_is_passed_over(layout: BoxLayout) -> None:
    new, first, second, taken, younger = (job(layout, number) for number in range(5))
    waiting = [new, first, second, taken, younger]
    assert passed_over(waiting, {first.id, second.id}, taken) == [new, first]
    assert passed_over(waiting, {second.id}, taken) == [new, first, second]


def test_a_wait_does_not_outlive_its_boot(layout: BoxLayout) -> None:
    waiting = job(layout, not_before=100.0, boot="this")
    assert not is_due(waiting, 99.0, "this")
    assert is_due(waiting, 100.0, "this")
    assert is_due(waiting, 0.0, "the next one")


@given(st.text(), st.text())
def test_keys_are_plain_whatever_a_header_says(one: str, other: str) -> None:
    keys = (study_key(one), patient_key(one, other, one))
    assert all(len(key) == 16 and set(key) <= set("0123456789abcdef") for key in keys)


def test_patients_without_an_id_share_no_folder_and_issuers_part_patients() -> None:
    assert patient_key(None, None, "1.2.1") != patient_key("", None, "1.2.2")
    assert patient_key("7", "A", "1") != patient_key("7", "B", "1")
    assert patient_key("7", "A", "1") == patient_key("7", "A", "2")


@pytest.mark.parametrize("said", ["[]", "[" * 100_000, '{"jobs": [1]}', '{"headline": 3, "waiting": [1]}', "null"])
def test_a_status_that_somebody_else_wrote_counts_as_nothing_said(box: Box, said: str) -> None:
    box.put(*study(1))
    box.run()
    (box.root / "status.json").write_text(said)
    shown = box.scanside("status")
    assert shown.exit_code == 0
    assert "never" in shown.output
