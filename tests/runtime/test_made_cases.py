"""Every made case comes to the verdict and the code of its table: no traceback, no hang, nothing wrongly measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit import case_kit, cases_pixels
from kit.bundle_samples import write_bundle
from kit.case_kit import Case, judge
from scanside_appliance.explain import known_codes
from sweeps.made_cases import TABLES

pytestmark = pytest.mark.usefixtures("warm_readers")

MEANT = ("INPUT_", "SERIES_", "GEOMETRY_")
# Families that nothing carries, and what has tests of its own: a decoder that crashes (test_reader.py), the byte order
# (test_byte_order.py).
ELSEWHERE = {"INPUT_REFUSED", "INPUT_HELD", "INPUT_CRASH", "INPUT_BYTE_ORDER"}
OF_THE_WATCHED_FOLDER = {
    *("INPUT_NOT_DICOM", "INPUT_ARCHIVE", "INPUT_BROKEN", "INPUT_SUPERSEDED", "INPUT_CONFLICT", "INPUT_INCOMPLETE"),
    *("INPUT_DATE_FUTURE", "INPUT_BASE_GONE", "INPUT_FILES_GONE", "INPUT_DUPLICATE_UID", "INPUT_OWN_RESULT"),
    *("INPUT_OTHER_STUDY", "INPUT_RESULT_STAYS"),
}
OF_TABLES_AND_LABELS = {
    *("INPUT_TABLE", "INPUT_TOO_FEW_EVENTS", "INPUT_MASKS", "INPUT_LABELS", "INPUT_TRAINING"),
    *("INPUT_CASES", "INPUT_RECIPE"),
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle")).folder


@pytest.fixture(scope="module")
def plain_poi_percent(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> float:
    plain = next(one for one in case_kit.CASES if one.name == "an_untouched_chest")
    poi_percent = judge(plain, tmp_path_factory.mktemp("plain"), bundle).poi_percent
    assert poi_percent is not None
    return poi_percent


@pytest.mark.parametrize("one", case_kit.CASES, ids=lambda one: one.name)
def test_a_made_case_comes_to_its_verdict_and_pixels_coded_oddly_measure_what_plain_ones_do(
    one: Case, tmp_path: Path, bundle: Path, plain_poi_percent: float
) -> None:
    outcome = judge(one, tmp_path, bundle)
    assert (outcome.verdict, outcome.code) == (one.verdict, one.code)
    assert set(one.flags) <= set(outcome.flags)
    assert not _coded_oddly(one) or outcome.poi_percent == plain_poi_percent


def _coded_oddly(one: Case) -> bool:
    return one.code is None and not one.flags and one.make.__module__ == cases_pixels.__name__


def test_some_pixels_are_coded_oddly() -> None:
    assert sum(map(_coded_oddly, case_kit.CASES)) >= 4


def test_every_code_of_the_door_has_a_case() -> None:
    known = {code for code in known_codes() if code.startswith(MEANT)}
    made = {one.code for one in case_kit.CASES} | {flag for one in case_kit.CASES for flag in one.flags}
    assert len(TABLES) == 5
    assert known - made - ELSEWHERE - OF_THE_WATCHED_FOLDER - OF_TABLES_AND_LABELS == set()


def test_names_of_cases_are_told_apart() -> None:
    names = [one.name for one in case_kit.CASES]
    assert len(set(names)) == len(names) >= 60
