"""The page says what was measured, all by itself, and a refusal never looks like a result."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import Any

import pytest

from kit.analysis_samples import analysed, refused
from scanside_appliance.languages.words import words
from scanside_appliance.page.formatting import number, person, unbroken
from scanside_appliance.page.lung_drawing import BAR_WIDTH, NAMES, draw_zones
from scanside_appliance.page.report import ComparisonRow, EarlierSlices, render_page
from scanside_appliance.page.verdict import verdict_sentence
from scanside_appliance.pictures.draw import draw_pictures
from scanside_appliance.pictures.slice_archive import open_slice_archive, slice_archive_bytes
from scanside_runtime.settings.tables import SiteSettings


def text_of(page: str) -> str:
    """What a reader sees: without styles, tags and pictures."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    body = re.sub(r'<span class="unbroken">(.*?)</span>', r"\1", body)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def test_the_page_shows_both_biomarkers_and_what_the_flag_rests_on(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    shown = text_of(render_page(document))
    assert number(document["biomarkers"]["poi_percent"], 1) in shown
    assert number(document["biomarkers"]["ihu_hu"]) + " HU" in shown
    assert "not on a fitted model" in shown
    assert document["biomarkers"]["ct_extent_grade"] in shown


def test_the_page_says_what_it_can_not_tell(tmp_path: Path) -> None:
    shown = text_of(render_page(analysed(tmp_path).document()))
    for limit in ("Research use only", "Not a medical device", "No cause", "No lobes", "depends on slice thickness"):
        assert limit in shown


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    sick = analysed(tmp_path)
    assert sick.volume is not None
    assert sick.masks is not None
    page = render_page(sick.document(), draw_pictures(sick.volume, sick.masks))
    sources = re.findall(r"(?:src|href)=\"(.{0,30})", page)
    assert sources
    assert all(source.startswith("data:image/jpeg;base64") for source in sources)
    assert not re.search(r"https?://|@import|<script|url\((?!#)", page)


@pytest.mark.parametrize("after_measuring", [False, True])
def test_a_refusal_shows_reason_and_advice_and_no_infection(tmp_path: Path, after_measuring: bool) -> None:
    document = refused(tmp_path, after_measuring=after_measuring).document()
    page = render_page(document)
    shown = text_of(page)
    for text in ("Not measured", *document["reason"].values()):
        assert text in shown
    assert "No severity flag" not in shown
    assert "neither a normal nor an abnormal result" in shown
    assert 'class="boxes"' not in page


def test_no_line_ends_within_a_date_a_grade_or_a_number_with_its_unit_and_markup_stays_text() -> None:
    kept = re.findall(
        r'<span class="unbroken">(.*?)</span>', unbroken("CT-2, \u22124.5 % since 2026-09-14 10:15, 12 mmol <b>")
    )
    assert kept == ["CT-2", "\u22124.5 %", "2026-09-14 10:15"]
    assert unbroken("12 mmol <b>") == "12 mmol &lt;b&gt;"


def test_lung_volumes_stay_where_the_infection_is_withheld(tmp_path: Path) -> None:
    document = refused(tmp_path, after_measuring=True).document()
    assert number(document["biomarkers"]["left"]["lung_volume_ml"]) in text_of(render_page(document))
    document["flags"] = [{"code": "QUALITY_LOOKS_EXTENSIVE", "level": "caution", "message": ""}]
    shown = text_of(render_page(document))
    assert "much of the lungs looks infected" in shown and "says nothing about infection" not in shown


def test_a_study_without_infection_shows_a_dash_for_its_density(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    document["biomarkers"].update(poi_percent=0.0, ihu_hu=None, infection_volume_ml=0.0)
    assert "– HU Nothing was found" in text_of(render_page(document))


def test_the_truth_of_a_phantom_stands_beside_what_was_found(tmp_path: Path) -> None:
    rows = [ComparisonRow("POI, %", 2, 12.5, 11.0, 1.0), ComparisonRow("iHU, HU", 1, -520.0, -525.0, 15.0)]
    shown = text_of(render_page(analysed(tmp_path).document(), comparison=rows))
    assert "12.50 11.00 1.50 1 OUTSIDE" in shown
    assert "−520.0 −525.0 5.0 15 within" in shown


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(None, 1, "–"), (-0.04, 1, "0.0"), (-520.4, 0, "−520"), (7.25, 1, "7.2"), (0.0, 0, "0")],
)
def test_numbers_are_printed_for_people(value: float | None, digits: int, expected: str) -> None:
    assert number(value, digits) == expected


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("DOE^JANE^^DR", "DOE JANE DR"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada Tarou (山田 太郎)"),
        ("=王^小东", "王 小东"),
        (None, ""),
    ],
)
def test_a_name_is_shown_in_its_own_script_too(stated: str | None, shown: str) -> None:
    assert person(stated) == shown


# The verdict


def sentence(**changes: object) -> str:
    document = {"biomarkers": measured(), "severity": {"distance_points": 1.3, "deciding_percent": 23.7}}
    document["biomarkers"].update(changes)
    return verdict_sentence(document, words("en"))


def measured() -> dict[str, Any]:
    names = [f"{side}_{third}" for side in ("right", "left") for third in ("upper", "middle", "lower")]
    zones = {name: {"infection_volume_ml": 50.0, "score": 1} for name in names}
    zones["right_lower"] = {"infection_volume_ml": 400.0, "score": 3}
    return {
        "poi_percent": 16.2,
        "infection_volume_ml": 650.0,
        "consolidation_ml": 325.0,
        "ct_extent_grade": "CT-1",
        "zones": zones,
    }


def test_the_verdict_is_the_sentence_that_a_doctor_would_write() -> None:
    assert sentence() == (
        "Opacity in both lungs, 16 % of the lung, most in the right lower zone, half of it dense; "
        "grade CT-1, 1.3 points below CT-2."
    )


def test_no_opacity_and_none_measured_are_different_sentences() -> None:
    assert sentence(poi_percent=0.0, infection_volume_ml=0.0) == "No opacity was found in the lungs."
    assert sentence(poi_percent=None) == "Opacity was not measured."


def test_one_sided_disease_names_the_side_and_small_shares_their_first_digit() -> None:
    zones = measured()["zones"]
    for name in ("right_upper", "right_middle", "right_lower"):
        zones[name] = {"infection_volume_ml": 0.0, "score": 0}
    zones["left_lower"]["infection_volume_ml"] = 90.0
    assert sentence(zones=zones, poi_percent=3.14).startswith(
        "Opacity in the left lung, 3.1 % of both lungs together, most in"
    )


@pytest.mark.parametrize(
    ("most_ml", "said"),
    [
        ({"right_lower": 100.0, "left_upper": 70.0}, "most in the right lower zone"),
        ({"right_middle": 32.0, "right_lower": 30.0}, None),
        ({"right_lower": 110.0, "left_lower": 100.0}, "most in both lower zones"),
        ({"right_upper": 160.0, "left_upper": 140.0, "left_lower": 140.0}, None),
    ],
)
def test_a_zone_is_called_the_one_with_the_most_only_where_it_stands_out(
    most_ml: dict[str, float], said: str | None
) -> None:
    volumes = {name: most_ml.get(name, 20.0) for name in measured()["zones"]}
    zones = {name: {"infection_volume_ml": ml, "score": 1} for name, ml in volumes.items()}
    assert [part for part in sentence(zones=zones).split(", ") if part.startswith("most in")] == [said] * bool(said)


@pytest.mark.parametrize(("left_upper_percent", "is_named"), [(12.0, False), (10.1, True)])
def test_no_zone_is_called_the_one_with_the_most_beside_a_smaller_one_of_a_higher_poi(
    left_upper_percent: float, is_named: bool
) -> None:
    """The drawing below the sentence shows the share of each zone: one of them would seem wrong."""
    zones = measured()["zones"]
    zones["right_lower"]["poi_percent"], zones["left_upper"]["poi_percent"] = 10.1, left_upper_percent
    assert ("most in the right lower zone" in sentence(zones=zones)) == is_named


def test_no_side_is_named_where_sides_are_not_certain() -> None:
    unknown = {name: {"infection_volume_ml": None, "score": None} for name in measured()["zones"]}
    assert sentence(zones=unknown).startswith("Opacity in the lungs, 16 % of the lung, half of it dense;")


def test_below_the_floors_it_is_traces() -> None:
    zones = {name: {"infection_volume_ml": 0.5, "score": 0} for name in measured()["zones"]}
    assert sentence(zones=zones, poi_percent=0.1, ct_extent_grade="CT-0") == (
        "Traces of opacity, 0.1 % of the lung, half of it dense; grade CT-0."
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "nearly all of it ground glass"),
        (0.2, "mostly ground glass"),
        (0.5, "half of it dense"),
        (0.7, "mostly dense"),
        (0.95, "nearly all of it dense"),
    ],
)
def test_ground_glass_and_consolidation_are_told_apart(share: float, words: str) -> None:
    assert words in sentence(consolidation_ml=share * 650.0)


# What stands on the page


@pytest.mark.parametrize(("flag", "word"), [("none", "No severity flag"), ("watch", "WATCH"), ("severe", "SEVERE")])
def test_the_flag_is_a_word_and_a_shape_and_the_deciding_figure_stands_by_it(
    tmp_path: Path, flag: str, word: str
) -> None:
    document = analysed(tmp_path).document()
    document["severity"].update(flag=flag, deciding_percent=23.7, distance_points=1.3)
    document["biomarkers"]["ct_extent_grade"] = "CT-1"
    page = render_page(document)
    shape = page.partition('<div class="flag')[2].partition("</svg>")[0]
    assert {"none": "<circle", "watch": 'stroke-linejoin="round"', "severe": "h12l9 9"}[flag] in shape
    assert f"{word} " in text_of(page)
    assert "23.7 % of the worse lung: grade CT-1 · 1.3 points below CT-2" in text_of(page)


def test_traces_below_the_floors_are_no_share_of_the_worse_lung_that_contradicts_poi(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    document["severity"].update(flag="none", deciding_percent=0.0, distance_points=25.0)
    document["biomarkers"].update(poi_percent=0.1, ct_extent_grade="CT-0")
    page = text_of(render_page(document))
    assert "grade CT-0 The flag rests on" in page
    assert "of the worse lung" not in page


def test_each_zone_is_drawn_with_its_share_and_how_much_of_it_is_dense(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    drawn = {zone.name: zone for zone in draw_zones(document["biomarkers"]["zones"])}
    lower = document["biomarkers"]["zones"]["left_lower"]
    assert drawn["left_lower"].poi_percent == lower["poi_percent"]
    assert drawn["left_lower"].dense == pytest.approx(BAR_WIDTH * lower["high_opacity_percent"] / 100.0, abs=0.1)
    assert render_page(document).count('class="percent"') == 6


def test_where_sides_are_not_certain_no_zone_is_drawn_and_no_word_on_the_page_names_a_side(tmp_path: Path) -> None:
    study = analysed(tmp_path)
    document = study.document()
    document["biomarkers"].update(zones={name: {"lung_volume_ml": None} for name in NAMES}, left=None, right=None)
    assert study.volume is not None
    assert study.masks is not None
    page = render_page(document, draw_pictures(study.volume, study.masks, sides=False))
    assert "it is not certain which side is which" in page
    assert 'class="lungs"' not in page
    assert "Both lungs" in text_of(page)
    assert re.findall(r"\b(?i:right|left)\b.{20}", text_of(page)) == []


def test_site_referrer_and_signature_stand_on_the_page_only_where_they_are_set(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    site = SiteSettings(name="District Hospital", referrer="Dr Mensah", signature="Radiologist")
    page = text_of(render_page(document, site=site))
    assert all(word in page for word in ("District Hospital", "Dr Mensah", "Radiologist ·"))
    assert not re.search(r'class="sign"|referrer:', render_page(document))


def test_flags_are_said_in_plain_words_with_what_to_do_and_the_documents_own_words(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    document["flags"] = [{"code": "QUALITY_METAL", "level": "caution", "message": "2.1 ml of metal."}]
    shown = text_of(render_page(document))
    assert "its streaks can look like infection" in shown
    assert "What to do: Take off what can be taken off" in shown
    assert "QUALITY_METAL 2.1 ml of metal." in shown


# Nothing from outside, nothing that acts


def test_the_policy_allows_the_pages_own_style_by_its_digest_and_nothing_else(tmp_path: Path) -> None:
    page = render_page(analysed(tmp_path).document())
    style = re.search(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert style
    assert policy
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert html.unescape(policy[1]).split("; ") == [
        "default-src 'none'", "img-src data:", f"style-src 'sha256-{digest}'", "base-uri 'none'", "form-action 'none'",
    ]  # fmt: skip
    assert not re.search(r" style=|<script|<link|<iframe| on[a-z]+=", page)


# The earlier scan


def test_the_earlier_slice_stands_beside_the_present_one_at_the_same_height(tmp_path: Path) -> None:
    sick = analysed(tmp_path / "dicom")
    assert sick.volume is not None
    assert sick.masks is not None
    pictures = draw_pictures(sick.volume, sick.masks)
    (tmp_path / "slices.zip").write_bytes(slice_archive_bytes(pictures.tiles))
    archive = open_slice_archive(tmp_path / "slices.zip")
    assert archive is not None
    document = {**sick.document(), "progression": change_of("rising")}
    page = render_page(document, pictures, earlier=EarlierSlices("2020-03-20T08:00:00", archive))
    assert "At the same height: 2020-03-20 08:00 and this scan" in text_of(page)
    assert page.count('alt="Earlier"') == page.count('alt="This scan"') == 4
    assert "At the same height" not in render_page(document, pictures)


def change_of(trend: str) -> dict[str, Any]:
    changed = {"poi_change_points": 4.0, "ihu_change_hu": None, "trend": trend, "density_trend": "not_comparable"}
    row = {
        **{"poi_percent": 4.0, "ihu_hu": -500.0, "infection_volume_ml": 100.0, "lung_volume_ml": 4000.0},
        **{"trend": None, "density_trend": None, "why": None, "poi_change_points": None, "ihu_change_hu": None},
        **{"acquired_at": "2020-03-20T08:00:00", "ct_extent_grade": "CT-1", "severity_flag": "none"},
    }
    return {
        **changed,
        "previous_study_uid": "1.2.3",
        "previous_acquired_at": "2020-03-20T08:00:00",
        "interval_days": 12.1,
        "why": "POI changed by +4.0 points, beyond the measurement error of 1.5.",
        "last_comparable": None,
        "measurement_error": {"poi_points": 1.5, "ihu_hu": 48.0, "source": "by construction"},
        "scans": [row, {**row, **changed, "acquired_at": "2020-04-01T10:15:00", "severity_flag": "watch"}],
    }


def test_the_course_has_the_severity_of_each_scan(tmp_path: Path) -> None:
    document = {**analysed(tmp_path).document(), "progression": change_of("rising")}
    course = text_of(render_page(document).partition('class="course')[2])
    assert "CT-1 none" in course
    assert "CT-1 WATCH" in course
