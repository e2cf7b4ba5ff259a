"""Load: whether the served model answers rightly, fast enough, and within its memory."""

from __future__ import annotations

import math
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weighin.contract import Check
from weighin.contract.checks import LoadRule
from weighin.contract.load import Load
from weighin.errors import NotEvaluated
from weighin.load import LoadLog
from weighin.model.answers import read_precision, rounding
from weighin.outcome import Direction, Limit, Measurement, Status, Unmeasured, census, decide
from weighin.runner.plan import Phase
from weighin.stats.intervals import Interval
from weighin.stats.latency import Moments, failures, quantile, rate, ratio, share
from weighin.suites.evidence import Evidence, Values
from weighin.suites.performance import FIRST_RELEASE
from weighin.suites.sample import named, sample
from weighin.untrusted import JsonDict
from weighin.untrusted.redact import reduced

Floats = NDArray[np.float64]
UNANSWERED = "no request was answered, so no answer could be compared"
SHARES = (0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.98, 0.99, 0.995, 0.999)
"""Points of the distribution that the report draws."""


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one property of the served candidate. Errors: `NotEvaluated`, `Undefined`."""
    gate, rule = evidence.contract.gates.load, check.rule
    if not isinstance(rule, LoadRule) or gate is None:
        raise TypeError(f"{check.id} is no load check")
    match rule.kind:
        case "within":
            return _within(check, rule, evidence, gate)
        case "quantile":
            found = _quantile(rule, evidence, gate, "candidate", 1 - check.limit.alpha)
            return _over_time(check, found, "ms", gate)
        case "throughput":
            return _throughput(check, rule, evidence, gate)
        case "errors":
            return _errors(check, evidence, gate)
        case "wrong_answers":
            return _wrong(check, evidence, gate, "candidate")
        case "against_champion":
            return _against_champion(check, rule, evidence, gate)
        case "malformed" | "input_example":
            return _probed(check, rule.kind, evidence)
        case "max-sustainable-rate":
            return _max_sustainable_rate(check, evidence, gate)
        case "recovery":
            return _recovery(check, evidence, gate)
        case "clean_environment":
            return _clean(check, evidence, gate)
        case "start_up" | "memory" | "memory_growth" | "cpu":
            return _resource(check, rule.kind, evidence)


def _phase(evidence: Evidence, gate: Load, role: str, phase: str) -> LoadLog:
    """Return the requests of one phase at all starts. Errors: `NotEvaluated` if there are none, or the generator was
    late.
    """
    log = evidence.load_log(role).of(phase)
    if not len(log.ok):
        raise NotEvaluated(f"no request of the phase `{phase}` was sent", "load", "Raise its rate or its duration.")
    late = float(np.quantile(log.lateness, 0.99)) * 1000
    if late > gate.lateness_ms_at_most:
        raise NotEvaluated(
            f"the generator itself was {late:.0f} ms late at p99, trusted up to {gate.lateness_ms_at_most:g} ms",
            "load",
            "Give it a core of its own, or lower `rate`.",
        )
    return log


def _moments(log: LoadLog, gate: Load) -> Moments:
    return Moments(log.intended, np.unique(log.start, return_inverse=True)[1].astype(np.int64), gate.stall_seconds)


def _milliseconds(log: LoadLog, *, first_token: bool = False) -> Floats:
    """Latency of each request, or of its first token; a failure is slower than any limit."""
    latency = np.where(np.isnan(log.first), np.inf, log.first) if first_token else log.latency
    return np.where(log.ok, latency * 1000, np.inf)


def _over_time(check: Check, found: Interval, unit: str, gate: Load, **detail: Any) -> Measurement:
    return sample(check, found, unit, f"blocks of {gate.stall_seconds:g} s", detail)


def _within(check: Check, rule: LoadRule, evidence: Evidence, gate: Load) -> Measurement:
    log = _phase(evidence, gate, "candidate", rule.phase)
    found = share(_milliseconds(log) <= rule.latency_ms, _moments(log, gate), 1 - check.limit.alpha)
    drawn = _drawn(log, evidence, rule) if rule.phase == "load" else {"requests": len(log.ok)}
    return _over_time(check, found, "share of requests", gate, **drawn)


def _errors(check: Check, evidence: Evidence, gate: Load) -> Measurement:
    """Failures count whether or not the generator was punctual."""
    log = evidence.load_log("candidate").of("load", "peak")
    if not len(log.ok):
        raise NotEvaluated("no request of the phase `load` was sent", "load", "Raise `rate` or `seconds`.")
    reasons = sorted({e for e in log.errors if e})[:5]
    detail = {"requests": len(log.ok), "failed": int((~log.ok).sum()), "reasons": reasons}
    return _over_time(
        check, failures(~log.ok, _moments(log, gate), 1 - check.limit.alpha), "share of requests", gate, **detail
    )


def _quantile(rule: LoadRule, evidence: Evidence, gate: Load, role: str, level: float) -> Interval:
    log = _phase(evidence, gate, role, "load")
    return quantile(_milliseconds(log, first_token=rule.first_token), rule.quantile, _moments(log, gate), level)


def _against_champion(check: Check, rule: LoadRule, evidence: Evidence, gate: Load) -> Measurement:
    if evidence.subject.champion is None:
        # Allowed by the contract, or the subject would not have been resolved; recorded as what it is.
        return census(check.id, min(1.0, check.limit.value), n=1, unit="ratio", method=FIRST_RELEASE)
    one, other = (_quantile(rule, evidence, gate, role, 1 - check.limit.alpha) for role in ("candidate", "champion"))
    detail = {role: [i.low, i.estimate, i.high] for role, i in (("candidate_ms", one), ("champion_ms", other))}
    return _over_time(check, ratio(one, other), "of the champion's", gate, **detail)


def _throughput(check: Check, rule: LoadRule, evidence: Evidence, gate: Load) -> Measurement:
    """Right answers per second that came while the phase lasted. Measured at the start that had the phase."""
    log = _phase(evidence, gate, "candidate", rule.phase)
    seconds = gate.peak.seconds if rule.phase == "peak" and gate.peak else gate.seconds
    began = {int(s): float(np.floor(log.intended[log.start == s].min())) for s in np.unique(log.start)}
    done = (log.intended + log.latency - np.array([began[int(s)] for s in log.start]))[log.ok]
    place = np.searchsorted(np.array(sorted(began)), log.start[log.ok])
    kept = (done >= 0) & (done < seconds)
    found = rate(done[kept] + place[kept] * seconds, seconds * len(began), 1 - check.limit.alpha, gate.stall_seconds)
    offered = len(log.ok) / (seconds * len(began))
    return _over_time(check, found, "answers per second", gate, offered_per_second=offered)


def _wrong(check: Check, evidence: Evidence, gate: Load, role: str) -> Measurement:
    """Answers that differ from the offline predictions of the same rows. One is too many."""
    log = evidence.load_log(role)
    offline = evidence.predictions("candidate", "holdout")
    if evidence.contract.model.prediction.kind == "text":
        return _other_texts(check, log, offline)
    answered = [(rows, answers) for rows, answers in zip(log.rows, log.answers, strict=True) if answers is not None]
    if not answered:
        raise NotEvaluated(UNANSWERED, "load")
    rows = np.concatenate([r for r, _ in answered])
    served = np.concatenate([np.asarray(a) for _, a in answered])
    promised = offline[rows].ravel()
    allowed, said = _tolerance(gate, evidence, promised)
    difference = np.abs(served - promised)
    wrong = int((~(difference <= allowed)).sum())
    largest = float(np.nanmax(difference)) if np.isfinite(difference).any() else math.inf
    return census(
        check.id,
        wrong,
        n=len(rows),
        unit="answers",
        sampling_unit="answers",
        method=f"served against offline, tolerance {said}; largest difference {largest:.3g}",
        found=f"{wrong:,} of {len(rows):,} answers differ from the offline ones, by up to {largest:.3g}"
        if wrong
        else "",
        largest_difference=largest,
    )


def _other_texts(check: Check, log: LoadLog, offline: Values) -> Measurement:
    """Texts that are not those of the offline predictions of the same rows."""
    answered = [(rows, texts) for rows, texts in zip(log.rows, log.texts, strict=True) if texts is not None]
    same = [offline[row] == text for rows, texts in answered for row, text in zip(rows, texts, strict=True)]
    if not same:
        raise NotEvaluated(UNANSWERED, "load")
    wrong, method = same.count(False), "served against offline, letter by letter"
    said = f"{wrong:,} of {len(same):,} answers differ from the offline ones" if wrong else ""
    return census(check.id, wrong, n=len(same), unit="answers", sampling_unit="answers", method=method, found=said)


def _tolerance(gate: Load, evidence: Evidence, promised: Floats) -> tuple[Floats | float, str]:
    """Return by how much each answer may differ, and that in words."""
    if gate.tolerance is not None:
        return gate.tolerance, f"{gate.tolerance:g}"
    precision = read_precision(evidence.work / "predictions/candidate/holdout.arrow")
    units = rounding(precision)
    return units * np.maximum(1.0, np.abs(promised)), f"{units:.2g} since the model answers in {precision.dtype}"


def _probed(check: Check, kind: str, evidence: Evidence) -> Measurement:
    """Judge the requests that were sent one by one: how many were answered otherwise than they should be."""
    found = evidence.load_facts("candidate", 0, "session").get("probes", {}).get(kind)
    if not isinstance(found, list) or not found:
        raise NotEvaluated(f"no `{kind}` request was sent", "load", "Run the load step again.")
    if any(p.get("unavailable") for p in found):
        raise NotEvaluated(str(found[0]["unavailable"]), "load/input-example", "Or set `input_example: false`.")
    wrong = [f"{p['name']}: {p['said']}" for p in found if not p["kept"]]
    said, method = named(wrong)[:300], "each answered as it should be" if not wrong else "sent one by one"
    count, unit = len(wrong), "requests"
    return census(check.id, count, n=len(found), unit=unit, sampling_unit=unit, method=method, found=said)


def _max_sustainable_rate(check: Check, evidence: Evidence, gate: Load) -> Measurement:
    """Return the highest rate of the ramp that was carried within the limit, before the first that was not."""
    steps = _steps(evidence, gate)
    carried = [s["rate"] for s in takewhile(lambda s: s["kept"], steps)]
    method = "the ramp ended before it broke" if steps[-1]["kept"] else "ramp until it broke"
    return census(
        check.id,
        carried[-1] if carried else 0.0,
        n=len(steps),
        unit="requests/s",
        sampling_unit="steps",
        method=method,
        steps=steps,
    )


def _kept(quick: NDArray[np.bool_], gate: Load) -> bool:
    """Whether a stretch of load was within the gate's limit on the share in time: everything that it had is counted."""
    counted = census("", float(quick.mean()), n=len(quick), unit="share", method="counted", sampling_unit="requests")
    return decide(counted, Limit(Direction.AT_LEAST, gate.within.share_at_least)).status is Status.PASSED


def _steps(evidence: Evidence, gate: Load) -> list[JsonDict]:
    """Each step of the ramp: the rate asked for, the share in time and whether that was kept, answers per second."""
    log = evidence.load_log("candidate")
    steps: list[dict[str, Any]] = []
    for planned in _ramp(evidence):
        step = log.of(planned.name)
        if not len(step.ok):
            break
        quick = _milliseconds(step) <= gate.within.latency_ms
        late = float(np.quantile(step.lateness, 0.99)) * 1000
        if late > gate.lateness_ms_at_most and _kept(quick, gate):
            raise NotEvaluated(
                f"the generator was {late:.0f} ms late at {planned.rate:g} requests/s", "load", "Ask for less."
            )
        end = float((step.intended + step.latency)[step.ok].max()) if step.ok.any() else math.inf
        seconds = max(end - float(step.intended.min()), planned.seconds)
        steps.append(
            {
                "rate": planned.rate,
                "share": float(quick.mean()),
                "kept": _kept(quick, gate),
                "answered_per_second": float(step.ok.sum() / seconds),
                "p95_ms": float(np.quantile(_milliseconds(step), 0.95, method="higher")),
            }
        )
    if not steps:
        raise NotEvaluated("no request of the ramp was sent", "load", "Run the load step again.")
    return steps


def _ramp(evidence: Evidence) -> list[Phase]:
    return [p for s in evidence.sessions("candidate") for p in s.phases if p.stress]


def _recovery(check: Check, evidence: Evidence, gate: Load) -> Measurement:
    """From the last request of the ramp to the end of the last second in which too few were answered in time."""
    log = evidence.load_log("candidate")
    stress, after = log.of(*(p.name for p in _ramp(evidence))), log.of("recovery")
    if not len(stress.ok) or not len(after.ok):
        raise NotEvaluated("there was no recovery after a stress", "load", "Run the load step again.")
    second = np.floor(after.intended - after.intended.min()).astype(np.int64)
    quick = _milliseconds(after) <= gate.within.latency_ms
    bad = [s for s in np.unique(second) if not _kept(quick[second == s], gate)]
    waited = float(after.intended.min() - stress.intended.max())
    if not bad:
        # The break between the two is time in which the server had no work: not known to be needed.
        return census(
            check.id, 0.0, n=len(after.ok), unit="s", sampling_unit="requests", method="at once", pause_seconds=waited
        )
    value = waited + float(bad[-1] + 1)
    if bad[-1] == second.max():
        # It took longer than it was watched, and nobody knows how long.
        method, ends = "not within the limit again while it was watched", (value, value, math.inf)
        level = 1 - check.limit.alpha
        return Measurement(check.id, *ends, level, len(after.ok), "s", method, sampling_unit="requests", p_value=0.0)
    method = "end of the last second beyond the limit"
    return census(
        check.id, value, n=len(after.ok), unit="s", sampling_unit="requests", method=method, pause_seconds=waited
    )


def _clean(check: Check, evidence: Evidence, gate: Load) -> Measurement:
    """Whether the model, in an environment of its declared requirements only, starts and answers the same."""
    built = evidence.load_facts("clean", 0, "server")
    if built.get("unbuilt"):
        raise NotEvaluated(f"the environment could not be built: {built['unbuilt']}", "load/clean-environment")
    evidence.predictions("candidate", "holdout")  # without these nothing is known of the environment
    try:
        found = _wrong(check, evidence, gate, "clean")
    except NotEvaluated as error:
        said, method = str(error)[:300], "served in an environment of the declared requirements"
        return census(check.id, 1, n=1, unit="problems", sampling_unit="environments", method=method, found=said)
    log = evidence.load_log("clean")
    problems = int((~log.ok).sum()) + (0 if gate.answers_may_differ else int(found.estimate))
    method = "errors and wrong answers in an environment of the declared requirements"
    return census(check.id, problems, n=found.n, unit="problems", sampling_unit="answers", method=method)


RESOURCES = {
    "start_up": ("s", "the slowest start, from its command to a healthy answer"),
    "memory": ("MB", "peak of the server's process or container, the largest of its starts"),
    "memory_growth": ("MB", "memory at the end of the expected load, less that after the warm-up; the largest start"),
    "cpu": ("s", "processor seconds per thousand predictions, after the start"),
}


def _resource(check: Check, kind: str, evidence: Evidence) -> Measurement:
    """Return what the candidate's server took, over all of its starts. Errors: `NotEvaluated` when one was not
    recorded.
    """
    unit, method = RESOURCES[kind]
    starts = [s.start for s in evidence.sessions("candidate")]
    values = [_taken(kind, evidence, start) for start in starts]
    # Each of them: max() of a number and NaN may be the number.
    if not all(map(math.isfinite, values)):
        raise NotEvaluated(f"{values} {unit} are no measurement", f"load/{kind}", "Run the load step again.")
    value = sum(values) / len(values) if kind == "cpu" else max(values)
    return census(check.id, value, n=len(values), unit=unit, sampling_unit="starts", method=method, starts=values)


def _taken(kind: str, evidence: Evidence, start: int) -> float:
    server = evidence.load_facts("candidate", start, "server")
    try:
        if kind == "memory":
            return float(server["peak_memory_mb"])
        session = evidence.load_facts("candidate", start, "session")
        if kind == "start_up":
            return round(float(session["healthy_at"]) - float(server["started_at"]), 3)
        samples = np.array([[s["at"], s["memory_mb"], s["cpu_seconds"]] for s in server["samples"]], dtype=np.float64)
        if kind == "cpu":
            predictions = float(session["predictions"])
            first = samples[np.searchsorted(samples[:, 0], float(session["began_at"])).clip(0, len(samples) - 1), 2]
            return (float(samples[-1, 2]) - float(first)) / predictions * 1000
        began = float(session["began_at"])
        spans = dict(zip(("warm_up", "load"), session["phases"], strict=False))
        before, after = began + float(spans["warm_up"]), began + float(spans["warm_up"]) + float(spans["load"])
        return float(np.interp(after, samples[:, 0], samples[:, 1]) - np.interp(before, samples[:, 0], samples[:, 1]))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        place = f"load, start {start}"
        raise NotEvaluated(
            f"the server's {kind} was not recorded ({reduced(error)})", place, "Run the load step again."
        ) from error


def _drawn(log: LoadLog, evidence: Evidence, rule: LoadRule) -> JsonDict:
    """Points for the report; failures count as slower than any limit."""
    latency = _milliseconds(log)
    whole = evidence.load_log("candidate")
    last = whole.at(int(whole.start.max()))
    seconds = np.floor(last.intended).astype(np.int64)
    every = _milliseconds(last)
    shown = np.unique(seconds)
    phases = list(dict.fromkeys(last.phase.tolist()))
    return {
        "latency_ms": [float(v) for v in np.quantile(latency, SHARES, method="higher")],
        "share": list(SHARES),
        "limit_ms": rule.latency_ms,
        "requests": len(latency),
        "lateness_p99_ms": float(np.quantile(log.lateness, 0.99) * 1000),
        "over_time": {
            "second": shown.tolist(),
            "p50_ms": [float(np.quantile(every[seconds == s], 0.5, method="higher")) for s in shown],
            "p99_ms": [float(np.quantile(every[seconds == s], 0.99, method="higher")) for s in shown],
            "offered": [int((seconds == s).sum()) for s in shown],
            "answered": [int((last.ok & (np.floor(last.intended + last.latency) == s)).sum()) for s in shown],
        },
        "phases": [
            {
                "name": p,
                "from": float(last.intended[last.phase == p].min()),
                "to": float(last.intended[last.phase == p].max()),
            }
            for p in phases
        ],
    }


def information(evidence: Evidence) -> list[JsonDict]:
    """Return what was asked before requests were counted: what a server does once, it does there."""
    if evidence.contract.gates.load is None:
        return []
    rows = [
        [w.start + 1, w.requests, w.failed, _seconds(w.first), _seconds(w.slowest)]
        for w in evidence.warm_ups("candidate")
    ]
    columns = ["start", "requests", "failed", "first answer, ms", "slowest answer, ms"]
    note = (
        "Not counted. Workers that load the model at their first request are slow here; where one still does after the "
        "warm-up, raise `warm_up_seconds`."
    )
    found = [{"title": "Warm-up", "columns": columns, "rows": rows, "note": note}]
    return found + _pauses(evidence)


def _pauses(evidence: Evidence) -> list[JsonDict]:
    """Return how often the machine stood still while requests were sent, start by start; nothing where it never did."""
    rows: list[list[Any]] = []
    for session in (*evidence.sessions("candidate"), *evidence.sessions("champion")):
        try:
            facts = evidence.load_facts(session.role, session.start, "session")
            late = [float(late) for _, late in facts["pauses"]]
            stolen = facts["stolen_seconds"]
            taken = None if stolen is None else round(float(stolen), 2)
        except (NotEvaluated, KeyError, TypeError, ValueError):
            continue
        if late:
            rows.append([session.role, session.start + 1, len(late), round(1000 * max(late), 1), taken])
    if not rows:
        return []
    return [
        {
            "title": "Pauses of the machine",
            "columns": ["role", "start", "pauses", "longest, ms", "stolen by its host, s"],
            "rows": rows,
            "note": "A thread that only sleeps woke so late. Latencies of those moments are the machine's and not the "
            "server's; they are counted all the same, so that a pass is no less sure. Where they decide, run it again.",
        }
    ]


def _seconds(value: float) -> float | str:
    return round(value * 1000, 1) if math.isfinite(value) else "no right answer"
