"""The paper's printed figures from our functions, to the last digit, and what docs/cohort.md says about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, ttest_ind_from_stats
from statsmodels.stats.proportion import proportion_confint

from scanside_appliance.statistics.agreement import agreement
from scanside_appliance.statistics.groups import count_rows
from scanside_appliance.statistics.printed_agreement import Table, other_sizes, read_printed, tables_that_print
from scanside_appliance.statistics.proportions import proportion

ROOT = Path(__file__).parents[2]
PAPER: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "paper_printed.json").read_text())
PAGE = (ROOT / "docs" / "cohort.md").read_text()
PROPORTIONS = [tuple(row[side]) for row in PAPER["table_2"] for side in ("sensitivity", "specificity")]
TABLES: dict[int, list[Table]] = {
    142: [((81, 7), (5, 49))],
    184: [((87, 17), (10, 70)), ((88, 19), (8, 69)), ((90, 22), (5, 67))],
    54: [],
    82: [((28, 17), (9, 28)), ((31, 18), (8, 25))],
}
MISPRINTED, HOLDS_WITH = 54, 56


def row_of(n: int) -> dict[str, Any]:
    return next(row for row in PAPER["table_4"] if row["n"] == n)


def tables_of(n: int, reports: int) -> list[Table]:
    row = row_of(n)
    printed = read_printed(row["observed_agreement"], row["kappa"], row["standard_error"])
    return tables_that_print(printed, reports)


def as_text(table: Table) -> str:
    return str([list(row) for row in table])


# Table 1


@pytest.mark.parametrize("what", ["male", "patients_with_multiple_exams"])
def test_the_percentages_of_table_1_are_those_of_its_counts(what: str) -> None:
    for group, n in PAPER["table_1"]["groups"].items():
        count, percent = PAPER["table_1"][what][group]
        share = proportion(count, n).share
        assert share is not None
        assert f"{100 * share:.0f}" == percent, group


def test_p_of_the_sexes_is_that_of_chi_squared_without_continuity_correction() -> None:
    printed = PAPER["table_1"]["male"]
    label = np.repeat([True, False], [32, 164])
    men = np.concatenate([np.arange(n) < printed[group][0] for group, n in (("severe", 32), ("non_severe", 164))])
    p_value = count_rows("sex", label, pd.Series(np.where(men, "M", "F")))[0].p_value
    assert f"{p_value:.2f}" == printed["p"]
    assert "p = 0.518" in PAGE


def test_p_of_the_ages_is_below_a_thousandth_by_students_t_test_of_the_printed_means() -> None:
    (mean_a, sd_a), (mean_b, sd_b) = (PAPER["table_1"]["age_years"][group] for group in ("severe", "non_severe"))
    assert ttest_ind_from_stats(mean_a, sd_a, 32, mean_b, sd_b, 164).pvalue < 0.001


# Table 2


def test_the_exams_of_table_1_are_those_of_table_2() -> None:
    exams = PAPER["table_1"]["exams"]
    assert {n for _, n, _, _ in PROPORTIONS} == {exams["severe"], exams["non_severe"]}
    assert exams["severe"] + exams["non_severe"] == exams["all"]


@pytest.mark.parametrize(("count", "n", "percent", "interval"), PROPORTIONS)
def test_the_percentages_of_table_2_are_those_of_its_counts(
    count: int, n: int, percent: str, interval: list[float]
) -> None:
    share = proportion(count, n).share
    assert share is not None
    assert f"{100 * share:.2f}" == percent
    assert f"| {count}/{n} | {percent} % |" in PAGE
    assert f"{interval[0]:.2f} to {interval[1]:.2f}" in PAGE


def bootstrap(count: int, n: int) -> tuple[float, float]:
    """All 531 exams drawn again, so that n varies too; bias-corrected and accelerated (Efron 1987)."""
    exams, share, rng = PAPER["table_1"]["exams"]["all"], count / n, np.random.default_rng(0)
    drawn = rng.binomial(exams, n / exams, 400_000)
    shares = rng.binomial(drawn, share) / drawn
    bias = norm.ppf((shares < share).mean() + (shares == share).mean() / 2)
    without = np.repeat([(count - 1) / (n - 1), count / (n - 1), share], [count, n - count, exams - n])
    off = without.mean() - without
    acceleration = (off**3).sum() / (6 * (off**2).sum() ** 1.5)
    z = bias + norm.ppf([0.025, 0.975])
    low, high = np.quantile(shares, norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


METHODS: dict[str, Callable[[int, int], tuple[float, float]]] = {
    "bootstrap of all exams, BCa": bootstrap,
    "Jeffreys": lambda count, n: proportion_confint(count, n, method="jeffreys"),
    "exact (Clopper-Pearson), used here": lambda count, n: proportion_confint(count, n, method="beta"),
    "Agresti-Coull": lambda count, n: proportion_confint(count, n, method="agresti_coull"),
    "Wilson": lambda count, n: proportion_confint(count, n, method="wilson"),
    "Wald": lambda count, n: proportion_confint(count, n, method="normal"),
}


@pytest.mark.parametrize("method", METHODS)
def test_no_known_method_prints_the_intervals_of_table_2_and_the_page_says_how_far_each_is_off(method: str) -> None:
    off = [
        abs(100 * ours - theirs)
        for count, n, _, interval in PROPORTIONS
        for ours, theirs in zip(METHODS[method](count, n), interval, strict=True)
    ]
    assert f"| {method} | {np.mean(off):.2f} | {max(off):.2f} |" in PAGE
    assert max(off) > 0.01


# Tables 3 and 4


@pytest.mark.parametrize("n", TABLES)
def test_these_tables_and_no_others_give_a_row_of_table_4(n: int) -> None:
    assert tables_of(n, n) == TABLES[n]
    assert all(as_text(table) in PAGE for table in TABLES[n])


def test_the_row_of_54_reports_holds_with_56_and_no_other_number_up_to_300() -> None:
    row = row_of(MISPRINTED)
    printed = read_printed(row["observed_agreement"], row["kappa"], row["standard_error"])
    assert other_sizes(printed, range(1, 301)) == [HOLDS_WITH]
    found = tables_of(MISPRINTED, HOLDS_WITH)
    assert len(found) == 8
    assert as_text(found[0]) in PAGE


@pytest.mark.parametrize("n", TABLES)
def test_our_agreement_of_each_table_prints_the_row(n: int) -> None:
    row = row_of(n)
    for table in tables_of(n, HOLDS_WITH if n == MISPRINTED else n):
        ours = agreement(table)
        figures = [ours.observed_agreement, ours.kappa, ours.standard_error]
        assert [f"{one:.4f}" for one in figures] == [
            row[name] for name in ("observed_agreement", "kappa", "standard_error")
        ]
        assert ours.strength == row["strength"]


def margins(table: Table) -> set[tuple[int, int]]:
    """How many reports say one thing and the other, whichever reader and order the table stands for."""
    (a, b), (c, d) = table
    return {(a + b, c + d), (c + d, a + b), (a + c, b + d), (b + d, a + c)}


def test_the_counts_of_table_3_are_the_margins_of_one_row_of_table_4_and_one_report_off_in_another() -> None:
    counts = PAPER["table_3"]
    density = counts["density_increased"], counts["density_decreased"]
    extent = counts["expanded"], counts["contracted"]
    assert (sum(density), sum(extent)) == (82, 184)
    assert [table for table in TABLES[82] if density in margins(table)] == [((31, 18), (8, 25))]
    assert [table for table in TABLES[184] if extent in margins(table)] == []
    assert any((extent[0] + 1, extent[1] - 1) in margins(table) for table in TABLES[184])
