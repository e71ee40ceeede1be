"""What a reason code means, read from the error tree and the table of findings themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from scanside_runtime.errors import ScansideError, registered
from scanside_runtime.findings import KINDS, FindingKind
from scanside_runtime.plural import PLACE, in_english

BOX = ("scanside_appliance", "scanside_runtime")
WITH_ERRORS = (
    "scanside_runtime.dicom.errors",
    "scanside_runtime.model.errors",
    "scanside_runtime.measures.errors",
    "scanside_runtime.followup.errors",
    "scanside_appliance.backup.errors",
    "scanside_appliance.bundles.errors",
    "scanside_appliance.cohort.errors",
    "scanside_appliance.extras",
    "scanside_appliance.files.layout",
    "scanside_appliance.jobs.book.errors",
    "scanside_appliance.jobs.errors",
    "scanside_appliance.network.errors",
    "scanside_appliance.referral.errors",
    "scanside_appliance.results.errors",
    "scanside_appliance.serve.errors",
    "scanside_appliance.service.errors",
    "scanside_appliance.site_model",
    "scanside_appliance.statistics.errors",
)
"""Modules that define errors of the box; imported here, so that their codes are known."""

FOUND_IN_FAMILY = {
    "INPUT": "Every file is read, and its pixels are checked against its header, before anything is measured.",
    "SERIES": "From the headers of every CT series at the path: ImageType, descriptions, kernel, thickness, number.",
    "GEOMETRY": "From Image Position and Orientation (Patient) of every slice, projected on their common normal; "
    "SliceThickness and SliceLocation are not used.",
    "COVERAGE": "From the outlines of the lungs that the network drew.",
    "QUALITY": "From the pixels of the chosen series, and the outlines of the lungs.",
    "PATIENT": "From the headers of all slices of the series.",
    "MODEL": "When the bundle is opened: hashes, contract and self-test.",
    "BOX": "When Scanside itself can't go on.",
}
"""What is true of every code of a family."""

FOUND_BY = {
    "SERIES_NOT_CHEST": "By the picture, after segmentation, whatever the texts of the headers say: at least "
    "coverage.least_lung_ml of lung, a tenth of it with air, this no darker than anatomy.gas_hu in the median, 60 mm "
    "high and 100 mm wide, the right lung on the right.",
    "INPUT_NOT_HU": "By RescaleType, where it names another quantity; and by the picture: less than 2 % of it lies "
    "below -600 HU though it has the contrasts of air and tissue.",
    "PATIENT_MIXED": "PatientID of all objects of the study is compared, and of its CT images IssuerOfPatientID, "
    "PatientBirthDate, PatientSex and PatientName, too (PS3.5 6.2: ^, = and spaces at its end mean nothing).",
    "GEOMETRY_TILT": "How far the first pixels of the slices lie from one straight line along the normal.",
    "MODEL_SELFTEST": "The sample in the bundle is segmented and compared with the exporter's own answer.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code. kind: whether it ends the analysis or is a flag; message: what differs is an ellipsis.

    measured: how it is found, settings by their names in the file.
    """

    code: str
    kind: str
    exit_code: int
    message: str
    measured: str
    advice: str


def explanation(code: str) -> Explanation | None:
    """What a code means, in any case of letters; None if there is no such code."""
    return next((known for known in explanations() if known.code == code.upper()), None)


def known_codes() -> list[str]:
    """Every code, sorted."""
    return sorted(known.code for known in explanations())


def explanations() -> list[Explanation]:
    """Every code that a result or the command line can carry: errors in the order of their modules, then flags."""
    return [error_explanation(kind) for kind in errors_of_the_box()] + [_of_finding(*one) for one in KINDS.items()]


def errors_of_the_box() -> list[type[ScansideError]]:
    """What can be raised: the direct children of the root are families and never raised."""
    for module in WITH_ERRORS:
        import_module(module)
    families = set(ScansideError.__subclasses__())
    return [kind for kind in registered() if kind not in families and kind.__module__.startswith(BOX)]


def error_explanation(error: type[ScansideError]) -> Explanation:
    """What one error means."""
    return Explanation(
        code=error.code,
        kind=f"exit code {error.exit_code}",
        exit_code=error.exit_code,
        message=PLACE.sub("…", in_english(" ".join(inspect.cleandoc(error.__doc__ or "").split()), one=False)),
        measured=_found_by(error.code),
        advice=error.advice,
    )


def message_in_words(found: Explanation, _: Callable[[str], str]) -> str:
    """The message in another language. _: translates the text that it is made of."""
    errors = {error.code: inspect.cleandoc(error.__doc__ or "") for error in errors_of_the_box()}
    return PLACE.sub("…", _(" ".join(errors.get(found.code, found.message).split())))


def _of_finding(code: str, kind: FindingKind) -> Explanation:
    withholds = "withhold" in kind.levels
    text = f"flag: {' or '.join(kind.levels)}" + (", withheld ends with exit code 3" if withholds else "")
    measured = kind.measured or _found_by(code)
    return Explanation(code, text, 3 if withholds else 0, kind.meaning, measured, kind.advice)


def _found_by(code: str) -> str:
    """One or two sentences about how a code comes about; what its family says where there is no more to say."""
    return FOUND_BY.get(code) or FOUND_IN_FAMILY[code.partition("_")[0]]
