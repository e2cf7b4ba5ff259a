"""Shadow: candidate and champion answered the same logged requests, and are compared answer by answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from weighin.contract import Check
from weighin.contract.checks import ShadowRule
from weighin.contract.shadow import BLOCK, Shadow
from weighin.errors import NotEvaluated
from weighin.load import read_log
from weighin.load.log import LoadLog, log_name
from weighin.load.replay import PHASE
from weighin.model.answers import must_be_probabilities
from weighin.model.texts import Texts
from weighin.outcome import Measurement, Unmeasured
from weighin.prediction_log.requests import Requests
from weighin.runner.plan import replays
from weighin.scores.overlap import token_f1
from weighin.stats.intervals import Interval, clopper_pearson, from_influence, unit_sums, unseen
from weighin.stats.latency import Moments, quantile, ratio
from weighin.suites.evidence import Evidence
from weighin.suites.sample import sample
from weighin.untrusted import JsonDict

Floats = NDArray[np.float64]


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one property of the answers. Errors: `NotEvaluated`, `Undefined`."""
    gate, rule = evidence.contract.gates.shadow, check.rule
    if not isinstance(rule, ShadowRule) or gate is None:
        raise TypeError(f"{check.id} is no shadow check")
    level = 1 - check.limit.alpha
    requests = _requests(evidence)
    candidate = Replayed.of(evidence, gate, "candidate", requests)
    match rule.kind:
        case "errors":
            failed = int((~candidate.ok).sum())
            detail = {"reasons": candidate.reasons, "requests": len(candidate.ok)}
            return sample(check, clopper_pearson(failed, len(candidate.ok), level), "share", "requests", detail)
        case "latency_ms":
            return sample(check, candidate.quantile(rule.quantile, level), "ms", _UNIT, {})
    champion = Replayed.of(evidence, gate, "champion", requests)
    if rule.kind == "slower":
        one, other = (r.quantile(rule.quantile, level) for r in (candidate, champion))
        pairs = (("candidate_ms", one), ("champion_ms", other))
        shown = {name: [i.low, i.estimate, i.high] for name, i in pairs}
        return sample(check, ratio(one, other), "of the champion's", _UNIT, shown)
    return _disagreement(check, rule, evidence, requests, candidate, champion)


_UNIT = f"blocks of {BLOCK} requests"


def _requests(evidence: Evidence) -> Requests:
    """Return what was asked. Errors: `NotEvaluated` with the reason where nothing could be."""
    problem = evidence.subject.data.get("requests", {}).get("problem", "the requests were not resolved")
    if problem:
        raise NotEvaluated(str(problem))
    return Requests.read(evidence.path("requests"))


@dataclass(frozen=True)
class Replayed:
    """What one model answered.

    answers  (rows, k) in the order of `Requests`, of texts their characters; NaN where there is no answer
    texts    (rows,) of a text task
    ok       (requests,) whether a request was answered rightly in form
    latency  (requests,) milliseconds; infinite without a right answer
    """

    log: LoadLog
    answers: Floats
    texts: Texts
    ok: NDArray[np.bool_]

    @staticmethod
    def of(evidence: Evidence, gate: Shadow, role: str, requests: Requests) -> Replayed:
        """Errors: `NotEvaluated` when a start was not finished, or its answers are no answers of this model."""
        starts = [s for s in replays(gate) if s.role == role]
        log = read_log([evidence.work / "shadow" / s.name / log_name(role, s.start) for s in starts]).of(PHASE)
        wanted = [rows for s in starts for rows in requests.rows_of(s.start, gate.starts)]
        if list(log.rows) != wanted:
            raise NotEvaluated(
                f"the {role} was asked {len(log.rows)} requests, and not the {len(wanted)} that were resolved",
                "shadow",
                "Run the shadow step again.",
            )
        width = requests.logged.shape[1]
        answers = np.full(requests.logged.shape, np.nan)
        texts: Texts = np.full(len(answers), "", dtype=object)
        for rows, given, said in zip(log.rows, log.answers, log.texts, strict=True):
            if given is not None:
                answers[list(rows)] = np.asarray(given).reshape(len(rows), width)
            elif said is not None:
                texts[list(rows)] = said
                answers[list(rows), 0] = [len(text) for text in said]
        there = np.isfinite(answers).all(axis=1)
        if evidence.contract.model.prediction.kind in ("probability", "probabilities") and there.any():
            must_be_probabilities(answers[there] if width > 1 else answers[there, 0], f"answers of the {role}")
        ok = np.array([bool(o) and bool(there[list(r)].all()) for o, r in zip(log.ok, log.rows, strict=True)])
        return Replayed(log, answers, texts, ok)

    @property
    def reasons(self) -> list[str]:
        """The first few things that went wrong."""
        said = {e or "no answer" for e, ok in zip(self.log.errors, self.ok, strict=True) if not ok}
        return sorted(said)[:5]

    def quantile(self, share: float, level: float) -> Interval:
        """Of the latency, in milliseconds. A request without a right answer is slower than any limit."""
        latency_ms = np.where(self.ok, self.log.latency * 1000, np.inf)
        order = np.concatenate([np.arange(n) for n in np.bincount(self.log.start)]).astype(np.float64)
        return quantile(latency_ms, share, Moments(order, self.log.start, BLOCK), level)


def _disagreement(
    check: Check,
    rule: ShadowRule,
    evidence: Evidence,
    requests: Requests,
    candidate: Replayed,
    champion: Replayed,
) -> Measurement:
    """Share of the rows that the champion answers and the candidate does not, or otherwise."""
    known = np.isfinite(champion.answers).all(axis=1)
    if not known.any():
        raise NotEvaluated(f"the champion answered none of them: {champion.reasons}", "shadow", "Ask it by hand.")
    unanswered = ~np.isfinite(candidate.answers).all(axis=1)
    differs = unanswered | _differ(candidate, champion, rule, evidence)
    codes = np.unique(requests.request[known], return_inverse=True)[1].astype(np.int64)
    found = _share(differs[known], codes, 1 - check.limit.alpha)
    detail = {
        "rows": int(known.sum()),
        "differ": int(differs[known].sum()),
        "champion_without_answer": int((~known).sum()),
        **_as_logged(evidence, requests, champion),
    }
    return sample(check, found, "share of rows", "requests", detail)


def _differ(candidate: Replayed, champion: Replayed, rule: ShadowRule, evidence: Evidence) -> NDArray[np.bool_]:
    """(rows,) whether two models answer otherwise; anything for rows without an answer."""
    kind, one, other = evidence.contract.model.prediction.kind, candidate.answers, champion.answers
    match evidence.contract.model.task:
        case _ if kind == "label":
            return np.asarray(one[:, 0] != other[:, 0])
        case "binary":
            threshold = evidence.contract.threshold
            return np.asarray((one[:, 0] >= threshold) != (other[:, 0] >= threshold))
        case "multiclass":
            return np.asarray(np.nan_to_num(one).argmax(axis=1) != np.nan_to_num(other).argmax(axis=1))
        case "regression" | "ranking" | "forecast":
            return np.asarray(~(np.abs(one[:, 0] - other[:, 0]) <= rule.tolerance))
        case "text" if rule.token_f1 is not None:
            return np.asarray(~(token_f1(candidate.texts.tolist(), champion.texts.tolist()) >= rule.token_f1))
        case "text":
            return np.asarray(candidate.texts != champion.texts)
        case task:
            assert_never(task)


def _share(differs: NDArray[np.bool_], codes: NDArray[np.int64], level: float) -> Interval:
    """Share of rows, with requests as units: the rows of one depend on each other."""
    units = int(codes.max()) + 1
    if units == len(codes):
        return clopper_pearson(int(differs.sum()), units, level)
    mean = float(differs.mean())
    influence = (differs - mean) / len(differs)
    if not np.any(unit_sums(influence, codes)):
        return unseen(mean, units, level)
    exact, grouped = (
        clopper_pearson(int(differs.sum()), len(differs), level),
        from_influence(mean, influence, codes, level),
    )
    wider = (min(exact.low, grouped.low), max(exact.high, grouped.high))
    tests = (*exact.tests, *grouped.tests)
    return Interval(mean, *wider, level, units, grouped.standard_error, "widest of rows and requests", tests)


def _as_logged(evidence: Evidence, requests: Requests, champion: Replayed) -> JsonDict:
    """Rows that this very champion answered when they were logged, and how many of them it answers otherwise now:
    what a log cannot hold, such as texts that are too long, was asked as missing."""
    assert evidence.subject.champion is not None
    mine = np.array(requests.digest) == evidence.subject.champion.digest
    mine &= np.isfinite(champion.answers).all(axis=1) & np.isfinite(requests.logged).all(axis=1)
    off = np.abs(champion.answers[mine] - requests.logged[mine]).max(axis=1, initial=0.0) > 1e-6
    return {"logged_by_this_champion": int(mine.sum()), "not_as_logged": int(off.sum())}


def information(evidence: Evidence) -> list[JsonDict]:
    """Return what was replayed, and what of the log could not be."""
    known = evidence.subject.data.get("requests", {})
    rows = [["requests", known.get("requests", 0)], ["rows", known.get("rows", 0)]]
    rows += [["left out", said] for said in known.get("left_out", ())]
    note = "The newest whole requests of the log, asked again of candidate and champion, one by one."
    return [{"title": "Logged requests", "columns": ["what", "value"], "rows": rows, "note": note}]
