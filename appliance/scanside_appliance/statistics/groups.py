"""Two groups side by side: characteristics (the paper's Table 1) and the test of a measure between them (Figure 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, mannwhitneyu

from scanside_appliance.statistics.auc import Bools, Floats


@dataclass(frozen=True, slots=True)
class Spread:
    """A measure in one group; None where the group is empty (sd: where it has one member)."""

    n: int
    mean: float | None
    sd: float | None
    median: float | None
    quartiles: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """One measure in both groups. p_value: Mann-Whitney, two-sided; None where a group is empty."""

    name: str
    without: Spread
    with_label: Spread
    p_value: float | None


@dataclass(frozen=True, slots=True)
class CountRow:
    """One proportion in both groups. p_value: chi-squared over the whole characteristic, no continuity correction.

    least_expected: the smallest expected count of the test; below 5 the p-value is rough.
    """

    name: str
    category: str
    without: int
    with_label: int
    p_value: float | None
    least_expected: float | None


def measure_row(name: str, label: Bools, values: Floats) -> MeasureRow:
    """A measure (n,) by group; NaN is left out."""
    known = np.isfinite(values)
    without, with_label = values[known & ~label], values[known & label]
    p_value = None
    if without.size and with_label.size:
        p_value = float(mannwhitneyu(without, with_label, alternative="two-sided").pvalue)
    return MeasureRow(name, spread(without), spread(with_label), p_value)


def spread(values: Floats) -> Spread:
    """Mean, standard deviation (n - 1), median and quartiles of numbers without NaN."""
    if not values.size:
        return Spread(0, None, None, None, None)
    low, median, high = (float(value) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    sd = float(values.std(ddof=1)) if values.size > 1 else None
    return Spread(values.size, float(values.mean()), sd, median, (low, high))


def count_rows(name: str, label: Bools, values: pd.Series) -> list[CountRow]:
    """How often each category occurs in either group; empty cells are left out."""
    known = values.notna().to_numpy()
    table = pd.crosstab(values[known].astype(str), label[known]).reindex(columns=[False, True], fill_value=0)
    p_value = least = None
    if table.shape[0] > 1 and bool((table.sum(axis=0) > 0).all()):
        tested = chi2_contingency(table.to_numpy(), correction=False)
        p_value, least = float(tested.pvalue), float(tested.expected_freq.min())
    return [CountRow(name, str(key), int(row[False]), int(row[True]), p_value, least) for key, row in table.iterrows()]
