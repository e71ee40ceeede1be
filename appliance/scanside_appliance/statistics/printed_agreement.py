"""Which 2 x 2 tables give the figures that a paper prints? A row that no table gives was misprinted.

Observed agreement and the number of reports fix a + d, so that few tables are left to look at: b from 0 to b + c, and
a from 0 to a + d.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import numpy as np

from scanside_appliance.statistics.agreement import simple_standard_error
from scanside_appliance.statistics.errors import CohortTable

Table = tuple[tuple[int, int], tuple[int, int]]

LARGEST_FIGURE = 10
"""Agreement and kappa are at most 1; the error of a kappa of very few reports can be more."""


@dataclass(frozen=True, slots=True)
class Printed:
    """Figures as they stand on paper, with all their digits: "0.9225", "0.8220", "0.050"; None where not printed.

    observed_agreement is a share; a percentage is divided by 100 with its digits kept.
    """

    observed_agreement: str | None
    kappa: str
    standard_error: str | None


def tables_that_print(printed: Printed, n: int) -> list[Table]:
    """All tables [[a, b], [c, d]] of n reports whose figures round to the printed ones.

    Mirror images (a with d, b with c exchanged) have the same figures and are given once: a >= d and b >= c.
    """
    return [table for agreed in range(n + 1) for table in _with_agreement(printed, n, agreed)]


def other_sizes(printed: Printed, sizes: Iterable[int]) -> list[int]:
    """The numbers of reports, of those given, for which at least one table gives the printed figures."""
    return [n for n in sizes if tables_that_print(printed, n)]


def _with_agreement(printed: Printed, n: int, agreed: int) -> Iterator[Table]:
    observed = agreed / n
    if not _rounds_to(observed, printed.observed_agreement):
        return
    differ = n - agreed
    a, b = np.meshgrid(
        np.arange((agreed + 1) // 2, agreed + 1), np.arange((differ + 1) // 2, differ + 1), indexing="ij"
    )
    d, c = agreed - a, differ - b
    expected = ((a + b) * (a + c) + (c + d) * (b + d)) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = (observed - expected) / (1.0 - expected)  # NaN where chance explains all
    near = np.abs(kappa - float(printed.kappa)) <= _half_a_digit(printed.kappa)
    for i, j in np.argwhere(near):
        error = simple_standard_error(observed, float(expected[i, j]), n)
        if _rounds_to(float(kappa[i, j]), printed.kappa) and _rounds_to(error, printed.standard_error):
            yield (int(a[i, j]), int(b[i, j])), (int(c[i, j]), int(d[i, j]))


def _rounds_to(value: float, printed: str | None) -> bool:
    return printed is None or abs(value - float(printed)) <= _half_a_digit(printed)


def _half_a_digit(printed: str) -> float:
    """Half of the last printed digit, and a hair for binary fractions."""
    exponent = Decimal(printed).as_tuple().exponent
    return 0.5 * 10.0 ** int(exponent) + 1e-12


def read_printed(observed_agreement: str | None, kappa: str, standard_error: str | None) -> Printed:
    """Figures as a person types them; an agreement in percent ("91.55%") becomes a share with as many digits.

    Raises CohortTable for what is no figure.
    """
    try:
        shares = [None if one is None else str(_share(one)) for one in (observed_agreement, kappa, standard_error)]
    except InvalidOperation as error:
        raise CohortTable(name="printed", why="a figure is no share, as 0.8220 or 91.55%") from error
    return Printed(shares[0], shares[1] or "", shares[2])


def _share(figure: str) -> Decimal:
    """Raises InvalidOperation for what is no number, or none that can stand here."""
    text = figure.strip()
    share = Decimal(text[:-1].strip()).scaleb(-2) if text.endswith("%") else Decimal(text)
    if not share.is_finite() or abs(share) > LARGEST_FIGURE:
        raise InvalidOperation
    return share
