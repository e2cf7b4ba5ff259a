"""Metrics and their intervals against scikit-learn, by hand, and by simulation."""

import numpy as np
import pytest
from scipy import stats as scipy_stats
from sklearn import metrics as sk

from weighin.stats.contrast import contrast
from weighin.stats.intervals import Undefined, clopper_pearson, from_influence
from weighin.stats.metrics import METRICS, counts, roc_auc, row_loss, table_value
from weighin.stats.scored import Scored

BINARY = [name for name, m in METRICS.items() if "binary" in m.tasks]
MULTICLASS = [name for name, m in METRICS.items() if "multiclass" in m.tasks]
REGRESSION = [
    name
    for name, m in METRICS.items()
    if "regression" in m.tasks and (not name.startswith("pinball_") or name == "pinball_90")
]
TASKS = {"binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION}
ALL = [(task, name) for task, names in TASKS.items() for name in names]


def scored(task, rng, n=2000, ties=False, weighted=False, strength=1.0):
    weight = rng.lognormal(0, 1, n) if weighted else None
    if task == "regression":
        truth = np.round(rng.normal(20, 5, n), 1) + 40
        return Scored(truth, truth + rng.normal(0, 2, n), weight)
    if task == "multiclass":
        truth = rng.choice(4, n, p=[0.5, 0.3, 0.12, 0.08])
        raw = rng.gumbel(size=(n, 4)) + strength * np.eye(4)[truth]
        score = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        return Scored(truth, np.round(score, 2) + 1e-3 if ties else score, weight)
    truth = rng.random(n) < 0.3
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + strength * truth - 1)))
    return Scored(truth, np.round(score, 1) if ties else score, weight, 0.4)


def by_scikit_learn(name, rows):
    """The metric as scikit-learn computes it."""
    y, p, w = rows.truth, rows.score, rows.weight
    d = rows.decision
    if p.ndim == 2:
        y_rank = p / p.sum(axis=1, keepdims=True)
    match name:
        case "roc_auc":
            if p.ndim == 2:
                return np.mean([sk.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(4)])
            return sk.roc_auc_score(y, p, sample_weight=w)
        case "average_precision":
            return sk.average_precision_score(y, p, sample_weight=w)
        case "accuracy":
            return sk.accuracy_score(y, d, sample_weight=w)
        case "balanced_accuracy":
            return sk.balanced_accuracy_score(y, d, sample_weight=w)
        case "precision":
            return sk.precision_score(y, d, sample_weight=w)
        case "recall":
            return sk.recall_score(y, d, sample_weight=w)
        case "f1":
            return sk.f1_score(y, d, sample_weight=w)
        case "f1_macro" | "f1_weighted":
            return sk.f1_score(y, d, sample_weight=w, average=name[3:])
        case "log_loss":
            return sk.log_loss(y, y_rank if p.ndim == 2 else p, sample_weight=w)
        case "brier":
            if p.ndim == 2:
                return np.average(np.square(p - np.eye(4)[y]).sum(axis=1), weights=w)
            return sk.brier_score_loss(y, p, sample_weight=w)
        case "mae":
            return sk.mean_absolute_error(y, p, sample_weight=w)
        case "rmse":
            return sk.root_mean_squared_error(y, p, sample_weight=w)
        case "median_absolute_error":
            return sk.median_absolute_error(y, p, sample_weight=w)
        case "r2":
            return sk.r2_score(y, p, sample_weight=w)
        case "mape":
            return sk.mean_absolute_percentage_error(y, p, sample_weight=w)
        case "smape":
            return np.average(2 * np.abs(p - y) / (np.abs(p) + np.abs(y)), weights=w)
        case "wape":
            return np.average(np.abs(p - y), weights=w) / np.average(np.abs(y), weights=w)
    if name.startswith("pinball_"):
        return sk.mean_pinball_loss(y, p, sample_weight=w, alpha=int(name.removeprefix("pinball_")) / 100)
    raise AssertionError(f"{name} has no counterpart here")


@pytest.mark.parametrize(("task", "name"), ALL)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_agree_with_scikit_learn(task, name, ties, weighted):
    if ties and name == "log_loss" and task == "multiclass":
        ties = False  # scikit-learn refuses rows that do not sum to one
    rows = scored(task, np.random.default_rng(0), ties=ties, weighted=weighted)
    assert METRICS[name].of(rows).estimate == pytest.approx(by_scikit_learn(name, rows), abs=1e-9)


@pytest.mark.parametrize(("task", "name"), ALL)
@pytest.mark.parametrize("weighted", [False, True])
def test_influence_values_sum_to_zero(task, name, weighted):
    rows = scored(task, np.random.default_rng(1), ties=True, weighted=weighted)
    found = METRICS[name].of(rows)
    size = np.abs(found.values).sum()
    # A median sits on a row of its own.
    assert abs(found.values.sum()) < (0.02 * size if name == "median_absolute_error" else 1e-9 * max(1, size))


@pytest.mark.parametrize(("task", "name"), [(t, n) for t, n in ALL if n != "median_absolute_error"])
@pytest.mark.parametrize("weighted", [False, True])
def test_influence_is_the_derivative_by_a_rows_weight(task, name, weighted):
    """Against the metric itself, with one row's weight moved by a little."""
    rows = scored(task, np.random.default_rng(2), n=400, ties=task == "binary", weighted=weighted)
    found = METRICS[name].of(rows)
    weight = np.ones(400) if rows.weight is None else rows.weight
    for i in range(0, 400, 23):
        step = 1e-5 * weight[i]
        moved = []
        for sign in (1, -1):
            w = weight.copy()
            w[i] += sign * step
            moved.append(METRICS[name].of(Scored(rows.truth, rows.score, w, rows.threshold)).estimate)
        slope = (moved[0] - moved[1]) / (2 * step) * weight[i]
        assert found.values[i] == pytest.approx(slope, abs=1e-7 * max(1.0, abs(found.estimate))), i


@pytest.mark.parametrize(("task", "name"), ALL)
def test_equal_weights_are_no_weights(task, name):
    rows = scored(task, np.random.default_rng(3), ties=True)
    same = Scored(rows.truth, rows.score, np.full(len(rows.truth), 3.0), rows.threshold)
    one, two = METRICS[name].of(rows), METRICS[name].of(same)
    assert two.estimate == pytest.approx(one.estimate, abs=1e-12)
    np.testing.assert_allclose(two.values, one.values, atol=1e-12)


def test_auc_variance_is_that_of_delong_by_hand():
    """The two-sample form of DeLong (1988), written out with its kernel."""
    rows = scored("binary", np.random.default_rng(2), n=300)
    x, y = rows.score[rows.truth], rows.score[~rows.truth]
    kernel = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    by_hand = kernel.mean(axis=1).var(ddof=1) / len(x) + kernel.mean(axis=0).var(ddof=1) / len(y)
    found = roc_auc(rows)
    assert found.estimate == pytest.approx(kernel.mean(), abs=1e-12)
    biased = kernel.mean(axis=1).var() / len(x) + kernel.mean(axis=0).var() / len(y)
    assert np.square(found.values).sum() == pytest.approx(biased, abs=1e-12)
    assert biased == pytest.approx(by_hand, rel=0.02)


def test_auc_covariance_is_delongs_for_two_models():
    """The covariance of two areas from the same kernels: what a paired comparison rests on."""
    rng = np.random.default_rng(8)
    truth = rng.random(200) < 0.4
    scores = [rng.normal(size=200) + truth * s for s in (0.8, 1.5)]
    kernels = [(s[truth][:, None] > s[~truth][None, :]).astype(float) for s in scores]
    one, two = (roc_auc(Scored(truth, s)) for s in scores)
    by_hand = sum(
        np.cov(kernels[0].mean(axis=a), kernels[1].mean(axis=a), ddof=0)[0, 1] / m
        for a, m in ((1, truth.sum()), (0, (~truth).sum()))
    )
    assert (one.values * two.values).sum() == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(("task", "name"), ALL)
def test_the_order_of_rows_does_not_matter(task, name):
    rng = np.random.default_rng(3)
    rows = scored(task, rng)
    group = rng.integers(0, 40, len(rows.truth))
    order = rng.permutation(len(rows.truth))
    shuffled = Scored(rows.truth[order], rows.score[order], None, rows.threshold)
    one, two = METRICS[name].of(rows), METRICS[name].of(shuffled)
    first = from_influence(one.estimate, one.values, group, 0.95)
    second = from_influence(two.estimate, two.values, group[order], 0.95)
    assert first.low == pytest.approx(second.low, abs=1e-9)


@pytest.mark.parametrize(("task", "name"), ALL)
@pytest.mark.parametrize("grouped", [False, True])
def test_identical_models_have_no_difference(task, name, grouped):
    rng = np.random.default_rng(4)
    rows = scored(task, rng)
    group = rng.integers(0, 40, len(rows.truth)) if grouped else None
    found = contrast(name, rows, rows, group, 0.95)
    assert found.interval.estimate == 0
    assert found.interval.low <= 0 <= found.interval.high
    assert not found.influence.any()


@pytest.mark.parametrize("name", BINARY)
def test_twenty_rows_of_the_rarer_class_are_enough_and_what_is_missing_is_counted(name):
    decided = np.arange(500) % 2
    METRICS[name].of(Scored(np.arange(500) < 20, decided + np.arange(500) / 1_000, None, 0.7))
    for truth, said in (
        (np.arange(500) < 19, "19 rows of the rarer class, at least 20 are needed"),
        (np.arange(500) >= 19, "19 rows of the rarer class, at least 20 are needed"),
        (np.zeros(500, bool), "all 500 labels are equal"),
        (np.ones(500, bool), "all 500 labels are equal"),
        (np.ones(0, bool), "all 0 labels are equal"),
    ):
        with pytest.raises(Undefined, match=f"^{said}$"):
            METRICS[name].of(Scored(truth, np.linspace(0, 1, len(truth)), None, 0.4))


@pytest.mark.parametrize("name", ["roc_auc", "balanced_accuracy"])
def test_twenty_rows_of_each_class_are_enough_and_the_class_that_has_fewest_is_named(name):
    score = np.random.default_rng(12).dirichlet(np.ones(4), 200)
    truth = np.minimum(np.arange(200) // 20, 3)
    METRICS[name].of(Scored(truth, score))
    for moved, said in ((1, "19 rows of class number 1"), (3, "0 rows of class number 3")):
        fewer = np.where(truth == 3, 0, truth) if moved == 3 else np.where(np.arange(200) == 20, 0, truth)
        with pytest.raises(Undefined, match=f"^{said}, at least 20 of each are needed$"):
            METRICS[name].of(Scored(fewer, score))


@pytest.mark.parametrize("name", ["roc_auc", "balanced_accuracy", "f1_macro", "f1_weighted"])
def test_a_class_with_few_rows_leaves_a_mean_over_classes_undefined(name):
    rows = scored("multiclass", np.random.default_rng(5), n=150)
    assert np.bincount(rows.truth, minlength=4).min() < 20
    with pytest.raises(Undefined, match="class number"):
        METRICS[name].of(rows)


@pytest.mark.parametrize("name", REGRESSION)
def test_few_rows_leave_a_regression_metric_undefined(name):
    with pytest.raises(Undefined, match="at least 20"):
        METRICS[name].of(scored("regression", np.random.default_rng(5), n=19))


def test_a_constant_target_has_no_r2():
    with pytest.raises(Undefined, match=r"^the target is constant: no variance to explain$"):
        METRICS["r2"].of(Scored(np.full(50, 3.0), np.linspace(1, 2, 50)))
    small = np.linspace(0, 1e-6, 50)
    assert METRICS["r2"].of(Scored(small, small[::-1])).estimate == pytest.approx(sk.r2_score(small, small[::-1]))


def test_a_target_of_zero_has_no_percentage_error():
    said = r"^3 targets are zero: an error as a share of them does not exist$"
    with pytest.raises(Undefined, match=said):
        METRICS["mape"].of(Scored(np.maximum(np.arange(50.0) - 2, 0), np.arange(50.0)))


def test_exact_predictions_have_no_interval_of_a_root():
    with pytest.raises(Undefined, match=r"^every prediction is exact: no interval of the root exists$"):
        METRICS["rmse"].of(Scored(np.arange(50.0), np.arange(50.0)))


def test_constant_scores_have_no_interval():
    rows = Scored(np.arange(500) < 100, np.full(500, 0.3))
    for name in ("roc_auc", "average_precision"):
        with pytest.raises(Undefined, match="ranks nothing"):
            contrast(name, rows, None, np.arange(500) % 50, 0.95)


@pytest.mark.parametrize("name", ["precision", "f1"])
def test_a_precision_needs_twenty_rows_that_are_predicted_positive(name):
    truth, score = np.arange(500) < 100, np.linspace(1, 0, 500)
    enough = METRICS[name].of(Scored(truth, score, None, float(score[19]))).estimate
    assert enough == pytest.approx({"precision": 1.0, "f1": 2 * 20 / (100 + 20)}[name])
    with pytest.raises(Undefined, match=r"^19 rows predicted positive, at least 20 are needed$"):
        METRICS[name].of(Scored(truth, score, None, float(score[18])))


@pytest.mark.parametrize("name", ["f1_macro", "f1_weighted"])
def test_a_mean_of_f1_needs_twenty_rows_that_are_predicted_as_each_class(name):
    truth = np.arange(500) % 5 // 2  # classes 0, 1 and 2, of which the last has 100 rows
    decided = np.where(np.arange(500) < 20, 2, np.arange(500) % 2)
    assert 0 < METRICS[name].of(Scored(truth, np.eye(3)[decided])).estimate < 1
    decided[0] = 1
    with pytest.raises(Undefined, match=r"^19 rows predicted as class number 2, at least 20 are needed$"):
        METRICS[name].of(Scored(truth, np.eye(3)[decided]))
    with pytest.raises(Undefined, match=r"^0 rows predicted as class number 1, at least 20 are needed$"):
        METRICS[name].of(Scored(truth == 1, np.zeros(500)))


def test_the_loss_of_a_row_is_what_its_metric_is_the_mean_of():
    rows = scored("regression", np.random.default_rng(8))
    assert row_loss(rows, "squared").tolist() == np.square(rows.score - rows.truth).tolist()
    for task in ("binary", "multiclass"):
        rows = scored(task, np.random.default_rng(8))
        assert row_loss(rows, "log_loss").mean() == pytest.approx(METRICS["log_loss"].of(rows).estimate, abs=1e-12)
    with pytest.raises(Undefined, match="equal"):
        row_loss(Scored(np.ones(50, bool), np.linspace(0, 1, 50)), "log_loss")


def test_a_share_is_the_hits_among_its_base():
    rows = scored("binary", np.random.default_rng(9))
    for name in ("accuracy", "precision", "recall"):
        hit, base = counts(name, rows)
        assert hit.dtype == base.dtype == bool
        assert not (hit & ~base).any()
        assert hit.sum() / base.sum() == pytest.approx(METRICS[name].of(rows).estimate, abs=1e-12)
    values = {"one": np.array([1.0, 0.0, 1.0]), "other": np.zeros(3)}
    texts = Scored(np.full(3, ""), np.full(3, ""), row_scores=values.__getitem__)
    for name in values:
        hit, base = counts(name, texts)
        assert (hit.tolist(), base.tolist()) == ((values[name] == 1).tolist(), [True] * 3)
        assert base.dtype == bool


@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.kind in ("share", "table") and m.uses != "text"])
def test_a_metric_from_its_table_is_the_metric_from_its_rows(name):
    rows = scored("binary", np.random.default_rng(6))
    table = np.zeros((1, 2, 2))
    np.add.at(table[0], (rows.truth.astype(int), rows.decision.astype(int)), 1)
    assert table_value(name, table)[0] == pytest.approx(METRICS[name].of(rows).estimate, abs=1e-12)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [n for n, m in METRICS.items() if m.kind in ("share", "table") and m.uses != "text"])
def test_each_drawn_table_has_its_own_value_and_none_where_it_is_undefined(name):
    tables = np.array([[[30, 10], [5, 15]], [[4, 0], [1, 7]], [[6, 0], [3, 0]], [[0, 0], [0, 0]]]).astype(float)
    found = table_value(name, tables)
    assert found.tolist()[:3] == pytest.approx([table_value(name, t[None])[0] for t in tables[:3]], nan_ok=True)
    for table, value in zip(tables[:2], found[:2], strict=True):
        rows = np.repeat(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), table.astype(int).ravel(), axis=0)
        assert value == pytest.approx(by_scikit_learn(name, Scored(rows[:, 0] == 1, rows[:, 1] * 1.0)))
    assert np.isnan(found[2]) == (name == "precision")
    assert np.isnan(found[3])
    with pytest.raises(ValueError, match=r"^roc_auc is no function of a confusion table$"):
        table_value("roc_auc", tables)


@pytest.mark.parametrize("name", BINARY)
def test_labels_0_and_1_are_those_of_two_classes(name):
    rows = scored("binary", np.random.default_rng(11))
    numbers = METRICS[name].of(Scored(rows.truth.astype(np.int64), rows.score, None, rows.threshold))
    assert numbers.estimate == METRICS[name].of(rows).estimate
    assert numbers.values.tolist() == METRICS[name].of(rows).values.tolist()


def test_one_group_gives_no_interval():
    with pytest.raises(Undefined, match="at least 10"):
        from_influence(0.5, np.ones(100), np.zeros(100, dtype=np.int64), 0.95)


def draw(rng, days, rows, grouped):
    """Two models of one truth on `days` days of `rows` rows."""
    day = np.repeat(np.arange(days), rows)
    n = days * rows
    shift = rng.normal(size=days)[day] * (0.7 if grouped else 0.0)
    truth = rng.random(n) < 1 / (1 + np.exp(1 - shift))
    common = rng.normal(size=n) + truth
    noise = rng.normal(size=days)[day] * (0.7 if grouped else 0.0)
    a = 1 / (1 + np.exp(-common - 0.3 * rng.normal(size=n) - noise))
    b = 1 / (1 + np.exp(-common - 0.6 * rng.normal(size=n) + noise))
    return day, Scored(truth, a, None, 0.6), Scored(truth, b, None, 0.6)


@pytest.mark.exhaustive
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("name", BINARY)
def test_bounds_hold_the_truth_as_often_as_they_say(name, grouped):
    rng, runs = np.random.default_rng(6), 300
    _, one, two = draw(rng, 20_000, 50, grouped)
    true = METRICS[name].of(one).minus(METRICS[name].of(two)).estimate
    low = high = refused = 0
    for _ in range(runs):
        day, one, two = draw(rng, 30, 50, grouped)
        try:
            found = contrast(name, one, two, day if grouped else None, 0.95).interval
        except Undefined:  # no bound is no wrong bound; thirty days are few
            refused += 1
            continue
        low += found.low <= true
        high += true <= found.high
    assert refused <= runs / 2
    low, high = low + refused, high + refused
    # 0.95 nominal; exact binomial bound at 1 in 10,000.
    assert min(low, high) >= scipy_stats.binom.ppf(1e-4, runs, 0.95)


@pytest.mark.parametrize(("successes", "limit"), [(3, 0.2), (30, 0.2), (100, 0.9)])
def test_p_values_of_a_share_are_those_of_the_exact_test(successes, limit):
    found = clopper_pearson(successes, 100, 0.95)
    assert found.p_below(limit) == pytest.approx(scipy_stats.binomtest(successes, 100, limit, "less").pvalue)
    assert found.p_above(limit) == pytest.approx(scipy_stats.binomtest(successes, 100, limit, "greater").pvalue)


def test_clopper_pearson_agrees_with_scipy():
    for successes, trials in ((0, 10), (3, 10), (10, 10), (77, 1000)):
        found = clopper_pearson(successes, trials, 0.975)
        expected = scipy_stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
