"""The document's own sentence of a flag in the reader's language, for flags whose figures do not say it all."""

from __future__ import annotations

import re

from scanside_appliance.languages.catalogue import to_translate
from scanside_appliance.languages.sentences import match
from scanside_appliance.languages.words import Words
from scanside_appliance.page.study_errors import study_errors

SENTENCES = {
    "INPUT_HEADER_VALUE": (
        to_translate('{keyword} "{value}" is not a date; taken as not stated.'),
        to_translate('{keyword} "{value}" is not readable; taken as not stated.'),
        to_translate('{keyword} "{value}" is not M, F or O; taken as not stated.'),
        to_translate('{keyword} "{value}" is not an age; taken as not stated.'),
    ),
    "INPUT_MENDED": (
        to_translate("In the files the transfer syntax says {said} VR, and the elements are {found}."),
        to_translate("In the files SamplesPerPixel is not stated and was taken as 1."),
        to_translate("In the files the end of its picture is not marked, and the picture is whole."),
        to_translate("In the files its offset table names several pictures, and there is one."),
    ),
    "INPUT_RESCALE_VARIES": (
        to_translate("{ways} different ways to HU along the series; each slice was taken by its own."),
    ),
    "INPUT_RESCALE_TYPE": (
        to_translate('RescaleType says "{kind}"; air and soft tissue measure what they measure in HU.'),
    ),
    "INPUT_INCOMPLETE": (to_translate("The study was not complete: {why}."),),
    "INPUT_DATE_FUTURE": (to_translate("The study is dated {date}, the box's clock says {today}."),),
    "SERIES_LABELLED_OTHERWISE": (
        to_translate('{field} says "{text}"; whether this is a chest is decided by the picture.'),
    ),
    "SERIES_SPLIT": (to_translate("The series holds {parts} acquisitions or reconstructions; measured is {series}."),),
    "SERIES_PASSED_OVER": (
        to_translate("Series {uid} was passed over: the pixels of {file} are cut off: {why}."),
        to_translate("Series {uid} was passed over: {why}"),
    ),
    "QUALITY_HU_UNPROVEN": (
        to_translate("HU could not be checked by tracheal air ({why}); soft tissue is where it belongs."),
    ),
    "QUALITY_KERNEL": (
        to_translate('The kernel "{kernel}" is a sharp one: it raises noise and edges, and iHU with them.'),
    ),
    "QUALITY_PART_MISSING": (
        to_translate("A part of a lung may be missing from the outlines: {what}. POI may be too low."),
    ),
    "QUALITY_ORIENTATION": (
        to_translate(
            "By the header {what}: the pictures may be mirrored, upside down or wrongly turned, or the organs lie "
            "mirrored (situs inversus). Sides and zones are not given, and there are no DICOM objects, which would "
            "have to name them; look at the pictures."
        ),
    ),
    "PATIENT_UNDATED": (to_translate("The scan states no date: it is compared with none of {scans} earlier scan(s)."),),
    "PATIENT_OTHER_BODY": (to_translate("It may be another person: {what}."),),
    "BOX_EARLIER_RESULT": (
        to_translate("An earlier result of the patient can't be used, the trend leaves it out: {name}."),
    ),
}
"""By code: what its message is made from."""
PARTS = (
    to_translate("no trachea was found"),
    to_translate("its air is clipped at the bottom of the scale"),
    to_translate("the right lung ends {apart} mm below the other one's apex"),
    to_translate("the left lung ends {apart} mm below the other one's apex"),
    to_translate("the right lung has {percent} % of both in the upper third"),
    to_translate("the right lung has {percent} % of both in the middle third"),
    to_translate("the right lung has {percent} % of both in the lower third"),
    to_translate("the left lung has {percent} % of both in the upper third"),
    to_translate("the left lung has {percent} % of both in the middle third"),
    to_translate("the left lung has {percent} % of both in the lower third"),
    to_translate("the trachea lies at the lower end of the lungs"),
    to_translate("the heart lies on the right, and the larger lung on the left"),
    to_translate("the spine lies in front"),
    to_translate("the lungs hold {after} ml, in the scan of {moment} {before} ml"),
    to_translate("they are {after} mm wide, in the scan of {moment} {before} mm"),
)
"""What stands in these sentences, one or more."""
NO_MORE = (
    *("INPUT_LOSSY", "INPUT_OTHER_STUDY", "PATIENT_AGE_UNKNOWN", "PATIENT_RELEASED", "QUALITY_LOOKS_EXTENSIVE"),
    *("BOX_CLOCK", "MODEL_OTHER_WAY"),
)
"""Flags whose message says no more than their meaning does, but for what a technician finds in `scanside doctor`."""
_CALLED = re.compile(r"\((\d+) slices?, (?:([\d.]+ mm)|thickness not stated), kernel (?:not stated|(.*?))\)(?=[:;.]|$)")
_BETWEEN = re.compile(r"; |, and (?=the (?:heart|spine))")


def sentence_in_words(code: str, message: str, _: Words) -> str | None:
    """The message translated, "" where it says no more than the flag's meaning; None for one of unknown making."""
    found = match(message, SENTENCES.get(code, ()))
    if found is None:
        return "" if code in NO_MORE else None
    text, values = found
    return _(text, **{name: _parts(value, _) for name, value in values.items()})


def _parts(value: str, _: Words) -> str:
    return _("; ").join(_part(part, _) for part in _BETWEEN.split(value))


def _part(part: str, _: Words) -> str:
    found = match(part, PARTS) or match(part, study_errors().values())
    return by_figures(part) if found is None else _(found[0], **found[1])


def by_figures(text: str) -> str:
    """Of each series that is named, as `scanside_runtime.dicom.ranking` calls it, the figures, which need no words."""
    return _CALLED.sub(lambda one: f"({one[1]} \N{MULTIPLICATION SIGN} {one[2] or '?'}, {one[3] or '?'})", text)
