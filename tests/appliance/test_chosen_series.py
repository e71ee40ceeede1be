"""A study that was refused because of its series is measured by the one that a person chooses."""

from __future__ import annotations

from typing import Any

import pytest

from kit.watch_box import Box, study
from scanside_appliance.files.layout import study_key
from scanside_appliance.jobs.file_mover import FileMover
from sweeps.box import Slice

pytestmark = pytest.mark.usefixtures("warm_readers")


def test_a_study_refused_by_its_series_lists_them_and_is_measured_by_the_one_that_a_person_chooses(box: Box) -> None:
    box.put(*study(1, text="HEAD"))
    box.run()
    key = study_key("1.2.1")
    listed = box.scanside("release", key)
    assert getattr(listed.exception, "code", None) == "BOX_NOT_HELD"
    assert [line.split()[0] for line in listed.output.splitlines()] == ["#", "1", "2"]
    for unknown in ("3", "0", "1.2.3.9", ""):
        refused = box.scanside("release", key, "--series", unknown).exception
        assert getattr(refused, "code", None) == "BOX_NO_SUCH_SERIES", unknown
    assert box.scanside("release", key, "--series", "2").exit_code == 0
    box.run()
    refusal, measured = box.of(1)
    assert [(one["verdict"], one["series_uid"]) for one in (refusal, measured)] == [
        ("refused", None), ("analysed", "1.2.3.2"),
    ]  # fmt: skip
    assert (measured["supersedes"], measured["inputs"]) == ("1", refusal["inputs"])
    assert box.is_sound()


def test_a_chosen_series_stays_chosen_when_a_late_slice_comes_until_it_is_given_back(box: Box) -> None:
    box.put(*study(1, text="HEAD"))
    box.run()
    key = study_key("1.2.1")
    assert box.scanside("release", key, "--series", "1.2.3.2").exit_code == 0
    box.run()
    box.put(Slice(1, 4, "HEAD"))
    box.run()
    assert box.scanside("release", key, "--series", "auto").exit_code == 0
    box.run()
    assert [one["series_uid"] for one in box.of(1)] == [None, "1.2.3.2", "1.2.3.2", None]
    assert box.is_sound()


def test_a_study_whose_analysis_died_may_be_measured_by_another_series(box: Box) -> None:
    box.put(*study(1, text="CRASH"))
    box.run()
    key = study_key("1.2.1")
    assert getattr(box.scanside("release", key, "--series", "2").exception, "code", None) == "BOX_NO_SUCH_SERIES"
    assert box.scanside("release", key, "--series", "1.2.3.2").exit_code == 0
    box.run()
    assert [one["series_uid"] for one in box.of(1)] == ["1.2.3.2"]
    assert box.places("quarantine") == []
    assert box.is_sound()


def test_a_series_may_be_chosen_with_the_release_of_what_is_held(box: Box) -> None:
    box.put(*study(1), Slice(1, 2, "other"))
    box.run()
    assert box.scanside("release", study_key("1.2.1"), "--series", "1.2.3.1").exit_code == 0
    box.run()
    assert [one["series_uid"] for one in box.of(1)] == ["1.2.3.1"]


def test_a_series_that_is_chosen_for_a_held_result_leaves_it_by_itself(box: Box) -> None:
    box.put(*study(1, patient="one"))
    box.run()
    box.put(*study(2, patient="one", text="CONFLICT"))
    box.run()
    key = study_key("1.2.2")
    assert box.scanside("release", key, "--series", "2").exit_code == 0
    box.run()
    assert (box.of(2)[1]["series_uid"], box.of(2)[1]["alone"]) == ("1.2.3.2", True)


@pytest.mark.parametrize("step", ["_bring", "_publish", "hand_over_result", "_move_all"])
def test_a_chosen_series_outlives_an_end_at_any_step(box: Box, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(*study(1, text="HEAD"))
    box.run()
    assert box.scanside("release", study_key("1.2.1"), "--series", "2").exit_code == 0

    def ends(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FileMover, step, ends)
        box.run()
    box.run()
    assert [(one["verdict"], one["series_uid"]) for one in box.of(1)] == [("refused", None), ("analysed", "1.2.3.2")]
    assert box.is_sound()


def test_nothing_is_chosen_while_a_study_is_under_way(box: Box) -> None:
    box.put(*study(1, text="HEAD"))
    box.run()
    key = study_key("1.2.1")
    box.scanside("release", key, "--series", "2")
    assert getattr(box.scanside("release", key, "--series", "1").exception, "code", None) == "BOX_NO_SUCH_STUDY"
