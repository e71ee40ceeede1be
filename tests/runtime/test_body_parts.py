"""Words of a header in many languages: what ranks as a chest, what as its neighbour, what as another part."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from scanside_runtime.dicom.values.body_parts import BodyPart, folded, part_named

CHESTS = {
    "en": ("CHEST 5mm", "CTChest", "Chest/Abdomen/Pelvis", "CT LUNG LOW DOSE", "CTTHORAX", "C/A/P"),
    "de": ("Thorax nativ", "LUNGE", "Brustkorb"),
    "fr": ("THORAX SANS INJECTION", "Poumons", "Thoraco-abdo"),
    "es": ("TÓRAX/ABDOMEN", "PULMÓN", "Torácico"),
    "pt": ("TÓRAX", "Pulmões", "tórax e abdome"),
    "it": ("TORACE", "Polmoni", "torace-addome"),
    "pl": ("Klatka piersiowa", "KLATKI PIERSIOWEJ", "Płuca"),
    "cs": ("Hrudník", "Plíce"),
    "ru": ("ОГК", "ОГК и брюшная полость", "Органы грудной клетки", "Лёгкие"),
    "uk": ("ОГК", "Грудна клітка", "Легені"),
    "tr": ("TORAKS ABDOMEN", "Göğüs BT", "Akciğer"),
    "el": ("ΘΩΡΑΚΑΣ", "Θώρακος", "Πνεύμονες"),
    "hu": ("Mellkas", "Tüdő"),
    "ro": ("Torace", "Plămâni"),
    "zh": ("胸部平扫", "胸部+上腹部", "肺窗"),
    "ja": ("胸部", "胸腹部CT"),
    "ko": ("흉부", "흉부 복부"),
    "ar": ("الصدر", "الصدر والبطن"),
    "he": ("חזה",),
    "hi": ("छाती",),
    "th": ("ทรวงอก",),
    "vi": ("Ngực", "Phổi"),
    "id": ("Dada", "Paru-paru"),
}
NEIGHBOURS = ("ABDOMEN", "Brzuch", "Bauch", "ОБП", "брюшная полость", "腹部", "복부", "بطن", "ΚΟΙΛΙΑ", "BATIN", "Herz")
OTHERS = (
    *("HEAD", "CTHead", "RoutineHead_1", "Kopf", "Crâne", "CABEZA", "Cráneo", "ГОЛОВА", "Головной мозг", "头颅"),
    *("頭部", "Thoracic spine", "T-Spine", "BWS", "Brustwirbelsäule", "грудного отдела позвоночника", "胸椎", "KNEE"),
)
SAY_NOTHING = ("5mm", "HEAD FIRST", "Head-First Supine", "ARM DOWN", "arms up", "Ax 5.0 B31f", "Routine", "", "COVID")


@pytest.mark.parametrize("language", CHESTS)
def test_a_chest_is_known_in_this_language(language: str) -> None:
    assert {text: part_named(text) for text in CHESTS[language]} == dict.fromkeys(CHESTS[language], BodyPart.CHEST)


@pytest.mark.parametrize(
    ("texts", "part"),
    [(NEIGHBOURS, BodyPart.NEIGHBOUR), (OTHERS, BodyPart.ELSEWHERE), (SAY_NOTHING, BodyPart.UNSAID)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_neighbours_other_parts_and_ways_to_lie_are_told_apart(texts: tuple[str, ...], part: BodyPart) -> None:
    assert {text: part_named(text) for text in texts} == dict.fromkeys(texts, part)


def test_the_words_of_the_file_are_written_as_they_are_compared() -> None:
    source = resources.files("scanside_runtime.dicom.values").joinpath("body_parts.toml").read_text(encoding="utf-8")
    known = tomllib.loads(source)
    assert len({language for languages in known.values() for language in languages} - {"any"}) >= 30
    latin = {word for languages in known.values() for words in languages.values() for word in words if word.isascii()}
    assert {word for word in latin if folded(word) != word} == set()
