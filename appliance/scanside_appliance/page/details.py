"""The figures of a finding in the reader's language: the document's own message is English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scanside_appliance.languages.catalogue import Translate, to_translate
from scanside_appliance.page.formatting import with_minus_signs

_LARGEST_AREA = to_translate("{area_percent:.0f} % of the lungs' largest area")
_APART = to_translate("slices of {thickness_mm:g} mm lie {distance_mm:.1f} mm apart")
_RESULTS = to_translate("earlier results: {results:.0f}")
_SLICES = to_translate("between the slices {first_slice:.0f} and {last_slice:.0f}, counted from the head")
DETAILS = {
    "COVERAGE_BASE_CUT": (_LARGEST_AREA,),
    "COVERAGE_APEX_CUT": (_LARGEST_AREA,),
    "COVERAGE_GUT_GAS": (_LARGEST_AREA,),
    "COVERAGE_FIELD_OF_VIEW": (to_translate("{outline_percent:.1f} % of the lungs' outline"),),
    "QUALITY_HU_CALIBRATION": (
        to_translate("air in the trachea: {air_hu:.0f} HU instead of about −1000"),
        to_translate("soft tissue: {soft_hu:.0f} HU instead of about 40"),
    ),
    "QUALITY_AIR_OUTSIDE": (to_translate("beside the outlines: {air_ml:.0f} ml"),),
    "QUALITY_POSSIBLE_EFFUSION": (
        to_translate("not counted: {fluid_ml:.0f} ml; POI as consolidation {percent_with_fluid:.1f} %"),
        to_translate("beside the lungs: {beside_ml:.0f} ml"),
        to_translate("within the outlines: {outlined_ml:.0f} ml"),
    ),
    "QUALITY_THICKNESS": (
        to_translate("slices of {thickness_mm:g} mm"),
        to_translate("validated: {validated_from_mm:g} to {validated_to_mm:g} mm"),
        to_translate("measured: {measured_from_mm:g} to {measured_to_mm:g} mm"),
    ),
    "QUALITY_NOISE": (to_translate("soft tissue scatters by {scatter_hu:.0f} HU"),),
    "QUALITY_CONTRAST": (to_translate("heart and great vessels: {blood_hu:.0f} HU"),),
    "QUALITY_METAL": (to_translate("{metal_ml:.1f} ml of metal, beside {lungs_percent:.0f} % of the lungs"),),
    "QUALITY_LUNG_VOLUME": (to_translate("both lungs: {lungs_ml:.0f} ml"),),
    "QUALITY_UNEVEN_LUNGS": (
        to_translate("the right lung is {right_lung_percent:.0f} % of both"),
        to_translate("the left lung is {left_lung_percent:.0f} % of both"),
    ),
    "QUALITY_PARTLY_SEEN": (to_translate("not seen by the network itself: {unseen_ml:.0f} ml"), _SLICES),
    "QUALITY_UNCERTAIN": (to_translate("POI between {low_percent:.1f} and {high_percent:.1f} %"),),
    "QUALITY_MOTION": (
        to_translate("{infected_slices_percent:.0f} % of the slices with infection"),
        to_translate("{lung_slices_percent:.0f} % of the slices with lung"),
        _SLICES,
    ),
    "PATIENT_UNDER_AGE": (to_translate("{age_years:g} years; adult from {adult_from_years:g} years on"),),
    "PATIENT_TWO_BODIES": (
        to_translate(
            "between the slices {upper_slice:.0f} and {lower_slice:.0f}, counted from the head: "
            "they overlap by {overlap_percent:.0f} %"
        ),
    ),
    "PATIENT_ID_PLACEHOLDER": (_RESULTS,),
    "PATIENT_OTHER_NAME": (_RESULTS,),
    "PATIENT_SET_APART": (_RESULTS,),
    "PATIENT_OTHER_ISSUER": (_RESULTS,),
    "GEOMETRY_TILT_CORRECTED": (to_translate("{tilt_degrees:.1f} degrees"),),
    "GEOMETRY_GAPS": (_APART,),
    "GEOMETRY_OVERLAP": (_APART,),
    "GEOMETRY_COPIES": (to_translate("copies: {copies:.0f}"),),
    "INPUT_SHARED_UID": (to_translate("{shared:.0f} of {slices:.0f} slices"),),
}
"""By code; of each its parts whose figures the document has."""


def figures_in_words(flag: Mapping[str, Any], _: Translate) -> str:
    """What the finding measured, as words; nothing where its figures are not in the document, as in older ones."""
    values = flag.get("values") or {}
    said = [_filled(_(text), values) for text in DETAILS.get(str(flag.get("code")), ())]
    return _("; ").join(part for part in said if part)


def _filled(text: str, values: Mapping[str, Any]) -> str:
    try:
        return with_minus_signs(text.format(**values))
    except (KeyError, ValueError, TypeError):
        return ""
