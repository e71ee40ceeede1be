"""What changed since the scan before: trends beyond the measurement error, and only between scans that are alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.course_samples import ERROR, result, scan
from scanside_runtime.followup.comparability import obstacles
from scanside_runtime.followup.errors import PatientConflict
from scanside_runtime.followup.patient_record import Earlier, record_of
from scanside_runtime.followup.progression import compare, course, progression
from scanside_runtime.followup.scan import Moment, Person, Scan

FIRST, SECOND, THIRD = "2020-04-01T10:00:00", "2020-04-03T10:00:00", "2020-04-06T10:00:00"


@pytest.mark.parametrize(
    ("after", "trend"), [(12.1, "rising"), (12.0, "stable"), (8.0, "stable"), (7.9, "falling"), (10.0, "stable")]
)
def test_poi_rises_or_falls_only_beyond_the_measurement_error(after: float, trend: str) -> None:
    change = compare(scan(FIRST, 10.0), scan(SECOND, after), ERROR)
    assert change.trend == trend
    assert change.whole.poi_change_points == pytest.approx(after - 10.0)
    assert change.interval_days == 2.0


@pytest.mark.parametrize(("after", "trend"), [(-469.0, "rising"), (-480.0, "stable"), (-531.0, "falling")])
def test_density_rises_or_falls_only_beyond_its_own_error(after: float, trend: str) -> None:
    change = compare(scan(FIRST, 10.0, -500.0), scan(SECOND, 10.0, after), ERROR)
    assert (change.trend, change.density_trend) == ("stable", trend)


@pytest.mark.parametrize(("before", "after"), [(0.24, 5.0), (5.0, 0.24), (0.0, 5.0), (5.0, 0.0)])
def test_density_is_compared_only_where_both_hold_ten_ml_of_infection(before: float, after: float) -> None:
    change = compare(scan(FIRST, before, -500.0), scan(SECOND, after, -300.0), ERROR)
    assert (change.whole.ihu_change_hu, change.density_trend) == (None, "not_comparable")
    assert change.trend in ("rising", "falling")
    assert "10 ml" in change.why


def test_ten_ml_in_both_are_enough_for_density() -> None:
    assert compare(scan(FIRST, 0.25), scan(SECOND, 0.25, -400.0), ERROR).density_trend == "rising"


def test_volumes_sides_and_zones_change_too() -> None:
    change = compare(scan(FIRST, 10.0), scan(SECOND, 15.0), ERROR)
    assert change.whole.infection_volume_change_ml == pytest.approx(200.0)
    assert change.whole.infection_volume_change_percent == pytest.approx(50.0)
    assert change.whole.lung_volume_change_percent == 0.0
    assert set(change.to_document()["zones"]) == {
        f"{side}_{third}" for side in ("right", "left") for third in ("upper", "middle", "lower")
    }
    assert change.to_document()["left"]["poi_change_points"] == pytest.approx(5.0)


def test_from_no_infection_there_is_no_percentage() -> None:
    assert compare(scan(FIRST, 0.0), scan(SECOND, 15.0), ERROR).whole.infection_volume_change_percent is None


UNLIKE: dict[str, dict[str, Any]] = {
    "thicker slices": {"series.slice_thickness_mm": 10.0},
    "thinner slices": {"series.slice_thickness_mm": 1.25},
    "no thickness": {"series.slice_thickness_mm": None, "series.spacing_mm": None},
    "a sharp kernel": {"series.kernel": "B70f"},
    "an unknown kernel": {"series.kernel": "XYZ"},
    "contrast medium": {"series.contrast_bolus_agent": "Ultravist 370"},
    "a base that is cut off": {"flags": [{"code": "COVERAGE_BASE_CUT", "level": "caution", "message": "cut"}]},
    "gaps": {"flags": [{"code": "GEOMETRY_GAPS", "level": "caution", "message": "gaps"}]},
    "fluid set apart, and a result from before that": {"biomarkers.fluid_ml": 205.0},
    "another sex": {"study.sex": "M"},
    "another birth date": {"study.birth_date": "1961-01-01"},
    "other networks": {"provenance": {"bundle": {"name": "b", "version": "2", "sha256": "cd"}}},
}


@pytest.mark.parametrize("difference", UNLIKE)
@pytest.mark.parametrize("first", [True, False])
def test_scans_that_are_not_alike_are_not_compared_and_the_reason_is_given(difference: str, first: bool) -> None:
    changes = ({}, UNLIKE[difference]) if first else (UNLIKE[difference], {})
    change = compare(scan(FIRST, 10.0, **changes[0]), scan(SECOND, 30.0, -300.0, **changes[1]), ERROR)
    assert (change.trend, change.density_trend) == ("not_comparable", "not_comparable")
    assert change.why.startswith("Not compared: ")
    document = change.to_document()
    numbers = ("poi_change_points", "ihu_change_hu", "infection_volume_change_percent", "lung_volume_change_percent")
    assert [document[name] for name in numbers] == [None] * 4


def test_fluid_that_was_counted_in_one_scan_and_set_apart_in_the_other_is_no_change_of_the_infection() -> None:
    doubtful = {
        "biomarkers.fluid_ml": 0.0,
        "flags": [{"code": "QUALITY_POSSIBLE_EFFUSION", "level": "caution", "message": "may be fluid, and is counted"}],
    }
    for one, other in (({"biomarkers.fluid_ml": 205.0}, doubtful), (doubtful, {"biomarkers.fluid_ml": 205.0})):
        change = compare(scan(FIRST, 15.0, **one), scan(SECOND, 0.0, **other), ERROR)
        assert (change.trend, "effusion" in change.why) == ("not_comparable", True)


ALIKE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "5 and 6 mm": ({}, {"series.slice_thickness_mm": 6.0}),
    "1 and 2.5 mm": ({"series.slice_thickness_mm": 1.0}, {"series.slice_thickness_mm": 2.5}),
    "two soft kernels": ({}, {"series.kernel": "STANDARD"}),
    "no kernel on one scanner": ({"series.kernel": None}, {"series.kernel": None}),
    "contrast that is stated as none": ({}, {"series.contrast_bolus_agent": "none"}),
    "contrast in both": ({"series.contrast_bolus_agent": "A"}, {"series.contrast_bolus_agent": "B"}),
    "the sex not stated": ({}, {"study.sex": None}),
    "fluid set apart in both": ({"biomarkers.fluid_ml": 205.0}, {"biomarkers.fluid_ml": 90.0}),
    "fluid set apart, and none there": ({"biomarkers.fluid_ml": 205.0}, {"biomarkers.fluid_ml": 0.0}),
}


@pytest.mark.parametrize("pair", ALIKE)
def test_scans_of_one_class_are_compared(pair: str) -> None:
    before, after = ALIKE[pair]
    assert obstacles(scan(FIRST, 10.0, **before), scan(SECOND, 10.0, **after)) == ()


def test_the_scan_right_before_counts_and_not_the_first_or_the_last_in_the_list() -> None:
    found = progression(scan(THIRD, 20.0), [scan(SECOND, 19.0), scan(FIRST, 5.0)], ERROR)
    assert found is not None
    assert (found.change.previous.acquired_at, found.change.trend) == (SECOND, "stable")


def test_after_a_scan_of_another_thickness_the_latest_like_one_is_given_beside() -> None:
    odd = scan(SECOND, 19.0, **{"series.slice_thickness_mm": 10.0})
    found = progression(scan(THIRD, 20.0), [scan(FIRST, 5.0), odd], ERROR)
    assert found is not None
    document = found.to_document()
    assert (document["trend"], document["previous_study_uid"]) == ("not_comparable", odd.study_uid)
    assert (document["last_comparable"]["trend"], document["last_comparable"]["poi_change_points"]) == ("rising", 15.0)
    assert [row["trend"] for row in document["scans"]] == [None, "not_comparable", "not_comparable"]


def test_without_a_measured_scan_before_there_is_no_progression() -> None:
    present = scan(SECOND, 20.0)
    for earlier in ([], [scan(FIRST, None)], [scan(THIRD, 5.0)], [scan(SECOND, 5.0)], [scan(None, 5.0)]):
        assert progression(present, earlier, ERROR) is None
    assert progression(scan(SECOND, None), [scan(FIRST, 5.0)], ERROR) is None
    assert progression(scan(None, 20.0), [scan(FIRST, 5.0)], ERROR) is None


def test_an_earlier_revision_of_the_same_study_is_no_earlier_scan() -> None:
    before = scan(FIRST, 5.0, **{"study.study_uid": "1.2.same"})
    assert progression(scan(SECOND, 20.0, **{"study.study_uid": "1.2.same"}), [before], ERROR) is None


def test_a_refused_scan_between_is_passed_over_but_stands_in_the_course() -> None:
    found = progression(scan(THIRD, 20.0), [scan(FIRST, 5.0), scan(SECOND, None)], ERROR)
    assert found is not None
    assert (found.change.previous.acquired_at, found.change.trend) == (FIRST, "rising")
    assert [step.scan.measured for step in found.course] == [True, False, True]


@given(st.permutations(range(5)))
def test_the_order_of_the_documents_changes_nothing(order: list[int]) -> None:
    scans = [scan(f"2020-04-0{day}T10:00:00", 3.0 * day) for day in range(1, 6)]
    assert course([scans[i] for i in order], ERROR) == course(scans, ERROR)


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_there_and_back_is_the_opposite_trend(a: float, b: float) -> None:
    there = compare(scan(FIRST, a), scan(SECOND, b), ERROR).trend
    back = compare(scan(FIRST, b), scan(SECOND, a), ERROR).trend
    assert {"rising": "falling", "falling": "rising", "stable": "stable"}[there] == back


@pytest.mark.parametrize(
    ("earlier", "later", "days"),
    [
        ("2020-04-01", "2020-04-03", 2.0),
        ("2020-04-01T23:00:00", "2020-04-02", 1.0),
        ("2020-04-01T10:00:00", "2020-04-01T22:00:00", 0.5),
        ("2020-04-01T10:00:00+08:00", "2020-04-01T10:00:00+00:00", 8 / 24),
        ("2020-04-01T10:00:00+08:00", "2020-04-01T22:00:00", 0.5),
    ],
)
def test_intervals_are_as_exact_as_the_headers(earlier: str, later: str, days: float) -> None:
    assert Moment.from_iso(later).days_after(Moment.from_iso(earlier)) == pytest.approx(days)


def test_two_scans_of_one_day_without_a_time_have_no_order() -> None:
    steps = course([scan("2020-04-01", 5.0), scan("2020-04-01", 20.0, **{"study.study_uid": "2"})], ERROR)
    assert steps[1].change is not None
    assert steps[1].change.trend == "not_comparable"


@pytest.mark.parametrize("broken", [{}, {"schema": "scanside.result/2"}, {"study": None}, {"biomarkers": [1]}])
def test_what_is_no_result_document_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"schema|no result document"):
        Scan.from_document({**result(FIRST, 5.0), **broken} if broken else {})


# Whose scans are these?


ME = Person("P-17", None, "1960-01-01", "F")


def record(person: Person, *documents: dict[str, Any]) -> list[str | None]:
    found = record_of(person, "1.2.present", lambda *_: Earlier(documents))
    return [one.acquired_at for one in found.scans]


def test_the_same_id_of_another_issuer_is_another_patient() -> None:
    assert record(ME, result(FIRST, 5.0), result(SECOND, 5.0, **{"study.issuer": "Elsewhere"})) == [FIRST]


@pytest.mark.parametrize("other", [{"study.birth_date": "1961-01-01"}, {"study.sex": "M"}])
def test_another_birth_date_or_sex_under_the_same_id_is_held(other: dict[str, Any]) -> None:
    with pytest.raises(PatientConflict) as caught:
        record(ME, result(FIRST, 5.0, **other))
    assert (caught.value.code, caught.value.exit_code) == ("PATIENT_CONFLICT", 6)


def test_once_someone_released_such_a_scan_only_those_that_agree_are_compared() -> None:
    released = [{"code": "PATIENT_RELEASED", "level": "caution", "message": "by itself"}]
    assert record(ME, result(FIRST, 5.0, **{"study.sex": "M", "flags": released}), result(SECOND, 5.0)) == [SECOND]


def test_a_scan_that_does_not_say_which_of_two_people_it_shows_is_held() -> None:
    both = (result(FIRST, 5.0, **{"study.birth_date": "1961-01-01"}), result(SECOND, 5.0))
    with pytest.raises(PatientConflict):
        record(Person("P-17", None, None, None), *both)


def test_what_is_not_stated_is_no_conflict() -> None:
    assert record(ME, result(FIRST, 5.0, **{"study.birth_date": None, "study.sex": None})) == [FIRST]


def test_without_a_patient_id_nothing_is_looked_up() -> None:
    assert record(Person(None, None, None, None), result(FIRST, 5.0)) == []
    assert record_of(Person("", None, None, None), "1", lambda *_: pytest.fail("looked up")).scans == ()
