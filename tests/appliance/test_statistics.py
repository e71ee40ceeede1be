"""Each figure against an independent way to the same figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, confusion_matrix, log_loss, roc_auc_score, roc_curve

from kit.statistics_samples import exams
from scanside_appliance.statistics.agreement import agreement, strength
from scanside_appliance.statistics.auc import auc, logit_interval, score_interval
from scanside_appliance.statistics.cut_off import at_cut_off, youden
from scanside_appliance.statistics.errors import CohortTable
from scanside_appliance.statistics.groups import count_rows, measure_row
from scanside_appliance.statistics.logistic import Separated, fit_logistic
from scanside_appliance.statistics.patient_bootstrap import Clustered, bootstrap_by_patient
from scanside_appliance.statistics.printed_agreement import Printed, other_sizes, read_printed, tables_that_print
from scanside_appliance.statistics.proportions import proportion
from scanside_appliance.statistics.simulation import paper_truth, simulate

TABLE = exams()
SEVERE = TABLE["severe"].to_numpy() == 1
POI, IHU = TABLE["poi_percent"].to_numpy(), TABLE["ihu_hu"].to_numpy()
counts = st.integers(0, 60)


def pair_by_pair(sick: np.ndarray, well: np.ndarray) -> tuple[float, float]:
    """The area and its standard error as DeLong et al. write them."""
    pairs = (sick[:, None] > well[None]) + 0.5 * (sick[:, None] == well[None])
    return pairs.mean(), math.sqrt(pairs.mean(1).var(ddof=1) / sick.size + pairs.mean(0).var(ddof=1) / well.size)


@pytest.mark.parametrize("score", [POI, IHU, np.round(POI)], ids=["poi", "ihu", "with ties"])
def test_auc_and_delong_are_those_of_other_implementations(score: np.ndarray) -> None:
    found = auc(SEVERE, score)
    area, error = pair_by_pair(score[SEVERE], score[~SEVERE])
    assert found.value == pytest.approx(roc_auc_score(SEVERE, score), abs=1e-9)
    assert found.value == pytest.approx(area, abs=1e-9)
    assert found.standard_error == pytest.approx(error, abs=1e-9)
    plain = (found.value - 1.959964 * error, found.value + 1.959964 * error)
    assert found.ci95_delong == pytest.approx(plain, abs=1e-6)


def test_delongs_interval_of_a_published_example_is_the_printed_one() -> None:
    """Ratings of Hanley and McNeil (Radiology 1982; 143: 29-36); printed as here in Stata's manual at `roctab`."""
    ratings = np.repeat([1, 2, 3, 4, 5] * 2, [33, 6, 6, 11, 2, 3, 2, 2, 11, 33]).astype(np.float64)
    found = auc(np.arange(109) >= 58, ratings)
    assert (round(found.value, 4), round(found.standard_error, 4)) == (0.8932, 0.0307)
    assert tuple(round(end, 5) for end in found.ci95_delong) == (0.83295, 0.95339)


def naive_interval(positive: np.ndarray, score: np.ndarray, draws: int) -> tuple[float, float]:
    """The studentised bootstrap as books have it, a draw after the other."""
    rng, sick, well = np.random.default_rng(7), score[positive], score[~positive]
    (area, error), distances = pair_by_pair(sick, well), []
    for _ in range(draws):
        drawn, its_error = pair_by_pair(rng.choice(sick, sick.size), rng.choice(well, well.size))
        distances.append((drawn - area) / its_error)
    near, far = np.quantile(distances, [0.025, 0.975])
    return area - far * error, area - near * error


@pytest.mark.parametrize("score", [POI, np.round(POI / 4)], ids=["poi", "with ties"])
def test_the_interval_of_an_auc_is_that_of_a_plainly_written_bootstrap(score: np.ndarray) -> None:
    low, high = auc(SEVERE, score).ci95
    assert (low, high) == pytest.approx(naive_interval(SEVERE, score, 1500), abs=0.15 * (high - low))


def test_the_interval_of_an_auc_depends_on_the_ranks_alone() -> None:
    shuffled = np.random.default_rng(3).permutation(SEVERE.size)
    assert auc(SEVERE[shuffled], np.log(POI[shuffled])).ci95 == auc(SEVERE, POI).ci95


def test_near_1_the_interval_leans_towards_where_the_truth_may_be() -> None:
    """The area may be much lower than it came out, and hardly higher."""
    rng = np.random.default_rng(5)
    score = np.where(np.arange(531) < 79, rng.gamma(3.0, 5.0, 531), rng.gamma(3.0, 1.3, 531))
    found = auc(np.arange(531) < 79, score)
    (low, high), (plain_low, plain_high) = found.ci95, found.ci95_delong
    assert 0.95 < found.value < 0.98
    assert low < plain_low < found.value < high < plain_high


def test_one_pair_out_of_order_gives_an_interval_with_an_end() -> None:
    score = np.arange(60.0)
    score[[29, 30]] = score[[30, 29]]
    found = auc(np.arange(60) >= 30, score)
    low, high = found.ci95
    assert 0.9 < low < found.value <= high <= 1.0


def test_the_intervals_of_an_auc_stay_within_0_and_1_and_hold_the_area() -> None:
    for area in (0.51, 0.9, 0.968, 0.9995):
        low, high = logit_interval(area, 0.01)
        assert 0.0 < low < area < high <= 1.0
        for error in (0.01, 0.3, 2.0):
            low, high = score_interval(area, error)
            assert 0.0 <= low < area < high <= 1.0


def test_groups_that_do_not_overlap_have_an_auc_of_1_and_no_odds_ratio() -> None:
    apart = np.where(SEVERE, 50.0, 5.0) + IHU / 1000
    assert auc(SEVERE, apart).ci95 == pytest.approx((0.025 ** (1 / 40), 1.0))  # 40 pairs of independent exams
    with pytest.raises(Separated):
        fit_logistic(SEVERE, {"poi_percent": apart})


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_exact_interval_is_the_inverse_of_the_binomial_test(count: int, more: int) -> None:
    n = count + more
    found = proportion(count, n)
    if n == 0:
        assert found.ci95 is None
        return
    exact = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
    assert found.ci95 == pytest.approx((exact.low, exact.high), abs=1e-6)


def test_the_counts_of_table_2_give_its_proportions() -> None:
    found = {pair: proportion(*pair) for pair in ((73, 79), (409, 452), (72, 79), (188, 452), (74, 79), (398, 452))}
    shares = {pair: round(100 * one.share, 2) for pair, one in found.items()}
    assert (shares[73, 79], shares[409, 452]) == (92.41, 90.49)
    assert (shares[72, 79], shares[188, 452], shares[74, 79], shares[398, 452]) == (91.14, 41.59, 93.67, 88.05)
    exact = {pair: tuple(round(100 * end, 1) for end in one.ci95) for pair, one in found.items()}
    assert (exact[73, 79], exact[409, 452]) == ((84.2, 97.2), (87.4, 93.0))


def test_youden_is_the_best_of_all_cut_offs() -> None:
    best = youden(SEVERE, POI)
    tried = [at_cut_off(SEVERE, POI, value) for value in POI]
    assert best.sensitivity.share + best.specificity.share == pytest.approx(
        max(one.sensitivity.share + one.specificity.share for one in tried)
    )
    false_positive, true_positive, thresholds = roc_curve(SEVERE, POI)
    assert best.value == thresholds[np.argmax(true_positive - false_positive)]
    (true_negative, _), (_, found) = confusion_matrix(SEVERE, best.value <= POI)
    assert (best.sensitivity.count, best.specificity.count) == (found, true_negative)


@pytest.mark.parametrize("features", [{"poi_percent": POI}, {"poi_percent": POI, "ihu_hu": IHU}], ids=["one", "two"])
def test_logistic_regression_and_aic_are_those_of_scikit_learn(features: dict[str, np.ndarray]) -> None:
    found = fit_logistic(SEVERE, features)
    values = np.column_stack(list(features.values()))
    sds = values.std(axis=0, ddof=1)
    other = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=200).fit(values / sds, SEVERE)
    log_likelihood = -log_loss(SEVERE, other.predict_proba(values / sds), normalize=False)
    assert [term.odds_ratio_per_sd for term in found.terms] == pytest.approx(np.exp(other.coef_[0]), rel=1e-6)
    assert found.aic == pytest.approx(2 * (len(features) + 1) - 2 * log_likelihood, abs=1e-6)
    assert found.intercept == pytest.approx(other.intercept_[0], abs=1e-6)
    assert found.probability == pytest.approx(other.predict_proba(values / sds)[:, 1], abs=1e-6)


def test_the_interval_of_an_odds_ratio_is_walds() -> None:
    term = fit_logistic(SEVERE, {"poi_percent": POI}).terms[0]
    z = (POI - POI.mean()) / POI.std(ddof=1)
    design = np.column_stack([np.ones_like(z), z])
    p = fit_logistic(SEVERE, {"poi_percent": POI}).probability
    error = math.sqrt(np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))[1, 1])
    slope = math.log(term.odds_ratio_per_sd)
    ends = (math.exp(slope - 1.959964 * error), math.exp(slope + 1.959964 * error))
    assert term.odds_ratio_ci95 == pytest.approx(ends, rel=1e-6)
    assert term.p_value == pytest.approx(2 * stats.norm.sf(slope / error), rel=1e-5)


@given(counts, counts, counts, counts)
def test_kappa_is_that_of_scikit_learn(a: int, b: int, c: int, d: int) -> None:
    found = agreement([[a, b], [c, d]])
    one, other = np.repeat([0, 0, 1, 1], [a, b, c, d]), np.repeat([0, 1, 0, 1], [a, b, c, d])
    if found.kappa is None:
        assert len(set(one)) < 2 and len(set(other)) < 2
        return
    assert found.kappa == pytest.approx(cohen_kappa_score(one, other), abs=1e-9)
    assert found.observed_agreement == pytest.approx(np.mean(one == other))


def test_kappa_and_both_standard_errors_of_a_worked_example() -> None:
    found = agreement([[20, 5], [10, 15]])  # po 0.7, pe 0.5: the example of most textbooks
    assert (found.observed_agreement, found.kappa) == (pytest.approx(0.7), pytest.approx(0.4))
    assert found.standard_error == pytest.approx(math.sqrt(0.7 * 0.3 / 50) / 0.5, abs=1e-12)
    p, row, column = np.array([[0.4, 0.1], [0.2, 0.3]]), np.array([0.5, 0.5]), np.array([0.6, 0.4])
    agree = sum(p[i, i] * (1 - (row[i] + column[i]) * 0.6) ** 2 for i in (0, 1))
    differ = 0.6**2 * sum(p[i, j] * (column[i] + row[j]) ** 2 for i in (0, 1) for j in (0, 1) if i != j)
    variance = (agree + differ - (0.4 - 0.5 * 0.6) ** 2) / (0.5**2 * 50)  # Fleiss, Cohen and Everitt 1969
    assert found.standard_error_asymptotic == pytest.approx(math.sqrt(variance), abs=1e-9)
    assert found.strength == "fair"


def test_strength_of_agreement_has_altmans_words() -> None:
    words = {
        0.2: "poor",
        0.21: "fair",
        0.41: "moderate",
        0.61: "good",
        0.80: "good",
        0.81: "very good",
        0.822: "very good",
    }
    assert {kappa: strength(kappa) for kappa in words} == words


@given(counts, counts, counts, counts)
def test_a_table_is_found_again_from_its_printed_figures(a: int, b: int, c: int, d: int) -> None:
    found = agreement([[a, b], [c, d]])
    if found.kappa is None:
        return
    printed = Printed(f"{found.observed_agreement:.4f}", f"{found.kappa:.4f}", f"{found.standard_error:.4f}")
    normal = (max(a, d), max(b, c)), (min(b, c), min(a, d))
    assert normal in tables_that_print(printed, found.n)


def test_the_kappa_of_the_papers_abstract_fits_142_184_and_82_reports_and_not_54() -> None:
    printed = Printed(None, "0.8220", None)
    found = {n: tables_that_print(printed, n) for n in (142, 184, 54, 82)}
    assert found[142] == [((81, 7), (5, 49))]
    assert agreement([[81, 7], [5, 49]]).strength == "very good"
    assert (len(found[184]), len(found[54]), len(found[82])) == (2, 0, 1)
    assert other_sizes(printed, range(50, 83)) == [62, 67, 70, 79, 80, 82]


def test_a_misprinted_row_has_no_table() -> None:
    assert tables_that_print(read_printed("91.55 %", "0.8220", "0.0492"), 142) == [((81, 7), (5, 49))]
    assert tables_that_print(read_printed("91.55 %", "0.8220", "0.0492"), 143) == []


@pytest.mark.parametrize("kappa", ["high", "nan", "inf", "1e400", "82.20"])
def test_what_no_kappa_can_be_is_refused(kappa: str) -> None:
    with pytest.raises(CohortTable, match="no share"):
        read_printed(None, kappa, None)


def test_chi_squared_and_mann_whitney_are_those_of_scipy() -> None:
    rows = count_rows("sex", SEVERE, TABLE["sex"])
    table = [[row.without, row.with_label] for row in rows]
    assert rows[0].p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, abs=1e-12)
    found = measure_row("poi_percent", SEVERE, POI)
    assert found.p_value == pytest.approx(stats.mannwhitneyu(POI[SEVERE], POI[~SEVERE]).pvalue, abs=1e-12)
    assert found.with_label.median == pytest.approx(np.median(POI[SEVERE]))


def test_drawing_patients_widens_the_interval_when_a_patients_exams_are_copies() -> None:
    copies = np.tile(np.arange(100), 4)
    cut = youden(SEVERE[::2], POI[::2]).value
    alone = Clustered(np.arange(100), SEVERE[::2], POI[::2, None], POI[::2], cut)
    copied = Clustered(copies, SEVERE[::2][copies], POI[::2, None][copies], POI[::2][copies], cut)
    own = Clustered(np.arange(400), copied.positive, copied.values, copied.score, cut)
    widths = [np.ptp(bootstrap_by_patient(one, 120).auc_ci95) for one in (alone, copied, own)]
    assert widths[1] == pytest.approx(widths[0], rel=0.25)
    assert widths[2] < 0.7 * widths[1]


def test_what_is_all_right_in_every_draw_is_as_sure_as_its_patients_are_many() -> None:
    """Ten patients of five exams each: neither is the area surely 1, nor the sensitivity, nor the specificity."""
    patient, apart = np.repeat(np.arange(10), 5), np.arange(50) >= 25
    score = np.arange(50.0) + 25.0 * apart
    found = bootstrap_by_patient(Clustered(patient, apart, score[:, None], score, 50.0), 20)
    five_of_five = pytest.approx((0.025 ** (1 / 5), 1.0))
    assert (found.auc_ci95, found.sensitivity_ci95, found.specificity_ci95) == (five_of_five,) * 3
    with pytest.raises(ValueError, match="two of them"):
        bootstrap_by_patient(Clustered(np.zeros(50, np.int64), apart, score[:, None], score, 50.0), 20)


def test_a_cut_off_is_a_score_that_was_seen_even_where_none_is_of_use() -> None:
    alike = np.tile(np.arange(20.0), 2)
    assert youden(np.arange(40) < 20, alike).value == 19.0


def test_the_intervals_hold_what_they_say_on_a_few_simulated_cohorts() -> None:
    found = simulate(40, clustered=False)
    assert found.auc >= 0.85
    assert found.auc + found.auc_true_below + found.auc_true_above == pytest.approx(1.0)
    assert found.auc >= found.auc_delong
    assert found.auc_error == pytest.approx(found.auc_sd, rel=0.3)  # DeLong's error is right on average ...
    assert (found.auc_error_correlation or 0.0) < -0.5  # ... and too small where the area came out too high
    assert found.odds_ratio_per_sd >= 0.85
    assert min(found.sensitivity_at_fixed_cut_off, found.specificity_at_fixed_cut_off) >= 0.85
    assert 0.0 < found.sensitivity_optimism < 0.1
    clustered = simulate(2, clustered=True, resamples=20)
    assert set(clustered.by_patient or ()) >= {"auc", "odds_ratio_per_sd", "sensitivity", "specificity"}


@pytest.mark.parametrize(("area", "shape"), [(0.968, 3.0), (0.8, 1.0)])
def test_the_simulated_truth_is_what_it_says(area: float, shape: float) -> None:
    truth, rng = paper_truth(area, shape), np.random.default_rng(0)
    sick, well = rng.gamma(shape, truth.severe_scale, 200_000), rng.gamma(shape, truth.mild_scale, 200_000)
    assert np.mean(sick > well) == pytest.approx(area, abs=0.003)
    assert truth.sensitivity(truth.cut_off) == pytest.approx(np.mean(sick >= truth.cut_off), abs=0.005)
    at = np.array([5.0, 6.0, truth.cut_off])
    density = np.log(
        stats.gamma.pdf(at, shape, scale=truth.severe_scale) / stats.gamma.pdf(at, shape, scale=truth.mild_scale)
    )
    assert density[2] == pytest.approx(0.0, abs=1e-9)
    assert truth.slope == pytest.approx(density[1] - density[0])
