"""The codes of the structured report: SNOMED CT, DICOM and RadLex where they have the concept, else our own, named so.

Our own codes are listed in `docs/dicom.md`; a code keeps its meaning for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

OWN_SCHEME = "99SCANSIDE"

LUNG = Code("39607008", "SCT", "Lung")
CT_OF_CHEST = Code("169069000", "SCT", "CT of chest")
OPACITY = Code("112001", "DCM", "Opacity")
ML = Code("ml", "UCUM", "milliliter")
PERCENT = Code("%", "UCUM", "Percent")
HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
SCORE = Code("{score}", "UCUM", "score")

EXTENT_GRADE = Code("EXTENT_GRADE", OWN_SCHEME, "Extent grade of the worse lung")
SEVERITY_FLAG = Code("SEVERITY_FLAG", OWN_SCHEME, "Severity flag")
GRADES = {grade: Code(grade, OWN_SCHEME, f"Extent grade {grade}") for grade in ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")}
FLAGS = {
    "none": Code("FLAG_NONE", OWN_SCHEME, "None"),
    "watch": Code("FLAG_WATCH", OWN_SCHEME, "Watch"),
    "severe": Code("FLAG_SEVERE", OWN_SCHEME, "Severe"),
    "not_assessed": Code("FLAG_NOT_ASSESSED", OWN_SCHEME, "Not assessed"),
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of the result document, by the name of its field, as the report says it."""

    field: str
    concept: Code
    unit: Code


VOLUME = Code("118565006", "SCT", "Volume")
MEAN_ATTENUATION = codes.DCM.MeanAttenuationCoefficient
POI = Quantity("poi_percent", Code("POI", OWN_SCHEME, "Infected share of the lung (POI)"), PERCENT)
OF_A_LUNG = (
    Quantity("lung_volume_ml", VOLUME, ML),
    POI,
    Quantity("ihu_hu", Code("IHU", OWN_SCHEME, "Mean attenuation of the infection (iHU)"), HU),
    Quantity("infection_volume_ml", Code("INFECTION_VOLUME", OWN_SCHEME, "Volume of the infection"), ML),
    Quantity("high_opacity_percent", Code("PHO", OWN_SCHEME, "Lung share infected at -200 HU and denser"), PERCENT),
    Quantity("consolidation_ml", Code("CONSOLIDATION", OWN_SCHEME, "Infection at -200 HU and denser"), ML),
)
"""Of both lungs, of one, of a zone."""
OF_THE_INFECTION = (
    Quantity("infection_volume_ml", VOLUME, ML),
    Quantity("ihu_hu", MEAN_ATTENUATION, HU),
    POI,
)
"""Of the segment Infection: here the standard's own concepts say what is meant."""
SIX_ZONE_SCORE = Quantity("six_zone_score", Code("SIX_ZONE_SCORE", OWN_SCHEME, "Score of six zones, 0 to 24"), SCORE)
ZONE_SCORE = Quantity("score", Code("ZONE_SCORE", OWN_SCHEME, "Score of a zone, 0 to 4"), SCORE)
THIRDS = {
    third: Code(f"{third.upper()}_THIRD", OWN_SCHEME, f"{third.capitalize()} third of the lung's height")
    for third in ("upper", "middle", "lower")
}
SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right}
