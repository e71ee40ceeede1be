"""Who is trained on and who is scored: folds by patient, fixed once.

Patients of infection-3d are dealt out by hand so that each fold has about a fifth of the disease (POI where lungs are
known, added up: 18, 21, 19, 20 and 17 points, the last one with the single slices of radiopaedia_14 beside), those of
infection-8mm in the order of their names. The 50 single slices carry no patient: neighbouring file numbers are often
one patient, so they fall into blocks of neighbouring numbers, one to a fold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FOLDS: tuple[frozenset[str], ...] = (
    frozenset({"coronacases_008", "radiopaedia_27", "radiopaedia_36"}),
    frozenset({"coronacases_010", "radiopaedia_29"}),
    frozenset({"coronacases_001", "coronacases_004"}),
    frozenset({"coronacases_005", "radiopaedia_4", "radiopaedia_10"}),
    frozenset({"coronacases_002", "coronacases_006", "coronacases_007", "radiopaedia_14"}),
)
"""Patients of each fold."""

SCORED_VOLUMES = ("infection-3d", "infection-8mm")
"""Sources with volumes on which experts drew infection: each fold is scored on its own patients of them."""

SCORED_SOURCES = (*SCORED_VOLUMES, "infection-2d")
"""Sources with experts' infection masks: their cases are in folds, all others are always trained on."""

_PATIENT = re.compile(r"(?:coronacases|radiopaedia)_\d+")
_LABELLED = re.compile(r"labelled_\d+")


def patient_of(case: str) -> str:
    """The patient of a case, by its name: `radiopaedia_10_85902_3` and `ctseg_radiopaedia_10_85902_1` are one.

    A single slice of unknown patient stands for itself, whatever set it comes by, and so does any other name.
    """
    match = _PATIENT.search(case) or _LABELLED.search(case)
    return match.group() if match else case


def held_out(cases: Iterable[str], fold: int) -> frozenset[str]:
    """Names of the cases that a fold keeps from training; cases: those of `SCORED_SOURCES`.

    Patients that are not of infection-3d are dealt out in the order of their names; single slices by blocks of nearly
    one size. Raises ValueError for a fold that there is not.
    """
    if not 0 <= fold < len(FOLDS):
        raise ValueError(f"there is no fold {fold}: choose 0 to {len(FOLDS) - 1}")
    names = sorted(set(cases))
    place = {patient: number for number, patients in enumerate(FOLDS) for patient in patients}
    others = sorted({patient_of(name) for name in names if not _LABELLED.search(name)} - place.keys())
    place |= {patient: number % len(FOLDS) for number, patient in enumerate(others)}
    slices = sorted({patient_of(name) for name in names if _LABELLED.search(name)})
    place |= {one: number * len(FOLDS) // len(slices) for number, one in enumerate(slices)}
    return frozenset(name for name in names if place[patient_of(name)] == fold)


def named(cases: Iterable[str], wanted: Iterable[str]) -> frozenset[str]:
    """The cases of that name, or of the patient of that name. Raises ValueError for a name that nothing has."""
    known = set(cases)
    found: set[str] = set()
    for name in wanted:
        mine = {case for case in known if name in (case, patient_of(case))}
        if not mine:
            raise ValueError(f"there is no case or patient {name!r}")
        found |= mine
    return frozenset(found)
