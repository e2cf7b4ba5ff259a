"""The mean that labels by people correct: against its formula, and at the ends of what it can be given."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from weighin.stats.intervals import Undefined
from weighin.stats.prediction_powered import prediction_powered

N, LABELS = 1_000, 200
EVEN = np.full(N, 1 / N)


def drawn(seed: int, bias: float = 0.3) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What people would say of all rows, what a judge says, and what people said of some."""
    random = np.random.default_rng(seed)
    truth = random.normal(3, 1, N)
    labelled = np.where(np.isin(np.arange(N), random.choice(N, LABELS, replace=False)), truth, np.nan)
    return truth, truth + bias + random.normal(0, 0.3, N), labelled


def test_it_is_the_estimate_of_the_paper() -> None:
    _, judged, labelled = drawn(0)
    known = np.isfinite(labelled)
    y, f, g = labelled[known], judged[known], judged[~known]
    weight = np.cov(y, f, ddof=1)[0, 1] / ((1 + len(y) / len(g)) * f.var(ddof=1))
    estimate, values = prediction_powered(judged, labelled, EVEN)
    assert estimate == pytest.approx(y.mean() + weight * (g.mean() - f.mean()))
    variance = (y - weight * f).var() / len(y) + weight**2 * g.var() / len(g)
    assert np.square(values).sum() == pytest.approx(variance)
    assert values.sum() == pytest.approx(0, abs=1e-12)


def test_a_bias_of_the_judge_does_not_count() -> None:
    _, judged, labelled = drawn(1, 0.0)
    plain, biased = (prediction_powered(judged + b, labelled, EVEN) for b in (0.0, 5.0))
    assert plain[0] == pytest.approx(biased[0])
    np.testing.assert_allclose(plain[1], biased[1], atol=1e-12)


def test_a_judge_that_knows_makes_it_narrower_and_one_that_does_not_no_wider() -> None:
    truth, judged, labelled = drawn(2)
    alone = np.square(labelled[np.isfinite(labelled)] - np.nanmean(labelled)).sum() / LABELS**2
    random = np.random.default_rng(3)
    knows = np.square(prediction_powered(judged, labelled, EVEN)[1]).sum()
    guesses = np.square(prediction_powered(random.permutation(judged), labelled, EVEN)[1]).sum()
    assert knows < 0.5 * alone
    assert guesses < 1.02 * alone
    assert np.square(prediction_powered(-judged, labelled, EVEN)[1]).sum() == pytest.approx(alone)
    assert np.square(prediction_powered(np.ones(N), labelled, EVEN)[1]).sum() == pytest.approx(alone)
    assert truth.mean() == pytest.approx(prediction_powered(judged, labelled, EVEN)[0], abs=0.15)


def test_where_people_have_scored_every_row_their_mean_is_all() -> None:
    truth, judged, _ = drawn(4)
    assert prediction_powered(judged, truth, EVEN)[0] == pytest.approx(truth.mean())


def test_weights_count() -> None:
    truth, judged, labelled = drawn(5)
    share = np.where(truth > 3, 3.0, 1.0) / np.where(truth > 3, 3.0, 1.0).sum()
    found = prediction_powered(judged, labelled, share)[0]
    assert found == pytest.approx(float((share * truth).sum()), abs=0.2)
    assert found > truth.mean() + 0.1


@pytest.mark.parametrize(("count", "said"), [(0, "0 rows are labelled"), (29, "29 rows are labelled")])
def test_few_labels_are_undefined(count: int, said: str) -> None:
    truth, judged, _ = drawn(6)
    with pytest.raises(Undefined, match=said):
        prediction_powered(judged, np.where(np.arange(N) < count, truth, np.nan), EVEN)


def test_labels_that_are_all_but_alike_are_undefined() -> None:
    labelled = np.full(N, np.nan)
    labelled[:100], labelled[:4] = 1.0, 0.0
    with pytest.raises(Undefined, match="4 of 100 labels by people differ from the rest, at least 5 must"):
        prediction_powered(np.ones(N), labelled, EVEN)
    labelled[4] = 0.0
    assert prediction_powered(np.ones(N), labelled, EVEN)[0] == pytest.approx(0.95)
