"""The page says what was measured, all by itself, and a refusal never looks like a result."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from kit.analysis_samples import SHAPE, analysed, chest_masks, chest_series, refused
from scanside_appliance.page.report import ComparisonRow, number, render_page
from scanside_appliance.pictures.draw import COLUMNS, TILES, Picture, draw_pictures, montage


def text_of(page: str) -> str:
    """What a reader sees: without styles, tags and pictures."""
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def printed(value: float, digits: int, unit: str) -> str:
    """A number as `text_of` leaves it."""
    return re.sub(r"\s+", " ", number(value, digits, unit))


def orange(picture: Picture) -> npt.NDArray[np.intp]:
    """(n, 2) row and column of what is drawn as infection: nothing else on a page is more red than blue."""
    return np.argwhere(picture[..., 2].astype(int) - picture[..., 0] > 40)


def test_the_page_shows_both_biomarkers_and_what_the_flag_rests_on(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    shown = text_of(render_page(document))
    assert number(document["biomarkers"]["poi_percent"], 1) in shown
    assert number(document["biomarkers"]["ihu_hu"]) + " HU" in shown
    assert "not on the paper's fitted model" in shown
    assert document["biomarkers"]["ct_extent_grade"] in shown


def test_every_zone_is_on_the_page(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    shown = text_of(render_page(document))
    for zone in document["biomarkers"]["zones"].values():
        assert f"{number(zone['infection_volume_ml'])} of {printed(zone['lung_volume_ml'], 0, 'ml')}" in shown


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
    assert not re.search(r"https?://|@import|<script|url\(", page)


def test_what_a_header_says_is_text_and_never_markup(tmp_path: Path) -> None:
    document = analysed(tmp_path).document()
    document["study"]["patient_name"] = "<script>alert(1)</script>"
    document["series"]["description"] = '"><img src=x onerror=alert(1)>'
    page = render_page(document)
    assert "<script>" not in page
    assert "<img src=x" not in page


@pytest.mark.parametrize("after_measuring", [False, True])
def test_a_refusal_shows_reason_and_advice_and_no_infection(tmp_path: Path, after_measuring: bool) -> None:
    document = refused(tmp_path, after_measuring=after_measuring).document()
    page = render_page(document)
    shown = text_of(page)
    for text in ("Not measured", *document["reason"].values()):
        assert text in shown
    assert "No severity flag" not in shown
    assert 'class="hero"' not in page


def test_lung_volumes_stay_where_the_infection_is_withheld(tmp_path: Path) -> None:
    document = refused(tmp_path, after_measuring=True).document()
    assert number(document["biomarkers"]["left"]["lung_volume_ml"]) in text_of(render_page(document))


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


def test_the_patients_right_is_on_the_left_of_each_picture(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path)
    one_slice = next(s for s in draw_pictures(volume, chest_masks(volume)).slices if s.number == SHAPE[0] - 4)
    infection = orange(one_slice.picture)
    assert infection[:, 1].min() > one_slice.picture.shape[1] / 2  # it is in the left lung
    assert infection[:, 0].min() > one_slice.picture.shape[0] / 2  # and at the back


def test_slices_run_from_the_head_down_and_are_labelled_with_their_position(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path)
    slices = draw_pictures(volume, chest_masks(volume)).slices
    positions = [one_slice.position_mm for one_slice in slices]
    assert positions == sorted(positions, reverse=True)
    assert [s.position_mm for s in slices] == pytest.approx([-63.25 + 9.5 * (SHAPE[0] - s.number) for s in slices])
    assert len(slices) == min(TILES, 10)


def test_without_lungs_the_whole_volume_is_shown(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path)
    nothing = volume.with_mask(np.zeros(SHAPE, np.bool_))
    pictures = draw_pictures(volume, type(chest_masks(volume))(nothing, nothing, nothing))
    assert len(pictures.slices) == TILES
    assert montage(pictures.slices).shape[0] == TILES // COLUMNS * pictures.slices[0].picture.shape[0]


def test_a_withheld_infection_is_not_drawn(tmp_path: Path) -> None:
    _, volume = chest_series(tmp_path)
    pictures = draw_pictures(volume, chest_masks(volume), with_infection=False)
    assert not any(orange(one_slice.picture).size for one_slice in pictures.slices)
    assert any(orange(one_slice.picture).size for one_slice in draw_pictures(volume, chest_masks(volume)).slices)
