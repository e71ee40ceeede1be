"""Sentences of the document in the reader's language.

The document holds English sentences with figures in them. Each was made from a text with places for the figures; here
the figures are found again, and stand in the translated text. A sentence of unknown making stays English, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scanside_appliance.languages.catalogue import ENGLISH, to_translate
from scanside_appliance.languages.sentences import match
from scanside_appliance.languages.words import Words
from scanside_appliance.page.details import figures_in_words
from scanside_appliance.page.flag_sentences import by_figures, sentence_in_words
from scanside_appliance.page.study_errors import study_errors
from scanside_runtime.findings import KINDS

SENTENCES = (
    to_translate(
        "The worse lung, {percent} %, is {below} points below {grade}, within the measurement error of {error} points: "
        "the graver flag is given."
    ),
    to_translate(
        "{fluid} ml of possible effusion are not counted; were they consolidation, the worse lung would be "
        "{percent} %, {grade}."
    ),
    to_translate(
        "{fluid} ml are not counted as a possible effusion, but {hu} HU may be consolidation as well; the worse lung "
        "would be {percent} %: the graver flag is given."
    ),
    to_translate("Infection grew from {before} to {after} ml in {hours} hour(s)."),
    to_translate("The model {model} was not used: {names} was not measured."),
    to_translate("Below the model's cut-off, but the extent grade asks to watch."),
    to_translate("POI changed by {change} points, within the measurement error of {error}."),
    to_translate("POI changed by {change} points, beyond the measurement error of {error}."),
    to_translate("iHU changed by {change} HU, within the measurement error of {error}."),
    to_translate("iHU changed by {change} HU, beyond the measurement error of {error}."),
    to_translate("iHU is not compared: it takes {least} ml of infection in both scans."),
    to_translate("Not compared: {why}."),
    to_translate("{networks} against true changes, {patients} phantom patients of six scans"),
    to_translate(
        "{networks} against true changes in {patients} phantom patients of six scans; "
        "{later} has the same weights, quantised anew"
    ),
)
OBSTACLES = (
    to_translate("which of them came first is not known"),
    to_translate("POI was not measured in the earlier scan"),
    to_translate("POI was not measured in the later scan"),
    to_translate("the patient is stated differently ({conflict})"),
    to_translate('the patient ID "{patient_id}" is given to many, and no birth date says whose they are'),
    to_translate("one of them was released to stand by itself"),
    to_translate("other networks measured them ({before} and {after}): analyse the earlier study again"),
    to_translate("a slice thickness is not stated"),
    to_translate("the slices are {before} mm and {after} mm thick"),
    to_translate("the kernels are {before} and {after}"),
    to_translate("contrast medium was given for one of them only"),
    to_translate("the lungs are cut off differently"),
    to_translate("one of them has gaps between its slices"),
    to_translate("a possible effusion was set apart in one of them only"),
)
"""Why two scans are not compared, see `scanside_runtime.followup.comparability`."""
CHOICES = (
    to_translate(
        "The best of the axial series: {series}. Order: not called another part, complete, original, chest, "
        "soft kernel, near 5 mm, more slices. Passed over: {others}."
    ),
    to_translate("The only axial series that can be measured: {series}. Passed over: {others}."),
    to_translate("The only axial series that can be measured: {series}."),
    to_translate("It was chosen by a person."),
)
"""Why a series was chosen, see `scanside_runtime.dicom.choice`."""


@dataclass(frozen=True, slots=True)
class Caution:
    """A flag for people: what it means, what to do, and its figures in words.

    in_english: the detail is the document's own message.
    """

    level: str
    code: str
    meaning: str
    advice: str
    detail: str
    in_english: bool = True


def cautions(flags: Iterable[Mapping[str, Any]], _: Words) -> list[Caution]:
    """The document's flags in plain words. One whose code is not known has its own words alone."""
    return [_caution(flag, _) for flag in flags]


def _caution(flag: Mapping[str, Any], _: Words) -> Caution:
    code, message = str(flag.get("code")), str(flag.get("message"))
    kind = KINDS.get(code)
    if kind is None:
        return Caution(str(flag.get("level")), code, message, "", "")
    said = figures_in_words(flag, _) or _sentence(code, message, _)
    detail = message if said is None else said
    return Caution(str(flag.get("level")), code, _(kind.meaning), _(kind.advice), detail, said is None)


def _sentence(code: str, message: str, _: Words) -> str | None:
    """The message translated; "" where it says no more than the flag's meaning; None for one of unknown making."""
    said = sentence_in_words(code, message, _)
    return message if said and _.language == ENGLISH else said


def reason_in_words(
    reason: Mapping[str, Any], _: Words, flags: Iterable[Mapping[str, Any]] = ()
) -> tuple[str, str, str]:
    """What happened, what to do next, and below them its figures, else the document's own words, else nothing."""
    code, message, advice = (str(reason.get(key) or "") for key in ("code", "message", "advice"))
    kind = KINDS.get(code)
    if kind is not None:
        said = next((one for one in cautions(flags, _) if one.code == code), None)
        detail = message if said is None else said.detail
        return _(kind.meaning), _(kind.advice), detail if detail != kind.meaning else ""
    text = study_errors().get(code)
    return message if text is None else in_words(message, (text,), _), _(advice) if advice else "", ""


def explained(text: str | None, _: Words) -> str:
    """One or more of `SENTENCES`, translated; what is unknown stays as it is."""
    sentences = re.split(r"(?<=[.])\s+(?=[A-Zi])", text or "")
    return _.together(*(_explained(sentence, _) for sentence in sentences))


def chosen(text: str | None, _: Words) -> str:
    """Why a series was chosen, translated; of each series that is named the figures alone, which need no words."""
    if not text or _.language == ENGLISH:
        return text or ""
    found = match(text, CHOICES)
    called = by_figures(text)
    return called if found is None else in_words(called, CHOICES, _)


def _explained(sentence: str, _: Words) -> str:
    found = match(sentence, SENTENCES)
    if found is None:
        return sentence
    text, values = found
    if "why" in values:
        values["why"] = _("; ").join(in_words(why, OBSTACLES, _) for why in values["why"].split("; "))
    return _(text, **values)


def in_words(message: str, texts: Iterable[str], _: Words) -> str:
    """The message in the reader's language, if it was made from one of these texts; else as it is."""
    found = match(message, texts)
    return message if found is None else _(found[0], **found[1])
