"""Ages as headers state them, and as the dates of birth and study give them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from kit.dicom_samples import make_series
from scanside_runtime.dicom.files import SourceFile
from scanside_runtime.dicom.headers import SliceHeader, lenient, slice_header
from scanside_runtime.dicom.values.dates import age_between, parsed_date, stated_age_years
from scanside_runtime.quality.patient import check_age
from scanside_runtime.settings.tables import PatientSettings


def header(age: str | None, born: str, studied: str = "20200401") -> SliceHeader:
    with lenient():
        ds: Dataset = make_series(StudyDate=studied, PatientBirthDate=born)[0]
        if age is not None:
            ds.PatientAge = age
        return slice_header(ds, SourceFile(Path("a.dcm")))


@pytest.mark.parametrize(
    ("age", "born", "years", "code"),
    [
        ("000Y", "19600101", 60.0, None),
        ("000Y", "", None, "PATIENT_AGE_UNKNOWN"),
        ("000Y", "20200301", 0.08, "PATIENT_UNDER_AGE"),
        ("000Y", "20210101", None, "PATIENT_AGE_UNKNOWN"),  # born after the study
        ("000D", "19600101", 60.0, None),
        ("000M", "19600101", 60.0, None),
        ("000D", "20200401", 0.0, "PATIENT_UNDER_AGE"),
        ("000D", "", 0.0, "PATIENT_UNDER_AGE"),  # nobody writes days for an unknown age: a newborn is not measured
        ("003D", "", 0.01, "PATIENT_UNDER_AGE"),
        ("0", "19600101", 60.0, None),
        ("0", "", None, "PATIENT_AGE_UNKNOWN"),
        ("", "19600101", 60.0, None),
        ("", "", None, "PATIENT_AGE_UNKNOWN"),
        (None, "20190401", 1.0, "PATIENT_UNDER_AGE"),
        ("999Y", "19600101", 60.0, None),
        ("999Y", "", None, "PATIENT_AGE_UNKNOWN"),
        ("", "18600101", None, "PATIENT_AGE_UNKNOWN"),  # 160 years
        ("045Y", "20210101", 45.0, None),  # born after the study, and the age is stated
        ("012Y", "19600101", 12.0, "PATIENT_UNDER_AGE"),
        ("045Y", "20150101", 5.0, "PATIENT_UNDER_AGE"),  # who may be a child is not measured as an adult
        ("045Y", "20200401", 45.0, None),  # born on the day of the study: filled in where nothing is known
    ],
)
def test_an_age_of_nought_or_of_no_human_is_taken_from_the_dates(
    age: str | None, born: str, years: float | None, code: str | None
) -> None:
    found = header(age, born).patient.age_years
    assert found == years
    assert [one.code for one in check_age(found, PatientSettings())] == ([] if code is None else [code])


@pytest.mark.parametrize("age", ["000Y", "999Y", "0", "aged"])
def test_an_age_that_is_none_is_noted(age: str) -> None:
    (note,) = header(age, "19600101").notes
    assert note.message == f'PatientAge "{age}" is not an age; taken as not stated.'


def test_a_birthday_decides_between_two_years() -> None:
    birth = parsed_date("1960.06.15")
    assert age_between(birth, parsed_date("20200614")) == 59.0
    assert age_between(birth, parsed_date("20200615")) == 60.0
    assert (age_between(birth, None), age_between(None, birth)) == (None, None)


@pytest.mark.parametrize("stated", [None, "", "45", "45Y ", "4.5Y", "0045Y", "Y", "126Y"])
def test_what_is_no_age_is_none(stated: str | None) -> None:
    assert stated_age_years(stated) is None
