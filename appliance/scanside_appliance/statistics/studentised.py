"""An interval of the AUC from DeLong's error whose width and lean come from the data: the studentised bootstrap.

Near 1 an estimated area and its estimated error hang together (an area that came out too high has too small an error),
so that area -/+ 1.96 errors misses on one side; Kottas M et al., BMC Med Res Methodol 2014; 14: 26, find it very
liberal too. How far the area lies from the truth, counted in errors, is therefore not read off a normal distribution
but drawn: exams of either group are drawn again, and each draw gives its own area and its own DeLong error (Efron B,
Tibshirani RJ, An Introduction to the Bootstrap, 1993, chapter 12.5). `scanside cohort simulate` measures what it holds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

DRAWS = 1999
CELLS_AT_A_TIME = 2_000_000
LONGEST_ERRORS = 10.0
"""No end lies further from the area than so many errors, which matters where next to no pair is out of order."""


def studentised_interval(
    positive: Bools, score: Floats, area: float, error: float, seed: int = 0
) -> tuple[float, float]:
    """95 % of the draws lie so many of their own errors from `area`; the ends lie as many of `error` from it.

    positive, score: (n,) with at least two exams in either group; area, error: those of all exams. The same exams have
    the same interval, whatever their order. Cut at 0 and 1.
    """
    levels, sick, well = _counted(positive, score)
    distances = np.concatenate([_distances(*draw, area) for draw in _draws(levels, sick, well, seed)])
    near, far = np.clip(np.quantile(distances, [0.025, 0.975], method="nearest"), -LONGEST_ERRORS, LONGEST_ERRORS)
    return max(0.0, area - max(float(far), 0.0) * error), min(1.0, area - min(float(near), 0.0) * error)


def _counted(positive: Bools, score: Floats) -> tuple[int, Counts, Counts]:
    """How many different scores there are, and at which of them each sick and each other exam stands, ascending."""
    values, level = np.unique(score, return_inverse=True)
    return values.size, np.sort(level[positive]), np.sort(level[~positive])


def _draws(levels: int, sick: Counts, well: Counts, seed: int) -> Iterator[tuple[Counts, Counts]]:
    """Some draws at a time: how many sick and other exams stand at each score, both (draws, levels)."""
    rng = np.random.default_rng(seed)
    together = max(1, min(DRAWS, CELLS_AT_A_TIME // levels))
    for begun in range(0, DRAWS, together):
        count = min(together, DRAWS - begun)
        yield _drawn(levels, sick, count, rng), _drawn(levels, well, count, rng)


def _drawn(levels: int, level: Counts, count: int, rng: np.random.Generator) -> Counts:
    """As many exams as there are, with replacement: (count, levels)."""
    taken = level[rng.integers(0, level.size, (count, level.size))]
    places = (taken + levels * np.arange(count)[:, None]).ravel()
    return np.bincount(places, minlength=count * levels).reshape(count, levels)


def _distances(sick: Counts, well: Counts, area: float) -> Floats:
    """How far each draw's area lies from `area`, in its own errors; without bound where no pair is out of order."""
    m, n = int(sick[0].sum()), int(well[0].sum())
    beaten = (np.cumsum(well, axis=1) - 0.5 * well) / n  # share of the others below each score, ties half
    beating = 1.0 - (np.cumsum(sick, axis=1) - 0.5 * sick) / m
    areas = (sick * beaten).sum(axis=1) / m
    variances = _variance(sick, beaten, areas, m) / m + _variance(well, beating, areas, n) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        distances: Floats = (areas - area) / np.sqrt(variances)
    return np.where(np.isnan(distances), 0.0, distances)


def _variance(counts: Counts, placements: Floats, means: Floats, size: int) -> Floats:
    """Of the placements of one group in each draw, n - 1."""
    return np.asarray((counts * np.square(placements - means[:, None])).sum(axis=1) / (size - 1), dtype=np.float64)
