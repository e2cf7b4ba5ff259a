"""Faults of a model that show in what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from weighin.contract.gates import BaselineCheck
from weighin.data.permute import Rows, sample
from weighin.drill.fault import Bools, Fault, chosen, shares, slice_rows
from weighin.drill.inputs import Inputs, NotApplicable, evidence_of
from weighin.stats.intervals import Undefined
from weighin.stats.metrics import METRICS
from weighin.suites.explainability import DATASET as PERMUTED

Floats = NDArray[np.float64]
ROLE = "candidate"
STEPS = 18
"""Halvings of the share of rows that costs a model a given margin."""


def worse(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Make the model worse than the champion by `size` margins of the first comparison that has one.

    A share of the rows gets the answers of other rows, as many as make up that difference.

    Seen: a training that ended early, a feature list that lost a line, a seed that was unlucky.
    """
    contract = inputs.file.contract
    gate = contract.gates.performance
    compared = [
        c
        for c in (gate.checks if gate else ())
        if isinstance(c, BaselineCheck) and c.against == "champion" and c.metric in METRICS
    ]
    listed = [c for c in compared if c.margin is not None or c.relative_margin is not None]
    if not listed or ("champion", "holdout") not in inputs.answers:
        raise NotApplicable("no check compares a metric with a champion by a margin")
    metric = METRICS[listed[0].metric]
    with evidence_of(inputs, inputs) as evidence:
        rows = evidence.rows("holdout")
        labelled = evidence.labelled("holdout")
    try:
        champion = metric.of(rows.scored["champion"]).estimate
        margin = listed[0].margin if listed[0].margin is not None else (listed[0].relative_margin or 0) * abs(champion)
        wanted = champion + (1 if metric.lower_is_better else -1) * size * margin
        own = inputs.answered(ROLE)
        order, turn = rng.permutation(len(own)), rng.random(len(own))

        def off(share: float) -> bool:
            answers = np.where(_as(turn < share, own), own[order], own)
            scored = rows.scored[ROLE]
            changed = answers if labelled is None else answers[labelled]
            value = metric.of(replace(scored, score=changed)).estimate
            return value > wanted if metric.lower_is_better else value < wanted

        if not off(1.0):
            raise NotApplicable("even answers of other rows are not as much worse as that")
    except Undefined as error:
        raise NotApplicable(f"{listed[0].metric} is undefined here: {error}") from error
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if off(middle) else (middle, high)
    return _each_row(inputs, lambda values, rows: np.where(_as(turn[rows] < high, values), own[order[rows]], values))


def slice_inverted(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Turn a share of the answers around in one part of the rows.

    Seen: a category that was encoded in another order at training than when the model is asked.
    """
    return _in_slice(inputs, size, rng, lambda values: _inverted(inputs, values))


def slice_constant(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Answer the mean of one part of the rows for a share of its rows.

    Seen: a lookup of features that has no entry for a new site falls back to defaults.
    """
    middle = np.asarray(inputs.answered(ROLE)[slice_rows(inputs)[1]].mean(axis=0))
    return _in_slice(inputs, size, rng, lambda values: np.broadcast_to(middle, values.shape))


def overconfident(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Bend the calibration outwards: log odds, or a number's distance from the mean, are multiplied by 1 + `size`.

    Seen: modern networks are overconfident without calibration (Guo et al. 2017).
    """
    return _each(inputs, lambda values: _bent(inputs, values, 1 + size, 0.0))


def underconfident(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Flatten the calibration: log odds, or a number's distance from the mean, are divided by 1 + `size`.

    Seen: a classifier that was trained with strong label smoothing, or bagged without calibration.
    """
    return _each(inputs, lambda values: _bent(inputs, values, 1 / (1 + size), 0.0))


def offset(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Raise all answers by `size` in log odds, or in standard deviations of a number.

    Seen: a model that was trained on a sample with more positives than there are (King and Zeng 2001).
    """
    return _each(inputs, lambda values: _bent(inputs, values, 1.0, size))


def rounded(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Round scores to multiples of `size`; a number to multiples of so many standard deviations.

    Seen: probabilities that pass a column of type decimal(3, 1), or a JSON writer with one digit.
    """
    kind = inputs.file.contract.model.prediction.kind
    if kind == "label":
        raise NotApplicable("a label cannot be rounded")
    scale = size if kind in ("probability", "probabilities") else size * float(inputs.answered(ROLE).std() or 1.0)

    def round_off(values: Floats) -> Floats:
        found = np.round(values / scale) * scale
        if kind == "probability":
            return np.clip(found, 0, 1)
        if kind == "probabilities":
            total = found.sum(axis=1, keepdims=True)
            return np.asarray(np.where(total > 0, found / np.where(total > 0, total, 1), 1 / values.shape[1]))
        return np.asarray(found)

    return _each(inputs, round_off)


def not_a_number(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Answer NaN to a share of the rows.

    Seen: a ratio whose denominator is zero for a few customers.
    """
    mask = chosen(len(inputs.answered(ROLE)), size, rng)
    return _each_row(inputs, lambda values, rows: np.where(_as(mask[rows], values), np.nan, values))


def stale(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Let the champion answer a share of the rows under the candidate's name.

    Seen: a registry entry that was written before the training had uploaded the new files.
    """
    champion = inputs.answered("champion")
    if size >= 1:
        mine = [d for role, d in inputs.answers if role == ROLE and ("champion", d) in inputs.answers]
        return inputs.with_answers({(ROLE, d): inputs.answers["champion", d] for d in mine})
    mask = chosen(len(champion), size, rng)
    theirs = {key[1]: values for key, values in inputs.answers.items() if key[0] == "champion"}

    def of(dataset: str, values: Floats, rows: Rows) -> Floats:
        return np.where(_as(mask[rows], values), theirs[dataset], values) if dataset in theirs else values

    return inputs.with_answers({(ROLE, d): of(d, inputs.answers[ROLE, d], rows) for d, rows in _rows(inputs).items()})


def leaked(inputs: Inputs, size: float, rng: np.random.Generator) -> Inputs:
    """Let the answers to a share of the rows know the label, which the served model is not given.

    Seen: columns that are filled in after the event; 17 fields of science have met it (Kapoor and
    Narayanan 2023).
    """
    with evidence_of(inputs, inputs) as evidence:
        truth, keep = evidence.truth("holdout"), evidence.labelled("holdout")
    own = np.array(inputs.answered(ROLE))
    places = np.arange(len(own)) if keep is None else np.flatnonzero(keep)
    hit = chosen(len(places), size, rng) if size < 1 else np.ones(len(places), dtype=bool)
    kind = inputs.file.contract.model.prediction.kind
    told = np.asarray(truth, dtype=np.float64)
    if kind == "probability":
        told = np.where(told > 0, 0.999, 0.001)
    elif kind == "probabilities":
        k = own.shape[1]
        told = np.where(np.arange(k)[None, :] == told[:, None], 0.999, 0.001 / max(1, k - 1))
    elif kind == "score":
        told = np.where(told > 0, own.max(), own.min())
    known = np.zeros(len(own), dtype=bool)
    known[places[hit]] = True
    own[places] = told
    changed = _each_row(inputs, lambda values, rows: np.where(_as(known[rows], values), own[rows], values))
    return replace(changed, apart=True)


def _each(inputs: Inputs, change: Callable[[Floats], Floats]) -> Inputs:
    """Return a copy in which every answer of the candidate is changed, to every dataset."""
    return inputs.with_answers({key: change(v) for key, v in inputs.answers.items() if key[0] == ROLE})


def _in_slice(inputs: Inputs, size: float, rng: np.random.Generator, change: Callable[[Floats], Floats]) -> Inputs:
    mask = chosen(len(inputs.answered(ROLE)), size, rng, slice_rows(inputs)[1])
    return _each_row(inputs, lambda values, rows: np.where(_as(mask[rows], values), change(values), values))


def _each_row(inputs: Inputs, change: Callable[[Floats, Rows], Floats]) -> Inputs:
    """Return a copy in which the candidate's answers to rows of the holdout are changed, permuted copies included.

    change  (answers, number of the holdout's row that each answers) -> answers
    """
    return inputs.with_answers({(ROLE, d): change(inputs.answers[ROLE, d], rows) for d, rows in _rows(inputs).items()})


def _rows(inputs: Inputs) -> dict[str, Rows]:
    """Dataset -> which row of the holdout each of the candidate's answers is about."""
    n = len(inputs.answered(ROLE))
    found = {"holdout": np.arange(n)}
    explain = inputs.file.contract.gates.explainability
    if explain is not None and (ROLE, PERMUTED) in inputs.answers:
        drawn = sample(n, explain.rows)
        found[PERMUTED] = np.tile(drawn, len(inputs.answers[ROLE, PERMUTED]) // len(drawn))
    return found


def _as(mask: Bools, values: Floats) -> Bools:
    return mask if values.ndim == 1 else mask[:, None]


def _inverted(inputs: Inputs, values: Floats) -> Floats:
    match inputs.file.contract.model.prediction.kind:
        case "probability":
            return 1 - values
        case "probabilities":
            return values[:, ::-1]
        case "label":
            return np.asarray(values.max() - values)
        case _:
            return np.asarray(2 * values.mean() - values)


def _bent(inputs: Inputs, values: Floats, factor: float, shift: float) -> Floats:
    """Return answers whose log odds are multiplied and moved; numbers about their mean, in standard deviations."""
    match inputs.file.contract.model.prediction.kind:
        case "probability":
            p = np.clip(values, 1e-9, 1 - 1e-9)
            return np.asarray(1 / (1 + np.exp(-(factor * np.log(p / (1 - p)) + shift))))
        case "probabilities":
            log = factor * np.log(np.clip(values, 1e-9, 1))
            log[:, 0] += shift
            found = np.exp(log - log.max(axis=1, keepdims=True))
            return np.asarray(found / found.sum(axis=1, keepdims=True))
        case "label" | "text":
            raise NotApplicable("labels and texts are no numbers that could be bent")
        case _:
            middle, spread = values.mean(), values.std()
            return np.asarray(middle + factor * (values - middle) + shift * spread)


FAULTS = (
    Fault("model-worse", "model", worse, 4.0, (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0), "margins", drawn=True),
    Fault("model-slice-inverted", "model", slice_inverted, 1.0, shares(1.0), "share of the part's answers", drawn=True),
    Fault("model-slice-constant", "model", slice_constant, 1.0, shares(1.0), "share of the part's answers", drawn=True),
    Fault("model-overconfident", "model", overconfident, 2.0, shares(2.0, 16), "times more", drawn=True),
    Fault("model-underconfident", "model", underconfident, 2.0, shares(2.0, 16), "times less", drawn=True),
    Fault("model-offset", "model", offset, 1.0, shares(1.0, 8), "log odds or standard deviations", drawn=True),
    Fault("model-rounded", "model", rounded, 0.5, (0.01, 0.05, 0.1, 0.25, 0.5), "step"),
    Fault("model-not-a-number", "model", not_a_number, 0.01, shares(0.01), "share of the answers"),
    Fault("model-stale", "model", stale, 1.0, (0.5, 0.9, 1.0), "share of the rows"),
    Fault("model-leaked-label", "model", leaked, 1.0, shares(1.0), "share of the rows", drawn=True),
)
