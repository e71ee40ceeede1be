"""The book made anew, a study measured again, and everything held against the book."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kit.child_programs import BEGINS
from kit.watch_box import PYTHON, Box, study
from scanside_appliance.files.layout import BoxLayout, patient_folder, study_key
from scanside_appliance.jobs.book.audit import AuditEntry, broken_at, entries
from scanside_appliance.jobs.book.errors import BoxDatabase, BoxDatabaseMissing, BoxDatabaseNewer, BoxDatabaseWhole
from scanside_appliance.jobs.book.rows import CLEANED, NewFile, State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.errors import BoxUnread
from scanside_appliance.languages.words import words
from scanside_appliance.service.errors import BoxRunning
from scanside_appliance.service.root_lock import only_one
from scanside_appliance.service.status import write_failure
from scanside_appliance.upkeep.rebuild import Rebuilt
from scanside_appliance.upkeep.verify import verify
from sweeps.box import Slice

COLUMNS = "study, study_uid, patient, state, revision, code, alone, series_uid, incomplete, verdict, severity, trend"
EMPTY = hashlib.sha256(b"").hexdigest()
FILES = "study, sop_uid, sha256, size, whole, place, name"


def book(box: Box) -> tuple[list[Any], list[Any], list[Any]]:
    """What the book says of jobs, files and results, without their numbers and the words of reasons."""
    with closing(sqlite3.connect(box.root / "scanside.db")) as sql:
        jobs = sql.execute(f"SELECT {COLUMNS} FROM jobs ORDER BY study, revision, code").fetchall()
        files = sql.execute(
            f"SELECT {FILES}, (SELECT revision FROM jobs WHERE id = job) FROM files ORDER BY sha256"
        ).fetchall()
        results = sql.execute(
            "SELECT study, revision, name, sha256 FROM result_files JOIN jobs ON jobs.id = job ORDER BY 1, 2, 3"
        ).fetchall()
    return jobs, files, results


def lose(box: Box) -> None:
    for end in ("", "-wal", "-shm"):
        (box.root / f"scanside.db{end}").unlink(missing_ok=True)


@pytest.fixture
def full(box: Box) -> Box:
    """Revisions, a refusal, one that ended its process, what is held, and junk."""
    box.put(*study(1, text="SEVERE"), *study(2, text="CRASH"), *study(3, text="REFUSED"))
    box.put(*study(5, patient="P1", text="RISING"))
    box.put(Slice(9, 1, whole=False), Slice(6, 1), Slice(6, 2), Slice(6, 4))
    (box.inbox / "junk.txt").write_bytes(b"no image")
    box.run()
    box.put(Slice(1, 4))
    box.run()
    box.put(Slice(1, 2, "other"))
    assert box.scanside("release", study_key("1.2.3"), "--series", "2").exit_code == 0
    box.run()
    return box


def test_a_book_that_is_made_anew_says_what_the_lost_one_said(full: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    before = book(full)
    lose(full)
    found = full.rebuild(monkeypatch)
    assert (found["schema"], found["unusable"], found["kept"]) == ("scanside.rebuild/1", [], None)
    assert book(full) == before
    assert json.loads(full.scanside("verify", "--json").output)["ok"]


def test_what_was_held_or_put_aside_goes_on_from_a_book_that_was_made_anew(
    full: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(full)
    full.rebuild(monkeypatch)
    assert full.scanside("release", study_key("1.2.1")).exit_code == 0
    assert full.scanside("retry", study_key("1.2.2")).exit_code == 0
    full.run()
    assert [len(one["inputs"]) for one in full.of(1)] == [3, 4, 4]
    assert full.places("work") == []


def test_an_archived_study_without_a_result_is_measured_at_the_next_start(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1), *study(2))
    box.run()
    shutil.rmtree(box.root / "results" / patient_folder("P1", None))
    lose(box)
    assert box.rebuild(monkeypatch)["to_be_analysed"] == 1
    box.run()
    assert [len(one["inputs"]) for one in (*box.of(1), *box.of(2))] == [3, 3]
    assert box.is_sound()


def test_a_damaged_book_is_kept_beside_the_new_one(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(*study(1))
    box.run()
    damage = b"SQLite format 3\0" + b"\xff" * 9000
    (box.root / "scanside.db").write_bytes(damage)
    kept = Path(box.rebuild(monkeypatch)["kept"])
    assert kept.read_bytes() == damage
    box.put(*study(1), *study(2))
    box.run()
    assert (len(box.of(1)), len(box.of(2))) == (1, 1)
    assert box.is_sound()


def test_the_word_of_a_damaged_book_does_not_outlast_it_and_the_next_step_is_said(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    (box.root / "scanside.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    with pytest.raises(BoxDatabase):
        box.run()
    assert "it ended with BOX_DATABASE" in (box.root / "status.json").read_text()
    box.rebuild(monkeypatch)
    after = json.loads(box.scanside("status", "--json").output)
    assert (after["trouble"], after["headline"]) == (None, "not running")
    assert "scanside_trouble 0" in (box.root / "metrics.prom").read_text()
    assert "scanside watch" in Rebuilt().lines(words("en"))[-1]


def test_a_trouble_that_is_not_the_books_stays_after_it_was_made_anew(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.run()
    write_failure(BoxLayout(box.root), "2026-11-01T10:00:00", "it ended with BOX_DISK: broken")
    box.rebuild(monkeypatch, "--anyway")
    assert json.loads(box.scanside("status", "--json").output)["trouble"] == "it ended with BOX_DISK: broken"


def audit_of_a_measured_study(box: Box) -> list[AuditEntry]:
    box.put(*study(1))
    box.run()
    with Store(box.root / "scanside.db") as store:
        return list(entries(store))


def test_the_audit_goes_on_in_a_book_that_was_made_anew_and_shows_a_result_that_was_changed(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = audit_of_a_measured_study(box)
    assert box.rebuild(monkeypatch, "--anyway")["audit_entries"] == len(before)
    with Store(box.root / "scanside.db") as store:
        *same, last = entries(store)
        assert (same, last.event, broken_at(store)) == (before, "rebuilt", None)
    assert box.scanside("verify").exit_code == 0
    (path,) = box.root.glob("results/*/*/1/result.json")
    path.write_text(path.read_text().replace('"none"', '"watch"'))
    box.rebuild(monkeypatch, "--anyway")
    found = json.loads(box.scanside("verify", "--json").output)["differences"]
    assert [one["of"] for one in found] == ["audit"]


def test_the_audit_goes_on_though_the_old_book_was_put_aside_and_the_new_one_did_not_get_its_name(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = audit_of_a_measured_study(box)
    renamed = Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda path, to: refuse() if path.suffix == ".new" else renamed(path, to))
        assert box.scanside("rebuild", "--anyway").exception.code == "BOX_ROOT"
    assert not (box.root / "scanside.db").exists()
    assert box.rebuild(monkeypatch)["audit_entries"] == len(before)
    assert box.is_sound()


def refuse() -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_what_the_disk_says_to_a_command_is_no_defect(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(*study(1))
    box.run()
    monkeypatch.setattr("scanside_appliance.upkeep.rebuild.archive_folders", lambda _: refuse())
    monkeypatch.setattr("scanside_appliance.upkeep.redo.Intake", lambda *_: refuse())
    monkeypatch.setattr("scanside_appliance.upkeep.verify.result_folders", lambda _: refuse())
    for command in (("rebuild", "--anyway"), ("redo", study_key("1.2.1")), ("verify",)):
        assert box.scanside(*command).exception.code == "BOX_ROOT", command


def test_what_the_disk_does_not_give_is_named_and_no_book_is_made_without_it(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    (box.inbox / "junk.txt").write_bytes(b"no image")
    box.run()
    before, there = book(box), sorted(box.root.rglob("*"))
    lose(box)
    with monkeypatch.context() as patch:
        for reading in ("read_result", "read_reason", "read_kept"):
            patch.setattr(f"scanside_appliance.upkeep.rebuild.{reading}", lambda *_: refuse())
        with pytest.raises(BoxUnread, match=r"quarantine/.*: Input/output error; results/.*; archive/"):
            box.rebuild(monkeypatch)
        assert not list(box.root.glob("scanside.db*.new*"))
        assert box.scanside("rebuild", "--anyway").exit_code == 5
    found = box.rebuild(monkeypatch, "--anyway")
    assert (found["unread"], book(box)) == ([], before)
    assert set(there) <= {*box.root.rglob("*")}


def test_an_archived_slice_that_ends_its_reader_now_is_not_put_aside(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that ran short, a library that the disk did not give: its bytes are what its name says."""
    box.put(*study(1))
    box.run()
    before = book(box)
    lose(box)
    ends = (*PYTHON, "-c", f"{BEGINS}input(); raise SystemExit(7)")
    with pytest.raises(BoxUnread, match=r"archive/.*: its bytes are what they were"):
        box.rebuild(monkeypatch, command=ends)
    assert len(box.rebuild(monkeypatch, "--anyway", command=ends)["unread"]) == 3
    box.run()
    assert (len(box.places("archive")), box.places("quarantine")) == (3, [])
    box.rebuild(monkeypatch, "--anyway")
    assert book(box) == before


@pytest.mark.parametrize("named", ["/elsewhere/library.so", 7])
def test_what_the_disk_does_not_give_is_named_though_its_error_names_what_is_not_of_the_box(
    box: Box, monkeypatch: pytest.MonkeyPatch, named: str | int
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", named)

    result = BoxLayout(box.root).result("a" * 16, "b" * 16, 1) / "result.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    monkeypatch.setattr("scanside_appliance.upkeep.rebuild.read_result", refused)
    with pytest.raises(BoxUnread, match=r"results/.*/1: Input/output error"):
        box.rebuild(monkeypatch)


def test_a_page_that_the_disk_gives_at_the_second_look_makes_no_book_damaged_and_no_audit_new(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = audit_of_a_measured_study(box)
    damaged = iter([BoxDatabase(name="scanside.db", why="malformed")])
    monkeypatch.setattr("scanside_appliance.upkeep.rebuild.check_book", lambda *_: raised(damaged))
    with pytest.raises(BoxDatabaseWhole):
        box.rebuild(monkeypatch)
    connect, troubles = sqlite3.connect, iter([sqlite3.DatabaseError("database disk image is malformed")])
    monkeypatch.setattr(
        "scanside_appliance.upkeep.old_audit.sqlite3.connect",
        lambda name, **more: (raised(troubles) if "mode=ro" in str(name) else None) or connect(name, **more),
    )
    assert box.rebuild(monkeypatch, "--anyway")["audit_entries"] == len(before)


def raised(troubles: Iterator[Exception]) -> None:
    """The next of them, and then none."""
    for one in troubles:
        raise one


def test_only_a_lost_or_damaged_book_is_made_anew(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.root.mkdir()
    with pytest.raises(BoxDatabaseMissing):
        box.rebuild(monkeypatch)
    box.put(*study(1))
    box.run()
    with pytest.raises(BoxDatabaseWhole):
        box.rebuild(monkeypatch)
    assert box.rebuild(monkeypatch, "--anyway")["results"] == 1
    with closing(sqlite3.connect(box.root / "scanside.db")) as sql:
        sql.execute("PRAGMA user_version = 99")
    with pytest.raises(BoxDatabaseNewer):
        box.rebuild(monkeypatch)
    with only_one(BoxLayout(box.root)), pytest.raises(BoxRunning):
        box.rebuild(monkeypatch, "--anyway")


def test_what_was_changed_in_the_archive_does_not_get_into_a_new_book_as_sound(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1))
    box.run()
    changed = sorted(box.root.glob("archive/*/*/*"))[0]
    changed.write_bytes(Slice(1, 1, "changed").content())
    (changed.parent / "note.txt").write_text("mine")
    lose(box)
    (words,) = box.rebuild(monkeypatch)["unusable"]
    assert "not those that its name says" in words
    box.run()
    assert len(box.places("quarantine/BOX_ARCHIVE_ALTERED")) == 1
    box.put(*study(1))
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 3]
    assert (changed.parent / "note.txt").exists()


def test_a_result_that_is_none_is_named_and_never_overwritten(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(*study(1))
    box.run()
    (path,) = box.root.glob("results/*/*/1/result.json")
    path.write_text("{")
    lose(box)
    found = box.rebuild(monkeypatch)
    assert (len(found["unusable"]), found["to_be_analysed"]) == (1, 1)
    box.run()
    assert path.read_text() == "{"
    assert (path.parents[1] / "2" / "result.json").exists()


def test_verify_of_a_box_that_is_as_it_was_written_finds_nothing(full: Box) -> None:
    shown = full.scanside("verify")
    assert (shown.exit_code, "all as it was written" in shown.output) == (0, True)


def test_verify_names_each_thing_that_is_not_as_it_was_written(full: Box) -> None:
    result, other = sorted(full.root.glob("results/*/*/1/result.json"))[:2]
    archived, gone, *_ = sorted(full.root.glob("archive/*/*/*.dcm"))
    result.write_text("{}")
    other.unlink()
    archived.write_bytes(b"x")
    gone.unlink()
    (result.parent / "planted.html").write_text("x")
    (archived.parent / f"{'0' * 40}.dcm").write_bytes(b"x")
    (full.root / "bundles" / "old").mkdir(parents=True)
    shown = full.scanside("verify", "--json")
    found = {(one["of"], Path(one["path"]).name, one["why"]) for one in json.loads(shown.output)["differences"]}
    assert shown.exit_code == 5
    assert {one for one in found if one[0] != "bundle"} == {
        ("result", "result.json", "it is not what was written"),
        ("result", "result.json", "it is missing"),
        ("result", "planted.html", "it is not in the book"),
        ("archive", archived.name, "it is not what was written"),
        ("archive", gone.name, "it is missing"),
        ("archive", f"{'0' * 40}.dcm", "it is not in the book"),
    }
    assert [one[1] for one in found if one[0] == "bundle"] == ["old"]


@pytest.mark.parametrize("how", ["damaged", "lost"])
def test_verify_says_what_ails_the_book_and_looks_at_the_rest(full: Box, how: str) -> None:
    if how == "lost":
        lose(full)
    else:
        (full.root / "scanside.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    (difference,) = json.loads(full.scanside("verify", "--json").output)["differences"]
    assert (difference["of"], "BOX_DATABASE" in difference["why"]) == ("database", True)


@pytest.mark.parametrize("named", ["name", "uid", "patient"])
def test_a_study_whose_result_is_gone_is_measured_again_when_a_person_says_so(box: Box, named: str) -> None:
    box.put(*study(1), *study(2))
    box.run()
    shutil.rmtree(box.root / "results" / patient_folder("P1", None))
    box.run()
    assert json.loads((box.root / "status.json").read_text())["missing"] == [study_key("1.2.1")]
    wanted = {"name": study_key("1.2.1"), "uid": "1.2.1", "patient": "P1"}[named]
    shown = box.scanside("redo", wanted, "--json")
    assert json.loads(shown.output) == [{"study": study_key("1.2.1"), "state": "claiming"}]
    box.run()
    (again,) = box.of(1)
    assert (again["revision"], len(again["inputs"])) == (2, 3)
    assert json.loads((box.root / "status.json").read_text())["missing"] == []
    assert len(box.of(2)) == 1


def test_every_study_of_a_patient_is_measured_again_oldest_first(box: Box) -> None:
    for number in (1, 2):
        box.put(*study(number, patient="P"))
        box.run()
    shown = box.scanside("redo", "P", "--json")
    assert [one["study"] for one in json.loads(shown.output)] == [study_key("1.2.1"), study_key("1.2.2")]
    box.run()
    assert [[one["revision"] for one in box.of(number)] for number in (1, 2)] == [[1, 2], [1, 2]]
    assert box.is_sound()


def test_a_study_of_which_files_are_gone_is_not_measured_in_part(box: Box) -> None:
    box.put(*study(1))
    box.run()
    next(box.root.glob("archive/*/*/*.dcm")).unlink()
    shown = box.scanside("redo", "1.2.1")
    assert getattr(shown.exception, "code", None) == "BOX_ARCHIVE_MISSING"
    assert "1 file that the book has" in str(shown.exception)
    with Store(box.root / "scanside.db") as store:
        assert [job.state for job in store.jobs(State)] == [State.done]


def test_nothing_is_measured_again_that_is_not_known_or_is_under_way(box: Box) -> None:
    box.put(*study(1))
    box.run()
    assert getattr(box.scanside("redo", "nobody").exception, "code", None) == "BOX_NO_SUCH_STUDY"
    assert box.scanside("redo", "1.2.1").exit_code == 0
    assert getattr(box.scanside("redo", "1.2.1").exception, "code", None) == "BOX_NO_SUCH_STUDY"


def test_verify_holds_a_page_of_the_books_files_and_not_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanside_appliance.upkeep.verify._bundles", lambda *_: [])
    layout = BoxLayout(tmp_path)
    layout.make()
    kept = layout.root / "quarantine" / "one"
    kept.mkdir(parents=True)
    (kept / "file").write_bytes(b"")
    sums = [f"{n:064x}" for n in range(2500)]
    with Store(layout.database) as store, store.transaction():
        job = store.add_job(State.done, "2026-11-29T00:00:00+00:00", study="s", patient="p")
        for place in ("quarantine/one", CLEANED):
            store.add_files(job, [NewFile(b"", one, EMPTY, 0, True, place, "file", 0, one) for one in sums])
        store.add_files(job, [NewFile(b"", "1.2", EMPTY, 0, True, "elsewhere", "lost", 0, "")])
    tracemalloc.start()
    try:
        found = verify(layout, lambda *_: None, tmp_path / "keys")
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.archived_files, [one.why for one in found.differences]) == (
        2500,
        ["its place in the book, 'elsewhere', is none"],
    )
    assert most_bytes < 2**21
