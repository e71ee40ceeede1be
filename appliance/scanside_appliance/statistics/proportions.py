"""A proportion with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from statsmodels.stats.proportion import proportion_confint

Method = Literal["beta", "wilson", "normal"]

EXACT: Method = "beta"
"""Clopper and Pearson's exact interval (Biometrika 1934; 26: 404-413), which covers at least 95 % for every truth."""


@dataclass(frozen=True, slots=True)
class Proportion:
    """count of n, and the interval; all three shares are None where n is 0."""

    count: int
    n: int
    share: float | None
    ci95: tuple[float, float] | None


def proportion(count: int, n: int, method: Method = EXACT) -> Proportion:
    """`count` of `n` with its 95 % interval: "beta" exact, "wilson" score, "normal" Wald.

    Raises ValueError unless 0 <= count <= n.
    """
    if not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is no proportion")
    if n == 0:
        return Proportion(count, n, None, None)
    low, high = proportion_confint(count, n, alpha=0.05, method=method)
    return Proportion(count, n, count / n, (float(low), float(high)))
