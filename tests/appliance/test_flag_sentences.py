"""What the document says of a flag, said again in each language: found by its text, its figures in their places."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pytest

from kit.analysis_samples import analysed
from kit.course_samples import ERROR, course_block, result, scan
from kit.dicom_samples import make_series, write
from kit.reading import choose_series, find_series
from scanside_appliance.languages.words import words
from scanside_appliance.page.details import DETAILS
from scanside_appliance.page.flag_sentences import NO_MORE, SENTENCES
from scanside_appliance.page.formatting import unbroken
from scanside_appliance.page.report import render_page
from scanside_appliance.page.sentences import cautions, explained
from scanside_runtime.dicom.headers import SliceHeader
from scanside_runtime.dicom.ranking import called
from scanside_runtime.findings import KINDS, Finding
from scanside_runtime.followup.patient_record import Earlier, record_of
from scanside_runtime.followup.progression import progression
from scanside_runtime.followup.same_body import check_same_body
from scanside_runtime.followup.scan import Person
from scanside_runtime.quality.image_quality import check_kernel
from scanside_runtime.quality.patient import check_age
from scanside_runtime.settings.tables import LANGUAGES, PatientSettings, ProgressionSettings, SiteSettings

OTHERS = tuple(language for language in LANGUAGES if language != "en")
CHINESE_STOPS = "\u3002\uff0c\uff1b\uff1a"
"""Full stop, comma, semicolon and colon: wide enough to need no space."""
ENGLISH = re.compile(r"\b(?:the|of|is|it|was|they|whether|decided|slices?)\b")


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> tuple[SliceHeader, tuple[Finding, ...]]:
    """The first slice of a chest that is labelled as a head, and what is noted of it."""
    folder = write(tmp_path_factory.mktemp("head"), make_series(BodyPartExamined="HEAD", SeriesDescription="5mm"))
    series = choose_series(find_series(folder))
    return series.slices[0], series.notes


def another_body() -> tuple[Finding, ...]:
    before = scan("2020-03-01T08:00:00", 5.0)
    after = scan("2020-03-09T08:00:00", 5.0, **{"biomarkers.lung_volume_ml": 1200.0})
    return check_same_body(after, progression(after, [before], ERROR), ProgressionSettings())


def test_every_flag_is_said_by_its_figures_or_its_sentence_or_says_no_more_than_its_meaning() -> None:
    assert DETAILS.keys() | SENTENCES.keys() | set(NO_MORE) == KINDS.keys()
    assert not SENTENCES.keys() & set(NO_MORE)


@pytest.mark.parametrize("language", OTHERS)
def test_what_the_runtime_says_of_a_series_a_kernel_an_age_and_a_body_is_found_again(
    head: tuple[SliceHeader, tuple[Finding, ...]], language: str
) -> None:
    made = [*head[1], *check_kernel("B70f"), *check_age(None, PatientSettings()), *another_body()]
    told = {one.code: one for one in cautions(map(asdict, made), words(language))}
    assert len(told) == 4
    assert not any(one.in_english or ENGLISH.search(one.detail) for one in told.values())
    assert "BodyPartExamined" in told["SERIES_LABELLED_OTHERWISE"].detail
    assert "HEAD" in told["SERIES_LABELLED_OTHERWISE"].detail
    assert "B70f" in told["QUALITY_KERNEL"].detail
    assert "4000" in told["PATIENT_OTHER_BODY"].detail and "1200" in told["PATIENT_OTHER_BODY"].detail
    assert told["PATIENT_AGE_UNKNOWN"].detail == ""


def test_no_detail_repeats_in_english_what_the_meaning_says() -> None:
    said = {
        "QUALITY_LOOKS_EXTENSIVE": ({}, ""),
        "QUALITY_CONTRAST": ({"blood_hu": 200.4}, "heart and great vessels: 200 HU"),
        "QUALITY_KERNEL": ({}, 'The kernel "B70f" is a sharp one: it raises noise and edges, and iHU with them.'),
        "QUALITY_METAL": ({}, "An older document's own words."),
    }
    for code, (values, detail) in said.items():
        message = detail if not values and detail else "A whole sentence."
        (told,) = cautions([{"code": code, "level": "caution", "message": message, "values": values}], words("en"))
        assert told.detail == detail


def test_a_sentence_of_unknown_making_stays_and_is_marked_as_english() -> None:
    (told,) = cautions([{"code": "QUALITY_KERNEL", "level": "caution", "message": "Odd."}], words("fr"))
    assert (told.detail, told.in_english) == ("Odd.", True)


def test_one_slice_is_no_slices_and_one_result_no_results(head: tuple[SliceHeader, tuple[Finding, ...]]) -> None:
    assert "(1 slice, " in called([head[0]]) and "(2 slices, " in called([head[0]] * 2)
    person = Person("P-17", None, "1970-01-01", "F", "DOE^JANE")
    for several, begins in ((1, "1 earlier result under this ID is named"), (2, "2 earlier results under this ID are")):
        assert message_of_others(person, several).startswith(begins)


def message_of_others(person: Person, several: int) -> str:
    """What is noted of so many earlier results of another given name."""
    documents = [analysed_of(person, f"1.2.{number}") for number in range(several)]
    (note,) = record_of(person, "1.2.99", lambda *_: Earlier(tuple(documents))).notes
    return note.message


def analysed_of(person: Person, uid: str) -> dict[str, object]:
    named = {"study.birth_date": person.birth_date, "study.patient_name": "DOE^ANNA", "study.study_uid": uid}
    return dict(result("2020-03-01T08:00:00", 5.0, **named))


def sentences_of(page: str) -> Iterable[str]:
    body = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    return re.sub(r"<[^>]+>", "", body).split("\n")


def test_no_space_stands_behind_a_chinese_full_stop(tmp_path: Path) -> None:
    document = {**analysed(tmp_path).document(), "progression": course_block(5)}
    page = render_page(document, site=SiteSettings(language="zh"))
    assert [line for line in sentences_of(page) if re.search(f"[{CHINESE_STOPS}] ", line)] == []
    two = "POI changed by +4.0 points, within the measurement error of 9.0. Infection grew from 10 to 30 ml in 1 hour."
    assert re.fullmatch("[^ ]+ .*。[^ ].*。", explained(two, words("zh")))
    assert ". " in explained(two, words("fr"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_negative_figure_has_a_true_minus_sign_on_the_page_of_each_language(tmp_path: Path, language: str) -> None:
    cold = Finding("QUALITY_HU_CALIBRATION", "caution", "Air measures -880 HU.", {"air_hu": -880.0, "soft_hu": -200.0})
    document = {**analysed(tmp_path).document(), "flags": [asdict(cold)], "progression": course_block(3)}
    shown = "\n".join(sentences_of(render_page(document, site=SiteSettings(language=language))))
    assert "\N{MINUS SIGN}880" in shown
    assert re.findall(r"(?<![\w.-])-\d+(?:\.\d+)?(?![\d-])", shown) == []


def test_the_sign_does_not_depend_on_the_letter_before_it_and_dates_and_names_keep_their_hyphens() -> None:
    assert unbroken("为-880") == "为\N{MINUS SIGN}880"
    assert "2020-04-01" in unbroken("自2020-04-01起")
    assert unbroken("CT-1, P-17, 1.2-3, 5-7 mm").count("\N{MINUS SIGN}") == 0
