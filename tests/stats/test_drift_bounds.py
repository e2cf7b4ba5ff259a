"""Bounds of distances of counts, against scipy's distributions and derivatives that are taken numerically."""

import math

import numpy as np
import pytest
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from weighin.stats.drift import Distance, edges, jensen_shannon, psi, total_variation
from weighin.stats.intervals import Undefined

P = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
KNOWN = P * 1e14
"""A reference without noise."""


def psi_cells(p, q):
    return (q - p) * np.log(q / p)


def js_cells(p, q):
    m = (p + q) / 2
    return (p * np.log2(p / m) + q * np.log2(q / m)) / 2


CASES = {psi: (psi_cells, 1.0, float), jensen_shannon: (js_cells, 8 * math.log(2), math.sqrt)}
"""Measure -> (p, q) -> parts of its bins, what makes it a chi-square, and what is made of the sum."""


def by_second(cells, p, q, order):
    """The first or second derivative of each bin's part by the second share."""
    h = 1e-5 * q
    if order == 1:
        return (cells(p, q + h) - cells(p, q - h)) / (2 * h)
    return (cells(p, q + h) - 2 * cells(p, q) + cells(p, q - h)) / h**2


def rows_of(share, weights, n):
    """(n,) what each independent row has in the error of a weighted sum of shares."""
    return np.repeat(weights - share @ weights, np.round(share * n).astype(int)) / n


def inverted(probability, statistic, freedom):
    """The noncentrality at which the statistic is exceeded by all but this probability."""
    if stats.ncx2.cdf(statistic, freedom, 1e-12) <= probability:
        return 0.0
    return optimize.brentq(lambda nc: stats.ncx2.cdf(statistic, freedom, nc) - probability, 1e-12, 4 * statistic + 100)


def expected(measure, reference, current, level):
    """(low, estimate, high) of tables whose bins all hold many rows, by a scaled noncentral chi-square."""
    cells, curvature, finish = CASES[measure]
    n, m = reference.sum(), current.sum()
    p, q = reference / n, current / m
    statistic = cells(p, q).sum()
    errors = [rows_of(q, by_second(cells, p, q, 1), m)]
    if n < 1e9:
        errors.append(rows_of(p, by_second(lambda q, p: cells(p, q), q, p, 1), n))
    influence = np.concatenate(errors)
    variance = np.square(influence).sum()
    z = stats.norm.ppf(level)
    shift = (influence**3).sum() / variance**1.5 / 3 * (2 * z * z + 1)
    reach = z + max(0.0, -shift), z + max(0.0, shift)
    bends = [(by_second(cells, p, q, 2), q * (1 - q) / m, 1 / q)]
    bends.append((by_second(lambda q, p: cells(p, q), q, p, 2), p * (1 - p) / n, 1 / p))
    bent = sum(float(b @ v) for b, v, _ in bends) * curvature / 2
    bias = sum(float(np.minimum(b * curvature / 2, most) @ v) for b, v, most in bends)
    direction = variance * curvature / (4 * statistic)
    scale = max(bias / (len(p) - 1), 1 / n + 1 / m, direction)

    def invert(probability, bias):
        return inverted(probability, statistic * curvature / scale, bias / scale) * scale / curvature

    low = invert(stats.norm.cdf(reach[0]), max(bias, bent))
    return [finish(v) for v in (low, invert(0.5, bias), invert(stats.norm.sf(reach[1]), bias))]


def ends(found):
    return [found.low, found.estimate, found.high]


@pytest.mark.parametrize("measure", [psi, jensen_shannon])
@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([4e13, 6e13], [500, 500]),  # the least variance of independent rows decides the scale
        (KNOWN, [240, 260, 240, 140, 120]),  # the bias does
        (KNOWN, [50, 150, 300, 250, 250]),  # the direction of the drift does
        ([300, 250, 200, 150, 100], [480, 520, 480, 280, 240]),  # of a reference with noise
        ([900, 50, 50], [640, 180, 180]),
    ],
)
def test_bounds_are_those_of_a_scaled_noncentral_chi_square(measure, level, reference, current):
    reference, current = np.array(reference, dtype=float), np.array(current, dtype=float)
    found = measure(reference, current, level)
    assert ends(found) == pytest.approx(expected(measure, reference, current, level), rel=1e-4, abs=1e-7)
    assert (found.level, found.units, found.bins) == (level, current.sum(), len(current))
    assert found.design_effect == 1.0


def days_of(seed, days=40, rows=60, alike=30.0):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.array([0.2, 0.25, 0.25, 0.17, 0.13]) * alike, days)
    return np.array([rng.multinomial(rng.integers(rows // 2, rows * 2), s) for s in shares]).astype(float)


@pytest.mark.parametrize("measure", [psi, jensen_shannon])
@pytest.mark.parametrize("swapped", [False, True])
def test_groups_bring_their_own_variance_degrees_of_freedom_and_skewness(measure, swapped):
    days, cells = days_of(3), CASES[measure][0]
    counts = days.sum(axis=0)
    n, share = days.sum(), counts / days.sum()

    def distance(counts):
        own = counts / counts.sum()
        return cells(own, P).sum() if swapped else cells(P, own).sum()

    found = measure(*((days, KNOWN) if swapped else (KNOWN, days)), 0.9, swapped, not swapped)
    # The larger of two variances: of the slope, and of what is left when one day is left out.
    one_less = np.array([distance(counts - day) for day in days])
    jackknife = (one_less.mean() - one_less) * (len(days) - 1) / len(days)
    weights = by_second((lambda q, p: cells(p, q)) if swapped else cells, P, share, 1)
    slope = (days - days.sum(axis=1, keepdims=True) * share) @ weights / n
    larger = max((slope, jackknife), key=lambda u: np.square(u).sum())
    variance = len(days) / (len(days) - 1) * np.square(larger).sum()
    # Student's t by the kurtosis; beside the known table's rows, the number of groups bounds no degrees of freedom.
    freedom = 2 * variance**2 / ((larger**4).sum() - np.square(larger).sum() ** 2 / len(days))
    moved = (larger**3).sum() / variance**1.5 / 3 * (2 * stats.norm.ppf(0.9) ** 2 + 1)
    reach = [stats.t.ppf(0.9, freedom) + max(0.0, m) for m in (-moved, moved)]
    residual = (days - days.sum(axis=1, keepdims=True) * share) / n
    between = len(days) / (len(days) - 1) * np.square(residual).sum(axis=0)
    assert (between > share * (1 - share) / n).all()
    curvature, finish = CASES[measure][1:]
    bend = by_second((lambda q, p: cells(p, q)) if swapped else cells, P, share, 2) * curvature / 2
    bent, bias = float(bend @ between), float(np.minimum(bend, 1 / share) @ between)
    statistic = distance(counts)
    scale = max(bias / 4, 1 / n, variance * curvature / (4 * statistic))

    def invert(probability, bias):
        return finish(inverted(probability, statistic * curvature / scale, bias / scale) * scale / curvature)

    low, high = (stats.norm.cdf(r) for r in reach)
    bounds = [invert(low, max(bias, bent)), invert(0.5, bias), invert(1 - high, bias)]
    assert ends(found) == pytest.approx(bounds, rel=1e-4)
    assert found.units == (1e14 if swapped else 40)
    effect = (between / share).sum() * n / 4
    assert found.design_effect == (1.0 if swapped else pytest.approx(effect))


# --- total variation


def unfolded(mean):
    """u of which |u + Z| has this mean."""
    least = math.sqrt(2 / math.pi)
    return 0.0 if mean <= least else optimize.brentq(lambda u: stats.foldnorm.mean(u) - mean, 0, mean + 1)


@pytest.mark.parametrize("moved", [0.02, 0.05, 0.12])
@pytest.mark.parametrize("rows", [100, 1_000])
def test_the_total_variation_of_two_bins_is_a_folded_normal_variable(moved, rows):
    # A half has no skewness.
    reference, half = np.array([0.5 - moved, 0.5 + moved]) * 1e14, np.full(2, rows / 2)
    found, error = total_variation(reference, half, 0.95), 0.5 / math.sqrt(rows)
    z = stats.norm.ppf(0.95)
    low = max(0.0, moved - (z + math.sqrt(2 / math.pi)) * error)
    high = error * unfolded((moved + z * error) / error)
    assert ends(found) == pytest.approx([low, error * unfolded(moved / error), high], abs=1e-8)
    assert (found.level, found.units, found.bins, found.design_effect) == (0.95, rows, 2, 1.0)


@pytest.mark.parametrize("reference_rows", [1e14, 400_000])
@pytest.mark.parametrize("moved", [{3: 0.01, 7: -0.01}, {3: 0.03, 7: -0.03}, {7: -0.04}])
def test_the_total_variation_of_many_bins_has_noise_in_each(reference_rows, moved):
    # Of twenty bins one loses, and another or all others gain.
    p, rows = np.full(20, 0.05), 200_000
    q = p + [moved.get(k, 0.0 if 3 in moved else 0.04 / 19) for k in range(20)]
    by = -moved[7]
    found = total_variation(p * reference_rows, q * rows, 0.95)
    variance = q * (1 - q) / rows + p * (1 - p) / reference_rows
    added = np.sqrt(variance).sum() / 2
    # Of equal shares, a sum of folded normal variables; the skewness is that of "in a bin that gained or not".
    standard = math.sqrt((1 - 2 / math.pi) * variance.sum() / 4)
    one, other = ((s[np.arange(20) != 7].sum(), n) for s, n in ((q, rows), (p, reference_rows)))
    spread = sum(s * (1 - s) / n for s, n in (one, other))
    assert spread < standard**2
    third = one[0] * (1 - one[0]) * (1 - 2 * one[0]) / one[1] ** 2
    # What the reference has too much of, the distance has too little of.
    third -= other[0] * (1 - other[0]) * (1 - 2 * other[0]) / other[1] ** 2
    z = stats.norm.ppf(0.95)
    skewed = third / spread**1.5 / 3 * (2 * z * z + 1)
    low = by - (z + max(0.0, -skewed)) * standard - math.sqrt(2 / math.pi) * added
    estimate, high = (added * unfolded(v / added) for v in (by, by + (z + max(0.0, skewed)) * standard))
    assert low > 0 or by == 0.01
    assert ends(found) == pytest.approx([max(0.0, low), estimate, high], abs=1e-8)


@pytest.mark.parametrize("measure", [psi, jensen_shannon, total_variation])
def test_a_distance_is_the_same_from_either_side(measure):
    one, other = np.array([140.0, 260.0, 400.0, 200.0]), np.array([380.0, 320.0, 240.0, 60.0])
    assert ends(measure(one, other, 0.95)) == pytest.approx(ends(measure(other, one, 0.95)), rel=1e-6)


@pytest.mark.parametrize("hits", [0, 1, 3])
def test_the_total_variation_by_a_rare_bin_has_the_exact_limit_of_its_share(hits):
    reference, current = np.array([0.999, 0.001]) * 1e12, np.array([100.0 - hits, hits])
    low, high = proportion_confint(hits, 100, 0.1, "beta")
    found = total_variation(reference, current, 0.95)
    exact = max(high - 0.001, 0.001 - low)
    assert exact - 1e-9 <= found.high <= 1.05 * exact
    assert found.low <= max(0.0, low - 0.001) + 1e-12


def test_equal_shares_have_the_same_bound_in_any_order_of_bins():
    for shares in ([0.1, 0.9], [0.25, 0.75], [0.05, 0.15, 0.8]):
        reference, current = np.array(shares) * 1e12, np.array(shares) * 1_000
        one, other = (total_variation(reference[::step], current[::step], 0.95) for step in (1, -1))
        assert one.high == pytest.approx(other.high)
        assert one.high > 0


BINS = [(0.001, 100), (0.005, 200), (0.02, 50), (0.02, 400), (0.03, 1_000), (0.05, 100), (0.05, 200)]


@pytest.mark.parametrize(("share", "rows"), [*BINS, (0.5, 20), (0.5, 30), (0.5, 50)])
@pytest.mark.parametrize("known", ["reference", "current"])
def test_a_bin_of_few_rows_makes_no_total_variation_wrong_too_often(known, share, rows):
    # By every count that one of a million tables has, with its probability: a bin that is empty in most is no drift.
    counts = np.arange(stats.binom.isf(1e-6, rows, share + 0.2) + 1)
    whole, parts = np.array([1 - share, share]) * 1e12, np.column_stack([rows - counts, counts]).astype(float)
    tables = [(whole, part) if known == "reference" else (part, whole) for part in parts]
    found = [total_variation(*both, 0.95) for both in tables]
    low, high = (np.array([getattr(f, end) for f in found]) for end in ("low", "high"))
    for true in (*np.linspace(-share, 0, 11), *np.linspace(0, 0.02, 11), *np.linspace(0, 0.2, 41)):
        probability = stats.binom.pmf(counts, rows, share + true)
        assert probability[low > abs(true) + 1e-9].sum() <= 0.05, true
        assert probability[high < abs(true) - 1e-9].sum() <= 0.05, true


def test_a_total_variation_without_noise_is_the_plug_in_value():
    reference, current = np.array([3e29, 7e29]), np.array([5e29, 5e29])
    assert ends(total_variation(reference, current, 0.95)) == pytest.approx([0.2] * 3, abs=1e-12)
    nowhere = total_variation(np.array([1e6, 0.0]), np.array([0.0, 1e6]), 0.95)
    assert (nowhere.estimate, nowhere.high, nowhere.statistic) == (1.0, 1.0, 1.0)


# --- p-values, edges, and what cannot be compared


def bounded(lower):
    return Distance(0.5, 0.0, 1.0, 0.95, 100, 10, 1.0, 0.5, lower)


@pytest.mark.parametrize("limit", [-2.9, -1.0, 0.0, 2.0, 8.9])
def test_a_p_value_is_one_less_the_level_whose_lower_bound_is_the_limit(limit):
    found = bounded(lambda level: 3 - stats.norm.ppf(level)).p_above(limit)
    assert found == pytest.approx(stats.norm.sf(3 - limit), rel=1e-6)


def test_p_values_end_at_six_standard_errors():
    found = bounded(lambda level: 3 - stats.norm.ppf(level))
    assert found.p_above(-3.5) == found.p_above(-100.0) == pytest.approx(stats.norm.sf(6), rel=1e-12)
    assert found.p_above(9.5) == 1.0
    # A bound that never moves is above all limits below it, and above none that is equal.
    still = bounded(lambda level: 0.25)
    assert (still.p_above(0.2), still.p_above(0.25)) == (pytest.approx(stats.norm.sf(6)), 1.0)


def test_a_quantile_that_repeats_has_a_bin_of_its_own():
    tiny = 5e-324
    assert edges(np.array([1.0, 2.0, 3.0])).tolist() == [1.0, 2.0, 3.0]
    assert edges(np.array([0.5, 0.0, 0.0])).tolist() == [0.0, tiny, 0.5]
    assert edges(np.array([0.0, 0.0, 0.0, 1.0, 1.0])).tolist() == [0.0, tiny, 1.0, np.nextafter(1.0, 2.0)]


@pytest.mark.parametrize("measure", [psi, jensen_shannon, total_variation])
def test_what_cannot_be_compared_is_named(measure):
    with pytest.raises(Undefined, match=r"^3 bins against 4$"):
        measure(np.ones(3), np.ones(4), 0.95)
    with pytest.raises(Undefined, match=r"^one bin holds everything: a constant has no distribution to compare$"):
        measure(np.array([5.0, 0.0]), np.array([9.0, 0.0]), 0.95)
    # Two bins that share nothing are no constant.
    assert measure(np.array([500.0, 0.0]), np.array([0.0, 500.0]), 0.95).bins == 2


@pytest.mark.parametrize("measure", [psi, jensen_shannon, total_variation])
@pytest.mark.parametrize("grouped", [(True, False), (False, True), (False, False)])
def test_a_bin_that_nobody_holds_is_left_out_of_days_as_well(measure, grouped):
    days = days_of(5)
    tables = [days if by_day else days.sum(axis=0) for by_day in grouped]
    wider = [np.insert(table, 2, 0.0, axis=-1) for table in tables]
    one, other = measure(*tables, 0.95, *grouped), measure(*wider, 0.95, *grouped)
    assert (ends(one), one.units, one.bins, one.design_effect) == (
        ends(other),
        other.units,
        other.bins,
        other.design_effect,
    )
    assert measure(*tables, 0.95, *grouped).units == (40 if grouped[1] else days.sum())


@pytest.mark.parametrize(
    ("reference", "current", "p", "q"),
    [
        # Half a row of the table, and shares sum to one again; less where the other table leads to expect less.
        ([600, 400, 0], [50, 40, 10], [600, 400, 0.5], [50, 40, 10]),
        ([600, 399, 1], [60, 40, 0], [600, 399, 1], [60, 40, 0.1]),
    ],
)
def test_an_empty_bin_of_either_table_is_filled(reference, current, p, q):
    p, q = (np.array(v, dtype=float) / np.sum(v) for v in (p, q))
    found = psi(np.array(reference, dtype=float), np.array(current, dtype=float), 0.95)
    assert found.statistic == pytest.approx(psi_cells(p, q).sum(), abs=1e-12)
