"""Explainability: what the candidate relies on, by permuting one feature at a time on rows of the holdout.

The models answered copies of a sample of the holdout (weighin/data/permute.py) without seeing a label; here the answers
meet the labels. SHAP values, where the contract asks for them, are information beside it and decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

import numpy as np
from numpy.typing import NDArray

from weighin.contract import Check
from weighin.contract.checks import ImportanceRule
from weighin.contract.gates import Explainability
from weighin.data import permute
from weighin.errors import NotEvaluated
from weighin.model.answers import as_probabilities
from weighin.model.shap import read_shap
from weighin.outcome import Measurement, Unmeasured, census
from weighin.stats.importance import importance, per_row, rank_agreement, reliance, share
from weighin.stats.intervals import Codes, Floats, Undefined, p_without_variation
from weighin.stats.metrics import row_loss
from weighin.stats.scored import Scored
from weighin.suites.evidence import Evidence, kept
from weighin.suites.performance import FIRST_RELEASE
from weighin.suites.rows import recoded
from weighin.suites.sample import sample
from weighin.untrusted import JsonDict

DATASET = "permuted"
SHAP = "shap.arrow"


@dataclass(frozen=True)
class Reliance:
    """What permuting each feature did to one model, (features, n) each, values as `stats.importance.per_row` has them.

    increase  of the loss; change, of the prediction (absolute, for several classes their mean)
    group     (n,) codes of the sampled rows, or None
    """

    increase: Floats
    change: Floats
    group: Codes | None


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one explainability check. Errors: `NotEvaluated`, `Undefined`."""
    rule = check.rule
    if not isinstance(rule, ImportanceRule):
        raise TypeError(f"{check.id} is no explainability check")
    if rule.kind == "rank_agreement":
        return _agreement(check, evidence)
    level, features = 1 - check.limit.alpha, evidence.contract.features
    if rule.feature not in features:
        raise NotEvaluated(f"`{rule.feature}` is no feature", check.id, "Name a column with `role: feature`.")
    found, feature = relied_on(evidence, "candidate"), features.index(rule.feature)
    detail: dict[str, Any] = {"rows": found.increase.shape[1], "repeats": _gate(evidence).repeats}
    detail["importance"] = float(found.increase[feature].mean())
    sampling_unit = evidence.contract.sampling_unit
    match rule.kind:
        case "forbidden":
            unit = "" if evidence.contract.model.numeric else "probability"
            moved = reliance(found.change[feature], found.group, level)
            return sample(check, moved, unit, sampling_unit, detail)
        case "share":
            part = share(found.increase, feature, found.group, level)
            if part.low < part.high or part.estimate < 1:
                return sample(check, part, "share", sampling_unit, detail)
            # No row relies on another feature: a bound without variation has no test of its own.
            p = p_without_variation(part.estimate - check.limit.value, part.n)
            said = f"`{rule.feature}` has the whole importance: leak?"
            return replace(sample(check, part, "share", sampling_unit, detail, said), p_value=p)
        case _:
            assert_never(rule.kind)


def _agreement(check: Check, evidence: Evidence) -> Measurement:
    if "champion" not in evidence.subject.roles:
        # Allowed by the contract, or the subject would not have been resolved; recorded as what it is.
        return census(check.id, check.limit.value, n=1, unit="Spearman", method=FIRST_RELEASE)
    ours, theirs = relied_on(evidence, "candidate"), relied_on(evidence, "champion")
    found = rank_agreement(ours.increase, theirs.increase, ours.group, 1 - check.limit.alpha)
    detail: dict[str, Any] = {"rows": ours.increase.shape[1], "features": list(evidence.contract.features)}
    detail |= {"candidate": ours.increase.mean(axis=1).tolist(), "champion": theirs.increase.mean(axis=1).tolist()}
    return sample(check, found, "Spearman", evidence.contract.sampling_unit, detail)


@kept
def relied_on(evidence: Evidence, role: str) -> Reliance:
    """Return what permuting each feature did to one role's model, computed once.

    Errors: `NotEvaluated` when its predictions cannot be had, `Undefined` when the sample holds too few of a class.
    """
    gate, features = _gate(evidence), evidence.contract.features
    scored, group, labelled = evidence.scored(role, "holdout"), evidence.groups("holdout"), evidence.labelled("holdout")
    rows = evidence.columns("holdout", features[0]).num_rows
    drawn = permute.sample(rows, gate.rows)
    known = np.ones(len(drawn), dtype=bool) if labelled is None else labelled[drawn]
    keep = np.zeros(rows, dtype=bool)
    keep[drawn[known]] = True
    held = scored.rows(keep if labelled is None else keep[labelled])
    n = len(held.truth)
    answers = evidence.raw_predictions(role, DATASET, len(features) * gate.repeats * len(drawn))
    if evidence.contract.model.prediction.kind == "label":
        answers = as_probabilities(answers, len(evidence.contract.model.classes))
    answers = answers.reshape(len(features), gate.repeats, len(drawn), *held.score.shape[1:])[:, :, known]
    loss: Literal["log_loss", "squared"] = "squared" if evidence.contract.model.numeric else "log_loss"
    before = row_loss(held, loss)

    def increase(answer: Floats) -> Floats:
        return row_loss(Scored(held.truth, answer, held.weight, held.threshold), loss) - before

    def change(answer: Floats) -> Floats:
        return np.asarray(np.abs(answer - held.score).reshape(n, -1).mean(axis=1))

    def each(what: Callable[[Floats], Floats]) -> Floats:
        found = []
        for feature, copies in enumerate(answers):
            given = np.array([_donors(known, feature, repeat) for repeat in range(gate.repeats)])
            found.append(per_row(np.array([what(answer) for answer in copies]), given, held.share))
        return np.array(found)

    found = Reliance(each(increase), each(change), recoded(group, keep))
    if not (np.isfinite(found.increase).all() and np.isfinite(found.change).all()):
        raise NotEvaluated("a loss that is not finite", f"predictions/{role}/{DATASET}.arrow", "Predict again.")
    return found


def _donors(known: NDArray[np.bool_], feature: int, repeat: int) -> permute.Rows:
    """(n,) the row that gave each labelled row its value, among the labelled ones; itself where that has no label.

    What a row gives is counted with it, so that a row without a label takes its part of the error to the row that got
    its value.
    """
    place = np.cumsum(known) - 1
    given = permute.donors(len(known), feature, repeat)[known]
    return np.where(known[given], place[given], place[known])


def _gate(evidence: Evidence) -> Explainability:
    gate = evidence.contract.gates.explainability
    if gate is None:
        raise NotEvaluated("the contract has no such gate", "gates.explainability", "Add it, with a limit.")
    return gate


def information(evidence: Evidence) -> list[JsonDict]:
    """Tables for the report, of plain JSON values: importances by role with intervals, and SHAP values where left.

    Errors: `NotEvaluated`.
    """
    try:
        tables = [_importances(evidence)]
    except Undefined as error:
        raise NotEvaluated(str(error), "gates.explainability", "Give the holdout more rows or groups.") from error
    shap = _shap(evidence)
    if shap is None and _gate(evidence).shap:
        why = "The models' process left none: it needs weighin[shap] there. No outcome rests on them."
        shap = {"title": "SHAP values", "columns": [], "rows": [], "note": why}
    return [*tables, shap] if shap else tables


def _importances(evidence: Evidence) -> JsonDict:
    features, level = evidence.contract.features, 1 - evidence.contract.alpha
    roles = evidence.subject.roles
    found = {}
    for role in roles:
        relied = relied_on(evidence, role)
        found[role] = [(float(v.mean()), *_bounds(v, relied.group, level)) for v in relied.increase]
    rows: list[list[Any]] = []
    for i, name in enumerate(features):
        cells = [(found[role][i][0], list(found[role][i][1:])) for role in roles]
        rows.append([name, *(cell for pair in cells for cell in pair)])
    unit = "squared units of the target" if evidence.contract.model.numeric else "nats"
    return {
        "title": "Permutation importance",
        "columns": ["feature", *(name for role in roles for name in (role, "interval"))],
        "rows": rows,
        "note": f"Increase of the loss in {unit} when a feature is permuted; by {evidence.contract.sampling_unit}, "
        f"each bound at level {level:g}, none where there is too little to say. "
        "It tells what the model uses, not what causes the target.",
        "plot": {
            "kind": "bars",
            "labels": list(features),
            "series": {role: [i[0] for i in found[role]] for role in roles},
            "low": {role: [i[1] for i in found[role]] for role in roles},
            "high": {role: [i[2] for i in found[role]] for role in roles},
        },
    }


def _bounds(values: Floats, group: Codes | None, level: float) -> tuple[float | None, float | None]:
    try:
        found = importance(values, group, level)
    except Undefined:
        return None, None
    return found.low, found.high


def _shap(evidence: Evidence) -> JsonDict | None:
    """Mean absolute SHAP value of each feature by role, for the roles that left them."""
    features = evidence.contract.features
    mean: dict[str, list[float]] = {}
    explained = 0
    for role in evidence.subject.roles:
        path = evidence.work / "predictions" / role / SHAP
        if path.exists() or path.is_symlink():
            values = read_shap(path, features, f"predictions/{role}/{SHAP}")
            mean[role], explained = np.abs(values).mean(axis=0).tolist(), len(values)
    if not mean:
        return None
    return {
        "title": "SHAP values",
        "columns": ["feature", *mean],
        "rows": [[name, *(round(mean[role][i], 6) for role in mean)] for i, name in enumerate(features)],
        "note": f"Mean absolute SHAP value over {explained:,} rows, left by the model's process; for information.",
        "plot": {"kind": "bars", "labels": list(features), "series": mean},
    }
