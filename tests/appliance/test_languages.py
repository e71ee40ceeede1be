"""The page in the reader's language: nothing is missing, figures stay figures, the document stays English."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from kit.analysis_samples import REASON, analysed, refused
from kit.course_samples import ERROR, course_block, scan
from scanside_appliance.cli.options import LanguageName
from scanside_appliance.languages.catalogue import DOMAIN, FOLDER, catalogue, direction
from scanside_appliance.languages.words import words
from scanside_appliance.page.details import DETAILS, figures_in_words
from scanside_appliance.page.formatting import unbroken
from scanside_appliance.page.report import render_page
from scanside_appliance.page.sentences import (
    SENTENCES,
    Caution,
    cautions,
    chosen,
    explained,
    in_words,
    reason_in_words,
)  # fmt: skip
from scanside_appliance.page.verdict import verdict_sentence
from scanside_runtime.dicom.errors import (
    GeometryMissingSlices,
    GeometryMixedReconstruction,
    InputByteOrder,
    InputFileTooLarge,
    InputNotHu,
    InputTooLarge,
    InputTruncated,
    InputUnreadable,
)
from scanside_runtime.dicom.values.byte_order import BIG_AS_LITTLE
from scanside_runtime.errors import SettingsUnusable
from scanside_runtime.findings import KINDS, Finding, figures
from scanside_runtime.followup.progression import compare
from scanside_runtime.measures.severity import assess_extent
from scanside_runtime.settings.load import settings_digest, settings_of
from scanside_runtime.settings.tables import LANGUAGES, Settings, SiteSettings

OTHERS = tuple(language for language in LANGUAGES if language != "en")
EMPTY: dict[str, Any] = {"verdict": "analysed", "severity": {}, "biomarkers": {}}
NO_WORDS = re.compile(r"\{[^}]*\}|%\(\w+\)s|`[^`]*`|scanside \w+(?: \w+)?|docs/\S+|\w+/")
"""Places, commands and names of files in a text."""
PLACES = re.compile(r"%\(\w+\)s|%s|%%|\{\w+(?::[^}]*)?\}")


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    """docs/catalogues.py, with which the catalogues are made."""
    pytest.importorskip("babel", reason="Babel is an extra of developers")
    return runpy.run_path(str(Path(__file__).parents[2] / "docs" / "catalogues.py"))


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_of_the_page_is_missing_in_any_language(tool: dict[str, Any], language: str) -> None:
    known = tool["read_catalogue"](language)
    assert tool["missing"](known, tool["texts"]()) == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_compiled_catalogue_is_that_of_the_texts_and_none_is_left_over(tool: dict[str, Any], language: str) -> None:
    known = tool["read_catalogue"](language)
    assert tool["po_path"](language).with_suffix(".mo").read_bytes() == tool["mo_bytes"](known)
    ids = {message.id[0] if isinstance(message.id, tuple) else message.id for message in known if message.id}
    assert ids == set(tool["texts"]())
    assert tool["PHRASES"].read_text("utf-8") == tool["phrases_file"]()


def test_a_french_page_lets_no_line_begin_with_a_sign_that_stands_apart(tmp_path: Path) -> None:
    document = {**analysed(tmp_path).document(), "progression": course_block(3)}
    page = render_page(document, site=SiteSettings(language="fr")).partition("</style>")[2]
    assert re.findall(r".{9} [;:!?»]|« .{9}", page) == []
    assert "Que faire\N{NARROW NO-BREAK SPACE}:" in page
    assert "Que faire :" in words("fr")("What to do:"), "a terminal may lack that space"


def pairs() -> Iterator[tuple[str, str, str]]:
    for language in OTHERS:
        known = catalogue(language)._catalog  # type: ignore[attr-defined]  # its way of iterating
        for text, translated in known.items():
            if text:
                yield language, text[0] if isinstance(text, tuple) else text, translated


def test_every_figure_of_a_text_has_its_place_in_each_language() -> None:
    def places(text: str) -> list[str]:
        return sorted(re.sub(r":[^}]*", "", place) for place in PLACES.findall(text))

    wrong = [(language, text, said) for language, text, said in pairs() if places(text) != places(said)]
    assert wrong == []
    assert len(list(pairs())) > 4000


def glossary() -> Iterator[tuple[str, list[str]]]:
    """The table of docs/languages.md: the English term, and what stands for it in each other language."""
    page = (Path(__file__).parents[2] / "docs" / "languages.md").read_text("utf-8")
    table = page.partition("| English | French |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        term, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        yield term, cells


def test_each_term_of_the_glossary_is_said_by_its_own_word_in_every_text_that_has_it() -> None:
    said: dict[tuple[str, str], list[str]] = {}
    for language, text, translated in pairs():
        said.setdefault((language, NO_WORDS.sub(" ", text)), []).append(translated.lower())
    terms = list(glossary())
    assert len(terms) > 20
    for term, cells in terms:
        has_it = re.compile(rf"(?<![\w-]){term.removesuffix('y')}(?:s|y|ies)?(?![\w-])", re.IGNORECASE)
        meant = [(key, forms) for key, forms in said.items() if has_it.search(key[1])]
        assert meant, term
        for (language, text), forms in meant:
            allowed = cells[OTHERS.index(language)].lower().split(", ")
            assert all(any(word in form for word in allowed) for form in forms), (term, language, text)


def test_the_settings_the_option_and_the_folders_know_the_same_languages() -> None:
    assert tuple(LanguageName) == LANGUAGES
    assert {path.parent.parent.name for path in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.mo")} == set(OTHERS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_states_its_language_and_keeps_figures_dates_and_codes(tmp_path: Path, language: str) -> None:
    document = {**analysed(tmp_path).document(), "progression": course_block(3)}
    page = render_page(document, site=SiteSettings(language=language))
    assert f'<html lang="{language}" dir="ltr">' in page
    assert f"{document['biomarkers']['poi_percent']:.1f}" in page
    assert "2020-04-01 10:15" in page
    assert "QUALITY_NOISE" in page
    assert ("Research use only" in page) == (language == "en")


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left_but_what_is_marked_as_english_or_a_proper_name(tmp_path: Path, language: str) -> None:
    document = {**analysed(tmp_path).document(), "progression": course_block(5)}
    page = render_page(document, site=SiteSettings(language=language))
    body = re.sub(r"<style>.*?</style>|<bdi>.*?</bdi>|<\w+ lang=\"en\".*?</\w+>|<[^>]+>", " ", page, flags=re.DOTALL)
    assert re.findall(r"\b(?:the|of|with|was|lungs?|slices?|measured|since|and)\b", body) == []


@pytest.mark.parametrize("language", OTHERS)
def test_the_verdict_is_a_sentence_in_each_language(tmp_path: Path, language: str) -> None:
    document = analysed(tmp_path).document()
    said = verdict_sentence(document, words(language))
    assert said != verdict_sentence(document, words("en"))
    assert f"{document['biomarkers']['poi_percent']:.1f}" in said
    assert "CT-1" in said
    assert "%(" not in said


def test_a_reason_is_translated_with_its_figures_and_its_advice() -> None:
    error = GeometryMissingSlices(count=2, where="-63.2 mm", spacing_mm=5.0)
    what, advice, more = reason_in_words(
        {"code": error.code, "message": error.message, "advice": error.advice}, words("fr")
    )
    assert what == "2 coupes manquent, après -63.2 mm ; les autres sont à 5.00 mm les unes des autres."
    assert advice == "Renvoyez la série : le transfert est incomplet."
    assert more == ""


@pytest.mark.parametrize("language", OTHERS)
def test_what_stands_within_a_reason_is_said_in_the_language_too(language: str) -> None:
    reasons = (
        InputTooLarge(what="the folder holds more than 20000 files"),
        InputFileTooLarge(what="scan.dcm: 900 MB, at most 512 are read"),
        InputNotHu(why="nothing measures as air does; the lowest hundredth is at 12, air is -1000"),
        InputByteOrder(name="scan.dcm", why=BIG_AS_LITTLE),
        InputUnreadable(name="scan.dcm", why="its header is damaged; and 3 more files"),
        InputTruncated(name="scan.dcm", why="100 of 200 bytes are there"),
        GeometryMixedReconstruction(differs="slice thickness 1 mm, 5 mm"),
    )
    for error in reasons:
        said, _advice, _more = reason_in_words({"code": error.code, "message": error.message}, words(language))
        assert not re.search(r"\b(?:the|more|than|are|is|as|its|and|of|at|slice)\b", said), said


def test_a_withheld_finding_is_said_by_its_meaning_with_the_documents_words_below() -> None:
    reason = {"code": "QUALITY_MOTION", "message": "60 % of the slices moved.", "advice": "..."}
    what, advice, more = reason_in_words(reason, words("es"))
    assert what == words("es")(KINDS["QUALITY_MOTION"].meaning) != KINDS["QUALITY_MOTION"].meaning
    assert advice == words("es")(KINDS["QUALITY_MOTION"].advice)
    assert more == "60 % of the slices moved."


def test_why_a_series_was_chosen_is_said_in_the_readers_language_with_the_names_as_they_are() -> None:
    why = 'The only axial series that can be measured: "CT (soft)" (59 slices, 5 mm, kernel B30f).'
    passed = (
        ' Passed over: "no description" (1 slices, thickness not stated, kernel not stated): SERIES_LOCALIZER_ONLY.'
    )
    assert chosen(why, words("en")) == why
    assert chosen(why, words("fr")) == 'La seule série axiale mesurable : "CT (soft)" (59 × 5 mm, B30f).'
    assert '"CT (soft)" (59 × 5 mm, B30f)' in chosen(why + passed, words("sw"))
    assert chosen(why + passed, words("fr")).endswith('Écartées : "no description" (1 × ?, ?): SERIES_LOCALIZER_ONLY.')
    assert chosen("Nobody knows.", words("fr")) == "Nobody knows."


def measured(flag: Finding, language: str) -> Caution:
    (said,) = cautions([asdict(flag)], words(language))
    return said


@pytest.mark.parametrize("language", OTHERS)
def test_the_figures_of_a_finding_stand_in_a_sentence_of_each_language(language: str) -> None:
    metal = Finding("QUALITY_METAL", "caution", "There is metal.", figures(lungs_percent=12.4, metal_ml=2.14))
    said = measured(metal, language)
    assert "2.1" in said.detail and "12 %" in said.detail
    assert not said.in_english and not re.search(r"metal, beside|\{", said.detail)
    page = render_page({**EMPTY, "flags": [asdict(metal)]}, site=SiteSettings(language=language))
    assert str(unbroken(said.detail)) in page and "There is metal." not in page
    assert measured(replace(metal, values={}), language).detail == "There is metal."  # of a Scanside before


def test_an_english_page_says_the_figures_too_and_the_documents_sentence_where_it_lacks_them() -> None:
    cold = Finding("QUALITY_HU_CALIBRATION", "withhold", "The HU are not calibrated.", figures(air_hu=-880.4))
    assert measured(cold, "en").detail == "air in the trachea: −880 HU instead of about −1000"
    assert measured(replace(cold, values={}), "en").detail == "The HU are not calibrated."
    assert "−880 HU" in measured(cold, "fr").detail
    reason = {"code": cold.code, "message": cold.message}
    _, _, detail = reason_in_words(reason, words("fr"), [asdict(cold)])
    assert detail == measured(cold, "fr").detail


def test_every_detail_is_of_a_known_finding_and_odd_figures_spoil_no_page() -> None:
    assert DETAILS.keys() <= KINDS.keys()
    for value in ("x", None, [1], {}):
        assert figures_in_words({"code": "QUALITY_NOISE", "values": {"scatter_hu": value}}, str) == ""


def test_a_message_of_unknown_making_stays_as_it_is() -> None:
    assert in_words("Something {odd} happened.", SENTENCES, words("fr")) == "Something {odd} happened."
    assert explained("It was {why}. And %(more)s.", words("sw")) == "It was {why}. And %(more)s."
    unknown = {"code": "BOX_ODD", "message": "Odd.", "advice": "Look."}
    assert reason_in_words(unknown, words("hi")) == ("Odd.", "Look.", "")


def test_sentences_of_the_runtime_are_known_and_translated() -> None:
    """What the analysis really says: each sentence finds its text, and the figures their places in it."""
    french = words("fr")
    alike = compare(scan("2020-03-01T08:00:00", 5.0, -500.0), scan("2020-03-03T08:00:00", 9.0, -490.0), ERROR)
    assert explained(alike.why, french) == (
        "Le POI a varié de +4.0 points, au-delà de l'erreur de mesure de 2.0. "
        "L'iHU a varié de +10 HU, dans l'erreur de mesure de 30."
    )
    thinner = scan("2020-03-05T08:00:00", 9.0, **{"series.slice_thickness_mm": 1.0, "series.kernel": "B70f"})
    apart = compare(scan("2020-03-03T08:00:00", 9.0), thinner, ERROR)
    assert explained(apart.why, french) == (
        "Non comparé : les coupes ont 5 mm et 1 mm d'épaisseur ; les filtres sont B30f et B70f."
    )


def test_the_graver_flag_near_the_edge_is_explained_in_the_language() -> None:
    from scanside_runtime.measures.biomarkers import Biomarkers, Region, Zone, Zones

    part = Region(24.0, -500.0, 1000.0, 240.0, 0.0, 0.0)
    zone = Zone(24.0, -500.0, 1000.0, 240.0, 0.0, 0.0, score=1)
    names = [f"{side}_{third}" for side in ("right", "left") for third in ("upper", "middle", "lower")]
    measured = Biomarkers(part, part, part, Zones(**dict.fromkeys(names, zone)), 6, "CT-1", "worse_lung", 24.0)
    why = assess_extent(measured, error_points=1.5).why
    assert explained(why, words("pt")).startswith("O pulmão mais afetado, 24.0 %, está 1.0 pontos abaixo")


def test_a_language_that_is_written_from_the_right_turns_the_page() -> None:
    assert (direction("ar"), direction("fa-IR"), direction("hi")) == ("rtl", "rtl", "ltr")
    with pytest.raises(ValueError, match="no language"):
        catalogue("xx")


def test_the_command_and_the_settings_choose_the_language_and_the_command_goes_first(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "site.toml").write_text('[site]\nlanguage = "sw"\nname = "Hospitali"\n')
    settings, out = ("--settings", tmp_path / "site.toml"), ("--output", tmp_path / "out")
    for options, language in (((), "sw"), (("--language", "fr"), "fr")):
        code, _, _ = run(*settings, "analyze", tmp_path / "empty", *out, *options)
        assert code == 3
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert f'<html lang="{language}"' in page
        assert "Hospitali" in page


@pytest.mark.parametrize(("name", "value"), [("language", "xx"), ("name", "two\nlines"), ("signature", "x" * 121)])
def test_a_site_that_no_page_could_show_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsUnusable, match=f"site.{name}"):
        settings_of({"site": {name: value}})


def test_what_the_page_is_headed_with_changes_no_digest_of_the_settings() -> None:
    assert settings_digest(settings_of({"site": {"name": "A", "language": "zh"}})) == settings_digest(Settings())


def test_a_refusal_speaks_the_language_too(tmp_path: Path) -> None:
    page = render_page(refused(tmp_path).document(), site=SiteSettings(language="zh"))
    assert "未测量" in page
    assert REASON["code"] in page
