"""Why a number is to be read with care, or is not given, in a word or two: what its page says in full."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from scanside_appliance.jobs.book.rows import Job
from scanside_appliance.languages.catalogue import to_translate

MOST = 2
"""A row of the list says so many; the page has all of them."""
MORE = "\N{HORIZONTAL ELLIPSIS}"
REASONS = {
    to_translate("motion"): ("QUALITY_MOTION",),
    to_translate("possible effusion"): ("QUALITY_POSSIBLE_EFFUSION",),
    to_translate("part of the lungs may be missing"): (
        *("COVERAGE_BASE_CUT", "COVERAGE_APEX_CUT", "COVERAGE_FIELD_OF_VIEW"),
        *("QUALITY_UNEVEN_LUNGS", "QUALITY_PART_MISSING", "QUALITY_AIR_OUTSIDE"),
    ),
    to_translate("check the outlines"): (
        *("QUALITY_PARTLY_SEEN", "QUALITY_UNCERTAIN", "COVERAGE_GUT_GAS", "QUALITY_LUNG_VOLUME"),
    ),
    to_translate("left and right not certain"): ("QUALITY_ORIENTATION",),
    to_translate("check the patient"): (
        *("INPUT_OTHER_STUDY", "PATIENT_OTHER_BODY", "PATIENT_RELEASED", "PATIENT_ID_PLACEHOLDER"),
    ),
    to_translate("study not complete"): ("INPUT_INCOMPLETE",),
    to_translate("image quality"): (
        *("QUALITY_NOISE", "QUALITY_METAL", "QUALITY_CONTRAST", "QUALITY_KERNEL", "QUALITY_THICKNESS"),
        *("INPUT_LOSSY", "GEOMETRY_GAPS", "GEOMETRY_TILT_CORRECTED"),
    ),
    to_translate("check the series"): (
        *("SERIES_SPLIT", "SERIES_PASSED_OVER", "SERIES_LABELLED_OTHERWISE", "INPUT_SHARED_UID"),
    ),
    to_translate("age not known"): ("PATIENT_AGE_UNKNOWN",),
    to_translate("check the date"): ("INPUT_DATE_FUTURE", "PATIENT_UNDATED"),
    to_translate("earlier scans left out"): ("PATIENT_OTHER_ISSUER", "PATIENT_OTHER_NAME", "BOX_EARLIER_RESULT"),
}
"""By the words, which codes; what may move the number most stands first."""
EARLIER_LEFT_OUT = "BOX_EARLIER_RESULT"
"""Of a scan that an earlier one came after, and that could not be measured again: its own page does not know yet."""
OTHER = to_translate("see its page")
REFUSED = {
    "PATIENT_UNDER_AGE": to_translate("under age"),
    "SERIES_NOT_CHEST": to_translate("no chest"),
    **dict.fromkeys(("INPUT_CONFLICT", "INPUT_DUPLICATE_UID"), to_translate("check the series")),
    **dict.fromkeys(("INPUT_FILES_GONE", "INPUT_BASE_GONE"), to_translate("study not complete")),
    "INPUT": to_translate("the files can't be used"),
    "SERIES": to_translate("no series that can be measured"),
    "GEOMETRY": to_translate("slices missing or uneven"),
    "COVERAGE": to_translate("part of the lungs may be missing"),
    "QUALITY": to_translate("image quality"),
    "PATIENT": to_translate("check the patient"),
}
"""By the code, or by its family."""
_WORDS = {code: words for words, codes in REASONS.items() for code in codes}
_PLACES = {words: place for place, words in enumerate([*REASONS, OTHER])}


def reasons(codes: Iterable[str]) -> Sequence[str]:
    """The words of these cautions, each once, in their order and not yet translated; any code has some."""
    return sorted({_WORDS.get(code, OTHER) for code in codes}, key=_PLACES.__getitem__)


def with_course(cautions: Iterable[str], job: Job, lacking: Collection[str]) -> list[str]:
    """And what came to be known of the number since its document was written. lacking: an earlier scan, by study."""
    more = [EARLIER_LEFT_OUT] if job.verdict == "analysed" and job.study in lacking else []
    return list(dict.fromkeys([*cautions, *more]))


def refusal(code: str) -> str | None:
    """Why there is no number, or a person must decide; not yet translated."""
    return REFUSED.get(code) or REFUSED.get(code.partition("_")[0])


def shortened(words: Sequence[str]) -> Sequence[str]:
    """As many as a row has room for."""
    return words if len(words) <= MOST else [*words[:MOST], MORE]
