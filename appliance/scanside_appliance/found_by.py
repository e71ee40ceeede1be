"""How a reason is found, for `scanside explain`: by code where there is more to say than the family says."""

from __future__ import annotations

FAMILIES = {
    "INPUT": "Every file is read, and its pixels are checked against its header, before anything is measured.",
    "SERIES": "From the headers of every CT series at the path: ImageType, descriptions, kernel, thickness, number.",
    "GEOMETRY": "From Image Position and Orientation (Patient) of every section, projected on their common normal; "
    "SliceThickness and SliceLocation are not used.",
    "COVERAGE": "From the outlines of the lungs that the network drew.",
    "QUALITY": "From the pixels of the chosen series, and the outlines of the lungs.",
    "PATIENT": "From the headers of all sections of the series.",
    "MODEL": "When the bundle is opened: hashes, contract and self-test.",
    "BOX": "When Scanside itself can't go on.",
}
"""What is true of every code of a family."""

BY_CODE = {
    "SERIES_NOT_CHEST": "By the texts of the headers; and after segmentation by shape and air, whatever they say: at "
    "least coverage.least_lung_ml of lung, a tenth of it with air, this no darker than anatomy.gas_hu in the median, "
    "60 mm high and 100 mm wide, the right lung on the right.",
    "PATIENT_MIXED": "PatientID, PatientName and PatientSex of all sections of the series are compared.",
    "GEOMETRY_TILT": "How far the first pixels of the sections lie from one straight line along the normal.",
    "MODEL_SELFTEST": "The sample in the bundle is segmented and compared with the exporter's own answer.",
}


def found_by(code: str) -> str:
    """One or two sentences about how a code comes about."""
    return BY_CODE.get(code) or FAMILIES[code.partition("_")[0]]
