"""A patient's earlier result was changed on the disk: it is named and left out, and the next study is measured."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from kit.course_samples import result
from kit.watch_box import Box, study
from scanside_appliance.files.layout import BoxLayout, patient_folder, study_key
from scanside_appliance.results.archive import results_in
from sweeps.changed_results import escapes


def test_no_change_of_an_earlier_result_keeps_the_next_study_from_its_result(tmp_path: Path) -> None:
    assert escapes(tmp_path, mutations=400, seed=13) == []


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("biomarkers.poi_percent", "12", "'12' is no"),
        ("biomarkers.poi_percent", True, "'True' is no"),
        ("biomarkers.poi_percent", float("nan"), "'nan' is no"),
        ("biomarkers.poi_percent", 101.0, "poi_percent is 101"),
        ("biomarkers.ihu_hu", -2000, "ihu_hu is -2000"),
        ("series.kernel", 7, "'7' is no"),
        ("verdict", "fine", "'fine' is no"),
        ("study.acquired_at", "yesterday", "yesterday"),
    ],
)
def test_what_can_not_be_believed_is_named_in_words(tmp_path: Path, key: str, value: Any, words: str) -> None:
    (tmp_path / "result.json").write_text(json.dumps(result("2020-04-03T10:00:00", 12.0, **{key: value})))
    found = results_in({tmp_path: None})("P-17", None)
    assert found.documents == ()
    (said,) = found.unreadable
    assert str(tmp_path / "result.json") in said
    assert words in said


def test_an_earlier_result_whose_bytes_the_book_does_not_know_is_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result("2020-04-03T10:00:00", 12.0)))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(results_in({tmp_path: sha256})("P-17", None).documents) == 1
    path.write_text(path.read_text().replace("12.0", "2.0"))
    found = results_in({tmp_path: sha256})("P-17", None)
    assert found.documents == ()
    assert "it is not what was written" in found.unreadable[0]


def test_the_worker_is_told_what_the_book_has_of_earlier_results(box: Box) -> None:
    for number in (1, 2):
        box.put(*study(number, patient="P"))
        box.run()
    (second,) = box.of(2)
    folder = BoxLayout(box.root).result(patient_folder("P", None), study_key("1.2.1"), 1)
    written = hashlib.sha256((folder / "result.json").read_bytes()).hexdigest()
    assert second["earlier"] == [str(folder)]
    assert second["earlier_sums"] == [written]
