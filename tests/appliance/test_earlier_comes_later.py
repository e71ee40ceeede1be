"""A patient's earlier scan comes after the later one: what was measured without it is measured again, and knows it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kit.course_samples import ERROR, result
from kit.watch_box import Box, study
from scanside_appliance.files.layout import BoxLayout, patient_key, study_key
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import FileMover
from scanside_appliance.languages.words import words
from scanside_appliance.results.outdated import outdated_by
from scanside_appliance.results.with_care import READ_WITH_CARE
from scanside_appliance.service.errors import BoxStuck
from scanside_appliance.service.queue_words import live_rows
from scanside_runtime.followup.progression import progression
from scanside_runtime.followup.scan import Scan


def earlier_ones(box: Box, number: int) -> list[list[str]]:
    """By revision of a study, the studies that its analysis was given as the patient's others."""
    return [sorted(Path(one).parent.name for one in document["earlier"]) for document in box.of(number)]


def named_by_the_doctor(box: Box) -> set[str]:
    conditions = json.loads(box.scanside("doctor", "--json").output)["conditions"]
    return {
        study for one in conditions if one["subject"] == "courses" for study in one["found"].split(": ")[1].split(", ")
    }


def cautions(box: Box) -> dict[str, list[str]]:
    """What stands beside each number of the worklist."""
    return {one["study"]: one["cautions"] for one in json.loads(box.scanside("worklist", "--json").output)["studies"]}


def test_the_later_one_is_measured_again_with_it_and_what_was_there_stays(box: Box) -> None:
    box.put(*study(1))
    box.run()
    (before,) = box.root.glob("results/[!.]*/*/1/result.json")
    was = before.read_bytes()
    box.put(*study(2, text="EARLIER", patient="P1"))
    box.run()
    assert earlier_ones(box, 1) == [[], [study_key("1.2.2")]]
    assert [one["supersedes"] for one in box.of(1)] == [None, "1"]
    assert len(box.of(2)) == 1
    assert before.read_bytes() == was
    assert box.is_sound()
    said = json.loads(box.scanside("audit", "--json").output)
    (redone,) = [one for one in said["entries"] if one["event"] == "redone"]
    assert (redone["study"], redone["facts"]) == (
        study_key("1.2.1"), {"revision": 1, "earlier_scan": study_key("1.2.2")},
    )  # fmt: skip


def test_a_revision_says_that_it_was_made_for_an_earlier_scan_and_for_nothing_else(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(*study(2, text="EARLIER", patient="P1"))
    box.run()
    for series in ("2", "auto", "2"):
        assert box.scanside("release", study_key("1.2.1"), "--series", series).exit_code == 0
        box.run()
    box.scanside("redo", study_key("1.2.1"))
    box.run()
    box.put(*study(1, slices=5))
    box.run()
    assert [one["for_earlier_scan"] for one in box.of(1)] == [False, True, *[False] * 5]
    assert [one["for_earlier_scan"] for one in box.of(2)] == [False]


@pytest.mark.usefixtures("no_selftest")
def test_one_that_was_under_way_is_named_where_no_result_comes_of_that(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(*study(1, slices=5, text="CRASH")[3:], *study(2, text="EARLIER", patient="P1"))
    box.run()
    later = study_key("1.2.1")
    assert (len(box.of(1)), len(box.of(2)), named_by_the_doctor(box)) == (1, 1, {later})
    assert cautions(box) == {later: ["BOX_EARLIER_RESULT"], study_key("1.2.2"): []}


def test_it_does_not_begin_before_the_earlier_result_is_there(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(*study(1))
    box.run()
    box.put(*study(2, text="EARLIER", patient="P1"))
    publish, failing = FileMover._publish, iter(range(3))

    def slow(mover: FileMover, job: Any) -> Any:
        if next(failing, None) is not None:
            raise OSError(5, "Input/output error")
        return publish(mover, job)

    monkeypatch.setattr(FileMover, "_publish", slow)
    box.run()
    assert next(failing, None) is None, "it was never put off"
    assert earlier_ones(box, 1) == [[], [study_key("1.2.2")]]


def test_nobody_new_waits_for_what_is_measured_again_however_grave_that_patient_is(box: Box) -> None:
    box.put(*study(1, text="SEVERE"))
    box.run()
    box.put(*study(2, text="EARLIER SEVERE", patient="P1"), *study(3))
    box.run()
    entries = json.loads(box.scanside("audit", "--json").output)["entries"]
    measured = [one["study"] for one in entries if one["event"] == "result"]
    assert measured == [study_key(f"1.2.{number}") for number in (1, 2, 3, 1)]


def test_the_queue_is_shown_in_the_order_in_which_it_is_measured(box: Box) -> None:
    box.put(*study(1, text="SEVERE"), *study(3))
    box.run()
    known, new = study_key("1.2.1"), study_key("1.2.3")
    box.scanside("redo", known)
    with Store(BoxLayout(box.root).database) as store:
        for job in (store.jobs_of_study(known)[-1], *store.jobs_of_study(new)):
            store.change(job.id, state=State.queued)
    assert [one["study"] for one in json.loads(box.scanside("queue", "--json").output)] == [new, known]


@pytest.mark.usefixtures("no_selftest")
def test_one_that_a_person_set_apart_and_one_whose_files_are_gone_stay_as_they_are(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.put(*study(1), *study(3), *study(5))
    box.run()
    with Store(BoxLayout(box.root).database) as store:
        store.change(store.jobs_of_study(study_key("1.2.1"))[0].id, alone=1)
        refused = store.change(store.jobs_of_study(study_key("1.2.5"))[0].id, verdict="refused")
        (gone,) = store.jobs_of_study(study_key("1.2.3"))
        store.files(gone.id)[0].path(box.root).unlink()
    for number in (1, 3, 5):
        box.put(*study(number + 1, text="EARLIER", patient=f"P{number}"))
    with caplog.at_level("WARNING", "scanside"):
        box.run()
    assert [len(box.of(number)) for number in (1, 2, 3, 4, 5, 6)] == [1] * 6
    lacks = "an earlier scan came, its course lacks that one"
    assert sorted(line for line in caplog.messages if lacks in line) == sorted(
        [
            f"study {gone.study}: {lacks}: BOX_ARCHIVE_MISSING",
            f"study {refused.study}: {lacks}: measured again it was refused",
        ]
    )
    assert named_by_the_doctor(box) == {gone.study, refused.study}
    assert cautions(box)[gone.study] == ["BOX_EARLIER_RESULT"]


@pytest.mark.usefixtures("no_selftest")
def test_one_whose_analysis_fails_is_named_until_it_has_a_result_again(box: Box) -> None:
    box.put(*study(1, text="ONLY"))
    box.run()
    box.put(*study(2, text="EARLIER", patient="P1"))
    box.run()
    later = study_key("1.2.1")
    assert (len(box.of(1)), len(box.of(2)), named_by_the_doctor(box)) == (1, 1, {later})
    assert cautions(box) == {later: ["BOX_EARLIER_RESULT"], study_key("1.2.2"): []}
    assert "earlier scans left out" in box.scanside("worklist").output
    assert box.scanside("release", later, "--series", "2").exit_code == 0
    assert named_by_the_doctor(box) == set(), "it is under way"
    box.run()
    assert (len(box.of(1)), named_by_the_doctor(box), cautions(box)[later]) == (2, set(), [])


def test_status_and_queue_say_of_such_a_course_what_worklist_and_doctor_say(box: Box) -> None:
    box.put(*study(1, text="ONLY"))
    box.run()
    box.put(*study(2, text="EARLIER", patient="P1"))
    box.run()
    later, layout = study_key("1.2.1"), BoxLayout(box.root)
    (path,) = box.root.glob(f"results/*/{later}/1/result.json")
    found = {"schema": "scanside.result/1", "biomarkers": {"poi_percent": 7.25}}
    path.write_text(json.dumps(json.loads(path.read_text()) | found))

    def said() -> tuple[list[str], int, dict[str, list[str]]]:
        shown, queue = box.scanside("status", "--json"), json.loads(box.scanside("queue", "--all", "--json").output)
        marked = {one["study"]: one["cautions"] for one in queue if one["state"] == "done"}
        return json.loads(shown.output)["outdated"], shown.exit_code, marked

    assert said() == ([later], 0, cautions(box))
    assert cautions(box)[later] == ["BOX_EARLIER_RESULT"]
    assert f"could not be measured again after an earlier one came: {later}\n" in box.scanside("status").output
    assert "scanside_studies_outdated 1\n" in layout.metrics.read_text()
    lines = box.scanside("queue", "--all").output.splitlines()
    assert (any("POI ! 7.2 %" in line for line in lines), lines[-1]) == (True, str(READ_WITH_CARE))
    assert live_rows(layout, words("en"), every=False, names=True)[1] == [lines[-1]]
    box.scanside("release", later, "--series", "2")
    box.run()
    assert said() == ([], 0, {later: [], study_key("1.2.2"): []})
    assert "after an earlier one came" not in box.scanside("status").output


@pytest.mark.usefixtures("no_selftest")
def test_one_is_named_in_a_book_that_was_made_anew_unless_it_was_taken_away(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put(*study(1, text="ONLY"))
    box.run()
    box.put(*study(2, text="EARLIER", patient="P1"))
    box.run()
    box.rebuild(monkeypatch, "--anyway")
    assert named_by_the_doctor(box) == {study_key("1.2.1")}
    for folder in (box.root / "quarantine", *box.root.glob(f"results/*/{study_key('1.2.1')}")):
        shutil.rmtree(folder)
    box.rebuild(monkeypatch, "--anyway")
    assert named_by_the_doctor(box) == set()


def test_one_that_is_held_and_then_released_by_itself_may_change_later_courses_each_time(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(*study(2, text="EARLIER CONFLICT", patient="P1"))
    box.run()
    assert ([one["verdict"] for one in box.of(2)], len(box.of(1))) == (["held"], 2)
    box.scanside("release", study_key("1.2.2"))
    box.run()
    assert [(one["alone"], one["earlier"]) for one in box.of(2)[1:]] == [(True, [])]
    assert earlier_ones(box, 1) == [[], [study_key("1.2.2")], [study_key("1.2.2")]]


def test_an_archive_that_can_t_be_looked_at_keeps_no_earlier_scan_from_its_result(box: Box) -> None:
    box.put(*study(1))
    box.run()
    (archived,) = {file.parent for file in box.root.glob("archive/*/*/*")}
    away = archived.rename(box.root.with_name("away"))
    archived.symlink_to(archived.name)
    box.put(*study(2, text="EARLIER", patient="P1"))
    with pytest.raises(BoxStuck, match=r"can't be moved: .*/archive: "):
        box.run()
    assert len(box.of(2)) == 1
    archived.unlink()
    away.rename(archived)
    box.run()
    assert earlier_ones(box, 1) == [[], [study_key("1.2.2")]]
    assert box.is_sound()


def test_one_that_has_a_result_and_can_t_be_archived_yet_is_named_in_the_log(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.run()
    in_the_way = box.root / "archive" / patient_key("P1", None, "")
    in_the_way.touch()
    for slices in (study(1), study(2, text="EARLIER", patient="P1")):
        box.put(*slices)
        with pytest.raises(BoxStuck):
            box.run()
    assert (len(box.of(1)), len(box.of(2))) == (1, 1)
    (said,) = [line for line in caplog.messages if "its course lacks" in line]
    assert said.startswith(f"study {study_key('1.2.1')}: ")


def test_only_later_scans_of_the_same_person_that_do_not_know_it_as_it_is_are_outdated() -> None:
    days = [f"2020-04-{day:02d}T10:00:00" for day in (1, 5, 9)]
    first, second, third = (result(day, 10.0 + number) for number, day in enumerate(days))
    scans = [Scan.from_document(one) for one in (first, second, third)]
    found = progression(scans[2], scans[:1], ERROR)
    assert found is not None
    third["progression"] = json.loads(json.dumps(found.to_document()))

    def outdated(document: dict[str, Any], *persons: Scan) -> list[str]:
        others = [one for one in (first, second, third) if one is not document]
        return [uid[-19:] for uid in outdated_by(document, persons, others)]

    assert outdated(first, *scans[1:]) == [days[1]]
    assert outdated(second, scans[0], scans[2]) == [days[2]]
    assert outdated(third, *scans[:2]) == []
    assert outdated(second, scans[0]) == [], "the third one is somebody else's"
    assert outdated(first, scans[1]) == days[1:], "the third one has it, and is somebody else's"
    first["biomarkers"]["poi_percent"] = 10.5
    assert outdated(first, *scans[1:]) == days[1:]
    assert outdated(first, scans[2], scans[1]) == days[1:], "the first of them is measured again first"
    assert outdated(result(days[0], None), *scans[1:]) == [], "a refused one hides none that was measured"
    assert outdated(result(days[0], None, verdict="analysed"), *scans[1:]) == days[2:], "its number is withheld now"
    moved = result(days[2][:-1] + "1", 10.0, **{"study.study_uid": first["study"]["study_uid"]})
    assert outdated(moved, *scans[1:]) == days[2:], "it was made after it"
