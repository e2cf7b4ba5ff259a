"""Clean controls: data and models without a fault, drawn again. A gate that blocks them cries wolf."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from weighin.contract.checks import Check, DriftRule, MetricRule
from weighin.data.profile import ColumnProfile, Profile
from weighin.drill.inputs import NotApplicable, evidence_of
from weighin.drill.judge import Judge, Judged, decided, drawn_again, holdout_rows
from weighin.errors import NotEvaluated
from weighin.outcome import Outcome, Status, Unmeasured, census, decide
from weighin.stats.distributions import binomial_sf
from weighin.stats.intervals import Undefined
from weighin.stats.scored import RowScores, Scored
from weighin.suites.drift import compared
from weighin.suites.power import gate_power
from weighin.suites.rows import Rows


@dataclass(frozen=True)
class Control:
    """What became of draws without a fault.

    blocked    draws in which a check failed that does not fail without drawing: false alarms
    passed     draws in which every blocking check passed
    predicted  share of passes that `weighin contract check` predicts; None where it predicts none
    p_value    of "the share of false alarms is at most alpha", exact
    """

    name: str
    what: str
    draws: int
    blocked: int
    passed: int
    inconclusive: int
    predicted: float | None
    p_value: float


def _drawn(name: str, what: str, alpha: float, of: list[Judged], predicted: float | None) -> Control:
    blocked = sum(j.killed for j in of)
    passed = sum(j.answer == "missed" for j in of)
    p = binomial_sf(blocked - 1, len(of), alpha) if of else 1.0
    return Control(name, what, len(of), blocked, passed, len(of) - blocked - passed, predicted, p)


def same_candidate(judge: Judge, draws: int, rng: np.random.Generator) -> Control:
    """Judge the candidate on sampling units of the holdout drawn again. Errors: `NotApplicable`."""
    rows = _rows(judge)
    of = [judge.at_once(drawn_again(rows, rng), {}) for _ in range(draws)]
    return _drawn("control-same-candidate", "the candidate, on sampling units drawn again", judge.alpha, of, None)


def equal_candidate(judge: Judge, draws: int, rng: np.random.Generator) -> Control:
    """Judge a candidate that is as good as the champion: both answer each sampling unit by the toss of a coin.

    It differs from the champion as the candidate does, which is what `weighin contract check` plans for.
    Errors: `NotApplicable`.
    """
    rows = _rows(judge)
    if "champion" not in rows.scored:
        raise NotApplicable("there is no champion to be equal to")
    planned = gate_power(judge.base.file.contract, rows)
    # One that has to be better than the champion is broken by an equal candidate, which is no false alarm.
    wrong = {c.id for c in judge.checks.values() if isinstance(c.rule, MetricRule) and c.rule.against and _better(c)}
    judge = replace(judge, broken=frozenset(wrong))
    of = []
    for _ in range(draws):
        again = drawn_again(rows, rng)
        codes = np.arange(len(again)) if again.group is None else again.group
        coin = (rng.random(int(codes.max()) + 1) < 0.5)[codes]
        of.append(judge.at_once(_exchanged(again, coin), {}))
    said = "a candidate that is as good as the champion, on sampling units drawn again"
    predicted = None if planned is None else planned.probability
    return _drawn("control-equal-candidate", said, judge.alpha, of, predicted)


def same_data(judge: Judge, draws: int, rng: np.random.Generator) -> Control:
    """Compare the reference with itself: both sides are sampling units of it, drawn again. Errors: `NotApplicable`."""
    listed = [c for c in judge.checks.values() if isinstance(c.rule, DriftRule) and c.rule.column]
    if not listed:
        raise NotApplicable("the contract has no drift gate")
    with evidence_of(judge.base, judge.base) as evidence:
        try:
            own: dict[str, Profile] = {"": evidence.profile("reference")}
            if any(c.rule.column not in own[""].columns for c in listed if isinstance(c.rule, DriftRule)):
                own["prediction"] = evidence.prediction_profile("reference")
        except (NotEvaluated, Undefined) as error:
            raise NotApplicable(f"the reference cannot be counted: {error}") from error
    of = []
    for _ in range(draws):
        before, after = ({k: _again(p, rng) for k, p in own.items()} for _ in range(2))
        found = {c.id: _compared(c, before, after, judge) for c in listed}
        of.append(decided(found.values(), judge.alpha))
    return _drawn("control-same-data", "the reference against itself, drawn again", judge.alpha, of, None)


def _better(check: Check) -> bool:
    """Whether a comparison asks for more than equality."""
    return decide(census(check.id, 0.0, n=1, unit="", method=""), check.limit).status is not Status.PASSED


CONTROLS: tuple[Callable[[Judge, int, np.random.Generator], Control], ...] = (
    same_candidate,
    equal_candidate,
    same_data,
)


def _rows(judge: Judge) -> Rows:
    if not judge.performance:
        raise NotApplicable("the contract has no performance gate")
    try:
        return holdout_rows(judge.base, judge.base)
    except (NotEvaluated, Undefined) as error:
        raise NotApplicable(f"the holdout cannot be scored: {error}") from error


def _exchanged(rows: Rows, coin: NDArray[np.bool_]) -> Rows:
    """Return rows in which candidate and champion have exchanged their answers where the coin says so."""
    one, other = rows.scored["candidate"], rows.scored["champion"]
    mask = coin if one.score.ndim == 1 else coin[:, None]
    scored = {
        **rows.scored,
        "candidate": replace(one, score=np.where(mask, other.score, one.score), row_scores=_mixed(one, other, coin)),
        "champion": replace(other, score=np.where(mask, one.score, other.score), row_scores=_mixed(other, one, coin)),
    }
    return Rows(scored, rows.group, rows.sampling_unit, rows.column, rows.where, rows.alpha, rows.known)


def _mixed(one: Scored, other: Scored, coin: NDArray[np.bool_]) -> RowScores | None:
    """Return the scores of texts of which some are the other's."""
    ours, theirs = one.row_scores, other.row_scores
    if ours is None or theirs is None:
        return None
    return lambda name: np.where(coin, theirs(name), ours(name))


def _again(profile: Profile, rng: np.random.Generator) -> Profile:
    """Return a profile of as many groups, drawn with replacement; without groups, of as many rows of each column."""
    if profile.groups is None:
        return replace(profile, columns={n: _rows_again(c, rng) for n, c in profile.columns.items()})
    units = rng.integers(0, profile.groups, profile.groups)
    return replace(profile, columns={n: _taken(c, units) for n, c in profile.columns.items()})


def _taken(column: ColumnProfile, units: NDArray[np.int64]) -> ColumnProfile:
    moments = None if column.moments is None else replace(column.moments, by_group=column.moments.by_group[units])
    return replace(column, counts=column.counts[units], moments=moments)


def _rows_again(column: ColumnProfile, rng: np.random.Generator) -> ColumnProfile:
    total = int(column.counts.sum())
    counts = rng.multinomial(total, column.counts.sum(axis=0) / max(total, 1))[None, :]
    # The moments stay: rows that are drawn again have, to first order, the mean that they had.
    return replace(column, counts=counts)


def _compared(check: Check, before: Mapping[str, Profile], after: Mapping[str, Profile], judge: Judge) -> Outcome:
    assert isinstance(check.rule, DriftRule)
    key = "" if check.rule.column in before[""].columns else "prediction"
    try:
        unit = judge.base.file.contract.sampling_unit
        found = compared(check, before[key], after[key], 1 - check.limit.alpha, unit, hidden=True)
    except (NotEvaluated, Undefined, KeyError) as error:
        return decide(Unmeasured(check.id, str(error)), replace(check.limit, severity="warn"))
    return decide(found, check.limit)
