"""Power: the share of passes that is promised is the share that simulation finds."""

import numpy as np
import pytest

from weighin.stats.intervals import from_influence
from weighin.stats.power import Planned, power


@pytest.mark.exhaustive
def test_the_promised_share_is_the_simulated_share():
    rng = np.random.default_rng(0)
    n, margin = 400, 0.12
    values = rng.normal(size=n)
    (one,), _ = power([Planned("c", margin, (values - values.mean()) / n, 0.95)], None)
    passes = 0
    for _ in range(2000):
        drawn = rng.normal(size=n)
        passes += from_influence(drawn.mean(), (drawn - drawn.mean()) / n, None, 0.95).low >= -margin
    assert one.probability == pytest.approx(passes / 2000, abs=0.04)


@pytest.mark.exhaustive
def test_the_needed_rows_reach_eighty_percent():
    def influence(n):
        values = np.random.default_rng(1).normal(size=n)
        return (values - values.mean()) / values.std() / n

    values = influence(200)
    (one,), together = power([Planned("c", 0.05, values, 0.95)], None)
    assert one.n_required is not None
    times = one.n_required / 200
    (again,), _ = power([Planned("c", 0.05, influence(one.n_required), 0.95)], None)
    assert again.probability == pytest.approx(0.8, abs=0.01)
    assert times > 1
    assert together.n_required == pytest.approx(one.n_required, rel=0.05)


def test_checks_that_agree_pass_together_and_independent_ones_do_not():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=300) / 300, rng.normal(size=300) / 300
    same = power([Planned("a", 0.1, a, 0.95), Planned("b", 0.1, a, 0.95)], None)[1].probability
    apart = power([Planned("a", 0.1, a, 0.95), Planned("b", 0.1, b, 0.95)], None)[1].probability
    assert apart < same - 0.1


def test_a_model_on_the_limit_passes_at_alpha_and_no_data_helps():
    values = np.random.default_rng(3).normal(size=300) / 300
    (one,), together = power([Planned("c", 0.0, values, 0.95)], None)
    assert one.probability == pytest.approx(0.05, abs=0.002)
    assert one.n_required is None
    assert together.n_required is None


def test_groups_count_and_not_rows():
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(30), 20)
    values = rng.normal(size=30)[group] / 600
    by_rows = power([Planned("c", 0.2, values, 0.95)], None)[0][0]
    by_groups = power([Planned("c", 0.2, values, 0.95)], group)[0][0]
    assert by_groups.probability < by_rows.probability
