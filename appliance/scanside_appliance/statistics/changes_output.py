"""The agreement of changes and reports for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NAMES = {"poi_percent": "POI", "ihu_hu": "iHU"}
_UNITS = {"poi_percent": "points", "ihu_hu": "HU"}


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts of `cohort evaluate changes` in words."""
    yield f"{facts['pairs']} exams with one before them"
    for kind, counts in facts["phrases_found"].items():
        yield f"  {kind.replace('_', ' '):<14}{counts['whole']} reports, {counts['partial']} more in part"
    for table in facts["tables"]:
        yield from _table_lines(table)
        yield _three_way_line(table, facts["limits"][table["biomarker"]])


def _table_lines(table: dict[str, Any]) -> Iterator[str]:
    first, second = (phrase.replace("_", " ") for phrase in table["phrases"])
    partial = "with" if table["partial"] else "without"
    yield f"{NAMES[table['biomarker']]} against {first} or {second}, {partial} 'partially': n = {table['n']}"
    (a, b), (c, d) = table["counts"]
    yield f"  rose: {a} {first}, {b} {second}; fell: {c} {first}, {d} {second}"
    if table["kappa"] is None:
        yield "  kappa is not defined: all reports or all changes say the same"
        return
    low, high = table["ci95"]
    observed = 100 * table["observed_agreement"]
    yield f"  observed agreement {observed:.2f} %, kappa {table['kappa']:.4f} ({table['strength']})"
    yield (
        f"  95 % {low:.4f} to {high:.4f}, standard error {table['standard_error']:.4f} (Cohen 1960), "
        f"{table['standard_error_asymptotic']:.4f} (asymptotic)"
    )
    left_out = {"opposite phrases": table["opposite"], "no change at all": table["unchanged"]}
    if any(left_out.values()):
        yield f"  left out: {', '.join(f'{count} {why}' for why, count in left_out.items() if count)}"


def _three_way_line(table: dict[str, Any], limit: float) -> str:
    """Our own trend beside the paper's sign: what lies within the measurement error has not changed."""
    first, second = (phrase.replace("_", " ") for phrase in table["phrases"])
    ways = "; ".join(f"{way}: {up} {first}, {down} {second}" for way, (up, down) in table["three_way"].items())
    return f"  beyond {limit:g} {_UNITS[table['biomarker']]}: {ways}"
