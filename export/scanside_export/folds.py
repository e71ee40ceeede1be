"""Who is trained on and who is scored: folds by patient, fixed once.

Patients of infection-3d are dealt out by hand so that each fold has about a third of the disease (POI where lungs are
known, added up: 34, 31 and 29 points) and readers of both teams. The 50 single slices carry no patient: neighbouring
file numbers are often one patient, so they fall into blocks of neighbouring numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

FOLDS: tuple[frozenset[str], ...] = (
    frozenset({"coronacases_001", "coronacases_008", "radiopaedia_27", "radiopaedia_36"}),
    frozenset({"coronacases_002", "coronacases_004", "coronacases_010", "radiopaedia_10"}),
    frozenset(
        {"coronacases_005", "coronacases_006", "coronacases_007", "radiopaedia_4", "radiopaedia_14", "radiopaedia_29"}
    ),
)
"""Patients of each fold."""

SLICE_FOLDS = 5
"""Blocks of the cross-validation on single slices."""

SCORED_SOURCES = ("infection-3d", "infection-2d")
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
    """Names of the cases that fold `fold` (0, 1, 2) keeps from training; cases: those of `SCORED_SOURCES`.

    Patients that are not of infection-3d are dealt out in the order of their names; single slices by blocks.
    Raises ValueError for a fold that there is not.
    """
    _check(fold, len(FOLDS))
    names = sorted(set(cases))
    known = {patient: number for number, patients in enumerate(FOLDS) for patient in patients}
    others = sorted({patient_of(name) for name in names if not _LABELLED.search(name)} - known.keys())
    place = known | {patient: number % len(FOLDS) for number, patient in enumerate(others)}
    volumes = {name for name in names if place.get(patient_of(name)) == fold}
    return frozenset(volumes | held_out_slices(names, fold, len(FOLDS)))


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


def held_out_slices(cases: Iterable[str], fold: int, folds: int = SLICE_FOLDS) -> frozenset[str]:
    """Names of the single labelled slices of block `fold`: neighbouring file numbers, blocks of nearly one size.

    Raises ValueError for a block that there is not.
    """
    _check(fold, folds)
    names = {name for name in cases if _LABELLED.search(name)}
    slices = sorted({patient_of(name) for name in names})
    block = {one: number * folds // len(slices) for number, one in enumerate(slices)}
    return frozenset(name for name in names if block[patient_of(name)] == fold)


def _check(fold: int, folds: int) -> None:
    if not 0 <= fold < folds:
        raise ValueError(f"there is no fold {fold}: choose 0 to {folds - 1}")
