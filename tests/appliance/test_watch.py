"""The watched folder from inbox to archive: `scanside watch` with cheap children in place of headers and networks."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kit.hostile_text import FILE_NAME, MARK, SHORT, begun_lines, obeyed
from kit.watch_box import Box, study
from scanside_appliance.files.layout import study_key
from scanside_appliance.jobs.book.rows import State
from scanside_appliance.jobs.book.store import Store
from scanside_appliance.jobs.file_mover import TIRED
from scanside_appliance.service.service import watch
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.load import load_settings
from sweeps.box import Slice, write_settings


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
    for one_slice in (*study(1), *study(2)):
        box.put(replace(one_slice), folder=f"flat/{one_slice.study}")
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


def test_a_late_slice_makes_a_revision_that_supersedes_and_the_old_result_stays(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(Slice(1, 4))
    box.run()
    first, second = box.of(1)
    assert (first["revision"], second["revision"], second["supersedes"]) == (1, 2, "1")
    assert len(second["inputs"]) == 4
    assert box.is_sound()


def test_two_contents_of_one_slice_in_one_delivery_hold_the_whole_study(box: Box) -> None:
    box.put(*study(1), Slice(1, 2, "other"))
    box.run()
    assert box.results() == {}
    assert len(box.places("quarantine/INPUT_CONFLICT")) == 4
    assert box.is_sound()


def test_a_slice_that_was_cut_off_is_replaced_by_the_whole_one(box: Box) -> None:
    box.put(Slice(1, 1), Slice(1, 2, whole=False), Slice(1, 3))
    box.run()
    assert box.of(1)[0]["incomplete"] == "1 file(s) break off"
    box.put(Slice(1, 2), folder="again")
    box.run()
    assert box.of(1)[1]["incomplete"] is None
    assert len(box.of(1)[1]["inputs"]) == 3
    assert len(box.places("quarantine/INPUT_SUPERSEDED")) == 1
    assert box.is_sound()


def test_a_cut_off_copy_of_a_whole_slice_is_put_aside(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(Slice(1, 2, whole=False))
    box.run()
    assert len(box.of(1)) == 1
    assert len(box.places("quarantine/INPUT_BROKEN")) == 1
    assert box.is_sound()


def test_a_study_with_a_hole_goes_on_as_incomplete(box: Box) -> None:
    box.put(*(Slice(1, n) for n in (1, 2, 3, 7)))
    box.run()
    assert box.of(1)[0]["incomplete"] == "1 hole(s) between the slices"


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
    box.run()
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


def test_once_waits_for_what_changes_still_says_so_and_ends_all_the_same(
    box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    """Before, a file that changed with each look kept it from its end for ever."""
    box.put(*study(1))
    path = write_settings(box.root, quiet_s=0.1, patience_s=1)
    grows = box.inbox / "study1" / "log"

    def grow() -> None:
        with grows.open("ab") as handle:
            handle.write(b"more")

    with caplog.at_level(logging.INFO, "scanside"):
        watch(replace(box.plan(lambda: load_settings(path)), progressed=grow))
    assert "1 file(s) in the inbox are still changing: waited for, each 1 s at most" in caplog.text
    assert "1 file(s) in the inbox change all the time: they stay there" in caplog.text
    assert [len(one["inputs"]) for one in box.of(1)] == [3]
    assert box.places("inbox") == ["inbox/study1/log"]
    assert json.loads(box.scanside("status", "--json").output)["unreadable"]


def test_the_reason_says_what_the_files_were_called_in_the_inbox(box: Box) -> None:
    names = ("scan 7/Übersicht.txt", "a\x1b[2J\nb.txt", "r\u202etxt.exe", "back\\slash")
    for name in names:
        path = box.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"no image {len(name)}")
    (box.inbox / os.fsdecode(b"odd\xff")).write_text("no image at all")
    box.run()
    reasons = {
        path.parent: path.read_text(encoding="utf-8")
        for path in box.root.glob("quarantine/INPUT_NOT_DICOM/*/reason.txt")
    }  # what was quiet at one look is put aside together
    lines = [line for reason in reasons.values() for line in reason.splitlines() if "  was  " in line]
    assert {line.partition("  was  ")[2] for line in lines} == {
        "scan 7/Übersicht.txt", r"a\x1b[2J\nb.txt", r"r\u202etxt.exe", r"back\\slash", r"odd\udcff",
    }  # fmt: skip
    for folder, reason in reasons.items():
        kept = {file.name for file in folder.iterdir()} - {"reason.txt"}
        assert kept
        assert all(name in reason for name in kept)


def test_retry_analyses_again_what_was_put_aside(box: Box) -> None:
    box.put(*study(1, text="HANG"))
    box.run()
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


def test_new_slices_of_a_study_that_was_put_aside_bring_all_of_it_back(box: Box) -> None:
    box.put(*study(1, text="HANG"))
    box.run()
    box.put(Slice(1, 4, "HANG"))
    box.run()
    assert len(box.places("quarantine/BOX_ANALYSIS_DIED")) == 4
    assert box.is_sound()


def test_a_refusal_is_a_result(box: Box) -> None:
    box.put(*study(1, text="REFUSED"))
    box.run()
    assert box.of(1)[0]["verdict"] == "refused"
    assert len(box.places("archive")) == 3


def test_severe_and_rising_patients_come_first_and_earlier_results_are_handed_over(box: Box) -> None:
    box.put(Slice(1, 1, "SEVERE", patient="grave"))
    box.put(Slice(2, 1, patient="well"))
    box.put(Slice(3, 1, "RISING", patient="rising"))
    box.run()
    box.put(Slice(5, 1, patient="well"))
    box.put(Slice(6, 1, patient="rising"))
    box.put(Slice(7, 1, patient="grave"))
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


@pytest.mark.usefixtures("no_selftest")
def test_no_name_reaches_a_log_a_status_or_an_error(
    box: Box, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for number, text in enumerate(("", "CRASH", "DEFECT", "BOX", "REFUSED")):
        person = f"CANARY{SHORT}{number}"
        box.put(*study(number, text=f"{text} {person}", patient=person), folder=person)
    (box.inbox / f"CANARY{FILE_NAME}.txt").write_text("CANARY")
    with pytest.raises(ScansideError) as stuck:
        box.run()
    printed = capfd.readouterr()
    words = [printed.out, printed.err, caplog.text, str(stuck.value)]
    words += [path.read_text() for path in (box.root / "status.json", box.root / "metrics.prom")]
    words += [path.read_text().partition("In the inbox")[0] for path in box.root.rglob("reason.txt")]
    words += [box.scanside(*line, "--json").output for line in (("status",), ("queue", "--all", "--no-names"))]
    words += [box.scanside("audit").output, box.scanside("doctor", "--support", str(box.root / "support.zip")).output]
    with zipfile.ZipFile(box.root / "support.zip") as support:
        words += [support.read(name).decode() for name in support.namelist()]
    assert len(words) > 14
    assert not [text for text in words if "CANARY" in text or MARK in text or obeyed(text)]
    named = box.scanside("queue", "--all").output
    assert "CANARY" in named and not obeyed(named) and not begun_lines(named)
