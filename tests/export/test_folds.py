"""Folds: by patient, balanced, and the same for ever."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from scanside_export.data.folds import FOLDS, held_out, named, patient_of

SERIES = [
    *(f"coronacases_{number:03d}" for number in (1, 2, 4, 5, 6, 7, 8, 10)),
    *("radiopaedia_10_85902_1", "radiopaedia_10_85902_3", "radiopaedia_27_86410_0", "radiopaedia_29_86490_1"),
    *("radiopaedia_29_86491_1", "radiopaedia_36_86526_0", "radiopaedia_4_85506_1"),
]
SLICES = [f"labelled_{number:03d}" for number in range(0, 100, 2)]


def test_each_series_and_slice_is_kept_out_exactly_once() -> None:
    names = [*SERIES, *SLICES, *(f"radiopaedia_14_85914_0_{number:03d}" for number in range(33))]
    kept_out = [held_out(names, fold) for fold in range(len(FOLDS))]
    assert sorted(name for fold in kept_out for name in fold) == sorted(names)


def test_no_patient_is_on_both_sides() -> None:
    names = [*SERIES, "ctseg_radiopaedia_10_85902_1", "ctseg_coronacases_001", "radiopaedia_14_85914_0_001"]
    for fold in range(len(FOLDS)):
        away = held_out(names, fold)
        assert not {patient_of(name) for name in away} & {patient_of(name) for name in set(names) - away}


def test_the_patients_of_the_first_check_lie_in_the_first_fold() -> None:
    assert {"coronacases_008", "radiopaedia_27_86410_0"} <= held_out(SERIES, 0)


def test_slices_fall_into_blocks_of_neighbouring_numbers() -> None:
    blocks = [sorted(held_out(SLICES, fold)) for fold in range(len(FOLDS))]
    assert [len(block) for block in blocks] == [10] * 5
    assert [name for block in blocks for name in block] == SLICES


def test_the_same_slice_from_another_set_lies_in_the_same_block() -> None:
    twice = [*SLICES, *(f"medseg_{name}" for name in SLICES)]
    for fold in range(len(FOLDS)):
        away = held_out(twice, fold)
        assert {f"medseg_{name}" for name in away if name.startswith("l")} <= away


def test_patients_of_other_sets_are_dealt_out_evenly() -> None:
    others = [f"mosmed_study_{number:04d}" for number in range(255, 305)]
    assert [len(held_out(others, fold)) for fold in range(len(FOLDS))] == [10] * 5


def test_a_patient_is_named_with_all_series_and_an_unknown_name_is_told() -> None:
    assert named(SERIES, ["radiopaedia_10"]) == {"radiopaedia_10_85902_1", "radiopaedia_10_85902_3"}
    assert named(SERIES, ["coronacases_008"]) == {"coronacases_008"}
    with pytest.raises(ValueError, match="no case or patient 'coronacases_8'"):
        named(SERIES, ["coronacases_8"])


def test_a_fold_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="choose 0 to 4"):
        held_out(SERIES, 5)


def test_each_fold_has_about_a_fifth_of_the_disease(shared_data: Path) -> None:
    with (shared_data / "infection-3d" / "cases.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["patient"] for row in rows} <= frozenset().union(*FOLDS)
    assert [row["case"] for row in rows if patient_of(row["case"]) != row["patient"]] == []
    burden = [
        sum(float(row["poi_percent_where_lungs_known"]) for row in rows if row["patient"] in fold) for fold in FOLDS
    ]
    assert max(burden) < 1.25 * sum(burden) / 5
    assert min(burden) > 0.85 * sum(burden) / 5
