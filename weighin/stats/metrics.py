"""Metrics as an estimate with one influence value per row.

The difference of two models on the same rows is the difference of estimates and of influence values, which makes every
comparison a paired one, by rows or by groups. With weights a metric is the weighted one; the influence of a row is its
weight times the derivative of the metric by it (the infinitesimal jackknife, Efron 1982).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from weighin.stats import forecast, ranking
from weighin.stats.intervals import Floats, Undefined
from weighin.stats.scored import MIN_RARER, Bools, Influence, Metric, Scored, Task, average, enough, row_score

CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1 in logarithms."""


def roc_auc(rows: Scored) -> Influence:
    """Area under the ROC curve, ties counted half, in [0, 1]; for several classes the mean of one against the rest.

    Structural components of DeLong, DeLong and Clarke-Pearson (1988), by midranks as in Sun and Xu (2014):
    O(n log n).
    """
    if rows.score.ndim == 1:
        return area(_positive(rows), rows.score, rows)
    parts = [area(rows.truth == c, rows.score[:, c], rows) for c in _classes(rows)]
    return _mean(parts)


def area(truth: Bools, score: Floats, rows: Scored) -> Influence:
    """Return the area under the curve of (n,) scores, whether each is a positive one, with the weights of `rows`."""
    _ranks(score)
    w = rows.share
    if rows.weight is None:
        from scipy.stats import rankdata  # it takes a second, and most processes need no ranks

        positives, negatives = int(truth.sum()), int((~truth).sum())
        ranks = rankdata(score)
        within = np.empty_like(ranks)
        within[truth] = rankdata(score[truth])
        within[~truth] = rankdata(score[~truth])
        # Of a positive row: the share of negatives below it. Of a negative row: the share of positives above it.
        placement = np.where(truth, (ranks - within) / negatives, 1 - (ranks - within) / positives)
        value = float(placement[truth].mean())
        return Influence(value, (placement - value) / np.where(truth, positives, negatives))
    plus, minus = float(w[truth].sum()), float(w[~truth].sum())
    placement = np.where(truth, _below(score, w * ~truth) / minus, 1 - _below(score, w * truth) / plus)
    value = float((w * placement)[truth].sum()) / plus
    return Influence(value, w * (placement - value) / np.where(truth, plus, minus))


def _below(score: Floats, weight: Floats) -> Floats:
    """(n,) weight of the rows with a lower score, and half of those with the same."""
    _, code = np.unique(score, return_inverse=True)
    mass = np.bincount(code, weights=weight)
    before = np.cumsum(mass) - mass
    return np.asarray((before + mass / 2)[code])


def average_precision(rows: Scored) -> Influence:
    """Precision averaged over the positives, each at its own score as threshold, in [0, 1]; scikit-learn's step sum."""
    truth, w = _positive(rows), rows.share
    _ranks(rows.score)
    _, code = np.unique(-rows.score, return_inverse=True)
    at = np.bincount(code, weights=w)
    hits_at = np.bincount(code, weights=w * truth)
    flagged, hits = np.cumsum(at), np.cumsum(hits_at)
    total = float(hits[-1])
    precision = hits / flagged
    value = float((hits_at * precision).sum()) / total
    # A row lowers (or, being positive, also raises) the precision at its own threshold and at every lower one.
    later = np.cumsum((hits_at / flagged)[::-1])[::-1]
    later_down = np.cumsum((hits_at * hits / flagged**2)[::-1])[::-1]
    own = np.where(truth, precision[code] - value + later[code], 0.0)
    return Influence(value, w * (own - later_down[code]) / total)


def accuracy(rows: Scored) -> Influence:
    """Share of rows decided rightly, in [0, 1]."""
    _known(rows)
    return _ratio(rows.decision == rows.truth, np.ones(len(rows.truth), dtype=bool), rows)


def balanced_accuracy(rows: Scored) -> Influence:
    """Mean of the recalls of all classes, in [0, 1]."""
    return _mean([_recall_of(rows, c) for c in _classes(rows)])


def precision(rows: Scored) -> Influence:
    """Share of rows predicted positive that are positive, in [0, 1]."""
    truth, decided = _positive(rows), _predicted(rows, True)
    return _ratio(truth & decided, decided, rows)


def recall(rows: Scored) -> Influence:
    """Share of positive rows that are predicted positive, in [0, 1]."""
    truth = _positive(rows)
    return _ratio(truth & _decided(rows), truth, rows)


def f1(rows: Scored) -> Influence:
    """Harmonic mean of precision and recall of the positive class, in [0, 1]."""
    _positive(rows)
    return _f1_of(rows, True)


def f1_macro(rows: Scored) -> Influence:
    """Mean of the F1 of all classes, in [0, 1]."""
    return _mean([_f1_of(rows, c) for c in _classes(rows)])


def f1_weighted(rows: Scored) -> Influence:
    """Mean of the F1 of all classes, weighted by how frequent each is among the labels, in [0, 1]."""
    parts = [(rows.truth == c, _f1_of(rows, c)) for c in _classes(rows)]
    w, total = rows.share, np.zeros(len(rows.truth))
    value = sum(float(w[member].sum()) * part.estimate for member, part in parts)
    for member, part in parts:
        total += float(w[member].sum()) * part.values + w * member * part.estimate
    return Influence(value, total - w * value)


def log_loss(rows: Scored) -> Influence:
    """Mean negative log likelihood, in nats, 0 or more. Probabilities are clipped at 1e-15."""
    _known(rows)
    return average(log_losses(rows), rows)


def log_losses(rows: Scored) -> Floats:
    """(n,) negative log likelihood of each row, in nats."""
    if rows.score.ndim == 1:
        p = np.clip(rows.score, CLIP, 1 - CLIP)
        return np.asarray(-np.where(rows.truth, np.log(p), np.log1p(-p)))
    own = rows.score[np.arange(len(rows.truth)), rows.truth]
    return np.asarray(-np.log(np.clip(own, CLIP, 1 - CLIP)))


def brier(rows: Scored) -> Influence:
    """Mean squared distance of the probability from the outcome: in [0, 1]; summed over classes (in [0, 2]) for more.

    Brier (1950). For two classes it is the half of his sum, as scikit-learn has it.
    """
    _known(rows)
    return average(squared_distance(rows), rows)


def squared_distance(rows: Scored) -> Floats:
    """(n,) squared distance of each row's probabilities from its outcome."""
    if rows.score.ndim == 1:
        return np.asarray(np.square(rows.score - rows.truth))
    member = np.arange(rows.score.shape[1])[None, :] == rows.truth[:, None]
    return np.asarray(np.square(rows.score - member).sum(axis=1))


def mae(rows: Scored) -> Influence:
    """Mean absolute error, in the target's unit."""
    return average(absolute_error(rows), rows)


def absolute_error(rows: Scored) -> Floats:
    """(n,) absolute error of each row, in the target's unit."""
    return np.abs(rows.error)


def rmse(rows: Scored) -> Influence:
    """Root of the mean squared error, in the target's unit. Undefined without any error: it has no derivative there."""
    squared = average(np.square(rows.error), rows)
    root = float(np.sqrt(squared.estimate))
    if root == 0:
        raise Undefined("every prediction is exact: no interval of the root exists")
    return Influence(root, squared.values / (2 * root))


def median_absolute_error(rows: Scored) -> Influence:
    """Median of the absolute errors, in the target's unit.

    Its influence needs the density of the errors at the median, which is taken from the distance of the quantiles one
    standard error apart (Woodruff 1952, JASA 47).
    """
    errors, w = np.abs(rows.error), rows.share
    enough(len(errors))
    order = np.argsort(errors)
    cumulated = np.cumsum(w[order])

    def quantile(share: float) -> float:
        at = min(int(np.searchsorted(cumulated, share - 1e-12)), len(errors) - 1)
        exact = abs(cumulated[at] - share) < 1e-12 and at + 1 < len(errors)
        return float((errors[order[at]] + errors[order[at + 1]]) / 2 if exact else errors[order[at]])

    value = quantile(0.5)
    centred = w * (0.5 - (errors <= value))
    step = float(np.sqrt(np.square(centred).sum()))  # at most a half: all of the weight on one row
    width = (quantile(0.5 + step) - quantile(0.5 - step)) / (2 * step)
    return Influence(value, centred * width)


def r2(rows: Scored) -> Influence:
    """Share of the target's variance that is explained, at most 1. Undefined for a constant target."""
    truth, w = rows.truth, rows.share
    residual = np.square(rows.error)
    deviation = np.square(truth - float((w * truth).sum()))
    enough(len(truth))
    rest, total = float((w * residual).sum()), float((w * deviation).sum())
    if total <= 0:
        raise Undefined("the target is constant: no variance to explain")
    ratio = rest / total
    return Influence(1 - ratio, -w * (residual - ratio * deviation) / total)


def mape(rows: Scored) -> Influence:
    """Mean absolute error as a share of the absolute target. Undefined where a target is zero."""
    if not np.all(rows.truth):
        raise Undefined(f"{int((rows.truth == 0).sum())} targets are zero: an error as a share of them does not exist")
    return average(np.abs(rows.error) / np.abs(rows.truth), rows)


_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_NUMBERS: tuple[Task, ...] = ("regression", "forecast")
METRICS: dict[str, Metric] = {
    "roc_auc": Metric(roc_auc, "AUC", _CLASSES, uses="rank"),
    "average_precision": Metric(average_precision, "AP", ("binary",), uses="rank"),
    "accuracy": Metric(accuracy, "share", _CLASSES, kind="share", uses="decision"),
    "balanced_accuracy": Metric(balanced_accuracy, "share", _CLASSES, kind="table", uses="decision"),
    "precision": Metric(precision, "share", ("binary",), kind="share", uses="decision"),
    "recall": Metric(recall, "share", ("binary",), kind="share", uses="decision"),
    "f1": Metric(f1, "F1", ("binary",), kind="table", uses="decision"),
    "f1_macro": Metric(f1_macro, "F1", _CLASSES, kind="table", uses="decision"),
    "f1_weighted": Metric(f1_weighted, "F1", _CLASSES, kind="table", uses="decision"),
    "log_loss": Metric(log_loss, "nats", _CLASSES, lower_is_better=True, uses="probability", row=log_losses),
    "brier": Metric(brier, "Brier", _CLASSES, lower_is_better=True, uses="probability", row=squared_distance),
    "mae": Metric(mae, "", _NUMBERS, lower_is_better=True, row=absolute_error),
    "rmse": Metric(rmse, "", _NUMBERS, lower_is_better=True),
    "median_absolute_error": Metric(median_absolute_error, "", _NUMBERS, lower_is_better=True, kind="median"),
    "r2": Metric(r2, "share", _NUMBERS),
    "mape": Metric(mape, "share", _NUMBERS, lower_is_better=True),
    "smape": Metric(forecast.smape, "share", _NUMBERS, lower_is_better=True),
    "wape": Metric(forecast.wape, "share", _NUMBERS, lower_is_better=True),
    "mase": Metric(forecast.mase, "naive errors", ("forecast",), lower_is_better=True),
    **{
        f"pinball_{percent}": Metric(forecast.pinball(percent / 100), "", _NUMBERS, lower_is_better=True)
        for percent in (5, 10, 25, 50, 75, 90, 95)
    },
    "coverage": Metric(forecast.coverage, "share", ("forecast",), uses="interval", range=1),
    "interval_width": Metric(forecast.interval_width, "", ("forecast",), lower_is_better=True, uses="interval"),
    # Rankings: the mean of a number of each query.
    "ndcg": Metric(ranking.ndcg(), "NDCG", ("ranking",), uses="rank"),
    **{
        f"{name}_{k}": Metric(function(k), unit, ("ranking",), uses="rank")
        for name, function, unit in (
            ("ndcg", ranking.ndcg, "NDCG"),
            ("precision", ranking.precision_at, "share"),
            ("recall", ranking.recall_at, "share"),
        )
        for k in (1, 3, 5, 10, 20)
    },
    "mrr": Metric(ranking.mean_reciprocal_rank, "MRR", ("ranking",), uses="rank"),
    "map": Metric(ranking.mean_average_precision, "MAP", ("ranking",), uses="rank"),
    # Scores of texts, one for each answer: weighin/scores says what they are.
    "exact_match": row_score("exact_match", "share", counted=True),
    "quasi_exact_match": row_score("quasi_exact_match", "share", counted=True),
    "contains_reference": row_score("contains_reference", "share", counted=True),
    "token_f1": row_score("token_f1", "F1", range=1),
    "rouge1": row_score("rouge1", "ROUGE", range=1),
    "rouge2": row_score("rouge2", "ROUGE", range=1),
    "rougeL": row_score("rougeL", "ROUGE", range=1),
    "bleu": row_score("bleu", "BLEU", range=100),
    "chrf": row_score("chrf", "chrF", range=100),
    "valid_json": row_score("valid_json", "share", counted=True),
    "refusal": row_score("refusal", "share", lower_is_better=True, counted=True),
    "profanity": row_score("profanity", "probability", lower_is_better=True, range=1),
    "characters": row_score("characters", "characters", lower_is_better=True),
    "words": row_score("words", "words", lower_is_better=True),
    "flesch_kincaid_grade": row_score("flesch_kincaid_grade", "school years", lower_is_better=True),
    "automated_readability_index": row_score("automated_readability_index", "school years", lower_is_better=True),
}


def row_loss(rows: Scored, loss: Literal["log_loss", "squared"]) -> Floats:
    """(n,) loss of each row: negative log likelihood in nats, or the squared error of a regression."""
    if loss == "squared":
        return np.square(rows.error)
    _known(rows)
    return log_losses(rows)


def counts(metric: str, rows: Scored) -> tuple[Bools, Bools]:
    """(n,) hits and (n,) base of a metric of kind `share`: its value is the share of hits in the base."""
    if rows.row_scores is not None:
        return rows.row_scores(metric) == 1, np.ones(len(rows.truth), dtype=bool)
    right = np.asarray(rows.decision == rows.truth)
    if metric == "accuracy":
        return right, np.ones(len(right), dtype=bool)
    base = _decided(rows) if metric == "precision" else _positive(rows)
    return right & base, base


def table_value(metric: str, tables: Floats) -> Floats:
    """(draws,) of a metric of kind `share` or `table` from confusion tables (draws, k, k): label by decision.

    Undefined entries (a class without rows, nothing predicted positive) are NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        right = np.diagonal(tables, axis1=1, axis2=2)
        truth, decided = tables.sum(axis=2), tables.sum(axis=1)
        f = 2 * right / (truth + decided)
        match metric:
            case "accuracy":
                found = right.sum(axis=1) / truth.sum(axis=1)
            case "precision":
                found = right[:, 1] / decided[:, 1]
            case "recall":
                found = right[:, 1] / truth[:, 1]
            case "balanced_accuracy":
                found = (right / truth).mean(axis=1)
            case "f1":
                found = f[:, 1]
            case "f1_macro":
                found = f.mean(axis=1)
            case "f1_weighted":
                found = (f * truth).sum(axis=1) / truth.sum(axis=1)
            case _:
                raise ValueError(f"{metric} is no function of a confusion table")
    return np.asarray(found)


def calibration(rows: Scored) -> list[tuple[float, float, float]]:
    """Calibration curve of a binary model: (mean probability, share of positives, share of rows) per bin.

    Bins are cut at the deciles of the probability; equal cuts count once. The expected calibration error is the sum of
    |first - second| * third. It is biased upwards and never zero, so it is information and no gate.
    """
    cuts = np.unique(np.quantile(rows.score, np.linspace(0, 1, 11)[1:-1]))
    # Between two cuts there may be no row.
    _, code = np.unique(np.searchsorted(cuts, rows.score, side="right"), return_inverse=True)
    sums = np.array([np.bincount(code, weights=rows.share * v) for v in (rows.score, rows.truth, np.ones(len(code)))])
    return [(float(m / w), float(h / w), float(w)) for m, h, w in sums.T]


def _decided(rows: Scored) -> Bools:
    return np.asarray(rows.decision, dtype=bool)


def _ranks(score: Floats) -> None:
    if score.min() == score.max():
        raise Undefined(f"all {len(score)} scores are {score[0]:g}: a model that ranks nothing")


def _known(rows: Scored) -> None:
    """At least two classes, and 20 rows that are not of the most frequent one."""
    n = len(rows.truth)
    found = np.bincount(rows.truth, minlength=1)
    if found.max() == n:
        raise Undefined(f"all {n} labels are equal")
    if n - found.max() < MIN_RARER:
        raise Undefined(f"{n - found.max()} rows of the rarer class, at least {MIN_RARER} are needed")


def _positive(rows: Scored) -> Bools:
    _known(rows)
    return np.asarray(rows.truth, dtype=bool)


def _classes(rows: Scored) -> list[int]:
    """Codes of all classes, each of which needs 20 rows."""
    if rows.score.ndim == 1:
        _known(rows)
        return [0, 1]
    sizes = np.bincount(rows.truth, minlength=rows.score.shape[1])
    if sizes.min() < MIN_RARER:
        code = int(sizes.argmin())
        raise Undefined(f"{sizes[code]} rows of class number {code}, at least {MIN_RARER} of each are needed")
    return list(range(len(sizes)))


def _mean(parts: list[Influence]) -> Influence:
    values = np.mean([p.values for p in parts], axis=0)
    return Influence(float(np.mean([p.estimate for p in parts])), values)


def _predicted(rows: Scored, label: int | bool) -> Bools:
    """(n,) which rows are decided so. Errors: `Undefined` where there are fewer than 20."""
    decided = np.asarray(rows.decision == label)
    if int(decided.sum()) < MIN_RARER:
        what = "positive" if label is True else f"as class number {label}"
        raise Undefined(f"{int(decided.sum())} rows predicted {what}, at least {MIN_RARER} are needed")
    return decided


def _ratio(hit: Bools, base: Bools, rows: Scored) -> Influence:
    w = rows.share
    mass = float(w[base].sum())
    value = float(w[hit].sum()) / mass
    return Influence(value, w * (hit - value * base) / mass)


def _recall_of(rows: Scored, label: int) -> Influence:
    member = np.asarray(rows.truth == label)
    return _ratio(member & (rows.decision == label), member, rows)


def _f1_of(rows: Scored, label: int | bool) -> Influence:
    member, decided = np.asarray(rows.truth == label), _predicted(rows, label)
    w = rows.share
    hits, sizes = 2 * (member & decided), member.astype(np.float64) + decided
    total = float((w * sizes).sum())
    value = float((w * hits).sum()) / total
    return Influence(value, w * (hits - value * sizes) / total)
