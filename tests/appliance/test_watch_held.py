"""What a person must decide: slices with two contents, two people under one ID, a study whose files are gone."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from kit.dicom_samples import ROOT, make_series, make_slice, write
from kit.reading import choose_series, find_series
from kit.watch_box import Box, study
from scanside_appliance.files.copies import copy_below
from scanside_appliance.files.layout import patient_key, study_key
from scanside_appliance.inbox import errands
from scanside_appliance.inbox.facts import Facts
from scanside_appliance.jobs.book.rows import Job
from scanside_appliance.jobs.messages import Order
from scanside_appliance.jobs.sorting import of_other_patients, sort_files
from scanside_appliance.jobs.worker import _flags
from scanside_runtime.dicom.series import Series
from scanside_runtime.errors import ScansideError
from scanside_runtime.settings.tables import Settings
from sweeps.box import Slice, contents

Stated = tuple[str | None, str | None]
"""PatientID and issuer, as a file says them or leaves them out."""


def test_the_same_uid_with_other_content_is_held_and_released_by_a_person(box: Box) -> None:
    box.put(*study(1))
    box.run()
    box.put(Slice(1, 2, "other"))
    box.run()
    assert len(box.of(1)) == 1
    key = study_key("1.2.1")
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["study"], held["state"], held["code"]) == (key, "held", "INPUT_CONFLICT")
    assert box.scanside("release", key).exit_code == 0
    box.run()
    new = hashlib.sha256(Slice(1, 2, "other").content()).hexdigest()
    old = hashlib.sha256(Slice(1, 2).content()).hexdigest()
    assert new in box.of(1)[1]["inputs"]
    assert old not in box.of(1)[1]["inputs"]
    assert [old[:40] in place for place in box.places("quarantine/INPUT_SUPERSEDED")] == [True]
    assert box.is_sound()


def test_what_was_released_leaves_no_reason_behind_in_quarantine(box: Box) -> None:
    box.put(*study(1), Slice(1, 2, "other"))
    box.run()
    assert box.scanside("release", study_key("1.2.1")).exit_code == 0
    box.run()
    assert list(box.root.glob("quarantine/INPUT_CONFLICT/*")) == []
    assert len(list(box.root.glob("quarantine/INPUT_SUPERSEDED/*/reason.txt"))) == 1


def release_another_content(box: Box) -> str:
    """A study of which a person accepted another content of one slice; its key."""
    box.put(*study(1))
    box.run()
    box.put(Slice(1, 2, "other"))
    box.run()
    key = study_key("1.2.1")
    assert box.scanside("release", key).exit_code == 0
    box.run()
    return key


def test_retry_never_analyses_what_a_person_decided_against(box: Box) -> None:
    key = release_another_content(box)
    assert getattr(box.scanside("retry", key).exception, "code", None) == "BOX_NO_SUCH_STUDY"
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 3]
    assert len(box.places("quarantine/INPUT_SUPERSEDED")) == 1
    assert box.is_sound()


def test_retry_after_a_release_repeats_the_analysis_that_failed_and_that_alone(box: Box) -> None:
    release_another_content(box)
    box.put(Slice(1, 4, "CRASH"))
    box.run()
    assert box.scanside("retry", study_key("1.2.1")).exit_code == 0
    (queued,) = json.loads(box.scanside("queue", "--json").output)
    assert queued["state"] == "claiming"
    with closing(sqlite3.connect(box.root / "scanside.db")) as sql:
        superseded = sql.execute("SELECT state FROM jobs WHERE code = 'INPUT_SUPERSEDED'").fetchall()
    assert superseded == [("quarantined",)]


def test_a_later_revision_that_was_refused_is_not_what_the_next_scan_is_compared_with(box: Box) -> None:
    box.put(*study(1, patient="one"))
    box.run()
    box.put(Slice(1, 4, "REFUSED", patient="one"))
    box.run()
    assert [one["verdict"] for one in box.of(1)] == ["analysed", "refused"]
    box.put(*study(2, patient="one"))
    box.run()
    (earlier,) = box.of(2)[0]["earlier"]
    assert Path(earlier).name == "1"


def hold_for_another_person(box: Box) -> str:
    """Two studies under one patient ID, of which the second is another person's; its key."""
    box.put(*study(1, patient="one"))
    box.run()
    box.put(*study(2, patient="one", text="CONFLICT"))
    box.run()
    return study_key("1.2.2")


def test_a_study_under_another_persons_id_is_held_and_stands_in_the_queue(box: Box) -> None:
    key = hold_for_another_person(box)
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["study"], held["verdict"], held["code"]) == (key, "held", "PATIENT_CONFLICT")
    assert "held PATIENT_CONFLICT" in box.scanside("queue").output
    assert "1 held" in json.loads((box.root / "status.json").read_text())["headline"]
    assert "scanside_studies_held 1" in (box.root / "metrics.prom").read_text()


def test_a_patient_conflict_that_is_released_becomes_a_revision_that_stands_by_itself(box: Box) -> None:
    key = hold_for_another_person(box)
    assert "1 held: scanside queue says why" in box.scanside("worklist").output
    assert box.scanside("release", "1.2.2").output == f"{key}  released, queued\n"  # by the UID that its page has
    box.run()
    held, released = box.of(2)
    assert (held["verdict"], released["verdict"], released["alone"]) == ("held", "analysed", True)
    assert (released["earlier"], released["supersedes"]) == ([], "1")
    assert box.scanside("queue").output == "nothing waits\n"
    assert isinstance(box.scanside("release", key).exception, ScansideError)
    assert box.is_sound()


def test_what_a_person_released_stays_by_itself_when_a_late_slice_comes(box: Box) -> None:
    box.scanside("release", hold_for_another_person(box))
    box.run()
    box.put(Slice(2, 4))
    box.run()
    assert [(one["alone"], len(one["inputs"])) for one in box.of(2)] == [(False, 3), (True, 3), (True, 4)]


# Two patients under one study


def of_two_patients(box: Box) -> tuple[str, str]:
    """A study whose slices name two patients; its key, and the folder that is nobody's."""
    box.put(*study(1, patient="one"), Slice(1, 4, patient="two"), Slice(1, 5, patient="two"))
    box.run()
    return study_key("1.2.1"), patient_key(None, None, "1.2.1")


def test_a_study_of_two_patients_is_refused_and_kept_in_neither_ones_folder(box: Box) -> None:
    key, nobodys = of_two_patients(box)
    (done,) = json.loads(box.scanside("queue", "--all", "--json").output)
    assert (done["state"], done["verdict"], done["code"]) == ("done", "refused", "PATIENT_MIXED")
    assert {place.rpartition("/")[0] for place in box.places("archive")} == {f"archive/{nobodys}/{key}"}
    assert [path.parts[-4:-1] for path in box.root.glob("results/[!.]*/*/*/result.json")] == [(nobodys, key, "1")]
    assert box.is_sound()


def test_a_study_of_two_patients_that_is_sent_again_corrected_is_kept_as_its_patients(box: Box) -> None:
    key, _ = of_two_patients(box)
    box.put(*[Slice(1, number, "other", patient="one") for number in (4, 5)])
    box.run()
    assert box.scanside("release", key).exit_code == 0
    box.run()
    assert [one["verdict"] for one in box.of(1)] == ["refused", "analysed"]
    mine = f"archive/{patient_key('one', None, '1.2.1')}/{key}/"
    assert [place.startswith(mine) for place in box.places("archive")] == [True] * 5
    assert box.is_sound()


def test_late_slices_of_another_patient_are_held_and_the_result_stays_as_it_is(box: Box) -> None:
    box.put(*study(1, patient="one"))
    box.run()
    box.put(Slice(1, 4, patient="two"))
    box.run()
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["state"], held["code"]) == ("held", "PATIENT_MIXED")
    assert "two" not in held["reason"]  # names and IDs stay off the screen
    assert [(one["verdict"], len(one["inputs"])) for one in box.of(1)] == [("analysed", 3)]
    assert len(box.places("archive")) == 3
    assert len(box.places("quarantine/PATIENT_MIXED")) == 1
    assert box.is_sound()


def test_a_stray_slice_among_late_ones_is_held_alone_and_the_study_goes_on_with_the_others(box: Box) -> None:
    box.put(*study(1, patient="one"))
    box.run()
    box.put(Slice(1, 4, patient="one"), Slice(1, 5, patient="two"), Slice(1, 6, patient="one"))
    box.run()
    assert [(one["verdict"], len(one["inputs"])) for one in box.of(1)] == [("analysed", 3), ("analysed", 5)]
    assert len(box.places("quarantine/PATIENT_MIXED")) == 1
    box.put(*study(2, patient="one"))
    box.run()
    assert [Path(one).parts[-2:] for one in box.of(2)[0]["earlier"]] == [(study_key("1.2.1"), "2")]
    assert box.is_sound()


def test_a_stray_slice_that_comes_while_its_study_is_queued_is_held_and_the_study_is_measured(box: Box) -> None:
    box.put(*study(1, patient="one", text="BOX"))
    with pytest.raises(ScansideError):
        box.run()
    box.put(Slice(1, 4, patient="two"))
    with pytest.raises(ScansideError):
        box.run()
    states = {one["state"]: one["code"] for one in json.loads(box.scanside("queue", "--json").output)}
    assert states["held"] == "PATIENT_MIXED"
    assert (len(box.places("work")), len(box.places("quarantine/PATIENT_MIXED"))) == (3, 1)
    assert box.is_sound()


def test_late_slices_of_another_patient_that_are_released_leave_the_patients_folder(box: Box) -> None:
    box.put(*study(1, patient="one"))
    box.run()
    box.put(Slice(1, 4, patient="two"))
    box.run()
    box.put(Slice(1, 5, patient="three"))
    box.run()
    key = study_key("1.2.1")
    assert box.scanside("release", key).exit_code == 0
    box.run()
    assert [(one["verdict"], len(one["inputs"])) for one in box.of(1)] == [("analysed", 3), ("refused", 5)]
    assert {place.split("/")[1] for place in box.places("archive")} == {patient_key(None, None, "1.2.1")}
    assert box.is_sound()


def test_late_slices_to_which_an_archive_added_the_issuer_are_no_other_patients() -> None:
    kept = job(patient=patient_key("one", None, "1.2.1"))
    late = Facts("image", study_uid="1.2.1", patient_id="one", issuer="ARCHIVE")
    assert of_other_patients([kept], {"1": late}) == {}
    assert of_other_patients([kept], {"1": replace(late, patient_id=None)}) == {}  # a report, perhaps
    assert list(of_other_patients([kept], {"1": replace(late, patient_id=None, along_mm=5.0)})) == ["1"]
    assert list(of_other_patients([kept], {"1": late, "2": replace(late, patient_id="two")})) == ["2"]
    assert of_other_patients([job(patient=patient_key(None, None, "1.2.1"))], {"1": late}) == {}


def job(**changes: Any) -> Job:
    stated = {"id": 1, "state": "done", "revision": 1, "study_uid": "1.2.1", **changes}
    return Job(**({one.name: None for one in fields(Job)} | stated))


# Slices that no UID of their own names


def with_one_uid(number: int, slices: int = 4, **changes: Any) -> list[Slice]:
    return study(number, slices, sop_uid="7f9c24e8", **changes)


def test_slices_under_one_uid_are_held_whole_and_released_to_be_measured(box: Box) -> None:
    box.put(*with_one_uid(1))
    box.run()
    key = study_key("1.2.1")
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["state"], held["code"], box.of(1)) == ("held", "INPUT_DUPLICATE_UID", [])
    assert box.scanside("release", key).exit_code == 0
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [4]
    assert box.places("quarantine") == []
    assert box.is_sound()


def test_once_released_late_slices_under_the_same_uid_go_with_the_others(box: Box) -> None:
    box.put(*with_one_uid(1))
    box.run()
    box.scanside("release", study_key("1.2.1"))
    box.run()
    box.put(*with_one_uid(1, slices=6), folder="again")
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [4, 6]
    assert box.is_sound()


def test_what_comes_while_slices_under_one_uid_are_held_is_held_with_them(box: Box) -> None:
    box.put(*with_one_uid(1))
    box.run()
    box.put(Slice(1, 5), Slice(1, 6))
    box.run()
    assert box.of(1) == []
    assert box.scanside("release", study_key("1.2.1")).exit_code == 0
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [6]
    assert box.scanside("queue").output == "nothing waits\n"
    assert box.is_sound()


def test_two_contents_at_one_place_under_one_uid_are_a_conflict_still(box: Box) -> None:
    box.put(*study(1), Slice(1, 2, "other"))
    box.run()
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert held["code"] == "INPUT_CONFLICT"


@pytest.mark.parametrize(
    ("uid", "places", "stacks", "shared"),
    [
        ("1.2", (0.0, 5.0), ("a", "a"), True),
        ("1.2", (0.0, 0.01), ("a", "a"), False),
        ("1.2", (0.0, 0.0), ("a", "b"), True),
        ("1.2", (None, None), ("", ""), False),
        ("", (0.0, 5.0), ("a", "a"), True),
    ],
)
def test_one_uid_at_several_places_names_no_slice(uid: str, places: Any, stacks: Any, shared: bool) -> None:
    files = {
        str(n): Facts("image", f"sum{n}", 1, 1, True, "1.2.1", uid, stack=stack, along_mm=along)
        for n, (along, stack) in enumerate(zip(places, stacks, strict=True))
    }
    found = sort_files(files, [])
    assert (len(found.new), len(found.conflicting)) == ((2, 0) if shared else (1, 1))
    assert len({one.sop_uid for one in found.new.values()}) == len(found.new)


def test_the_files_of_a_study_that_waits_for_a_person_are_not_cleaned_away(box: Box) -> None:
    hold_for_another_person(box)
    clean_archive(box)
    assert len(box.places("archive")) == 3


def clean_archive(box: Box) -> None:
    with pytest.raises(ScansideError):
        box.put(*study(99))
        box.run(stop_percent=0.001, clean_to_percent=0.0, clean_archive="true")
    box.settings |= {"stop_percent": 99.9, "clean_to_percent": 99.0}
    box.sums = set(contents(box.root))


def test_a_late_slice_whose_study_was_cleaned_away_is_held_and_the_good_result_stays(box: Box) -> None:
    box.put(*study(1))
    box.run()
    clean_archive(box)
    box.put(Slice(1, 4))
    box.run()
    key = study_key("1.2.1")
    assert len(box.of(1)) == 1
    (held,) = json.loads(box.scanside("queue", "--json").output)
    assert (held["study"], held["state"], held["code"]) == (key, "held", "INPUT_BASE_GONE")
    refused = box.scanside("release", key).exception
    assert isinstance(refused, ScansideError)
    assert (refused.code, refused.exit_code) == ("INPUT_BASE_GONE", 6)
    assert box.is_sound()


def test_a_late_slice_of_a_study_that_was_cleaned_away_is_measured_when_all_of_it_is_sent_again(box: Box) -> None:
    box.put(*study(1))
    box.run()
    clean_archive(box)
    for late in (4, 5):
        box.put(Slice(1, late))
        box.run()
    box.put(*study(1, slices=2))
    box.run()
    assert len(box.of(1)) == 1  # the third slice is missing still
    box.put(*study(1, slices=6), folder="again")
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 6]
    assert box.scanside("queue").output == "nothing waits\n"
    assert list(box.root.glob("quarantine/INPUT_BASE_GONE/*")) == []
    assert box.is_sound()


def test_what_was_cleaned_and_comes_again_is_copied_once(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was copied to prove that it is known, and once more for its place."""
    box.put(*study(1))
    box.run()
    clean_archive(box)
    box.put(*study(1), folder="again")
    copied: list[str] = []

    def noted(root: Path, name: str, *more: Any) -> Any:
        copied.append(name)
        return copy_below(root, name, *more)

    monkeypatch.setattr(errands, "copy_below", noted)
    box.run()
    assert sorted(one for one in copied if one.startswith("again")) == [f"again/{n:03d}.dcm" for n in (1, 2, 3)]
    assert (len(box.places("archive")), box.places("work"), len(box.of(1))) == (6, [], 1)
    assert box.is_sound()


def test_another_content_of_a_slice_is_not_released_while_the_rest_of_its_study_is_gone(box: Box) -> None:
    box.put(*study(1))
    box.run()
    clean_archive(box)
    box.put(Slice(1, 2, "other"))
    box.run()
    key = study_key("1.2.1")
    assert getattr(box.scanside("release", key).exception, "code", None) == "INPUT_BASE_GONE"
    box.put(Slice(1, 1), Slice(1, 3), folder="again")
    box.run()
    assert box.scanside("release", key).exit_code == 0
    box.run()
    assert [len(one["inputs"]) for one in box.of(1)] == [3, 3]
    assert box.is_sound()


def test_the_page_of_a_released_study_says_that_it_stands_by_itself() -> None:
    said = {
        alone: [one.code for one in _flags(replace(ordered("1", ""), alone=alone), None)] for alone in (False, True)
    }
    assert said == {False: [], True: ["PATIENT_RELEASED"]}


P1_OF_H, P1, NOBODY = ("P1", "H"), ("P1", None), (None, None)


@pytest.mark.parametrize(
    ("filed_as", "scout", "slices", "says"),
    [
        (P1_OF_H, P1_OF_H, P1_OF_H, []),
        (P1, P1, P1_OF_H, []),
        (NOBODY, NOBODY, P1_OF_H, []),
        (P1_OF_H, P1_OF_H, P1, []),
        (P1_OF_H, P1_OF_H, NOBODY, []),
        (P1, P1, NOBODY, []),
        (("P2", "H"), P1_OF_H, P1_OF_H, ["INPUT_OTHER_STUDY"]),
        (("P1", "I"), P1_OF_H, P1, ["INPUT_OTHER_STUDY"]),
        (("P2", None), NOBODY, NOBODY, ["INPUT_OTHER_STUDY"]),
    ],
)
def test_a_result_says_that_its_pictures_are_of_another_patient_than_it_is_filed_under(
    tmp_path: Path, filed_as: Stated, scout: Stated, slices: Stated, says: list[str]
) -> None:
    """As it is where a file took over the child that read the headers of those that came after it."""
    series = measured(tmp_path, scout, slices)
    assert [flag.code for flag in _flags(ordered(f"{ROOT}.1", patient_key(*filed_as, f"{ROOT}.1")), series)] == says


@pytest.mark.parametrize("patient", [P1_OF_H, NOBODY])
def test_a_result_says_that_its_pictures_are_of_another_study_than_it_is_filed_under(
    tmp_path: Path, patient: Stated
) -> None:
    order = ordered("1.2.2", patient_key(*patient, "1.2.2"))
    assert [one.code for one in _flags(order, measured(tmp_path, P1_OF_H, P1_OF_H))] == ["INPUT_OTHER_STUDY"]


def measured(folder: Path, scout: Stated, slices: Stated) -> Series:
    """The series to measure of a study whose localizer and slices state these."""
    turned = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesInstanceUID": f"{ROOT}.1.2"}
    localizer = make_slice(40, PatientID=scout[0] or "", IssuerOfPatientID=scout[1] or "", **turned)
    chest = make_series(PatientID=slices[0] or "", IssuerOfPatientID=slices[1] or "")
    return choose_series(find_series(write(folder, [localizer, *chest])))


def ordered(study_uid: str, patient: str) -> Order:
    """A study's first measurement; nothing is read or written of it."""
    here, today = Path(), "2026-01-01"
    return Order(here, here, here, study_uid, patient, 1, None, None, None, today, False, None, (), Settings(), None)
