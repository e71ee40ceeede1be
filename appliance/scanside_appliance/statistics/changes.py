"""Do POI and iHU change the way that reports say? The paper's Tables 3 and 4.

A change is binarised by its sign, as in the paper. Rows are the biomarker (rose, fell), columns the report (expanded or
denser, contracted or fainter).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from scanside_appliance.statistics.agreement import agreement
from scanside_appliance.statistics.errors import CohortTable
from scanside_appliance.statistics.phrases.report_phrases import KINDS, PhraseList, Statement, statements
from scanside_appliance.statistics.tables import nobodys, numbers, patients, read_table

PAIRS = {"poi_percent": ("expanded", "contracted"), "ihu_hu": ("density_up", "density_down")}
"""Which two phrases speak of which biomarker."""
_ZONED = r"(.*[T ][^Z+-]*)(?:Z|[+-].*)"
"""A date and time, and its zone."""


@dataclass(frozen=True, slots=True)
class ExamChange:
    """One exam against the one before of the same patient. A biomarker that is missing in either is not in `by`."""

    by: dict[str, float]
    said: frozenset[Statement]


@dataclass(frozen=True, slots=True)
class ChangeTable:
    """One row of the paper's Table 4.

    partial: whether "partially" phrases count. unchanged, opposite: reports left out because the biomarker did not move
    at all, or because the report says both.
    """

    biomarker: str
    phrases: tuple[str, str]
    partial: bool
    counts: tuple[tuple[int, int], tuple[int, int]]
    unchanged: int
    opposite: int
    three_way: dict[str, tuple[int, int]]

    def to_document(self) -> dict[str, Any]:
        """The counts with kappa and all that belongs to it."""
        found = asdict(agreement(self.counts))
        return {**asdict(self), **found}


def read_changes(
    path: Path, lists: Iterable[PhraseList], placeholder_ids: Collection[str] = ()
) -> tuple[list[ExamChange], int]:
    """Every exam that has one before it, by patient and time of acquisition, and how many rows were left out.

    Rows under a placeholder or without an ID are left out: exams of several persons are no course. Raises CohortTable.
    """
    table = read_table(path, ("patient_id", "acquired_at", "poi_percent", "ihu_hu", "phrase"))
    frame = pd.DataFrame({name: numbers(table, name, path.name) for name in PAIRS})
    frame["patient"] = patients(table)
    frame["at"] = _moments(table["acquired_at"], frame["patient"], path.name)
    frame["phrase"] = table["phrase"].fillna("").astype(str).to_numpy()
    left_out = nobodys(table, placeholder_ids)
    frame = frame[~left_out]
    _require_one_moment(frame, path.name)
    known = tuple(lists)
    changes = []
    for _, exams in frame.sort_values(["patient", "at"], kind="stable").groupby("patient", sort=False):
        differences = exams[list(PAIRS)].diff().iloc[1:]
        for (_, by), phrase in zip(differences.iterrows(), exams["phrase"].iloc[1:], strict=True):
            changes.append(
                ExamChange({str(k): float(v) for k, v in by.items() if pd.notna(v)}, statements(phrase, known))
            )
    return changes, int(left_out.sum())


def change_tables(changes: Iterable[ExamChange], limits: dict[str, float] | None = None) -> list[ChangeTable]:
    """Both biomarkers, without and with "partially" phrases.

    limits: by biomarker the change beyond which it counts as rising or falling in `three_way`, in its own unit.
    """
    kept = list(changes)
    return [_table(kept, name, partial, (limits or {}).get(name, 0.0)) for name in PAIRS for partial in (False, True)]


def phrase_counts(changes: Iterable[ExamChange]) -> dict[str, dict[str, int]]:
    """How many reports say what, whole and in part: the paper's Table 3."""
    found = Counter((one.kind, one.partial) for change in changes for one in change.said)
    return {kind: {"whole": found[kind, False], "partial": found[kind, True]} for kind in KINDS}


def _table(changes: list[ExamChange], biomarker: str, partial: bool, limit: float) -> ChangeTable:
    counts = np.zeros((2, 2), np.int64)
    three_way = {"rising": [0, 0], "stable": [0, 0], "falling": [0, 0]}
    left_out = {"unchanged": 0, "opposite": 0}
    for change in changes:
        column = _column(change.said, PAIRS[biomarker], partial)
        if column is None or biomarker not in change.by:
            continue
        if column == "opposite":
            left_out["opposite"] += 1
            continue
        by = change.by[biomarker]
        three_way["rising" if by > limit else "falling" if by < -limit else "stable"][column] += 1
        if by == 0.0:
            left_out["unchanged"] += 1
        else:
            counts[int(by < 0.0), column] += 1
    (a, b), (c, d) = counts.tolist()
    ways = {way: (up, down) for way, (up, down) in three_way.items()}
    return ChangeTable(biomarker, PAIRS[biomarker], partial, ((a, b), (c, d)), **left_out, three_way=ways)


def _column(said: frozenset[Statement], pair: tuple[str, str], partial: bool) -> Literal["opposite", 0, 1] | None:
    """0 for the first phrase of the pair, 1 for the second; opposite phrases count as such even if one is in part."""
    kinds = {one.kind for one in said if one.kind in pair}
    if len(kinds) > 1:
        return "opposite"
    counted = {one.kind for one in said if one.kind in pair and (partial or not one.partial)}
    if not counted:
        return None
    return 0 if pair[0] in counted else 1


def _moments(cells: pd.Series, patient: pd.Series, name: str) -> Any:
    """Times as UTC where all of a patient state a zone, else as they stand, as `scanside history` orders them."""
    texts = cells.astype("string").reset_index(drop=True)
    moments, local = (_as_utc(stated) for stated in (texts, texts.str.replace(_ZONED, r"\1", regex=True)))
    if moments.isna().any():
        row = int(np.argmax(moments.isna().to_numpy()))
        raise CohortTable(name=name, why=f"acquired_at in row {row + 1} is {cells.iloc[row]!r}, no date and time")
    zoned = texts.str.fullmatch(_ZONED).groupby(patient.to_numpy()).transform("all").astype(bool)
    return moments.where(zoned, local).to_numpy()


def _as_utc(texts: pd.Series) -> pd.Series:
    return pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")


def _require_one_moment(frame: pd.DataFrame, name: str) -> None:
    """Two exams of one patient at the same moment have no order."""
    twice = frame.duplicated(["patient", "at"]).to_numpy()
    if twice.any():
        row = int(frame.index[int(np.argmax(twice))])
        raise CohortTable(name=name, why=f"row {row + 1} has the same patient and time as a row before it")
