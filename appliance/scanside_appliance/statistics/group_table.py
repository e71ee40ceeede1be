"""The paper's Table 1 and Figure 3 from any table: who is in which group, and how the measures differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from scanside_appliance.files.atomic import replace_file, writing
from scanside_appliance.statistics.groups import count_rows, measure_row
from scanside_appliance.statistics.plots import box_picture
from scanside_appliance.statistics.tables import labels, numbers, patients, read_table

MEASURES, CATEGORIES = ("poi_percent", "ihu_hu", "age_years"), ("sex",)
BOXES = "boxes.png"


def compare_groups(
    path: Path,
    label: str,
    measures: Sequence[str] | None,
    categories: Sequence[str] | None,
    pictures: Path | None,
    placeholder_ids: Collection[str] = (),
) -> dict[str, Any]:
    """Both groups side by side; rows without a label are left out. Raises CohortTable, BoxOutput.

    patients: of how many the rows are, None where no patient_id is there; the tests take each row for one.
    """
    asked = [*(measures or ()), *(categories or ())]
    table = read_table(path, (label, *asked))
    severe = labels(table, label, path.name)
    kept = ~np.isnan(severe)
    positive = severe[kept] == 1.0
    names = measures or [name for name in MEASURES if name in table.columns and not asked]
    counted = categories or [name for name in CATEGORIES if name in table.columns and not asked]
    values = {name: numbers(table, name, path.name)[kept] for name in names}
    who = patients(table, placeholder_ids)[kept] if "patient_id" in table.columns else None
    return {
        "label": label,
        "n": {"without": int((~positive).sum()), "with_label": int(positive.sum())},
        "patients": None if who is None else len(np.unique(who)),
        "left_out": {"no_label": int((~kept).sum())},
        "measures": [asdict(measure_row(name, positive, column)) for name, column in values.items()],
        "categories": [asdict(row) for name in counted for row in count_rows(name, positive, table[name][kept])],
        "pictures": [_draw(pictures, box_picture(label, positive, values))] if pictures and values else [],
    }


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts in words."""
    yield f"{facts['n']['with_label']} with {facts['label']}, {facts['n']['without']} without"
    rows, people = sum(facts["n"].values()), facts["patients"]
    if people is not None and people < rows:
        yield f"{rows} rows of {people} patients: the tests take each row for a patient, so that p can be too small"
    for row in facts["measures"]:
        both = f"{_spread(row['with_label'])} against {_spread(row['without'])}"
        yield f"{row['name']:<16}{both}, {_p(row)} (Mann-Whitney)"
    for row in facts["categories"]:
        rough = "" if (row["least_expected"] or 5.0) >= 5.0 else ", rough: few are expected"
        counts = f"{row['with_label']} against {row['without']}"
        yield f"{row['name']} {row['category']:<12}{counts}, {_p(row)} (chi-squared{rough})"
    yield from (f"picture: {picture}" for picture in facts["pictures"])


def _spread(found: dict[str, Any]) -> str:
    if found["median"] is None:
        return "none"
    low, high = found["quartiles"]
    return f"{found['median']:.4g} ({low:.4g} to {high:.4g})"


def _p(row: dict[str, Any]) -> str:
    p = row["p_value"]
    return "no test" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _draw(folder: Path, picture: bytes) -> str:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / BOXES, picture)
    return str(folder / BOXES)
